//! `Event`: something that has happened or not, and waiting for it.

use core::fmt;

use crate::{
    error::LayoutError,
    event_word::EventWord,
    header::Kind,
    lock::FOREVER,
    origin::Origin,
    os::Os,
    placed::{self, Placed},
    region::Region,
};

// SAFETY: one atomic.
unsafe impl placed::Words for EventWord {
    const KIND: Kind = Kind::Event;

    fn bury(&self) {
        self.forget_waiters();
    }
}

/// A flag that is set and cleared, and that can be waited for.
///
/// [`set`](Self::set) wakes all who wait, and none of them misses it, however soon it is cleared. What was done before a
/// `set` is seen by whoever finds the event set, waits for it, or [clears](Self::clear) it. Nobody owns an event: whoever is killed
/// leaves it set or not.
///
/// Who waits sleeps, and wakes itself every 100 ms (at first after 5 ms) to look whether somebody was killed between
/// setting it and waking the sleepers. Setting is one exchange of a word, and a system call if somebody waits or a waiter
/// was killed.
pub struct Event<'m, O> {
    word: &'m EventWord,
    os: O,
}

impl<'m, O: Os> Event<'m, O> {
    /// How many bytes it takes.
    #[must_use]
    pub fn required_len() -> usize {
        Placed::<EventWord, ()>::required_len()
    }

    /// Places an event, not set, in fresh memory.
    ///
    /// # Errors
    ///
    /// [`LayoutError::TooShort`] when the memory is shorter than [`required_len`](Self::required_len).
    ///
    /// # Safety
    ///
    /// No process uses a layout that overlaps `region`.
    pub unsafe fn place(
        region: Region<'m>,
        os: O,
        origin: Origin,
    ) -> Result<Event<'m, O>, LayoutError> {
        // SAFETY: promised by the caller.
        unsafe { Placed::place(&region, origin, (), EventWord::reset) }
            .map(|placed| Event::view(placed, os))
    }

    /// The event that somebody placed in `region`.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] when the bytes do not hold an event of this `origin`.
    pub fn attach(region: Region<'m>, os: O, origin: Origin) -> Result<Self, LayoutError> {
        Placed::attach(&region, origin).map(|placed| Event::view(placed, os))
    }

    /// Declares every process that ever had it open dead: nobody waits. It stays set, or not.
    ///
    /// # Errors
    ///
    /// As [`attach`](Self::attach), except that any origin will do.
    ///
    /// # Safety
    ///
    /// Nobody else has the memory open.
    pub unsafe fn bury(region: Region<'m>, _: O, origin: Origin) -> Result<(), LayoutError> {
        // SAFETY: promised by the caller.
        unsafe { Placed::<EventWord, ()>::bury(&region, origin) }
    }

    fn view(placed: Placed<'m, EventWord, ()>, os: O) -> Self {
        Event {
            word: placed.words,
            os,
        }
    }

    /// Whether it is set at this moment.
    #[inline]
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.word.is_set()
    }

    /// Sets it and wakes all who wait. It takes no lock, never waits, and asks [`Os`] for nothing but
    /// [`wake`](Os::wake): a signal handler may call it where that may be called.
    #[inline]
    pub fn set(&self) {
        self.word.set(&self.os);
    }

    /// Makes it not set; whether it was. Of several who clear it at once, one is told that it was.
    #[inline]
    pub fn clear(&self) -> bool {
        self.word.clear()
    }

    /// Waits until it is set. It may be cleared again by the time that this returns.
    #[inline]
    pub fn wait(&self) {
        self.word.wait(&self.os, FOREVER);
    }

    /// As [`wait`](Self::wait), but not beyond `until` on the clock of [`Os::now`]; whether it was set.
    #[inline]
    #[must_use = "it says whether the event was set"]
    pub fn wait_until(&self, until: u64) -> bool {
        self.word.wait(&self.os, until)
    }
}

impl<O: Os> fmt::Debug for Event<'_, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("set", &self.is_set())
            .finish_non_exhaustive()
    }
}
