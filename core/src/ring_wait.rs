//! One wait for the other side of a ring to move.

use crate::{
    atomic::{AtomicU64, Ordering},
    lock::{NOW, Slices, wake_all},
    os::Os,
    ring::Ring,
    ring_error::RingError,
    ring_hold::Hold,
    ring_pace::look_for_a_moment,
    ring_words::{Position, Side},
};

/// One wait for the other side. However the call ends that waits, those who sleep beside it are not forgotten.
pub(crate) struct Sleeper<'a, 'm, O: Os, H: Hold> {
    ring: &'a Ring<'m, H>,
    os: &'a O,
    /// The side of the caller.
    own: &'a Side,
    other: &'a Side,
    /// The position of the other side.
    word: &'a AtomicU64,
    /// Whether one who sleeps may go on.
    is_more: fn(&Ring<'m, H>) -> bool,
    slices: Slices,
    /// On which turn it has slept last.
    slept: Option<u64>,
    /// How often the other side had moved before it slept.
    moves: u32,
}

impl<'a, 'm, O: Os, H: Hold> Sleeper<'a, 'm, O, H> {
    /// Of one who wants to put.
    pub fn for_room(ring: &'a Ring<'m, H>, os: &'a O) -> Self {
        Sleeper {
            ring,
            os,
            own: &ring.words.producers,
            other: &ring.words.consumers,
            word: &ring.words.head.position,
            is_more: |ring| ring.is_closed() || !ring.is_full_for(0),
            slices: Slices::new(),
            slept: None,
            moves: 0,
        }
    }

    /// Of one who wants to take.
    pub fn for_records(ring: &'a Ring<'m, H>, os: &'a O) -> Self {
        Sleeper {
            ring,
            os,
            own: &ring.words.consumers,
            other: &ring.words.producers,
            word: &ring.words.tail.position,
            is_more: |ring| ring.is_closed() || !ring.is_empty(),
            slices: Slices::new(),
            slept: None,
            moves: 0,
        }
    }

    /// Waits until the other side is no longer at `seen`, or for a slice; whether a whole slice has passed.
    #[cold]
    pub fn sleep(&mut self, seen: Position, until: u64) -> Result<bool, RingError> {
        if until == NOW {
            return Err(RingError::WouldBlock);
        }
        if self.spin(seen) {
            return self.has_moved(until);
        }
        let Some((word, expected)) = H::watch(self.other, self.word, seen) else {
            return self.has_moved(until);
        };
        let now = self.os.now();
        if now >= until {
            return Err(RingError::TimedOut);
        }
        if self.slept.is_some_and(|turn| turn != expected) {
            self.leave_to_others();
        }
        self.os.step("ring: about to sleep");
        self.slices.sleep(self.os, word, expected, now, until);
        self.slept = Some(expected);
        self.os.step("ring: awake");
        // Relaxed: it is looked at again, properly, by who goes on. Who was woken for something needs no clock.
        let woken = Position::load(self.word, Ordering::Relaxed) != seen;
        Ok(!woken && self.slices.is_over(self.os.now()))
    }

    /// The other side has moved, so there is no need to sleep. Who finds that others were faster each time looks at the clock
    /// now and then.
    fn has_moved(&mut self, until: u64) -> Result<bool, RingError> {
        const TRUST: u32 = 64;
        self.moves += 1;
        if self.moves.is_multiple_of(TRUST) && self.os.now() >= until {
            return Err(RingError::TimedOut);
        }
        Ok(false)
    }

    /// Looks for a moment whether the other side moves: falling asleep and being woken takes longer than most of its
    /// work.
    fn spin(&self, seen: Position) -> bool {
        if cfg!(loom) || !self.os.runs_beside_others() {
            return false;
        }
        look_for_a_moment(&self.own.pace, || {
            // Relaxed: it is looked at again, properly, by who goes on.
            let now = Position::load(self.word, Ordering::Relaxed);
            (now != seen).then(|| now.records_since(seen))
        })
    }

    /// Somebody was woken, who may be this one, and there is too little room for its record. There may be enough for
    /// another's, which is shorter, and nobody knows whose: all look once.
    fn leave_to_others(&self) {
        if H::SHARED && (self.is_more)(self.ring) {
            wake_all(self.os, &self.other.turn);
        }
    }

    /// Whoever slept keeps watching, since others may sleep, and wakes the next if there is something for him: the
    /// wake-up that ended the sleep may have been meant for another, and the mark is gone with it.
    #[cold]
    fn pass_on(&self) {
        let Side { lock, turn, .. } = self.other;
        lock.watch(turn);
        if (self.is_more)(self.ring) {
            // Relaxed: as in the unlock that wakes. The next one is to see that it was woken.
            turn.fetch_add(1, Ordering::Relaxed);
            self.os.wake(turn, 1);
        }
    }
}

impl<O: Os, H: Hold> Drop for Sleeper<'_, '_, O, H> {
    #[inline]
    fn drop(&mut self) {
        if H::SHARED && self.slept.is_some() {
            self.pass_on();
        }
    }
}
