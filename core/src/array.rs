//! `Array<T>`: elements that many processes change at once, each in a range that it has claimed.
//!
//! A claim is a row in the [holders](crate::Holders) table of the array; what conflicts, waits in line. Under a claim
//! the elements are a plain slice. When a process dies with a range claimed for writing, the range is noted as
//! poisoned before the row is freed, and every later claim that overlaps it is told.
//!
//! ```text
//!    0  header               512 bytes
//!  512  table lock, rows in use, tickets; poisoned ranges; rows
//! 4096  elements, slowest dimension first, without gaps
//! ```

use core::{
    fmt,
    ops::{Bound, Range, RangeBounds},
    ptr::NonNull,
};

use crate::{
    claim_error::{ClaimError, Poison, PoisonedClaim},
    claims::{Claimed, Claims},
    element::Element,
    error::{LayoutError, Shape},
    header::{HEADER_LEN, Header, Kind, Spec},
    lock::{FOREVER, NOW, Refused},
    origin::Origin,
    os::Os,
    poison_ranges::PoisonedRanges,
    racy,
    range_guard::{ReadGuard, WriteGuard},
    region::Region,
};

/// Where the elements of every array start, in bytes from its first byte.
pub const ARRAY_DATA_AT: usize = 4096;

const CLAIMS_AT: usize = HEADER_LEN;
#[cfg(not(loom))]
const _: () = assert!(CLAIMS_AT + size_of::<crate::claims::ClaimWords>() <= ARRAY_DATA_AT);

/// A shared array of up to eight dimensions, whose ranges are claimed for reading or writing.
///
/// Ranges count elements in the order they lie in memory, whatever the shape. Claims on disjoint ranges never wait
/// for each other; overlapping ones are served in the order in which they asked, and readers share.
pub struct Array<'m, T, O> {
    claims: Claims<'m, O>,
    data: NonNull<T>,
    len: usize,
}

// SAFETY: elements are reached only under claims that exclude each other over all threads and processes, or by the
// `racy` calls, which are unsafe; `T: Element` is itself `Send` and `Sync`.
unsafe impl<T: Element, O: Send> Send for Array<'_, T, O> {}
// SAFETY: as above.
unsafe impl<T: Element, O: Sync> Sync for Array<'_, T, O> {}

impl<'m, T: Element, O: Os> Array<'m, T, O> {
    fn spec(shape: Shape) -> Result<Spec, LayoutError> {
        data_spec::<T>(Kind::Array, shape, ARRAY_DATA_AT)
    }

    /// How many bytes an array of this shape takes.
    ///
    /// # Errors
    ///
    /// [`LayoutError::TooManyDimensions`] or [`LayoutError::TooLarge`].
    pub fn required_len(shape: &[usize]) -> Result<usize, LayoutError> {
        Ok(Self::spec(Shape::new(shape)?)?.total())
    }

    /// Places an array in fresh memory. Its elements are what the bytes there are: zeros, in memory from the system.
    ///
    /// # Errors
    ///
    /// [`LayoutError::TooShort`] when the memory is shorter than [`required_len`](Self::required_len), and its errors.
    ///
    /// # Safety
    ///
    /// No process uses a layout that overlaps `region`.
    pub unsafe fn place(
        region: Region<'m>,
        os: O,
        origin: Origin,
        shape: &[usize],
    ) -> Result<Self, LayoutError> {
        let spec = Self::spec(Shape::new(shape)?)?;
        let header = Header::write(&region, &spec, origin)?;
        let array = Self::view(&region, os, &spec)?;
        array.claims.words.reset();
        header.publish();
        Ok(array)
    }

    /// The array that somebody placed in `region`, whatever its shape.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] when the bytes do not hold an array of `T` of this `origin`.
    pub fn attach(region: Region<'m>, os: O, origin: Origin) -> Result<Self, LayoutError> {
        let (_, spec) = Header::check::<T>(&region, Kind::Array, Some(origin), Self::spec)?;
        Self::view(&region, os, &spec)
    }

    /// Declares every process that ever had it open dead: what was claimed for writing becomes free and poisoned.
    ///
    /// # Errors
    ///
    /// As [`attach`](Self::attach), except that any origin will do.
    ///
    /// # Safety
    ///
    /// Nobody else has the memory open.
    pub unsafe fn bury(region: Region<'m>, os: O, origin: Origin) -> Result<(), LayoutError> {
        let (header, spec) = Header::check::<T>(&region, Kind::Array, None, Self::spec)?;
        let array = Self::view(&region, os, &spec)?;
        array.claims.bury();
        header.adopt(origin);
        Ok(())
    }

    fn view(region: &Region<'m>, os: O, spec: &Spec) -> Result<Self, LayoutError> {
        let too_short = LayoutError::TooShort {
            expected: spec.total() as u64,
            found: region.len() as u64,
        };
        // SAFETY: `ClaimWords` is atomics alone.
        let words = unsafe { region.words(CLAIMS_AT) }.ok_or(too_short)?;
        Ok(Array {
            claims: Claims {
                words,
                os,
                shape: spec.shape,
            },
            data: region
                .at(spec.data_offset, spec.data_len)
                .ok_or(too_short)?,
            len: spec.data_len / size_of::<T>(),
        })
    }

    /// How many elements there are, over all dimensions.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no elements.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The dimensions, in elements, slowest first.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.claims.shape
    }

    /// The range of elements that the given indices of the slowest dimension take: rows of a matrix.
    #[must_use]
    pub fn rows(&self, rows: Range<usize>) -> Range<usize> {
        let row = match self.shape().dims().first() {
            Some(&rows) if rows > 0 => self.len / rows as usize,
            _ => self.len,
        };
        rows.start.saturating_mul(row)..rows.end.saturating_mul(row)
    }

    /// `parts` ranges, one behind the other, that together are the whole array and whose lengths differ by at most
    /// one element. They may be empty when there are more parts than elements.
    pub fn split(&self, parts: usize) -> impl ExactSizeIterator<Item = Range<usize>> + use<T, O> {
        let (len, parts) = (self.len as u128, parts as u128);
        // The product fits 128 bits, the quotient is at most `len`.
        let border = move |i: usize| (len * i as u128).checked_div(parts).unwrap_or(0) as usize;
        (0..parts as usize).map(move |i| border(i)..border(i + 1))
    }

    /// Claims a range for reading, together with other readers.
    ///
    /// # Errors
    ///
    /// [`ClaimError::Poisoned`] with the guard inside, [`ClaimError::OutOfBounds`], [`ClaimError::WouldDeadlock`],
    /// [`ClaimError::TooManyClaims`].
    #[inline]
    pub fn read(
        &self,
        range: impl RangeBounds<usize>,
    ) -> Result<ReadGuard<'_, T, O>, ClaimError<ReadGuard<'_, T, O>>> {
        self.read_until(range, FOREVER)
    }

    /// Claims a range for writing, alone.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    #[inline]
    pub fn write(
        &self,
        range: impl RangeBounds<usize>,
    ) -> Result<WriteGuard<'_, T, O>, ClaimError<WriteGuard<'_, T, O>>> {
        self.write_until(range, FOREVER)
    }

    /// As [`read`](Self::read), but does not wait for other claims; for a process that is stopped in the middle of its
    /// bookkeeping, up to 10 ms.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), and [`ClaimError::WouldBlock`].
    #[inline]
    pub fn try_read(
        &self,
        range: impl RangeBounds<usize>,
    ) -> Result<ReadGuard<'_, T, O>, ClaimError<ReadGuard<'_, T, O>>> {
        self.read_until(range, NOW)
    }

    /// As [`write`](Self::write), but does not wait for other claims; for a process that is stopped in the middle of its
    /// bookkeeping, up to 10 ms.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), and [`ClaimError::WouldBlock`].
    #[inline]
    pub fn try_write(
        &self,
        range: impl RangeBounds<usize>,
    ) -> Result<WriteGuard<'_, T, O>, ClaimError<WriteGuard<'_, T, O>>> {
        self.write_until(range, NOW)
    }

    /// As [`read`](Self::read), until `until` on the clock of [`Os::now`].
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), and [`ClaimError::TimedOut`].
    #[inline]
    pub fn read_until(
        &self,
        range: impl RangeBounds<usize>,
        until: u64,
    ) -> Result<ReadGuard<'_, T, O>, ClaimError<ReadGuard<'_, T, O>>> {
        let (claimed, poison) = self.claim(range, false, until)?;
        let range = claimed.range();
        // Built here on both ways, and never handed to a call: so it stays in registers.
        let guard = ReadGuard::new(claimed, self.at(range.start));
        match poison {
            None => Ok(guard),
            Some(poison) => Err(ClaimError::Poisoned(PoisonedClaim::new(guard, poison))),
        }
    }

    /// As [`write`](Self::write), until `until` on the clock of [`Os::now`].
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), and [`ClaimError::TimedOut`].
    #[inline]
    pub fn write_until(
        &self,
        range: impl RangeBounds<usize>,
        until: u64,
    ) -> Result<WriteGuard<'_, T, O>, ClaimError<WriteGuard<'_, T, O>>> {
        let (claimed, poison) = self.claim(range, true, until)?;
        let range = claimed.range();
        // Built here on both ways, and never handed to a call: so it stays in registers.
        let guard = WriteGuard::new(claimed, self.at(range.start), range.end == self.len);
        match poison {
            None => Ok(guard),
            Some(poison) => Err(ClaimError::Poisoned(PoisonedClaim::new(guard, poison))),
        }
    }

    /// Claims a range and finds out whether it is poisoned, both before `until`.
    #[inline]
    fn claim<G>(
        &self,
        range: impl RangeBounds<usize>,
        exclusive: bool,
        until: u64,
    ) -> Result<(Claimed<'_, O>, Option<Poison>), ClaimError<G>> {
        let refused = ClaimError::refused;
        let range = self.bounds(range)?;
        let claimed = self
            .claims
            .claim(range.clone(), exclusive, until)
            .map_err(refused)?;
        let mut poison = None;
        if !self.claims.is_clean() {
            let poisoned = self.claims.poisoned(range, until).map_err(refused)?;
            poison = Poison::of(&poisoned);
        }
        Ok((claimed, poison))
    }

    /// The place of an element, or the end of the array.
    #[inline]
    fn at(&self, index: usize) -> NonNull<T> {
        debug_assert!(index <= self.len);
        // SAFETY: `bounds` checked that index <= len of the array, all of which is mapped.
        unsafe { self.data.add(index) }
    }

    #[inline]
    fn bounds<G>(&self, range: impl RangeBounds<usize>) -> Result<Range<usize>, ClaimError<G>> {
        let start = match range.start_bound() {
            Bound::Included(&start) => Some(start),
            Bound::Excluded(&before) => before.checked_add(1),
            Bound::Unbounded => Some(0),
        };
        let end = match range.end_bound() {
            Bound::Included(&last) => last.checked_add(1),
            Bound::Excluded(&end) => Some(end),
            Bound::Unbounded => Some(self.len),
        };
        let (start, end) = (start.unwrap_or(usize::MAX), end.unwrap_or(usize::MAX));
        if start > end || end > self.len {
            return Err(ClaimError::OutOfBounds {
                start,
                end,
                len: self.len,
            });
        }
        Ok(start..end)
    }

    /// Which ranges are poisoned at this moment. Those of the dead appear once somebody has asked for them.
    ///
    /// # Errors
    ///
    /// [`Refused::NoIdentity`]: the table of poisoned ranges is read under a lock.
    pub fn poisoned(&self) -> Result<PoisonedRanges, Refused> {
        self.claims.poisoned(0..self.len, FOREVER)
    }

    /// The element at `index`, read under a claim of its own.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), without a guard inside.
    pub fn get(&self, index: usize) -> Result<T, ClaimError<()>> {
        let guard = self.read(one(index)).map_err(ClaimError::without_guard)?;
        guard.first().copied().ok_or(ClaimError::OutOfBounds {
            start: index,
            end: index,
            len: self.len,
        })
    }

    /// Stores `value` at `index`, under a claim of its own.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write), without a guard inside.
    pub fn set(&self, index: usize, value: T) -> Result<(), ClaimError<()>> {
        let mut guard = self.write(one(index)).map_err(ClaimError::without_guard)?;
        guard.fill(value);
        Ok(())
    }

    /// How many claims are held or waited for at this moment.
    #[must_use]
    pub fn claims(&self) -> usize {
        self.claims.in_use()
    }

    /// The element at `index`, whoever changes it meanwhile: copied in pieces that are each whole, of the largest
    /// power of two up to 8 bytes that divides both size and alignment of `T`.
    ///
    /// `None` when there is no such element.
    ///
    /// # Safety
    ///
    /// No thread of any process has a [`WriteGuard`] of the element and uses it at this time.
    #[must_use]
    pub unsafe fn load_racy(&self, index: usize) -> Option<T> {
        let element = self.element(index)?;
        // SAFETY: an element of the mapping, which nobody writes but by these calls (the caller's promise).
        Some(unsafe { racy::load_racy(element) })
    }

    /// Stores `value` at `index`, in pieces as [`load_racy`](Self::load_racy) has it; whether there is such an
    /// element.
    ///
    /// # Safety
    ///
    /// No thread of any process has a guard of the element and uses it at this time.
    pub unsafe fn store_racy(&self, index: usize, value: T) -> bool {
        let Some(element) = self.element(index) else {
            return false;
        };
        // SAFETY: an element of the mapping, which nobody reaches but by these calls (the caller's promise).
        unsafe { racy::store_racy(element, value) };
        true
    }

    fn element(&self, index: usize) -> Option<NonNull<T>> {
        (index < self.len).then(|| self.at(index))
    }

    /// The first element. Reading or writing through it needs a claim, or the promises of the `racy` calls; a panic poisons
    /// only what was claimed by a guard that was dereferenced mutably.
    #[must_use]
    pub fn as_ptr(&self) -> NonNull<T> {
        self.data
    }
}

/// The range of one element; out of every bound when its end is no index.
fn one(index: usize) -> Range<usize> {
    index..index.saturating_add(1)
}

/// The layout of `shape` elements of `T` that lie one behind the other at `offset`.
pub(crate) fn data_spec<T: Element>(
    kind: Kind,
    shape: Shape,
    offset: usize,
) -> Result<Spec, LayoutError> {
    const { assert!(size_of::<T>() > 0, "an array of nothing cannot be shared") };
    let elements = shape.elements();
    let len = elements
        .and_then(|elements| usize::try_from(elements).ok())
        .and_then(|elements| elements.checked_mul(size_of::<T>()))
        // No slice may be longer than isize::MAX bytes, and neither may a mapping.
        .filter(|len| *len <= isize::MAX as usize - offset)
        .ok_or(LayoutError::TooLarge {
            elements: elements.unwrap_or(u64::MAX),
            element_size: size_of::<T>(),
        })?;
    Ok(Spec::new::<T>(kind, shape, offset, len))
}

impl<T, O> fmt::Debug for Array<'_, T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Array")
            .field("shape", &self.claims.shape)
            .field("claims", &self.claims.in_use())
            .finish_non_exhaustive()
    }
}
