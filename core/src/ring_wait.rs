//! One wait for the other side of a ring to move.

use core::marker::PhantomData;

use crate::{
    atomic::{Ordering, spin_loop},
    lock::{NOW, Slices},
    os::Os,
    ring_error::RingError,
    ring_hold::Hold,
    ring_words::{Alone, Position, Side},
};

/// One wait for the other side.
pub(crate) struct Sleeper<'a, H> {
    other: &'a Side,
    /// Its position.
    word: &'a Alone,
    slices: Slices,
    slept: bool,
    _hold: PhantomData<H>,
}

impl<'a, H: Hold> Sleeper<'a, H> {
    pub fn new(other: &'a Side, word: &'a Alone) -> Sleeper<'a, H> {
        Sleeper {
            other,
            word,
            slices: Slices::new(),
            slept: false,
            _hold: PhantomData,
        }
    }

    /// Waits until the other side is no longer at `seen`, or for a slice; whether a whole slice has passed.
    #[cold]
    pub fn sleep<O: Os>(&mut self, os: &O, seen: Position, until: u64) -> Result<bool, RingError> {
        if until == NOW {
            return Err(RingError::WouldBlock);
        }
        if self.spin(os, seen) {
            return Ok(false);
        }
        let Some((word, expected)) = H::watch(self.other, self.word, seen) else {
            return Ok(false);
        };
        let now = os.now();
        if now >= until {
            // The wake-up that ended the sleep may have been meant for another.
            self.pass_on(os);
            return Err(RingError::TimedOut);
        }
        os.step("ring: about to sleep");
        self.slices.sleep(os, word, expected, now, until);
        self.slept = true;
        os.step("ring: awake");
        Ok(self.slices.is_over(os.now()))
    }

    /// Looks for a moment whether the other side moves: falling asleep and being woken takes longer than most of its
    /// work.
    fn spin<O: Os>(&self, os: &O, seen: Position) -> bool {
        const ROUNDS: u32 = if cfg!(loom) { 0 } else { 50 };
        if !os.runs_beside_others() {
            return false;
        }
        for _ in 0..ROUNDS {
            // Relaxed: it is looked at again, properly, by who goes on.
            if Position::load(&self.word.0, Ordering::Relaxed) != seen {
                return true;
            }
            spin_loop();
        }
        false
    }

    /// It has what it came for: whoever slept keeps watching, since others may sleep, and wakes the next if there is
    /// something left for him.
    #[inline]
    pub fn done<O: Os>(&self, os: &O, is_more: impl FnOnce() -> bool) {
        if H::SHARED && self.slept {
            self.keep_watching(os, is_more);
        }
    }

    #[cold]
    fn keep_watching<O: Os>(&self, os: &O, is_more: impl FnOnce() -> bool) {
        self.other.lock.watch(&self.other.turn);
        if is_more() {
            self.pass_on(os);
        }
    }

    #[cold]
    fn pass_on<O: Os>(&self, os: &O) {
        if H::SHARED && self.slept {
            os.wake(&self.other.turn, 1);
        }
    }
}
