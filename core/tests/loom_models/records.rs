//! What the models of rings are made of, with and without locks.

use std::marker::PhantomData;

use loom::sync::Arc;
use multiproc_core::{
    FOREVER, Hold, Ring, RingError, RingWords, Shown,
    atomic::{AtomicU64, Ordering},
};

use crate::world::{Plain, Process};

/// A ring of 8 units and, for each unit, memory whose unordered use loom reports.
pub struct Shared<H> {
    words: RingWords,
    data: Vec<AtomicU64>,
    plain: Vec<Plain>,
    hold: PhantomData<fn() -> H>,
}

const UNITS: usize = 8;

impl<H: Hold> Shared<H> {
    /// Almost at the wrap of both counts, and of the data.
    pub fn new() -> Arc<Shared<H>> {
        Arc::new(Shared {
            words: RingWords::new(u32::MAX - 2, (1 << 30) - 2),
            data: (0..UNITS).map(|_| AtomicU64::new(0)).collect(),
            plain: (0..UNITS).map(|_| Plain::new()).collect(),
            hold: PhantomData,
        })
    }

    pub fn ring(&self) -> Ring<'_, H> {
        Ring::new(&self.words, &self.data)
    }

    /// Puts a record of one unit, a number.
    pub fn put(&self, os: &Process, number: u64) -> Result<(), RingError> {
        let fill = |at: usize| {
            self.plain[at].add_one();
            self.data[at].store(number, Ordering::Relaxed);
        };
        self.ring().put(os, FOREVER, 8, || (), fill)
    }

    pub fn get(&self, os: &Process, until: u64) -> Result<u64, RingError> {
        let take = |record| match record {
            Shown::InPlace(at, 8) => {
                assert!(self.plain[at].get() > 0);
                self.data[at].load(Ordering::Relaxed)
            }
            Shown::Copied([number], 8) => number,
            _ => panic!("{record:?}"),
        };
        self.ring().get(os, until, || (), take)
    }
}
