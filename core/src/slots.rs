//! The two slots of a value and the sequence that names one of them, as a protocol over words.
//!
//! A writer, under a lock, fills the slot that the sequence does not name and then adds one to it: that store is the
//! whole change. A reader copies the slot that the sequence names and keeps the copy if the sequence has not moved. This
//! is a sequence lock (Boehm, "Can Seqlocks Get Along With Programming Language Memory Models?", 2012) whose writers
//! never disturb the current value.
//!
//! Invariants:
//!
//! 1. Only who holds the lock stores to the sequence and to the slot that it does *not* name.
//! 2. Slots are copied word by word through relaxed atomics of 8 bytes; no reference into them ever exists.

use crate::atomic::{AtomicU64, Ordering, fence};

/// The slots and the sequence. Public for embedders and for models; most use [`Value`](crate::Value).
#[derive(Clone, Copy, Debug)]
pub struct Slots<'m> {
    /// How often the value has changed; odd: the second slot holds it.
    pub sequence: &'m AtomicU64,
    /// The two slots, of the same length.
    pub slots: [&'m [AtomicU64]; 2],
}

impl Slots<'_> {
    /// Copies the current slot into `take`, word by word; whether the copy is whole.
    #[inline]
    pub fn try_read(&self, mut take: impl FnMut(usize, u64)) -> bool {
        let before = self.sequence.load(Ordering::Relaxed);
        // Acquire: pairs with the Release store in `write`; the slot's words are those written before it. A fence, since
        // Rust promises of atomics in memory that may only be read no more than Relaxed loads.
        fence(Ordering::Acquire);
        let slot = self.slots[(before & 1) as usize];
        for (i, word) in slot.iter().enumerate() {
            take(i, word.load(Ordering::Relaxed));
        }
        // Pairs with the Release fence in `write`: if any word above came from a later writer of this same slot,
        // then the load below sees the sequence that this writer had found, which is no longer `before`.
        fence(Ordering::Acquire);
        self.sequence.load(Ordering::Relaxed) == before
    }

    /// Copies the current slot while no writer can be at work.
    #[inline]
    pub fn read_locked(&self, mut take: impl FnMut(usize, u64)) {
        // Relaxed: whoever calls holds the lock, which orders it behind all writers.
        let slot = self.slots[(self.sequence.load(Ordering::Relaxed) & 1) as usize];
        for (i, word) in slot.iter().enumerate() {
            take(i, word.load(Ordering::Relaxed));
        }
    }

    /// Makes the words of `give` the value. Only who holds the lock calls this.
    #[inline]
    pub fn write(&self, step: impl Fn(&'static str), give: impl Fn(usize) -> u64) {
        let before = self.sequence.load(Ordering::Relaxed);
        let after = before.wrapping_add(1);
        // Pairs with the Acquire fence in `try_read`: whoever reads a word written below also sees `before`.
        fence(Ordering::Release);
        for (i, word) in self.slots[(after & 1) as usize].iter().enumerate() {
            word.store(give(i), Ordering::Relaxed);
            step("value: a word of the hidden slot written");
        }
        // Release: pairs with the Acquire load in `try_read`. This one store is the change.
        self.sequence.store(after, Ordering::Release);
        step("value: published");
    }
}
