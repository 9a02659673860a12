//! Those who take from a ring: the consumers' side, while it is held.

use core::mem;

use crate::{
    atomic::Ordering,
    os::Os,
    ring::Ring,
    ring_copy::Shown,
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
    /// How many units are in the ring behind the shown ones, at least.
    there: u32,
    /// How many units were shown, and how many records they are.
    shown: (u32, u32),
}

impl<'a, 'm, O: Os, H: Hold> Consumer<'a, 'm, O, H> {
    #[inline(always)]
    pub(crate) fn take(
        ring: &'a Ring<'m, H>,
        os: &'a O,
        until: u64,
    ) -> Result<Consumer<'a, 'm, O, H>, RingError> {
        let hold = H::take(os, &ring.words.consumers, until)?;
        // Relaxed: written by who has the side.
        let head = Position::load(&ring.words.head.position, Ordering::Relaxed);
        let seen = Position::load(&ring.words.consumers.seen, Ordering::Relaxed);
        Ok(Consumer {
            ring,
            os,
            hold,
            head,
            // None where the words are damaged: then the other side is looked at, and that is found out.
            there: there(ring, head, seen).unwrap_or(0),
            shown: (0, 0),
        })
    }

    /// The next record: the unit at which its bytes begin, and how many there are; `None` when there is none now.
    ///
    /// # Errors
    ///
    /// [`RingError::Closed`] when there will be none, or [`RingError::Damaged`].
    #[inline(always)]
    pub fn next_record(&mut self) -> Result<Option<(usize, usize)>, RingError> {
        if self.there == 0 && !self.finds_more()? {
            return Ok(None);
        }
        let ring = self.ring;
        let (shown, records) = self.shown;
        let mut start = ring.index(self.head.units().wrapping_add(shown));
        // Relaxed: published with the tail.
        let mut len = ring.data[start].load(Ordering::Relaxed);
        let mut skipped = 0;
        if len == SKIP {
            skipped = ring.units() - start as u32;
            start = 0;
            len = ring.data[0].load(Ordering::Relaxed);
        }
        let len = usize::try_from(len).map_err(|_| RingError::Damaged)?;
        let units = ring.units_of(len).map_err(|_| RingError::Damaged)?;
        let gone = skipped + units;
        if gone > self.there || start + units as usize > ring.data.len() {
            return Err(RingError::Damaged);
        }
        self.there -= gone;
        self.shown = (shown + gone, records + 1);
        Ok(Some((start + 1, len)))
    }

    /// The next record, in its place or, where it is the last one and short, copied.
    ///
    /// # Errors
    ///
    /// As [`next_record`](Self::next_record).
    #[inline(always)]
    pub fn next_shown(&mut self) -> Result<Option<Shown>, RingError> {
        if self.there == 0 {
            if !self.finds_more()? {
                return Ok(None);
            }
            let tail = self.seen();
            if tail.records_since(self.head) == 1
                && self.shown.1 == 0
                && let Some(copied) = self.ring.words.tail.beside.read(tail, self.most())
            {
                self.shown = (self.there, 1);
                self.there = 0;
                return Ok(Some(copied));
            }
        }
        let record = self.next_record()?;
        Ok(record.map(|(at, len)| Shown::InPlace(at, len)))
    }

    /// How many bytes a record can have that is alone in the ring.
    #[inline]
    fn most(&self) -> usize {
        let there = self.there.saturating_sub(1) as usize * 8;
        there.min(self.ring.max_len())
    }

    /// Looks where the other side is now; whether there is more.
    #[inline(always)]
    fn finds_more(&mut self) -> Result<bool, RingError> {
        let words = self.ring.words;
        // Acquire: pairs with the Release of `Producer::publish`: the records up to there are whole.
        let tail = Position::load(&words.tail.position, Ordering::Acquire);
        // Relaxed: by who has the side.
        words
            .consumers
            .seen
            .store(tail.to_bits(), Ordering::Relaxed);
        let units = there(self.ring, self.head, tail);
        self.there = units
            .and_then(|units| units.checked_sub(self.shown.0))
            .ok_or(RingError::Damaged)?;
        if self.there == 0 && tail.is_closed() {
            return Err(RingError::Closed);
        }
        Ok(self.there != 0)
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

    /// Where the head is while nothing is consumed.
    #[inline]
    pub(crate) fn head(&self) -> Position {
        self.head
    }

    /// How many records were shown.
    pub(crate) fn shown(&self) -> u32 {
        self.shown.1
    }

    /// Removes the records that were shown from the ring, all at once.
    #[inline(always)]
    pub fn consume(mut self) {
        self.move_on();
        mem::forget(self);
    }

    /// As [`consume`](Self::consume); then this must be forgotten, as a producer that has moved on.
    #[inline(always)]
    pub(crate) fn move_on(&mut self) {
        let words = self.ring.words;
        self.os.step("ring: about to consume");
        self.hold.publish(
            self.os,
            (&words.consumers, &words.head.position),
            self.head.after(self.shown.0, self.shown.1),
            self.shown(),
            "ring: consumed",
        );
    }
}

/// How many units are in the ring between a head and a tail.
#[inline]
fn there<H: Hold>(ring: &Ring<'_, H>, head: Position, tail: Position) -> Option<u32> {
    Some(tail.units_since(head)).filter(|units| *units <= ring.units())
}

impl<O: Os, H: Hold> Drop for Consumer<'_, '_, O, H> {
    #[inline(always)]
    fn drop(&mut self) {
        self.hold.let_go(self.os, &self.ring.words.consumers);
    }
}
