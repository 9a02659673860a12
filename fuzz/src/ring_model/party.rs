//! The system as the parties of a script see it, and the records that they write and read.

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
};

use multiproc_core::{FOREVER, Liveness, Os, Owner, Records, Shown, Wait};

use super::{Stage, call::LOOKS_AGAIN};

/// A thread of a process.
#[derive(Clone, Copy)]
pub(super) struct Party<'s> {
    pub(super) stage: &'s Stage,
    pub(super) process: u32,
    pub(super) thread: u64,
}

impl Party<'_> {
    /// Writes the next record of the call from the unit `at` on.
    pub(super) fn write(self, at: usize) {
        let record = self
            .stage
            .current(|call| call.records.get(call.written).cloned());
        let Some(record) = record.flatten() else {
            return;
        };
        for (unit, bytes) in (at..).zip(record.chunks(8)) {
            let mut whole = [0; 8];
            whole[..bytes.len()].copy_from_slice(bytes);
            self.stage.data[unit].store(u64::from_le_bytes(whole), Ordering::Relaxed);
            self.step("a record is half written");
        }
        self.stage.current(|call| call.written += 1);
    }

    /// Takes down a record that is shown.
    pub(super) fn take(self, shown: Shown) {
        match shown {
            Shown::InPlace(at, len) => self.read(at, len),
            Shown::Copied(units, len) => self.note(units.into_iter(), len),
        }
    }

    /// Reads the record of `len` bytes that begins at the unit `at`.
    pub(super) fn read(self, at: usize, len: usize) {
        let units = &self.stage.data[at..at + len.div_ceil(8)];
        self.note(units.iter().map(|unit| unit.load(Ordering::Relaxed)), len);
    }

    fn note(self, units: impl Iterator<Item = u64>, len: usize) {
        let mut record = Vec::with_capacity(len);
        for unit in units {
            record.extend(unit.to_le_bytes());
            self.step("a record is half read");
        }
        record.truncate(len);
        self.stage.current(|call| call.shown.push(record));
    }
}

/// The records of the call under way.
pub(super) struct Batch<'s>(pub(super) Party<'s>);

impl Records for Batch<'_> {
    fn next_len(&mut self) -> Option<usize> {
        let len = |call: &mut super::Call| call.records.get(call.written).map(Vec::len);
        self.0.stage.current(len).flatten()
    }

    fn fill(&mut self, at: usize) {
        self.0.write(at);
    }
}

// SAFETY: the identity is the number of the process. What is dead never returns from the step or the wait in which it
// died before the script has ended and everything is forgotten.
unsafe impl Os for Party<'_> {
    fn me(&self) -> Owner {
        let process = if self.stage.is_over() {
            // So that no call waits on.
            0
        } else {
            self.process
        };
        NonZeroU32::new(process)
            .and_then(|pid| Owner::new(pid, 7))
            .unwrap_or(Owner::NONE)
    }

    fn thread(&self) -> u64 {
        self.thread + 1
    }

    fn liveness(&self, owner: Owner) -> Liveness {
        if self.stage.is_dead(owner.pid()) {
            Liveness::Dead
        } else {
            Liveness::Alive
        }
    }

    fn now(&self) -> u64 {
        if self.stage.is_over() {
            // Nor one that waits for a lock which another thread of its process is stopped with.
            FOREVER
        } else {
            self.stage.clock.get()
        }
    }

    fn wait(&self, word: &AtomicU64, expected: u64, until: u64) -> Wait {
        self.stage.wait(*self, word, expected, until)
    }

    fn wake(&self, word: &AtomicU64, count: u32) -> u32 {
        self.stage.wake(word, count)
    }

    fn runs_beside_others(&self) -> bool {
        self.step(LOOKS_AGAIN);
        self.process.is_multiple_of(2)
    }

    fn panicking(&self) -> bool {
        false
    }

    fn step(&self, at: &'static str) {
        self.stage.step(*self, at);
    }
}
