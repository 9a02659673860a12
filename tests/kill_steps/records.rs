//! Records that say whose they are, and what all processes of a run write down about them.

use std::{collections::HashSet, sync::atomic::Ordering::SeqCst};

use multiproc::AtomicArray;
use serde::{Deserialize, Serialize};

/// Whose it is and the how many-eth of his, as one number, and that number's complement: so half a record shows.
pub type Record = [u64; 2];

pub fn record(whose: u64, which: u64) -> Record {
    let number = whose << 32 | which;
    [number, !number]
}

/// The number of a record, which is whole.
pub fn number(record: Record) -> u64 {
    assert_eq!(record[1], !record[0], "torn");
    record[0]
}

/// The numbers of those records of one party.
pub fn all_of(whose: u64, count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(move |which| number(record(whose, which)))
}

/// Panics if one and the same taker was given the records of any party in another order than that of their making.
pub fn expect_in_order(taken: &[u64]) {
    for (at, later) in taken.iter().enumerate() {
        let same = |earlier: &&u64| **earlier >> 32 == *later >> 32;
        let before = taken[..at].iter().rfind(same);
        assert!(before < Some(later), "not in order: {taken:x?}");
    }
}

/// The records as a set; panics if any is there twice.
pub fn each_once(taken: &[u64]) -> HashSet<u64> {
    let set: HashSet<u64> = taken.iter().copied().collect();
    assert_eq!(set.len(), taken.len(), "twice: {taken:x?}");
    set
}

/// Numbers that one process writes down, and others read although it was killed: plain words, so that this is no step.
#[derive(Clone, Serialize, Deserialize)]
pub struct Log(AtomicArray<u64>);

impl Log {
    pub fn new() -> Log {
        Log(AtomicArray::zeroed(100).unwrap())
    }

    /// Writes a number down.
    pub fn add(&self, number: u64) {
        let at = self.0[0].load(SeqCst) + 1;
        self.0[at as usize].store(number, SeqCst);
        self.0[0].store(at, SeqCst);
    }

    pub fn read(&self) -> Vec<u64> {
        let written = &self.0[1..=self.0[0].load(SeqCst) as usize];
        written.iter().map(|number| number.load(SeqCst)).collect()
    }
}
