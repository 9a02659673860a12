//! Bytes on their way into the data of a ring and out of it.

use core::{ptr, slice};

use crate::{
    atomic::{AtomicU64, Ordering},
    ring::Records,
    ring_copy::UNITS as COPIED,
};

/// Writes `record`, which is put alone, from the unit `at` on, which the caller has reserved.
///
/// A short one in units: it is read again at once, to be copied, and what was written in smaller parts would then hold the
/// processor up.
#[inline]
pub(crate) fn write(data: &[AtomicU64], at: usize, record: &[u8]) {
    if record.len() > COPIED * 8 {
        write_one_of_many(data, at, record);
        return;
    }
    // What a reservation gives fits; a wrong one must not write elsewhere.
    let Some(room) = data.get(at..at + record.len().div_ceil(8)) else {
        return;
    };
    for (to, bytes) in room.iter().zip(record.chunks(8)) {
        // Relaxed: the store of the tail publishes it.
        to.store(unit(bytes), Ordering::Relaxed);
    }
}

/// Writes `record` from the unit `at` on, which the caller has reserved.
#[inline]
fn write_one_of_many(data: &[AtomicU64], at: usize, record: &[u8]) {
    // As above.
    let Some(room) = data.get(at..at + record.len().div_ceil(8)) else {
        return;
    };
    let to = room.as_ptr().cast::<u8>().cast_mut();
    // SAFETY: `room` has as many bytes, and is in no use by others until the tail says so (invariant 1 of the ring).
    unsafe { ptr::copy_nonoverlapping(record.as_ptr(), to, record.len()) };
}

/// Up to 8 bytes as a unit.
#[inline]
fn unit(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(whole) => u64::from_le_bytes(*whole),
        None => bytes
            .iter()
            .rfold(0, |unit, byte| unit << 8 | u64::from(*byte)),
    }
}

/// The record of `len` bytes from the unit `at` on, which the caller was given.
#[inline]
pub(crate) fn read(data: &[AtomicU64], at: usize, len: usize) -> &[u8] {
    let Some(record) = data.get(at..at + len.div_ceil(8)) else {
        return &[];
    };
    // SAFETY: so many bytes there are, written before the tail was, and nobody changes them before the head has passed
    // them (invariant 2 of the ring).
    unsafe { slice::from_raw_parts(record.as_ptr().cast(), len) }
}

/// Byte strings on their way into the data.
pub(crate) struct Strings<'m, I: Iterator> {
    data: &'m [AtomicU64],
    rest: I,
    /// The next one, and the length that it had when it was asked for that.
    next: Option<(I::Item, usize)>,
    /// How many were written.
    pub put: usize,
}

impl<'m, I: Iterator> Strings<'m, I> {
    pub fn new(data: &'m [AtomicU64], strings: impl IntoIterator<IntoIter = I>) -> Self {
        Strings {
            data,
            rest: strings.into_iter(),
            next: None,
            put: 0,
        }
    }
}

impl<I: Iterator<Item: AsRef<[u8]>>> Records for Strings<'_, I> {
    #[inline]
    fn next_len(&mut self) -> Option<usize> {
        if self.next.is_none() {
            self.next = self.rest.next().map(|string| {
                let len = string.as_ref().len();
                (string, len)
            });
        }
        self.next.as_ref().map(|(_, len)| *len)
    }

    #[inline]
    fn fill(&mut self, at: usize) {
        if let Some((string, len)) = self.next.take() {
            let record = string.as_ref();
            // No more than there was room made for, whatever it says now.
            write_one_of_many(self.data, at, record.get(..len).unwrap_or(record));
            self.put += 1;
        }
    }
}
