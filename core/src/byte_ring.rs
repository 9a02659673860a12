//! `ByteRing`: records of bytes from any number of processes to any number of processes.

use core::{fmt, mem::size_of, ptr, slice};

use crate::{
    atomic::AtomicU64,
    error::{LayoutError, Shape},
    header::{HEADER_LEN, Header, Kind, Spec},
    lock::FOREVER,
    origin::Origin,
    os::Os,
    region::Region,
    ring::{Records, Ring, RingError},
    ring_words::{MAX_UNITS, RingWords},
};

const WORDS_AT: usize = HEADER_LEN;
const DATA_AT: usize = WORDS_AT + size_of::<RingWords>();
const _: () = assert!(DATA_AT.is_multiple_of(128));

/// A bounded queue of records: byte strings of any length up to half its capacity. First in, first out, over all who
/// put.
///
/// A process that is killed while it puts has put the record, wholly, or not at all; one that is killed while it takes has
/// taken it, or leaves it to another.
pub struct ByteRing<'m, O> {
    ring: Ring<'m>,
    os: O,
}

impl<'m, O: Os> ByteRing<'m, O> {
    /// The number of bytes that a ring for at least `capacity` bytes has: records take 8 more than their own, rounded up
    /// to 8.
    fn spec(capacity: usize) -> Result<Spec, LayoutError> {
        let too_large = LayoutError::TooLarge {
            elements: capacity as u64,
            element_size: 1,
        };
        let units = capacity
            .div_ceil(8)
            .max(8)
            .checked_next_power_of_two()
            .filter(|units| *units <= MAX_UNITS as usize)
            .ok_or(too_large)?;
        crate::array::data_spec::<u64>(Kind::ByteRing, Shape::new(&[units])?, DATA_AT)
    }

    /// How many bytes it takes in memory.
    ///
    /// # Errors
    ///
    /// [`LayoutError::TooLarge`] for more than 4 GiB.
    pub fn required_len(capacity: usize) -> Result<usize, LayoutError> {
        Ok(Self::spec(capacity)?.total())
    }

    /// Places an empty ring for at least `capacity` bytes in fresh memory; they are rounded up to a power of two.
    ///
    /// # Errors
    ///
    /// [`LayoutError::TooShort`] when the memory is shorter than [`required_len`](Self::required_len).
    ///
    /// # Safety
    ///
    /// No process uses a layout that overlaps `region`.
    pub unsafe fn place(
        region: Region<'m>,
        os: O,
        origin: Origin,
        capacity: usize,
    ) -> Result<Self, LayoutError> {
        let spec = Self::spec(capacity)?;
        let header = Header::write(&region, &spec, origin)?;
        let ring = ByteRing::view(&region, os, &spec)?;
        ring.ring.words.reset();
        header.publish();
        Ok(ring)
    }

    /// The ring that somebody placed in `region`.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] when the bytes do not hold a ring of this `origin`.
    pub fn attach(region: Region<'m>, os: O, origin: Origin) -> Result<Self, LayoutError> {
        let (_, spec) = Self::check(&region, Some(origin))?;
        ByteRing::view(&region, os, &spec)
    }

    /// Declares every process that ever had it open dead: its locks are free, its records stay.
    ///
    /// # Errors
    ///
    /// As [`attach`](Self::attach), except that any origin will do.
    ///
    /// # Safety
    ///
    /// Nobody else has the memory open.
    pub unsafe fn bury(region: Region<'m>, os: O, origin: Origin) -> Result<(), LayoutError> {
        let (header, spec) = Self::check(&region, None)?;
        let words = ByteRing::view(&region, os, &spec)?.ring.words;
        words.producers.lock.reset();
        words.consumers.lock.reset();
        header.adopt(origin);
        Ok(())
    }

    fn check(
        region: &Region<'m>,
        origin: Option<Origin>,
    ) -> Result<(&'m Header, Spec), LayoutError> {
        let expect = |shape: Shape| {
            let units = shape.elements().unwrap_or(u64::MAX);
            let bytes = usize::try_from(units)
                .unwrap_or(usize::MAX)
                .saturating_mul(8);
            Self::spec(bytes)
        };
        Header::check::<u64>(region, Kind::ByteRing, origin, expect)
    }

    fn view(region: &Region<'m>, os: O, spec: &Spec) -> Result<Self, LayoutError> {
        let too_short = LayoutError::TooShort {
            expected: spec.total() as u64,
            found: region.len() as u64,
        };
        // SAFETY: `RingWords` are atomics alone.
        let words = unsafe { region.words(WORDS_AT) }.ok_or(too_short)?;
        let units = spec.data_len / size_of::<u64>();
        // SAFETY: the data are reached as atomics, and by `put` and `take` below, whom the protocol keeps apart.
        let data = unsafe { region.word_slice(DATA_AT, units) }.ok_or(too_short)?;
        Ok(ByteRing {
            ring: Ring { words, data },
            os,
        })
    }

    /// Puts a record, waiting for room until `until` on the clock of [`Os::now`].
    ///
    /// # Errors
    ///
    /// [`RingError`]; then nothing was put.
    #[inline]
    pub fn put(&self, record: &[u8], until: u64) -> Result<(), RingError> {
        let Ring { data, .. } = self.ring;
        self.ring.put(&self.os, until, record.len(), |at| {
            write(data, at, record);
        })
    }

    /// Puts records, as many at once as there is room for; returns how many were put, and why not all.
    pub fn put_many<R: AsRef<[u8]>>(
        &self,
        records: impl IntoIterator<Item = R>,
        until: u64,
    ) -> (usize, Result<(), RingError>) {
        let mut records = Slices {
            data: self.ring.data,
            rest: records.into_iter(),
            next: None,
            put: 0,
        };
        let result = self.ring.put_many(&self.os, until, &mut records);
        (records.put, result)
    }

    /// Takes a record, waiting for one until `until` on the clock of [`Os::now`].
    ///
    /// `take` runs under the lock of those who take: it should copy and return. If it panics, the record stays.
    ///
    /// # Errors
    ///
    /// [`RingError`]; then nothing was taken.
    #[inline]
    pub fn get<R>(&self, until: u64, take: impl FnOnce(&[u8]) -> R) -> Result<R, RingError> {
        let Ring { data, .. } = self.ring;
        self.ring
            .get(&self.os, until, |at, len| take(read(data, at, len)))
    }

    /// Takes up to `most` records at once, waiting for one until `until`; returns how many.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn get_many(
        &self,
        until: u64,
        most: usize,
        mut take: impl FnMut(&[u8]),
    ) -> Result<usize, RingError> {
        let Ring { data, .. } = self.ring;
        self.ring
            .get_many(&self.os, until, most, |at, len| take(read(data, at, len)))
    }

    /// Lets nothing more be put. What is in the ring can still be taken.
    ///
    /// # Errors
    ///
    /// [`RingError`] when its locks cannot be had.
    pub fn close(&self) -> Result<(), RingError> {
        self.ring.close(&self.os, FOREVER)
    }
}

impl<O> ByteRing<'_, O> {
    /// How many records are in the ring at this moment.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// Whether no record is in the ring at this moment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// Whether it is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.ring.is_closed()
    }

    /// How many bytes of records and their lengths it holds.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.ring.data.len() * 8
    }

    /// How many bytes the longest record may have.
    #[must_use]
    pub fn max_len(&self) -> usize {
        self.ring.max_len()
    }
}

impl<O> fmt::Debug for ByteRing<'_, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteRing")
            .field("capacity", &self.capacity())
            .field("len", &self.len())
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// Byte strings on their way into the data.
struct Slices<'m, I, R> {
    data: &'m [AtomicU64],
    rest: I,
    next: Option<R>,
    put: usize,
}

impl<I: Iterator<Item = R>, R: AsRef<[u8]>> Records for Slices<'_, I, R> {
    fn next_len(&mut self) -> Option<usize> {
        if self.next.is_none() {
            self.next = self.rest.next();
        }
        Some(self.next.as_ref()?.as_ref().len())
    }

    fn fill(&mut self, at: usize) {
        if let Some(record) = self.next.take() {
            write(self.data, at, record.as_ref());
            self.put += 1;
        }
    }
}

/// Writes `record` from the unit `at` on, which the caller has reserved.
#[inline]
fn write(data: &[AtomicU64], at: usize, record: &[u8]) {
    // What a reservation gives fits; a wrong one must not write elsewhere.
    let Some(room) = data.get(at..at + record.len().div_ceil(8)) else {
        return;
    };
    let to = room.as_ptr().cast::<u8>().cast_mut();
    // SAFETY: `room` has as many bytes, and is in no use by others until the tail says so (invariant 1 of the ring).
    unsafe { ptr::copy_nonoverlapping(record.as_ptr(), to, record.len()) };
}

/// The record of `len` bytes from the unit `at` on, which the caller was given.
#[inline]
fn read(data: &[AtomicU64], at: usize, len: usize) -> &[u8] {
    let Some(record) = data.get(at..at + len.div_ceil(8)) else {
        return &[];
    };
    // SAFETY: so many bytes there are, written before the tail was, and nobody changes them before the head has passed
    // them (invariant 2 of the ring).
    unsafe { slice::from_raw_parts(record.as_ptr().cast(), len) }
}
