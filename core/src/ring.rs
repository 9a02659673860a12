//! A bounded ring of records: the protocol, over words.
//!
//! A record is a unit of 8 bytes that says its length, and the bytes behind it, padded to whole units. It never wraps
//! around: where it does not fit before the end of the data, a unit that says so is put, and it starts at the beginning.
//! Therefore no record may be longer than half the data: a longer one might never fit.
//!
//! Those who put hold one lock, those who take hold another. A record becomes visible by one store of the tail, a batch
//! too; it is consumed by one store of the head. Whoever is killed before that store has done nothing.
//!
//! Invariants:
//!
//! 1. Only who holds the producers' lock writes the tail, and the units from the tail to the head of the next lap.
//! 2. Only who holds the consumers' lock writes the head; the units from head to tail do not change.
//! 3. `seen` of a side is never ahead of the other side. It saves looking at the other's cache line each time.
//! 4. Whoever waits for the other side [watches](Lock::watch) its lock, so that to wake nobody costs nothing. One sleeper
//!    is woken for each record; since the bit is then gone, whoever has slept watches again once it has what it came for,
//!    and wakes the next if there is more.

use core::fmt;

use crate::{
    atomic::{AtomicU64, Ordering, spin_loop},
    lock::{NOW, Refused, Slices, Taken},
    os::Os,
    ring_words::{Alone, Position, RingWords, Side},
};

/// In a record's first unit: there is nothing up to the end of the data.
const SKIP: u64 = u64::MAX;

/// The words of a ring and its data. Public for embedders and for models; most use [`ByteRing`](crate::ByteRing).
#[derive(Clone, Copy, Debug)]
pub struct Ring<'m> {
    /// The words.
    pub words: &'m RingWords,
    /// The data, in units: a power of two of them.
    pub data: &'m [AtomicU64],
}

/// Why nothing was put into a ring, or taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RingError {
    /// There was no room, or no record, before the deadline.
    TimedOut,
    /// There is no room, or no record, and the call was not to wait.
    WouldBlock,
    /// The ring is closed; and empty, for those who take.
    Closed,
    /// The record is longer than half the ring.
    TooLarge,
    /// The ring says of itself what cannot be: something else has written to its memory.
    Damaged,
    /// The calling thread would wait for itself.
    WouldDeadlock,
    /// The system cannot tell who the calling process is.
    NoIdentity,
}

impl fmt::Display for RingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RingError::TimedOut => "there was no room, or no record, before the deadline",
            RingError::WouldBlock => "there is no room, or no record, at this moment",
            RingError::Closed => "the ring is closed",
            RingError::TooLarge => "the record is longer than half the ring",
            RingError::Damaged => "the ring is damaged: something else has written to its memory",
            RingError::WouldDeadlock => "this thread would wait for itself",
            RingError::NoIdentity => return fmt::Display::fmt(&Refused::NoIdentity, f),
        })
    }
}

impl core::error::Error for RingError {}

impl From<Refused> for RingError {
    fn from(why: Refused) -> RingError {
        match why {
            Refused::TimedOut => RingError::TimedOut,
            Refused::WouldBlock => RingError::WouldBlock,
            Refused::NoIdentity => RingError::NoIdentity,
            _ => RingError::WouldDeadlock,
        }
    }
}

impl<'m> Ring<'m> {
    /// How many bytes the longest record may have.
    #[must_use]
    pub fn max_len(&self) -> usize {
        (self.data.len() / 2 - 1) * 8
    }

    /// How many units a record of `len` bytes takes, unless it is too long.
    fn units_of(&self, len: usize) -> Result<u32, RingError> {
        if len > self.max_len() {
            return Err(RingError::TooLarge);
        }
        // At most half of 2^29.
        Ok(1 + len.div_ceil(8) as u32)
    }

    /// How many units there are.
    fn units(&self) -> u32 {
        self.data.len() as u32
    }

    fn index(&self, position: Position) -> usize {
        position.units() as usize & (self.data.len() - 1)
    }

    /// How many records are in the ring at this moment.
    #[must_use]
    pub fn len(&self) -> usize {
        // Relaxed: only told. The head first: it never passes the tail.
        let head = Position::load(&self.words.head.0, Ordering::Relaxed);
        let tail = Position::load(&self.words.tail.0, Ordering::Relaxed);
        tail.records_since(head) as usize
    }

    /// Whether no record is in the ring at this moment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it is [closed](Self::close).
    #[must_use]
    pub fn is_closed(&self) -> bool {
        Position::load(&self.words.tail.0, Ordering::Relaxed).is_closed()
    }

    /// Takes the producers' lock.
    ///
    /// # Errors
    ///
    /// [`RingError`] when it cannot be had, or the ring is closed.
    #[inline]
    pub fn producer<'a, O: Os>(
        &'a self,
        os: &'a O,
        until: u64,
    ) -> Result<Producer<'a, 'm, O>, RingError> {
        let taken = self.words.producers.lock.lock_table(os, until)?;
        // Relaxed: written under the lock.
        let tail = Position::load(&self.words.tail.0, Ordering::Relaxed);
        let producer = Producer {
            ring: self,
            os,
            taken,
            tail,
            next: tail,
        };
        if tail.is_closed() {
            return Err(RingError::Closed);
        }
        Ok(producer)
    }

    /// Takes the consumers' lock.
    ///
    /// # Errors
    ///
    /// [`RingError`] when it cannot be had.
    #[inline]
    pub fn consumer<'a, O: Os>(
        &'a self,
        os: &'a O,
        until: u64,
    ) -> Result<Consumer<'a, 'm, O>, RingError> {
        let taken = self.words.consumers.lock.lock_table(os, until)?;
        // Relaxed: written under the lock.
        let head = Position::load(&self.words.head.0, Ordering::Relaxed);
        Ok(Consumer {
            ring: self,
            os,
            taken,
            head,
            next: head,
        })
    }

    /// Puts one record of `len` bytes, which `fill` writes from the unit on that it is given.
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
        fill: impl FnOnce(usize),
    ) -> Result<(), RingError> {
        let mut wait = Sleeper::new(&self.words.consumers, &self.words.head);
        loop {
            let mut producer = self.producer(os, until)?;
            if let Some(at) = producer.reserve(len)? {
                fill(at);
                producer.publish();
                wait.done(os, || self.len() < self.data.len());
                return Ok(());
            }
            let head = producer.seen();
            drop(producer);
            wait.sleep(os, head, until)?;
        }
    }

    /// Takes one record, which `take` reads from the unit and of the length that it is given.
    ///
    /// # Errors
    ///
    /// [`RingError`]; then nothing was taken.
    #[inline]
    pub fn get<O: Os, R>(
        &self,
        os: &O,
        until: u64,
        take: impl FnOnce(usize, usize) -> R,
    ) -> Result<R, RingError> {
        let mut wait = Sleeper::new(&self.words.producers, &self.words.tail);
        loop {
            let mut consumer = self.consumer(os, until)?;
            if let Some((at, len)) = consumer.next_record()? {
                let taken = take(at, len);
                consumer.consume();
                wait.done(os, || !self.is_empty());
                return Ok(taken);
            }
            let tail = consumer.seen();
            drop(consumer);
            wait.sleep(os, tail, until)?;
        }
    }

    /// Lets nothing more be put. What is in the ring can still be taken.
    ///
    /// # Errors
    ///
    /// [`RingError`] when its locks cannot be had before `until`.
    pub fn close<O: Os>(&self, os: &O, until: u64) -> Result<(), RingError> {
        let RingWords {
            producers,
            tail,
            consumers,
            head,
        } = self.words;
        for (side, Alone(word)) in [(producers, tail), (consumers, head)] {
            let taken = side.lock.lock_table(os, until)?;
            let position = Position::load(word, Ordering::Relaxed);
            // Release: pairs with the Acquire of whoever sees it without the lock.
            word.store(position.closed().to_bits(), Ordering::Release);
            os.step("ring: closed");
            side.lock.unlock_watched(os, taken.me, &side.turn, u32::MAX);
        }
        Ok(())
    }
}

/// Those who put: the producers' lock, taken. Dropping it gives the lock back and puts nothing.
pub struct Producer<'a, 'm, O: Os> {
    ring: &'a Ring<'m>,
    os: &'a O,
    taken: Taken,
    tail: Position,
    /// Behind the records that are reserved.
    next: Position,
}

impl<O: Os> Producer<'_, '_, O> {
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
        let Ring { words, .. } = self.ring;
        let seen = &words.producers.seen;
        // Relaxed: under the lock.
        let head = Position::load(seen, Ordering::Relaxed);
        if self.room(head).is_some_and(|room| room >= need) {
            return Ok(true);
        }
        // Acquire: pairs with the Release in `consume`: the units up to there are not read any more.
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
    fn seen(&self) -> u64 {
        self.ring.words.producers.seen.load(Ordering::Relaxed)
    }

    /// Puts the reserved records into the ring, all at once.
    #[inline]
    pub fn publish(mut self) {
        // Release: pairs with the Acquire in `Consumer::next_record`. This one store is the change.
        self.ring
            .words
            .tail
            .0
            .store(self.next.to_bits(), Ordering::Release);
        self.os.step("ring: published");
        let records = self.next.records_since(self.tail);
        self.tail = self.next;
        self.unlock(records);
        core::mem::forget(self);
    }

    #[inline]
    fn unlock(&self, records: u32) {
        let Side { lock, turn, .. } = &self.ring.words.producers;
        // One at least: whoever watched is not watching any more.
        lock.unlock_watched(self.os, self.taken.me, turn, records.max(1));
    }
}

impl<O: Os> Drop for Producer<'_, '_, O> {
    #[inline]
    fn drop(&mut self) {
        self.unlock(0);
    }
}

/// Those who take: the consumers' lock, taken. Dropping it gives the lock back and takes nothing.
pub struct Consumer<'a, 'm, O: Os> {
    ring: &'a Ring<'m>,
    os: &'a O,
    taken: Taken,
    head: Position,
    /// Behind the records that were looked at.
    next: Position,
}

impl<O: Os> Consumer<'_, '_, O> {
    /// The next record: the unit at which its bytes begin, and how many there are; `None` when there is none now.
    ///
    /// # Errors
    ///
    /// [`RingError::Closed`] when there will be none, or [`RingError::Damaged`].
    #[inline]
    pub fn next_record(&mut self) -> Result<Option<(usize, usize)>, RingError> {
        let ring = self.ring;
        let seen = &ring.words.consumers.seen;
        // Relaxed: under the lock.
        let mut tail = Position::load(seen, Ordering::Relaxed);
        if tail.units_since(self.next) == 0 {
            // Acquire: pairs with the Release in `publish`: the records up to there are whole.
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

    /// The tail as it was seen last: while it is that, there is nothing more.
    fn seen(&self) -> u64 {
        self.ring.words.consumers.seen.load(Ordering::Relaxed)
    }

    /// Removes the records that [`next_record`](Self::next_record) has shown from the ring, all at once.
    #[inline]
    pub fn consume(self) {
        self.os.step("ring: about to consume");
        // Release: pairs with the Acquire in `has_room`. This one store is the change.
        self.ring
            .words
            .head
            .0
            .store(self.next.to_bits(), Ordering::Release);
        self.os.step("ring: consumed");
        self.unlock(self.next.records_since(self.head));
        core::mem::forget(self);
    }

    #[inline]
    fn unlock(&self, records: u32) {
        let Side { lock, turn, .. } = &self.ring.words.consumers;
        lock.unlock_watched(self.os, self.taken.me, turn, records.max(1));
    }
}

impl<O: Os> Drop for Consumer<'_, '_, O> {
    #[inline]
    fn drop(&mut self) {
        self.unlock(0);
    }
}

/// One wait for the other side.
struct Sleeper<'a> {
    other: &'a Side,
    /// Its position.
    word: &'a AtomicU64,
    slices: Slices,
    slept: bool,
}

impl<'a> Sleeper<'a> {
    fn new(other: &'a Side, Alone(word): &'a Alone) -> Sleeper<'a> {
        Sleeper {
            other,
            word,
            slices: Slices::new(),
            slept: false,
        }
    }

    /// Waits until the other side is no longer at `seen`, or for a slice.
    #[cold]
    fn sleep<O: Os>(&mut self, os: &O, seen: u64, until: u64) -> Result<(), RingError> {
        if until == NOW {
            return Err(RingError::WouldBlock);
        }
        if self.spin(os, seen) {
            return Ok(());
        }
        let Side { lock, turn, .. } = self.other;
        let expected = lock.watch(turn);
        // Relaxed: `watch` orders it behind what the last of the other side has stored.
        if self.word.load(Ordering::Relaxed) != seen {
            return Ok(());
        }
        let now = os.now();
        if now >= until {
            // The wake-up that ended the sleep may have been meant for another.
            self.pass_on(os);
            return Err(RingError::TimedOut);
        }
        os.step("ring: about to sleep");
        self.slices.sleep(os, turn, expected, now, until);
        self.slept = true;
        os.step("ring: awake");
        Ok(())
    }

    /// Looks for a moment whether the other side moves: falling asleep and being woken takes longer than most of its
    /// work.
    fn spin<O: Os>(&self, os: &O, seen: u64) -> bool {
        const ROUNDS: u32 = if cfg!(loom) { 0 } else { 50 };
        if !os.runs_beside_others() {
            return false;
        }
        for _ in 0..ROUNDS {
            if self.word.load(Ordering::Relaxed) != seen {
                return true;
            }
            spin_loop();
        }
        false
    }

    /// It has what it came for: whoever slept keeps watching, since others may sleep, and wakes the next if there is
    /// something left for him.
    #[inline]
    fn done<O: Os>(&self, os: &O, is_more: impl FnOnce() -> bool) {
        if self.slept {
            self.other.lock.watch(&self.other.turn);
            if is_more() {
                self.pass_on(os);
            }
        }
    }

    #[cold]
    fn pass_on<O: Os>(&self, os: &O) {
        if self.slept {
            os.wake(&self.other.turn, 1);
        }
    }
}

impl<'m> Ring<'m> {
    /// Puts all `records`, as many at once as there is room for.
    ///
    /// # Errors
    ///
    /// [`RingError`]; then those that were filled have been put.
    pub fn put_many<O: Os>(
        &self,
        os: &O,
        until: u64,
        records: &mut impl Records,
    ) -> Result<(), RingError> {
        let mut wait = Sleeper::new(&self.words.consumers, &self.words.head);
        loop {
            let mut producer = self.producer(os, until)?;
            let fitted = producer.fill(records);
            let head = producer.seen();
            let some = producer.next != producer.tail;
            if some {
                producer.publish();
            } else {
                drop(producer);
            }
            if fitted? {
                wait.done(os, || self.len() < self.data.len());
                return Ok(());
            }
            wait.sleep(os, head, until)?;
        }
    }

    /// Takes up to `most` records at once, at least one; returns how many.
    ///
    /// # Errors
    ///
    /// [`RingError`]; then nothing was taken.
    pub fn get_many<O: Os>(
        &self,
        os: &O,
        until: u64,
        most: usize,
        mut take: impl FnMut(usize, usize),
    ) -> Result<usize, RingError> {
        let mut wait = Sleeper::new(&self.words.producers, &self.words.tail);
        loop {
            let mut consumer = self.consumer(os, until)?;
            let mut taken = 0;
            while taken < most {
                match consumer.next_record() {
                    Ok(Some((at, len))) => take(at, len),
                    // What was taken before is good.
                    Err(_) if taken > 0 => break,
                    Err(why) => return Err(why),
                    Ok(None) => break,
                }
                taken += 1;
            }
            if taken > 0 {
                consumer.consume();
                wait.done(os, || !self.is_empty());
                return Ok(taken);
            }
            let tail = consumer.seen();
            drop(consumer);
            wait.sleep(os, tail, until)?;
        }
    }
}

/// What is put by [`Ring::put_many`].
pub trait Records {
    /// The length of the next record; `None` when there is none.
    fn next_len(&mut self) -> Option<usize>;

    /// Writes that record from this unit on, and goes on to the one after it.
    fn fill(&mut self, at: usize);
}

impl<O: Os> Producer<'_, '_, O> {
    /// Reserves and fills as many records as there is room for; whether that was all.
    fn fill(&mut self, records: &mut impl Records) -> Result<bool, RingError> {
        while let Some(len) = records.next_len() {
            match self.reserve(len)? {
                Some(at) => records.fill(at),
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}
