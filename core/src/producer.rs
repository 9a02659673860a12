//! Those who put into a ring: the producers' side, while it is held.

use core::mem;

use crate::{
    atomic::Ordering,
    os::Os,
    ring::{Records, Ring},
    ring_error::RingError,
    ring_hold::{Hold, Locked},
    ring_words::{Position, SKIP},
};

/// Those who put: the producers' side. Dropping it gives the side back and puts nothing.
pub struct Producer<'a, 'm, O: Os, H: Hold = Locked> {
    ring: &'a Ring<'m, H>,
    os: &'a O,
    hold: H,
    tail: Position,
    /// Behind the records that are reserved.
    next: Position,
}

impl<'a, 'm, O: Os, H: Hold> Producer<'a, 'm, O, H> {
    #[inline]
    pub(crate) fn take(
        ring: &'a Ring<'m, H>,
        os: &'a O,
        until: u64,
    ) -> Result<Producer<'a, 'm, O, H>, RingError> {
        let hold = H::take(os, &ring.words.producers, until)?;
        // Relaxed: written by who has the side.
        let tail = Position::load(&ring.words.tail.0, Ordering::Relaxed);
        let producer = Producer {
            ring,
            os,
            hold,
            tail,
            next: tail,
        };
        if tail.is_closed() {
            return Err(RingError::Closed);
        }
        Ok(producer)
    }

    /// Makes room for one more record of `len` bytes and returns the unit at which they begin; `None` when there is no
    /// room now.
    ///
    /// # Errors
    ///
    /// [`RingError::TooLarge`] or [`RingError::Damaged`].
    #[inline]
    pub fn reserve(&mut self, len: usize) -> Result<Option<usize>, RingError> {
        let ring = self.ring;
        let need = ring.units_of(len)?;
        let start = ring.index(self.next);
        let to_end = ring.units() - start as u32;
        let skipped = if need > to_end { to_end } else { 0 };
        if !self.has_room(skipped + need)? {
            return Ok(None);
        }
        let at = if skipped == 0 { start } else { 0 };
        // Relaxed: the store of the tail publishes them.
        if skipped != 0 {
            ring.data[start].store(SKIP, Ordering::Relaxed);
        }
        ring.data[at].store(len as u64, Ordering::Relaxed);
        self.os.step("ring: record reserved");
        self.next = self.next.after(skipped + need, 1);
        Ok(Some(at + 1))
    }

    #[inline]
    fn has_room(&self, need: u32) -> Result<bool, RingError> {
        let words = self.ring.words;
        let seen = &words.producers.seen;
        // Relaxed: by who has the side.
        let head = Position::load(seen, Ordering::Relaxed);
        if self.room(head).is_some_and(|room| room >= need) {
            return Ok(true);
        }
        // Acquire: pairs with the Release of `Consumer::consume`: the units up to there are not read any more.
        let head = Position::load(&words.head.0, Ordering::Acquire);
        seen.store(head.to_bits(), Ordering::Relaxed);
        let room = self.room(head).ok_or(RingError::Damaged)?;
        Ok(room >= need)
    }

    /// How many units are free when `head` is the head.
    fn room(&self, head: Position) -> Option<u32> {
        self.ring.units().checked_sub(self.next.units_since(head))
    }

    /// The head as it was seen last: while it is that, there is no more room.
    pub(crate) fn seen(&self) -> Position {
        Position::load(&self.ring.words.producers.seen, Ordering::Relaxed)
    }

    /// Whether records are reserved.
    pub(crate) fn is_changed(&self) -> bool {
        self.next != self.tail
    }

    /// Reserves and fills as many records as there is room for; whether that was all.
    pub(crate) fn fill(&mut self, records: &mut impl Records) -> Result<bool, RingError> {
        while let Some(len) = records.next_len() {
            match self.reserve(len)? {
                Some(at) => records.fill(at),
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Puts the reserved records into the ring, all at once.
    #[inline]
    pub fn publish(self) {
        let words = self.ring.words;
        self.hold.publish(
            self.os,
            (&words.producers, &words.tail),
            self.next,
            self.next.records_since(self.tail),
            "ring: published",
        );
        mem::forget(self);
    }
}

impl<O: Os, H: Hold> Drop for Producer<'_, '_, O, H> {
    #[inline]
    fn drop(&mut self) {
        self.hold.let_go(self.os, &self.ring.words.producers);
    }
}
