//! A copy of the record that was put last, on the cache line of the tail.
//!
//! Who is one record behind, and looks at the tail again and again, would first get the line of the tail from the other
//! processor and then, once he knows, that of the record. With the copy he gets both at once, and the line of the record
//! stays where the next one is written.
//!
//! It is a sequence lock (after Boehm, "Can Seqlocks Get Along With Programming Language Memory Models?", 2012) whose
//! writers exclude each other by having the producers' side, and whose sequence is the tail that the record is put by:
//!
//! 1. `of` is never a tail whose last record the copy is not. It is taken back before a word of the copy changes, and is
//!    what the tail will be before the tail is. Whoever is killed in between leaves one that is not the tail.
//! 2. A reader has the consumers' side and finds its head one record before the tail. Until it moves that head the tail
//!    cannot come round to the same number.

use core::array;

use crate::{
    atomic::{AtomicU64, Ordering, fence},
    ring_bytes::read,
    ring_words::Position,
};

/// How many units are copied at most: what is left of a cache line of 64 bytes.
pub(crate) const UNITS: usize = if cfg!(loom) { 1 } else { 5 };

/// In `of`: there is no copy. No position has both these bits.
const NOTHING: u64 = u64::MAX;

/// The copy as it lies in shared memory, right behind the tail.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct LastRecord {
    /// The tail by which the record was put that this is a copy of.
    of: AtomicU64,
    /// How many bytes it has.
    len: AtomicU64,
    units: [AtomicU64; UNITS],
}

/// A record as it is shown to who takes it.
#[derive(Clone, Copy, Debug)]
pub enum Shown {
    /// In its place: the unit at which its bytes begin, and how many there are.
    InPlace(usize, usize),
    /// Copied: its units, and how many bytes there are.
    Copied([u64; UNITS], usize),
}

impl LastRecord {
    pub fn new() -> LastRecord {
        LastRecord {
            of: AtomicU64::new(NOTHING),
            len: AtomicU64::new(0),
            units: array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// Makes it none, in memory that nobody else sees yet.
    pub fn reset(&self) {
        self.of.store(NOTHING, Ordering::Relaxed);
    }

    /// The record in these units is about to be put by this tail, alone; `None` for many. `step` is called between the
    /// stores.
    #[inline]
    pub fn write(
        &self,
        tail: Position,
        record: Option<(&[AtomicU64], usize)>,
        step: impl Fn(&'static str),
    ) {
        // Relaxed: the store of the tail, which comes later, publishes it to who goes by that tail. Also where nothing is
        // copied: a tail that was as now may have been long ago.
        self.of.store(NOTHING, Ordering::Relaxed);
        let Some((units, len)) = record.filter(|(units, _)| units.len() <= UNITS) else {
            return;
        };
        // Release: pairs with the Acquire fence of `read`. Who sees a word that is stored from here on sees the line above.
        fence(Ordering::Release);
        step("ring: copy taken back");
        self.len.store(len as u64, Ordering::Relaxed);
        for (to, from) in self.units.iter().zip(units) {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        step("ring: copied");
        // Relaxed: as above.
        self.of.store(tail.to_bits(), Ordering::Relaxed);
    }

    /// The copy of the record that was put by this tail, which the caller has seen by an Acquire, if there is one and it has
    /// at most so many bytes, whatever foreign bytes say.
    #[inline]
    pub fn read(&self, tail: Position, most: usize) -> Option<Shown> {
        // Relaxed: not older than what was written before that tail was.
        let len = self.len.load(Ordering::Relaxed);
        let units = array::from_fn(|i| self.units[i].load(Ordering::Relaxed));
        // Acquire: pairs with the Release fence of `write`. If any of it was of a later record, then `of` was taken back.
        fence(Ordering::Acquire);
        if self.of.load(Ordering::Relaxed) != tail.to_bits() {
            return None;
        }
        let len = usize::try_from(len).ok()?;
        (len <= most.min(UNITS * 8)).then_some(Shown::Copied(units, len))
    }
}

impl Shown {
    /// Its bytes, which lie in `data` if they are in their place.
    #[inline]
    pub(crate) fn bytes<'a>(&'a self, data: &'a [AtomicU64]) -> &'a [u8] {
        match self {
            Shown::InPlace(at, len) => read(data, *at, *len),
            Shown::Copied(units, len) => bytemuck::cast_slice(units).get(..*len).unwrap_or(&[]),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn tail(units: u32) -> Position {
        Position::load(&AtomicU64::new(u64::from(units) << 32), Ordering::Relaxed)
    }

    fn units<const COUNT: usize>() -> [AtomicU64; COUNT] {
        array::from_fn(|i| AtomicU64::new(i as u64 + 1))
    }

    #[test]
    fn a_copy_is_given_by_its_own_tail_and_while_it_is_written_by_none() {
        let last = LastRecord::new();
        for (before, now) in [(9, 0), (0, 2), (2, 4)] {
            let none = |_| {
                assert!(
                    [before, now]
                        .map(tail)
                        .iter()
                        .all(|at| last.read(*at, 64).is_none())
                )
            };
            last.write(tail(now), Some((&units::<2>(), 13)), none);
            assert!(last.read(tail(before), 64).is_none());
            let Some(Shown::Copied([1, 2, ..], 13)) = last.read(tail(now), 64) else {
                panic!("{last:?}");
            };
        }
    }

    #[test]
    fn what_is_not_copied_takes_the_copy_back_though_it_brings_the_tail_to_the_same_number() {
        let last = LastRecord::new();
        let long = units::<{ UNITS + 1 }>();
        for other in [None, Some((long.as_slice(), 41))] {
            last.write(tail(2), Some((&units::<1>(), 8)), |_| ());
            last.write(tail(2), other, |_| panic!("nothing to copy"));
            assert!(last.read(tail(2), 64).is_none());
        }
    }

    #[test]
    fn foreign_bytes_give_no_more_than_there_is() {
        let last = LastRecord::new();
        last.write(tail(2), Some((&units::<1>(), 8)), |_| ());
        assert!(last.read(tail(2), 7).is_none());
        for len in [UNITS as u64 * 8 + 1, u64::MAX] {
            last.len.store(len, Ordering::Relaxed);
            assert!(last.read(tail(2), usize::MAX).is_none());
        }
    }
}
