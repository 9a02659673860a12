//! Something that is done once: a lock for whoever does it, and a word on which all others sleep.
//!
//! ```text
//!  63          2     1       0
//! ┌─────────────┬───────┬─────────┐
//! │ given up    │ READY │ WAITERS │
//! └─────────────┴───────┴─────────┘
//! ```
//!
//! Invariants:
//!
//! 1. `READY` is set once, by a holder of the lock, and never cleared. What was done before is never done again.
//! 2. An attempt that ends without `READY` frees the lock first and then counts itself in `given up`. So whoever looks at
//!    the state and then finds the lock held can sleep while the state is what it was: that attempt will change it, in
//!    one way or the other.
//! 3. An attempt that dies changes nothing, and leaves nothing but a dead owner in the lock. The sleepers find that when
//!    their slice ends, and one of them begins anew.
//! 4. Nobody sleeps on the lock, so nobody is held up by one who has taken it to find that all is done, and is stopped.

use crate::{
    atomic::{AtomicU64, Ordering},
    lock::{Lock, NOW, Refused, Slices, WAITERS, wake_all},
    os::Os,
    owner::Owner,
};

const READY: u64 = 2;
const GIVEN_UP: u64 = 4;

/// The words of something that is done once, as they lie in shared memory. Public for embedders and for models; most
/// use [`OnceValue`](crate::OnceValue).
#[repr(C)]
#[derive(Debug, Default)]
pub struct OnceWords {
    /// Held by whoever is at it.
    lock: Lock,
    /// See the drawing above.
    state: AtomicU64,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<OnceWords>() == 24);

impl OnceWords {
    /// Nothing has been done.
    #[must_use]
    pub fn new() -> OnceWords {
        OnceWords::default()
    }

    /// As new, in memory that nobody else sees.
    pub(crate) fn reset(&self) {
        self.lock.reset();
        self.state.store(0, Ordering::Relaxed);
    }

    /// Frees what the dead held. What was done stays done.
    pub(crate) fn bury(&self) {
        self.lock.reset();
        self.state.fetch_and(READY, Ordering::Relaxed);
    }

    /// Whether it is done; if so, everything that was done before is seen.
    #[inline]
    #[must_use]
    pub fn is_ready(&self) -> bool {
        // Acquire: pairs with the Release of `finish`.
        self.state.load(Ordering::Acquire) & READY != 0
    }

    /// Waits until it is done (`None`) or the calling thread may do it: then it must [`finish`](Self::finish) or
    /// [`give_up`](Self::give_up) as the owner that is returned. An attempt whose process dies is left to the next.
    ///
    /// # Errors
    ///
    /// [`Refused`] says why neither; [`Refused::WouldDeadlock`] when the calling thread is at it.
    pub fn begin<O: Os>(&self, os: &O, until: u64) -> Result<Option<Owner>, Refused> {
        let mut slices = Slices::new();
        loop {
            // Before looking: what came in time is not reported as late.
            let now = os.now();
            // Acquire: pairs with the Release of `finish` and of `give_up`; the lock is looked at after this (invariant 2).
            let state = self.state.load(Ordering::Acquire);
            if state & READY != 0 {
                return Ok(None);
            }
            match self.lock.lock(os, NOW) {
                Ok(taken) if self.is_ready() => {
                    self.lock.unlock_mine(os, taken.me);
                    return Ok(None);
                }
                Ok(taken) => return Ok(Some(taken.me)),
                Err(Refused::WouldBlock) => (),
                Err(why) => return Err(why),
            }
            if now >= until {
                return Err(Refused::late(until));
            }
            self.sleep(os, &mut slices, state, now, until);
        }
    }

    /// Waits until it is done, by whomever. Needs no identity.
    ///
    /// # Errors
    ///
    /// [`Refused::TimedOut`], or [`Refused::WouldBlock`] if it was not to wait; [`Refused::WouldDeadlock`] when the calling thread is at it.
    pub fn wait<O: Os>(&self, os: &O, until: u64) -> Result<(), Refused> {
        let mut slices = Slices::new();
        loop {
            // Before looking, as in `begin`.
            let now = os.now();
            // Acquire: pairs with the Release of `finish`.
            let state = self.state.load(Ordering::Acquire);
            if state & READY != 0 {
                return Ok(());
            }
            if self.lock.is_mine(os) {
                return Err(Refused::WouldDeadlock);
            }
            if now >= until {
                return Err(Refused::late(until));
            }
            self.sleep(os, &mut slices, state, now, until);
        }
    }

    /// Sleeps while the state is `state`, for a slice.
    fn sleep<O: Os>(&self, os: &O, slices: &mut Slices, state: u64, now: u64, until: u64) {
        // Relaxed: whoever changes the state exchanges this very word, so the bit is not missed.
        if state & WAITERS == 0
            && self
                .state
                .compare_exchange(state, state | WAITERS, Ordering::Relaxed, Ordering::Relaxed)
                .is_err()
        {
            return;
        }
        os.step("once: about to sleep");
        slices.sleep(os, &self.state, state | WAITERS, now, until);
        os.step("once: awake");
    }

    /// Says that it is done, as the owner that [`begin`](Self::begin) returned. In a process that did not begin (a fork
    /// child) this does nothing.
    pub fn finish<O: Os>(&self, os: &O, me: Owner) {
        if !os.is_me(me) {
            return;
        }
        os.step("once: about to publish");
        // Release: pairs with the Acquire of whoever finds it ready.
        let before = self.state.swap(READY, Ordering::Release);
        os.step("once: published, nobody woken yet");
        if before & WAITERS != 0 {
            wake_all(os, &self.state);
        }
        self.lock.unlock_mine(os, me);
    }

    /// Leaves it to the next, as the owner that [`begin`](Self::begin) returned. In a process that did not begin (a fork
    /// child) this does nothing.
    pub fn give_up<O: Os>(&self, os: &O, me: Owner) {
        if !os.is_me(me) {
            return;
        }
        self.lock.unlock_mine(os, me);
        os.step("once: given up, not counted yet");
        // Release: pairs with the Acquire in `begin`: who sees the count does not find the lock held by this attempt.
        let before = self.state.fetch_add(GIVEN_UP, Ordering::Release);
        if before & WAITERS != 0 {
            os.step("once: counted, nobody woken yet");
            // All: those who only wait sleep here, too, and would not begin anew.
            wake_all(os, &self.state);
        }
    }
}
