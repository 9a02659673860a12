//! `ByteRing`: records of bytes from any number of processes to any number of processes.

use core::{fmt, marker::PhantomData};

use crate::{
    element::Element,
    error::LayoutError,
    header::Kind,
    origin::Origin,
    os::Os,
    region::Region,
    ring::Ring,
    ring_bytes::{Strings, read, write},
    ring_copy::Shown,
    ring_error::RingError,
    ring_layout::{KindWords, RingPlace},
};

/// A ring that needs no words of its own.
struct Plain;

// SAFETY: nothing at all.
unsafe impl KindWords for Plain {
    const KIND: Kind = Kind::ByteRing;

    fn reset(&self) {}

    fn bury(&self) {}
}

/// A bounded queue of records: byte strings of any length up to half its capacity. First in, first out, over all who
/// put.
///
/// A process that is killed while it puts has put the record, wholly, or not at all; one that is killed while it takes has
/// taken it, or leaves it to another.
///
/// `T` is what the records are made of, or `u8` where their bytes are an encoding. It is written into the header, so that
/// whoever takes them for something else is refused; here they are bytes all the same.
pub struct ByteRing<'m, T, O> {
    ring: Ring<'m>,
    os: O,
    _records: PhantomData<T>,
}

// SAFETY: a view of shared atomics; of `T` there is none.
unsafe impl<T, O: Send> Send for ByteRing<'_, T, O> {}
// SAFETY: as above.
unsafe impl<T, O: Sync> Sync for ByteRing<'_, T, O> {}

impl<'m, T: Element, O: Os> ByteRing<'m, T, O> {
    /// How many bytes it takes in memory.
    ///
    /// # Errors
    ///
    /// [`LayoutError::RingTooLarge`] for more than 4 GiB.
    pub fn required_len(capacity: usize) -> Result<usize, LayoutError> {
        Ok(RingPlace::<Plain>::spec::<T>(capacity)?.total())
    }

    /// Places an empty ring for at least `capacity` bytes in fresh memory; they are rounded up to a power of two. Records
    /// take 8 bytes more than their own, rounded up to 8.
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
        // SAFETY: promised by the caller.
        let place = unsafe { RingPlace::place::<T>(&region, origin, capacity) }?;
        Ok(Self::view(&place, os))
    }

    /// The ring that somebody placed in `region`.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] when the bytes do not hold a ring of this `origin`.
    pub fn attach(region: Region<'m>, os: O, origin: Origin) -> Result<Self, LayoutError> {
        let place = RingPlace::attach::<T>(&region, origin)?;
        Ok(Self::view(&place, os))
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
    pub unsafe fn bury(region: Region<'m>, _: O, origin: Origin) -> Result<(), LayoutError> {
        // SAFETY: promised by the caller.
        unsafe { RingPlace::<Plain>::bury::<T>(&region, origin) }
    }

    fn view(place: &RingPlace<'m, Plain>, os: O) -> Self {
        ByteRing {
            ring: Ring::new(place.words, place.data),
            os,
            _records: PhantomData,
        }
    }

    /// Puts a record, waiting for room until `until` on the clock of [`Os::now`].
    ///
    /// # Errors
    ///
    /// [`RingError`]; then nothing was put.
    #[inline]
    pub fn put(&self, record: &[u8], until: u64) -> Result<(), RingError> {
        let Ring { data, .. } = self.ring;
        let fill = |at| write(data, at, record);
        self.ring.put(&self.os, until, record.len(), || (), fill)
    }

    /// Puts records, as many at once as there is room for; returns how many were put, and why not all.
    #[inline]
    pub fn put_many<R: AsRef<[u8]>>(
        &self,
        records: impl IntoIterator<Item = R>,
        until: u64,
    ) -> (usize, Result<(), RingError>) {
        let mut records = Strings::new(self.ring.data, records);
        let result = self.ring.put_many(&self.os, until, || (), &mut records);
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
        let take = |record: Shown| take(record.bytes(data));
        self.ring.get(&self.os, until, || (), take)
    }

    /// Takes up to `most` records at once, waiting for one until `until`; returns how many.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    #[inline]
    pub fn get_many(
        &self,
        until: u64,
        most: usize,
        mut take: impl FnMut(&[u8]),
    ) -> Result<usize, RingError> {
        let Ring { data, .. } = self.ring;
        let take = |at, len| take(read(data, at, len));
        self.ring.get_many(&self.os, until, most, || (), take)
    }

    /// Lets nothing more be put. What is in the ring can still be taken.
    ///
    /// # Errors
    ///
    /// [`RingError`] when its locks cannot be had before `until`.
    pub fn close(&self, until: u64) -> Result<(), RingError> {
        self.ring.close(&self.os, until)
    }
}

/// The ring below, and the system it is used with: for those who wait without taking anything.
impl<'m, T, O> ByteRing<'m, T, O> {
    /// The ring.
    pub fn ring(&self) -> &Ring<'m> {
        &self.ring
    }
}

impl<T, O> ByteRing<'_, T, O> {
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

impl<T, O> fmt::Debug for ByteRing<'_, T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteRing")
            .field("capacity", &self.capacity())
            .field("len", &self.len())
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
