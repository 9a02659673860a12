//! The word of a condition variable: how often it was notified, and whether anybody may wait to be.
//!
//! ```text
//!  63                                  1      0
//! ┌──────────────────────────────────────┬─────────┐
//! │ sequence, one more for each notify   │ WAITERS │
//! └──────────────────────────────────────┴─────────┘
//! ```
//!
//! Invariants:
//!
//! 1. A waiter sets `WAITERS` while it holds the mutex, and sleeps only while the word is what it left there.
//! 2. `WAITERS` is cleared only together with a step of the sequence. So a word that a waiter has left never comes
//!    back once the bit was off, and whoever finds the bit off knows that all who set it before find the word changed.
//! 3. No wait is longer than a slice or two: whoever has slept for one returns as if he had been woken, and his caller
//!    looks. So it costs the others no more than that when one is killed between the change that they wait for and its
//!    notification, or with a wake-up that he has not acted upon yet.
//!
//! Relaxed throughout: the word orders nothing, the mutex does. What is waited for changes under the mutex, and that
//! section comes either after the one in which the waiter left its mark, and then the notifier finds the mark or what
//! replaced it; or before it, and then the waiter had seen the change and would not have waited.
//!
//! The waiting follows the condition variable of Rust's standard library; the bit that spares a system call, the slices
//! and the recovery are this crate's. The sequence may wrap around in the half that a futex compares (31 bits of it):
//! whoever is between its last look and its sleep during exactly 2³¹ notifications finds out when its slice ends.

use crate::{
    atomic::{AtomicU64, Ordering},
    lock::{Slices, WAITERS, wake_all},
    os::{Os, Wait},
};

/// One in the sequence.
const ONE: u64 = 2;

/// The word of a [`Condvar`](crate::Condvar) as it lies in shared memory. Public for embedders and for models.
///
/// To wait: [`mark`](Self::mark) under a lock, unlock, [`sleep`](Self::sleep), lock again, look.
#[repr(transparent)]
#[derive(Debug, Default)]
pub struct CondvarWord(AtomicU64);

#[cfg(not(loom))]
const _: () = assert!(size_of::<CondvarWord>() == 8);

impl CondvarWord {
    /// A word that was never notified.
    #[must_use]
    pub fn new() -> CondvarWord {
        CondvarWord::from_bits(0)
    }

    /// A word in the state that these bits mean.
    #[must_use]
    pub fn from_bits(bits: u64) -> CondvarWord {
        CondvarWord(AtomicU64::new(bits))
    }

    /// Nobody waits, in memory that nobody else sees.
    pub(crate) fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Says that the caller, who holds the mutex, will wait; returns what to [sleep](Self::sleep) on.
    pub fn mark(&self) -> u64 {
        self.0.fetch_or(WAITERS, Ordering::Relaxed) | WAITERS
    }

    /// Sleeps until somebody has notified since the [`mark`](Self::mark) that returned `marked`, but no longer than a tenth
    /// of a second, and not beyond `until` on the clock of [`Os::now`]: [`Wait::TimedOut`] says that nobody had
    /// until then.
    pub fn sleep<O: Os>(&self, os: &O, marked: u64, until: u64) -> Wait {
        let is_notified = || self.0.load(Ordering::Relaxed) != marked;
        let begun = os.now();
        let mut now = begun;
        let mut slices = Slices::new();
        loop {
            if is_notified() {
                return Wait::Woken;
            }
            if now >= until {
                return Wait::TimedOut;
            }
            if Slices::is_long_ago(begun, now) {
                return Wait::Woken;
            }
            os.step("condvar: about to sleep");
            slices.sleep(os, &self.0, marked, now, until);
            os.step("condvar: awake");
            // Most were woken, and need not know when.
            if is_notified() {
                return Wait::Woken;
            }
            // Before the look, so that what came in time is seen, however long the caller was kept from looking.
            now = os.now();
        }
    }

    /// Wakes up to `count` of those who wait.
    #[inline]
    pub fn notify<O: Os>(&self, os: &O, count: u32) {
        if self.is_marked() {
            self.notify_marked(os, count);
        }
    }

    /// Wakes all who wait.
    #[inline]
    pub fn notify_all<O: Os>(&self, os: &O) {
        if self.is_marked() {
            self.notify_all_marked(os);
        }
    }

    #[inline]
    fn is_marked(&self) -> bool {
        self.0.load(Ordering::Relaxed) & WAITERS != 0
    }

    #[cold]
    #[inline(never)]
    fn notify_marked<O: Os>(&self, os: &O, count: u32) {
        // To wake nobody is no notification; and a futex told to wake none wakes one.
        if count == 0 || !self.advance(WAITERS) {
            return;
        }
        os.step("notify: counted, nobody woken yet");
        if os.wake(&self.0, count) < count {
            // Nobody was asleep any more, so the mark may go. But somebody may have fallen asleep since, whom nobody will
            // look for once it is gone.
            os.step("notify: nobody is left, the mark is");
            self.notify_all_marked(os);
        }
    }

    #[cold]
    #[inline(never)]
    fn notify_all_marked<O: Os>(&self, os: &O) {
        if self.advance(0) {
            os.step("notify: all counted, nobody woken yet");
            wake_all(os, &self.0);
        }
    }

    /// Takes the sequence a step on, and leaves of the mark what `keep` says; `false` when there is none, because somebody
    /// else has taken all sleepers upon itself.
    fn advance(&self, keep: u64) -> bool {
        let step = |word: u64| {
            let next = (word & !WAITERS).wrapping_add(ONE);
            (word & WAITERS != 0).then_some(next | keep)
        };
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, step)
            .is_ok()
    }
}
