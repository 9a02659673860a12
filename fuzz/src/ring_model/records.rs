//! The records as whoever puts and takes them writes and reads them.

use std::sync::atomic::Ordering;

use multiproc_core::{Os, Records, Shown};

use super::{Party, call::Call};

impl Party<'_> {
    fn current<T>(self, what: impl FnOnce(&mut Call) -> T) -> Option<T> {
        self.stage.play.current(self.stage, what)
    }

    /// Writes the next record of the call from the unit `at` on.
    pub(super) fn write(self, at: usize) {
        let record = self.current(|call| call.records.get(call.written).cloned());
        let Some(record) = record.flatten() else {
            return;
        };
        for (unit, bytes) in (at..).zip(record.chunks(8)) {
            let mut whole = [0; 8];
            whole[..bytes.len()].copy_from_slice(bytes);
            self.stage.play.data[unit].store(u64::from_le_bytes(whole), Ordering::Relaxed);
            self.step("a record is half written");
        }
        self.current(|call| call.written += 1);
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
        let units = &self.stage.play.data[at..at + len.div_ceil(8)];
        self.note(units.iter().map(|unit| unit.load(Ordering::Relaxed)), len);
    }

    fn note(self, units: impl Iterator<Item = u64>, len: usize) {
        let mut record = Vec::with_capacity(len);
        for unit in units {
            record.extend(unit.to_le_bytes());
            self.step("a record is half read");
        }
        record.truncate(len);
        self.current(|call| call.shown.push(record));
    }
}

/// The records of the call under way.
pub(super) struct Batch<'s>(pub(super) Party<'s>);

impl Records for Batch<'_> {
    fn next_len(&mut self) -> Option<usize> {
        let len = |call: &mut Call| call.records.get(call.written).map(Vec::len);
        self.0.current(len).flatten()
    }

    fn fill(&mut self, at: usize) {
        self.0.write(at);
    }
}
