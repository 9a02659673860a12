//! Those who take from a ring: the consumers' side, while it is held.

use core::mem;

use crate::{
    atomic::Ordering,
    os::Os,
    ring::Ring,
    ring_error::RingError,
    ring_hold::{Hold, Locked},
    ring_words::{Position, SKIP},
};

/// Those who take: the consumers' side. Dropping it gives the side back and takes nothing.
pub struct Consumer<'a, 'm, O: Os, H: Hold = Locked> {
    ring: &'a Ring<'m, H>,
    os: &'a O,
    hold: H,
    head: Position,
    /// Behind the records that were looked at.
    next: Position,
}

impl<'a, 'm, O: Os, H: Hold> Consumer<'a, 'm, O, H> {
    #[inline]
    pub(crate) fn take(
        ring: &'a Ring<'m, H>,
        os: &'a O,
        until: u64,
    ) -> Result<Consumer<'a, 'm, O, H>, RingError> {
        let hold = H::take(os, &ring.words.consumers, until)?;
        // Relaxed: written by who has the side.
        let head = Position::load(&ring.words.head.0, Ordering::Relaxed);
        Ok(Consumer {
            ring,
            os,
            hold,
            head,
            next: head,
        })
    }

    /// The next record: the unit at which its bytes begin, and how many there are; `None` when there is none now.
    ///
    /// # Errors
    ///
    /// [`RingError::Closed`] when there will be none, or [`RingError::Damaged`].
    #[inline]
    pub fn next_record(&mut self) -> Result<Option<(usize, usize)>, RingError> {
        let ring = self.ring;
        let seen = &ring.words.consumers.seen;
        // Relaxed: by who has the side.
        let mut tail = Position::load(seen, Ordering::Relaxed);
        if tail.units_since(self.next) == 0 {
            // Acquire: pairs with the Release of `Producer::publish`: the records up to there are whole.
            tail = Position::load(&ring.words.tail.0, Ordering::Acquire);
            seen.store(tail.to_bits(), Ordering::Relaxed);
            if tail.units_since(self.next) == 0 {
                return if tail.is_closed() {
                    Err(RingError::Closed)
                } else {
                    Ok(None)
                };
            }
        }
        let mut there = tail.units_since(self.next);
        let mut start = ring.index(self.next);
        // Relaxed: published with the tail.
        let mut len = ring.data[start].load(Ordering::Relaxed);
        let mut skipped = 0;
        if len == SKIP {
            skipped = ring.units() - start as u32;
            there = there.checked_sub(skipped).ok_or(RingError::Damaged)?;
            start = 0;
            len = ring.data[0].load(Ordering::Relaxed);
        }
        let len = usize::try_from(len).map_err(|_| RingError::Damaged)?;
        let units = ring.units_of(len).map_err(|_| RingError::Damaged)?;
        if units > there || start + units as usize > ring.data.len() {
            return Err(RingError::Damaged);
        }
        self.next = self.next.after(skipped + units, 1);
        Ok(Some((start + 1, len)))
    }

    /// Shows up to `most` records to `take`; how many there were.
    pub(crate) fn take_many(
        &mut self,
        most: usize,
        mut take: impl FnMut(usize, usize),
    ) -> Result<usize, RingError> {
        let mut taken = 0;
        while taken < most {
            match self.next_record() {
                Ok(Some((at, len))) => take(at, len),
                // What was taken before is good.
                Err(_) if taken > 0 => break,
                Err(why) => return Err(why),
                Ok(None) => break,
            }
            taken += 1;
        }
        Ok(taken)
    }

    /// The tail as it was seen last: while it is that, there is nothing more.
    pub(crate) fn seen(&self) -> Position {
        Position::load(&self.ring.words.consumers.seen, Ordering::Relaxed)
    }

    /// How many records were shown.
    pub(crate) fn shown(&self) -> u32 {
        self.next.records_since(self.head)
    }

    /// Removes the records that [`next_record`](Self::next_record) has shown from the ring, all at once.
    #[inline]
    pub fn consume(self) {
        let words = self.ring.words;
        self.os.step("ring: about to consume");
        self.hold.publish(
            self.os,
            (&words.consumers, &words.head),
            self.next,
            self.shown(),
            "ring: consumed",
        );
        mem::forget(self);
    }
}

impl<O: Os, H: Hold> Drop for Consumer<'_, '_, O, H> {
    #[inline]
    fn drop(&mut self) {
        self.hold.let_go(self.os, &self.ring.words.consumers);
    }
}
