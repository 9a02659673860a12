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
    /// How many units are free behind the reserved ones, at least.
    room: u32,
    /// How many units are reserved, and how many records they are.
    reserved: (u32, u32),
    /// Where the bytes of the last of them begin, and how many there are.
    last: (usize, usize),
}

impl<'a, 'm, O: Os, H: Hold> Producer<'a, 'm, O, H> {
    #[inline(always)]
    pub(crate) fn take(
        ring: &'a Ring<'m, H>,
        os: &'a O,
        until: u64,
    ) -> Result<Producer<'a, 'm, O, H>, RingError> {
        let hold = H::take(os, &ring.words.producers, until)?;
        // Relaxed: written by who has the side.
        let tail = Position::load(&ring.words.tail.position, Ordering::Relaxed);
        let seen = Position::load(&ring.words.producers.seen, Ordering::Relaxed);
        let producer = Producer {
            ring,
            os,
            hold,
            tail,
            // None where the words are damaged: then the other side is looked at, and that is found out.
            room: room(ring, tail, seen).unwrap_or(0),
            reserved: (0, 0),
            last: (0, 0),
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
    #[inline(always)]
    pub fn reserve(&mut self, len: usize) -> Result<Option<usize>, RingError> {
        let ring = self.ring;
        let need = ring.units_of(len)?;
        let (units, records) = self.reserved;
        let start = ring.index(self.tail.units().wrapping_add(units));
        let skipped = ring.skipped(start, need);
        let needed = skipped + need;
        if needed > self.room {
            self.room = room_now(ring, self.tail, units, needed)?;
            if needed > self.room {
                return Ok(None);
            }
        }
        let at = if skipped == 0 { start } else { 0 };
        // Relaxed: the store of the tail publishes them.
        if skipped != 0 {
            ring.data[start].store(SKIP, Ordering::Relaxed);
        }
        ring.data[at].store(len as u64, Ordering::Relaxed);
        self.os.step("ring: record reserved");
        self.room -= needed;
        self.reserved = (units + needed, records + 1);
        self.last = (at + 1, len);
        Ok(Some(at + 1))
    }

    /// The head as it was seen last: while it is that, there is no more room.
    pub(crate) fn seen(&self) -> Position {
        Position::load(&self.ring.words.producers.seen, Ordering::Relaxed)
    }

    /// Whether records are reserved.
    pub(crate) fn is_changed(&self) -> bool {
        self.reserved.1 != 0
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
    #[inline(always)]
    pub fn publish(mut self) {
        self.move_on();
        mem::forget(self);
    }

    /// As [`publish`](Self::publish); then this must be forgotten, not dropped. What is moved must be in memory first, which
    /// takes a put half as long again.
    #[inline(always)]
    pub(crate) fn move_on(&mut self) {
        let words = self.ring.words;
        let (units, records) = self.reserved;
        let tail = self.tail.after(units, records);
        let (at, len) = self.last;
        let last = self.ring.data.get(at..at + len.div_ceil(8));
        let alone = last.filter(|_| records == 1).map(|units| (units, len));
        words.tail.beside.write(tail, alone, |at| self.os.step(at));
        self.hold.publish(
            self.os,
            (&words.producers, &words.tail.position),
            tail,
            records,
            "ring: published",
        );
    }
}

/// How many units are free behind `reserved` ones, now that the other side is looked at. By values: a producer that others
/// have a reference to cannot be in registers.
#[cold]
#[inline(never)]
fn room_now<H: Hold>(
    ring: &Ring<'_, H>,
    tail: Position,
    reserved: u32,
    needed: u32,
) -> Result<u32, RingError> {
    let words = ring.words;
    // Acquire: pairs with the Release of `Consumer::consume`: the units up to there are not read any more.
    let head = Position::load(&words.head.position, Ordering::Acquire);
    // Relaxed: by who has the side.
    words
        .producers
        .seen
        .store(head.to_bits(), Ordering::Relaxed);
    let room = room(ring, tail, head)
        .and_then(|room| room.checked_sub(reserved))
        .ok_or(RingError::Damaged)?;
    if room < needed && head.is_closed() {
        // Closed since the tail was looked at: nobody makes room any more.
        return Err(RingError::Closed);
    }
    Ok(room)
}

/// How many units are free between a tail and a head.
#[inline]
fn room<H: Hold>(ring: &Ring<'_, H>, tail: Position, head: Position) -> Option<u32> {
    ring.units().checked_sub(tail.units_since(head))
}

impl<O: Os, H: Hold> Drop for Producer<'_, '_, O, H> {
    #[inline(always)]
    fn drop(&mut self) {
        self.hold.let_go(self.os, &self.ring.words.producers);
    }
}
