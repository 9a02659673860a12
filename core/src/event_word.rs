//! The word of an event: whether it is set, how often it was, and whether anybody may wait for it.
//!
//! ```text
//!  63                                2     1       0
//! ┌────────────────────────────────────┬─────┬─────────┐
//! │ generation, one more for each set  │ SET │ WAITERS │
//! └────────────────────────────────────┴─────┴─────────┘
//! ```
//!
//! | from              | to                         | by                                              |
//! |-------------------|----------------------------|-------------------------------------------------|
//! | not `SET`         | generation + 1, `SET`      | `set`, which then wakes all if `WAITERS` was on |
//! | `SET`             | the same                   | `set`                                           |
//! | `SET`             | not `SET`                  | `clear`                                         |
//! | neither           | `WAITERS`                  | who waits                                       |
//!
//! Invariants:
//!
//! 1. `WAITERS` is cleared only together with a step of the generation: who left its mark finds the word changed for good,
//!    however soon it is cleared. Generations are compared for equality alone, so that they may wrap around.
//! 2. Every `set` is an exchange of the word, also of one that is set already. So it comes before a `clear`, which then
//!    sees all that was done before it; or after it, and then it is a set of its own.
//! 3. No sleep is longer than a slice: that is how those learn of it whose setter was killed before it woke them, or who
//!    were between their look and their sleep while the 30 bits of the generation that a futex compares went round.

use crate::{
    atomic::{AtomicU64, Ordering},
    lock::{Slices, WAITERS, wake_all},
    os::Os,
};

const SET: u64 = 2;
/// One in the generation.
const ONE: u64 = 4;

/// The word of an [`Event`](crate::Event) as it lies in shared memory. Public for embedders and for models.
#[repr(transparent)]
#[derive(Debug, Default)]
pub struct EventWord(AtomicU64);

#[cfg(not(loom))]
const _: () = assert!(size_of::<EventWord>() == 8);

/// What was found in the word.
#[derive(Clone, Copy)]
struct Found(u64);

impl Found {
    const fn is_set(self) -> bool {
        self.0 & SET != 0
    }

    const fn is_waited_for(self) -> bool {
        self.0 & WAITERS != 0
    }

    /// Whether it was set since `earlier` was found, and may have been cleared again.
    const fn was_set_since(self, earlier: Found) -> bool {
        (self.0 ^ earlier.0) & !(SET | WAITERS) != 0
    }

    const fn set(self) -> Found {
        if self.is_set() {
            return self;
        }
        Found((self.0 & !WAITERS).wrapping_add(ONE) | SET)
    }

    const fn marked(self) -> Found {
        Found(self.0 | WAITERS)
    }
}

impl EventWord {
    /// A word that was never set.
    #[must_use]
    pub fn new() -> EventWord {
        EventWord::from_bits(0)
    }

    /// A word in the state that these bits mean.
    #[must_use]
    pub fn from_bits(bits: u64) -> EventWord {
        EventWord(AtomicU64::new(bits))
    }

    /// Not set, in memory that nobody else sees.
    pub(crate) fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Nobody waits any more: all who did are dead.
    pub(crate) fn forget_waiters(&self) {
        self.0.fetch_and(!WAITERS, Ordering::Relaxed);
    }

    #[inline]
    fn find(&self) -> Found {
        // Acquire: pairs with the Release in `set`, so that what was done before it is seen. What waiters and `clear`
        // exchange since passes it on.
        Found(self.0.load(Ordering::Acquire))
    }

    /// Whether it is set at this moment.
    #[inline]
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.find().is_set()
    }

    /// Sets it, and wakes all who wait.
    #[inline]
    pub fn set<O: Os>(&self, os: &O) {
        // Relaxed: only the exchange counts.
        let mut before = Found(self.0.load(Ordering::Relaxed));
        // Release: pairs with the Acquire of whoever finds it set, or clears it.
        while let Err(now) = self.0.compare_exchange_weak(
            before.0,
            before.set().0,
            Ordering::Release,
            Ordering::Relaxed,
        ) {
            before = Found(now);
        }
        if before.is_waited_for() {
            os.step("event: set, nobody woken yet");
            wake_all(os, &self.0);
        }
    }

    /// Makes it not set; whether it was. Of several who clear it at once, one is told that it was.
    #[inline]
    pub fn clear(&self) -> bool {
        // Acquire: pairs with the Release in `set` (invariant 2).
        Found(self.0.fetch_and(!SET, Ordering::Acquire)).is_set()
    }

    /// Waits until it is set, or was set for a moment, but not beyond `until` on the clock of [`Os::now`]; whether it was.
    #[inline]
    pub fn wait<O: Os>(&self, os: &O, until: u64) -> bool {
        let found = self.find();
        found.is_set() || self.wait_unset(os, found, until)
    }

    #[cold]
    #[inline(never)]
    fn wait_unset<O: Os>(&self, os: &O, at_first: Found, until: u64) -> bool {
        let mut slices = Slices::new();
        loop {
            // Before the look, so that what came in time is seen, however long the caller was kept from looking.
            let now = os.now();
            let found = self.find();
            if found.is_set() || found.was_set_since(at_first) {
                return true;
            }
            if now >= until {
                return false;
            }
            // Relaxed: the next look is what counts. Should this fail, the sleep ends at once.
            let _ = self.0.compare_exchange(
                found.0,
                found.marked().0,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            os.step("event: about to sleep");
            slices.sleep(os, &self.0, found.marked().0, now, until);
            os.step("event: awake");
        }
    }
}
