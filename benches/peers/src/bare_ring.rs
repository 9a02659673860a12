//! A ring of words from one to one, bare.

use std::{
    hint::spin_loop,
    io,
    sync::atomic::{
        AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
};

use crate::sys::Mapping;

/// How many words it holds.
const LEN: u64 = 1024;

/// What no ring between two can do without: a word, a counter of the sender and one of the receiver, each of whom looks
/// at the other's only when there seems to be no more (after Lamport, and Lee et al., "MCRingBuffer", 2010). Nobody
/// sleeps, nobody may die, and nothing is longer than a word.
pub struct BareRing {
    put: &'static AtomicU64,
    taken: &'static AtomicU64,
    data: &'static [AtomicU64],
}

impl BareRing {
    /// An empty one.
    pub fn new() -> io::Result<BareRing> {
        let words = Mapping::new(4096 + LEN as usize * 8)?.leak_words();
        Ok(BareRing {
            put: &words[0],
            taken: &words[64],
            data: &words[512..],
        })
    }

    /// Puts words. To be used by one party at a time.
    pub fn sender(&self) -> impl FnMut(u64) {
        let mut put = self.put.load(Relaxed);
        let mut taken = self.taken.load(Acquire);
        move |word| {
            while put - taken == LEN {
                spin_loop();
                taken = self.taken.load(Acquire);
            }
            self.data[(put % LEN) as usize].store(word, Relaxed);
            put += 1;
            self.put.store(put, Release);
        }
    }

    /// Takes words. To be used by one party at a time.
    pub fn receiver(&self) -> impl FnMut() -> u64 {
        let mut taken = self.taken.load(Relaxed);
        let mut put = self.put.load(Acquire);
        move || {
            while put == taken {
                spin_loop();
                put = self.put.load(Acquire);
            }
            let word = self.data[(taken % LEN) as usize].load(Relaxed);
            taken += 1;
            self.taken.store(taken, Release);
            word
        }
    }
}
