//! The words of a ring, and what a position in one is.
//!
//! ```text
//!  63              32 31            2      1         0
//! ┌──────────────────┬──────────────┬─────────┬─────────┐
//! │ units, mod 2^32  │ records      │ CLOSED  │ WAITERS │
//! └──────────────────┴──────────────┴─────────┴─────────┘
//! ```
//!
//! How many units of 8 bytes, and how many records, were ever put (or taken): one word, so that both change by one store
//! and the number of records in the ring is exact whoever dies. Somebody may sleep on a word with `WAITERS`; only rings
//! without locks have it.

#[cfg(not(loom))]
use core::mem::offset_of;

use crate::{
    atomic::{AtomicU64, Ordering},
    lock::Lock,
    ring_copy::LastRecord,
};

/// The most units that a ring can have: 4 GiB. So neither units nor records are ever ambiguous.
pub(crate) const MAX_UNITS: u32 = 1 << 29;

/// In a record's first unit: there is nothing up to the end of the data.
pub(crate) const SKIP: u64 = u64::MAX;

const UNITS_SHIFT: u32 = 32;
const RECORDS_SHIFT: u32 = 2;
/// How many records are counted before it begins anew.
pub(crate) const RECORDS_MASK: u32 = (1 << 30) - 1;
/// In the word of a side: nothing more is put.
pub(crate) const CLOSED: u64 = 2;
/// In the word of a side: somebody may be asleep until it moves.
pub(crate) const WAITERS: u64 = 1;

/// How much was ever put into a ring, or taken from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position(u64);

impl Position {
    /// The position in a word, whoever sleeps on that.
    #[inline]
    pub fn load(word: &AtomicU64, order: Ordering) -> Position {
        Position(word.load(order) & !WAITERS)
    }

    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// The bits without marks: where it is, whether closed or not.
    #[inline]
    pub fn unmarked(self) -> u64 {
        self.0 & !(CLOSED | WAITERS)
    }

    /// How many units, modulo 2^32.
    pub fn units(self) -> u32 {
        (self.0 >> UNITS_SHIFT) as u32
    }

    /// How many records, modulo 2^30.
    pub fn records(self) -> u32 {
        (self.0 >> RECORDS_SHIFT) as u32 & RECORDS_MASK
    }

    pub fn is_closed(self) -> bool {
        self.0 & CLOSED != 0
    }

    pub fn closed(self) -> Position {
        Position(self.0 | CLOSED)
    }

    /// The position that lies so much further.
    pub fn after(self, units: u32, records: u32) -> Position {
        let units = u64::from(self.units().wrapping_add(units));
        let records = u64::from(self.records().wrapping_add(records) & RECORDS_MASK);
        Position(units << UNITS_SHIFT | records << RECORDS_SHIFT | self.0 & CLOSED)
    }

    /// How many units lie between `earlier` and this.
    pub fn units_since(self, earlier: Position) -> u32 {
        self.units().wrapping_sub(earlier.units())
    }

    /// How many records lie between `earlier` and this.
    pub fn records_since(self, earlier: Position) -> u32 {
        self.records().wrapping_sub(earlier.records()) & RECORDS_MASK
    }
}

/// What those who put share, or those who take: their lock, and where the other side was when one of them last looked.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct Side {
    pub lock: Lock,
    /// A position of the other side that is not ahead of it. Read and written under the lock.
    pub seen: AtomicU64,
    /// What those of the other side sleep on.
    pub turn: AtomicU64,
    /// How those of this side wait for the other; see `ring_pace`.
    pub pace: AtomicU64,
}

/// A position, and what is on its cache lines.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct Line<T> {
    pub position: AtomicU64,
    pub beside: T,
}

/// The words of a ring as they lie in shared memory.
#[repr(C)]
#[derive(Debug)]
pub struct RingWords {
    pub(crate) producers: Side,
    /// What was put; a record is in the ring once this includes it.
    pub(crate) tail: Line<LastRecord>,
    pub(crate) consumers: Side,
    /// What was taken.
    pub(crate) head: Line<()>,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<RingWords>() == 512 && align_of::<RingWords>() == 128);
#[cfg(not(loom))]
const _: () = assert!(offset_of!(Line<LastRecord>, beside) + size_of::<LastRecord>() == 64);

impl RingWords {
    /// The words of an empty ring in which `units` and `records` have been put and taken before.
    #[must_use]
    pub fn new(units: u32, records: u32) -> RingWords {
        let start = Position(0).after(units, records).to_bits();
        let side = || Side {
            lock: Lock::new(),
            seen: AtomicU64::new(start),
            turn: AtomicU64::new(0),
            pace: AtomicU64::new(0),
        };
        RingWords {
            producers: side(),
            tail: Line {
                position: AtomicU64::new(start),
                beside: LastRecord::new(),
            },
            consumers: side(),
            head: Line {
                position: AtomicU64::new(start),
                beside: (),
            },
        }
    }

    /// Makes them those of an empty ring, in memory that nobody else sees yet.
    pub(crate) fn reset(&self) {
        for side in [&self.producers, &self.consumers] {
            side.lock.reset();
            side.seen.store(0, Ordering::Relaxed);
            side.turn.store(0, Ordering::Relaxed);
            side.pace.store(0, Ordering::Relaxed);
        }
        self.tail.position.store(0, Ordering::Relaxed);
        self.tail.beside.reset();
        self.head.position.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_records_wrap_each_by_itself_and_closed_stays() {
        let start = Position(0).after(u32::MAX - 1, RECORDS_MASK).closed();
        let end = start.after(5, 3);
        assert_eq!((end.units(), end.records()), (3, 2));
        assert_eq!((end.units_since(start), end.records_since(start)), (5, 3));
        assert!(end.is_closed() && start.is_closed());
    }
}
