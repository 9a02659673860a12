//! A bounded ring of records: the protocol, over words.
//!
//! A record is a unit of 8 bytes that says its length, and the bytes behind it, padded to whole units. It never wraps
//! around: where it does not fit before the end of the data, a unit that says so is put, and it starts at the beginning.
//! Therefore no record may be longer than half the data: a longer one might never fit.
//!
//! A record becomes visible by one store of the tail, a batch too; it is consumed by one store of the head. Whoever is
//! killed before that store has done nothing. Those who put exclude each other, and so do those who take: by a lock for
//! each side, or because there is only one of them (see [`Locked`] and [`Sole`](crate::Sole)).
//!
//! Invariants:
//!
//! 1. Only who has the producers' side writes the tail, and the units from the tail to the head of the next lap.
//! 2. Only who has the consumers' side writes the head; the units from head to tail do not change, unless he changes them.
//! 3. `seen` of a side is never ahead of the other side. It saves looking at the other's cache line each time.
//! 4. Whoever waits for the other side leaves a mark in a word that is exchanged when that moves, so that to wake nobody
//!    costs nothing. At a side with a lock one sleeper is woken for each record; since the mark is then gone, whoever has
//!    slept watches again when its call ends, in whichever way, and wakes the next if there is more. Who was woken and finds
//!    too little room wakes all others, once for each turn: their records may be shorter.
//! 5. Beside the tail is a copy of the record that was put last, if that is short, for who has taken all others; see
//!    `ring_copy`. It is as good as the record, and which of them is read makes no difference.

use core::{fmt, marker::PhantomData, mem};

use crate::{
    atomic::{AtomicU64, Ordering},
    consumer::Consumer,
    lock::NOW,
    os::Os,
    owner::Owner,
    producer::Producer,
    ring_copy::Shown,
    ring_error::RingError,
    ring_hold::{Hold, Locked},
    ring_wait::Sleeper,
    ring_words::{MAX_UNITS, Position, RingWords},
};

/// The words of a ring and its data. Public for embedders and for models; most use [`ByteRing`](crate::ByteRing).
pub struct Ring<'m, H = Locked> {
    /// The words.
    pub(crate) words: &'m RingWords,
    /// The data, in units: a power of two of them.
    pub(crate) data: &'m [AtomicU64],
    _hold: PhantomData<H>,
}

impl<H> Clone for Ring<'_, H> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<H> Copy for Ring<'_, H> {}

impl<H> fmt::Debug for Ring<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("words", self.words)
            .field("units", &self.data.len())
            .finish()
    }
}

/// What is put by [`Ring::put_many`].
pub trait Records {
    /// The length of the next record; `None` when there is none.
    fn next_len(&mut self) -> Option<usize>;

    /// Writes that record from this unit on, and goes on to the one after it.
    fn fill(&mut self, at: usize);
}

/// The least capacity in bytes of a ring that a record of `len` bytes fits into; `None` when there is none.
#[must_use]
pub fn capacity_for(len: usize) -> Option<usize> {
    let units = len.div_ceil(8).checked_add(1)?.checked_mul(2)?;
    let units = units.max(8).checked_next_power_of_two()?;
    (units <= MAX_UNITS as usize).then(|| units * 8)
}

impl<'m, H: Hold> Ring<'m, H> {
    /// The ring of these words and this data: a power of two of units, at least 8 of them and at most 2^29.
    #[must_use]
    pub fn new(words: &'m RingWords, data: &'m [AtomicU64]) -> Ring<'m, H> {
        Ring {
            words,
            data,
            _hold: PhantomData,
        }
    }

    /// How many bytes the longest record may have.
    #[must_use]
    pub fn max_len(&self) -> usize {
        (self.data.len() / 2 - 1) * 8
    }

    /// How many units a record of `len` bytes takes, unless it is too long.
    #[inline]
    pub(crate) fn units_of(&self, len: usize) -> Result<u32, RingError> {
        if len > self.max_len() {
            return Err(RingError::TooLarge);
        }
        // At most half of 2^29.
        Ok(1 + len.div_ceil(8) as u32)
    }

    /// How many units there are.
    pub(crate) fn units(&self) -> u32 {
        self.data.len() as u32
    }

    /// Where the unit with this number lies.
    #[inline]
    pub(crate) fn index(&self, unit: u32) -> usize {
        unit as usize & (self.data.len() - 1)
    }

    /// How many units are skipped before a record that takes `need`: those up to the end, if it would not fit there.
    #[inline]
    pub(crate) fn skipped(&self, start: usize, need: u32) -> u32 {
        let to_end = self.units() - start as u32;
        if need > to_end { to_end } else { 0 }
    }

    /// Where head and tail are at one moment.
    fn glance(&self) -> (Position, Position) {
        const LOOKS: u32 = 64;
        let RingWords { tail, head, .. } = self.words;
        // Acquire, throughout: the next load is not older.
        let mut before = Position::load(&head.position, Ordering::Acquire);
        let mut behind = Position::load(&tail.position, Ordering::Acquire);
        for _ in 0..LOOKS {
            let now = Position::load(&head.position, Ordering::Acquire);
            if now == before {
                return (before, behind);
            }
            before = now;
            behind = Position::load(&tail.position, Ordering::Acquire);
        }
        // It moves all the time: where both were a moment apart, but no further apart than they can be.
        let now = Position::load(&head.position, Ordering::Acquire);
        let passed = behind.units_since(now) > self.units();
        (if passed { behind } else { now }, behind)
    }

    /// Whether there was nothing in the ring a moment ago, and more may come. Asks for no lock: who looks again and again
    /// holds nobody up.
    #[inline]
    fn has_nothing(&self) -> bool {
        let RingWords { tail, head, .. } = self.words;
        // Acquire: the tail is looked at later, when the head is the same or further. Nor is that ever ahead of the tail.
        let taken = Position::load(&head.position, Ordering::Acquire);
        let put = Position::load(&tail.position, Ordering::Relaxed);
        put == taken && !put.is_closed()
    }

    /// How many records are in the ring at this moment.
    #[must_use]
    pub fn len(&self) -> usize {
        let (head, tail) = self.glance();
        // Foreign bytes may say anything.
        (tail.records_since(head) as usize).min(self.data.len())
    }

    /// Whether no record is in the ring at this moment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is no room at this moment for a record of `len` bytes.
    #[must_use]
    pub fn is_full_for(&self, len: usize) -> bool {
        let (head, tail) = self.glance();
        let Ok(need) = self.units_of(len) else {
            return true;
        };
        let skipped = self.skipped(self.index(tail.units()), need);
        let room = self.units().saturating_sub(tail.units_since(head));
        room < skipped + need
    }

    /// Whether it is [closed](Self::close).
    #[must_use]
    pub fn is_closed(&self) -> bool {
        // Acquire: pairs with the Release of `close`; what was put before is seen by who looks next.
        Position::load(&self.words.tail.position, Ordering::Acquire).is_closed()
    }

    /// Takes the producers' side.
    ///
    /// # Errors
    ///
    /// [`RingError`] when it cannot be had, or the ring is closed.
    #[inline]
    pub fn producer<'a, O: Os>(
        &'a self,
        os: &'a O,
        until: u64,
    ) -> Result<Producer<'a, 'm, O, H>, RingError> {
        Producer::take(self, os, until)
    }

    /// Takes the consumers' side.
    ///
    /// # Errors
    ///
    /// [`RingError`] when it cannot be had.
    #[inline]
    pub fn consumer<'a, O: Os>(
        &'a self,
        os: &'a O,
        until: u64,
    ) -> Result<Consumer<'a, 'm, O, H>, RingError> {
        Consumer::take(self, os, until)
    }

    /// Puts one record of `len` bytes, which `fill` writes from the unit on that it is given. `look` is called after
    /// each slice of a wait.
    ///
    /// # Errors
    ///
    /// [`RingError`]; then nothing was put.
    #[inline]
    pub fn put<O: Os>(
        &self,
        os: &O,
        until: u64,
        len: usize,
        look: impl FnMut(),
        fill: impl FnOnce(usize),
    ) -> Result<(), RingError> {
        let mut producer = self.producer(os, until)?;
        if let Some(at) = producer.reserve(len)? {
            fill(at);
            producer.move_on();
            mem::forget(producer);
            return Ok(());
        }
        let head = producer.seen();
        drop(producer);
        self.put_later(os, until, len, head, look, fill)
    }

    #[cold]
    fn put_later<O: Os>(
        &self,
        os: &O,
        until: u64,
        len: usize,
        mut head: Position,
        mut look: impl FnMut(),
        fill: impl FnOnce(usize),
    ) -> Result<(), RingError> {
        let mut wait = Sleeper::for_room(self, os);
        loop {
            if wait.sleep(head, until)? {
                look();
            }
            let mut producer = self.producer(os, until)?;
            if let Some(at) = producer.reserve(len)? {
                fill(at);
                producer.publish();
                return Ok(());
            }
            head = producer.seen();
        }
    }

    /// Takes one record, which is shown to `take`. `look` is called after each slice of a wait.
    ///
    /// # Errors
    ///
    /// [`RingError`]; then nothing was taken.
    #[inline]
    pub fn get<O: Os, R>(
        &self,
        os: &O,
        until: u64,
        look: impl FnMut(),
        take: impl FnOnce(Shown) -> R,
    ) -> Result<R, RingError> {
        if until == NOW && self.has_nothing() {
            return Err(RingError::WouldBlock);
        }
        let mut consumer = self.consumer(os, until)?;
        if let Some(record) = consumer.next_shown()? {
            let taken = take(record);
            consumer.move_on();
            mem::forget(consumer);
            return Ok(taken);
        }
        let tail = consumer.seen();
        drop(consumer);
        self.get_later(os, until, tail, look, take)
    }

    #[cold]
    fn get_later<O: Os, R>(
        &self,
        os: &O,
        until: u64,
        mut tail: Position,
        mut look: impl FnMut(),
        take: impl FnOnce(Shown) -> R,
    ) -> Result<R, RingError> {
        let mut wait = Sleeper::for_records(self, os);
        loop {
            if wait.sleep(tail, until)? {
                look();
            }
            let mut consumer = self.consumer(os, until)?;
            if let Some(record) = consumer.next_shown()? {
                let taken = take(record);
                consumer.consume();
                return Ok(taken);
            }
            tail = consumer.seen();
        }
    }

    /// Puts all `records`, as many at once as there is room for. `look` is called after each slice of a wait.
    ///
    /// # Errors
    ///
    /// [`RingError`]; then those that were filled have been put.
    pub fn put_many<O: Os>(
        &self,
        os: &O,
        until: u64,
        mut look: impl FnMut(),
        records: &mut impl Records,
    ) -> Result<(), RingError> {
        let mut wait = Sleeper::for_room(self, os);
        loop {
            let mut producer = self.producer(os, until)?;
            let fitted = producer.fill(records);
            let head = producer.seen();
            if producer.is_changed() {
                producer.publish();
            } else {
                drop(producer);
            }
            if fitted? {
                return Ok(());
            }
            if wait.sleep(head, until)? {
                look();
            }
        }
    }

    /// Takes up to `most` records at once, at least one; returns how many. `look` is called after each slice of a wait.
    ///
    /// # Errors
    ///
    /// [`RingError`]; then nothing was taken.
    pub fn get_many<O: Os>(
        &self,
        os: &O,
        until: u64,
        most: usize,
        mut look: impl FnMut(),
        mut take: impl FnMut(usize, usize),
    ) -> Result<usize, RingError> {
        if most == 0 {
            return Ok(0);
        }
        let mut wait = Sleeper::for_records(self, os);
        loop {
            let mut consumer = self.consumer(os, until)?;
            let taken = consumer.take_many(most, &mut take)?;
            if taken > 0 {
                consumer.consume();
                return Ok(taken);
            }
            let tail = consumer.seen();
            drop(consumer);
            if wait.sleep(tail, until)? {
                look();
            }
        }
    }

    /// Waits until a record is in the ring, or it is closed, without taking anything; `false` when neither was so
    /// before `until`. `look` is called whenever the caller wakes, is told whether a slice has passed, and ends the wait by
    /// `true`.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn wait_until_some<O: Os>(
        &self,
        os: &O,
        until: u64,
        mut look: impl FnMut(bool) -> bool,
    ) -> Result<bool, RingError> {
        let mut wait = Sleeper::for_records(self, os);
        loop {
            // Acquire: pairs with the Release of `publish` and `close`, so that who goes on finds what it was told of.
            let tail = Position::load(&self.words.tail.position, Ordering::Acquire);
            let head = Position::load(&self.words.head.position, Ordering::Relaxed);
            if tail.records_since(head) != 0 || tail.is_closed() {
                return Ok(true);
            }
            match wait.sleep(tail, until) {
                Ok(slice) if look(slice) => return Ok(true),
                Ok(_) => {}
                Err(RingError::TimedOut | RingError::WouldBlock) => return Ok(false),
                Err(why) => return Err(why),
            }
        }
    }

    /// Wakes all who wait for a record, so that they look again.
    pub fn wake_consumers<O: Os>(&self, os: &O) {
        let word = if H::SHARED {
            &self.words.producers.turn
        } else {
            &self.words.tail.position
        };
        os.wake(word, u32::MAX);
    }

    /// Who has the producers' side at this moment, and who the consumers', where sides have locks.
    #[must_use]
    pub fn owners(&self) -> (Owner, Owner) {
        let RingWords {
            producers,
            consumers,
            ..
        } = self.words;
        (producers.lock.owner(), consumers.lock.owner())
    }

    /// Lets nothing more be put. What is in the ring can still be taken.
    ///
    /// # Errors
    ///
    /// [`RingError`] when its sides cannot be had before `until`.
    pub fn close<O: Os>(&self, os: &O, until: u64) -> Result<(), RingError> {
        Ok(H::close(os, self.words, until)?)
    }

    /// How many bytes of records and their lengths it holds.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.data.len() * 8
    }
}
