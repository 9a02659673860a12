//! Waiting until what a lock guards has changed, without ever taking the lock.
//!
//! A sequence counts the changes; it moves only under the lock. Those who wait sleep on a word of their own, the *turn*,
//! which an unlock moves when it finds that somebody watches: an eventcount, whose announcement lies in the lock word,
//! where it costs nothing to find.
//!
//! | who waits                                        | who changes                                          |
//! |--------------------------------------------------|------------------------------------------------------|
//! | reads the sequence, then looks                   | takes the lock                                       |
//! | reads the turn                                   | moves the sequence                                   |
//! | sets the `WAITERS` bit of the lock               | frees the lock by an exchange, which gives the bit   |
//! | reads the sequence again: moved? then anew       | if it was set: moves the turn, and then              |
//! | sleeps while the turn is as it was read          | wakes all who sleep on the turn                      |
//!
//! Invariants:
//!
//! 1. Setting the bit and freeing the lock are changes of one word, so one of them comes first: either the second reading
//!    shows what was changed, or the exchange gives the bit.
//! 2. An exchange that gives the bit moves the turn after its watcher has read it: so the watcher does not fall asleep, or
//!    is woken. The sequence would not do to sleep on: it may have been moved *before* the watcher read it, by one
//!    who frees the lock, and takes the bit away, only afterwards.
//! 3. No sleep is longer than a slice: what somebody changed who was killed before he woke anybody is found when it ends.

use crate::{
    atomic::{AtomicU64, Ordering},
    lock::{Lock, Slices},
    os::Os,
    owner::Owner,
};

/// A lock, the sequence of changes made under it, and what those sleep on who wait for one. Public for embedders and for
/// models; most use [`Value`](crate::Value).
#[derive(Clone, Copy, Debug)]
pub struct Watched<'m> {
    /// Whoever moves the sequence holds this lock, and gives it back by [`unlock`](Self::unlock).
    pub lock: &'m Lock,
    /// Another number after each change.
    pub sequence: &'m AtomicU64,
    /// Another number each time that sleepers are woken. Only these methods change it.
    pub turn: &'m AtomicU64,
}

impl Watched<'_> {
    /// Calls `ready` now and after changes until it says `true`; `false` when it did not before `until` on the clock of
    /// [`Os::now`]. `ready` is also called now and then when nothing has changed.
    pub fn wait<O: Os>(&self, os: &O, until: u64, mut ready: impl FnMut() -> bool) -> bool {
        let mut slices = Slices::new();
        loop {
            // Before looking: what came in time is not reported as late.
            let now = os.now();
            // Acquire: pairs with the Release of whoever moved it, so that `ready` sees nothing older.
            let seen = self.sequence.load(Ordering::Acquire);
            if ready() {
                return true;
            }
            if now >= until {
                return false;
            }
            let turn = self.lock.watch(self.turn);
            os.step("watch: lock marked");
            // Relaxed: ordered behind the changes of earlier holders by the Acquire of `Lock::watch`.
            if self.sequence.load(Ordering::Relaxed) != seen {
                continue;
            }
            os.step("watch: about to sleep");
            slices.sleep(os, self.turn, turn, now, until);
            os.step("watch: awake");
        }
    }

    /// Gives the lock back that `me` has taken, and wakes who waits for a change. In a process that did not take it
    /// (a fork child with its parent's guard) this does nothing.
    pub fn unlock<O: Os>(&self, os: &O, me: Owner) {
        if os.is_me(me) {
            self.unlock_mine(os, me);
        }
    }

    /// As [`unlock`](Self::unlock), where `me` is the caller.
    #[inline(always)]
    pub(crate) fn unlock_mine<O: Os>(&self, os: &O, me: Owner) {
        self.lock.unlock_watched(os, me, self.turn, u32::MAX);
    }
}
