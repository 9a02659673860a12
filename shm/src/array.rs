//! `Array<T>` in a segment.

use std::{
    fmt,
    ops::{Range, RangeBounds},
    time::Duration,
};

use multiproc_core::{
    self as core_, ClaimError, Element, LayoutError, PoisonedRanges, Refused, Shape,
};

use crate::{
    deadline,
    dimensions::Dimensions,
    error::Error,
    mapped::{Mapped, shared_object, view},
    segment::{Access, Create, Open},
    sys::Linux,
};

type Inner<T> = core_::Array<'static, T, Linux>;

/// Shared access to a claimed range, as a slice; dropping it gives the range back.
pub type ReadGuard<'a, T> = core_::ReadGuard<'a, T, Linux>;
/// Exclusive access to a claimed range, as a mutable slice; dropping it gives the range back.
pub type WriteGuard<'a, T> = core_::WriteGuard<'a, T, Linux>;

/// What claiming for reading gives: the guard, or an error that may have the guard inside.
type Read<'a, T> = Result<ReadGuard<'a, T>, ClaimError<ReadGuard<'a, T>>>;
/// What claiming for writing gives.
type Write<'a, T> = Result<WriteGuard<'a, T>, ClaimError<WriteGuard<'a, T>>>;

/// A numeric array that many processes change in place at once, each in a range that it has claimed.
///
/// [`write`](Self::write) gives `&mut [T]` on a range, [`read`](Self::read) gives `&[T]`. Claims on disjoint ranges
/// never wait for each other; overlapping ones are served in the order in which they asked, and readers share. When a
/// process dies with a range claimed for writing, that range is poisoned: the next claim that overlaps it says which
/// elements, and gives the guard all the same. At most 64 claims are held or waited for at once; further ones wait.
///
/// Ranges count elements in the order they lie in memory, the last dimension fastest, whatever the
/// [shape](Self::shape).
///
/// ```
/// # multiproc::init();
/// let squares = multiproc::Array::<f64>::zeroed(1000)?;
/// for range in squares.split(4) {
///     let mut part = squares.write(range.clone())?;
///     for (x, i) in part.iter_mut().zip(range) {
///         *x = (i * i) as f64;
///     }
/// }
/// assert_eq!(squares.get(999)?, 998001.0);
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// What a process that died, or a thread that panicked, had claimed for writing is told with the guard inside the error:
///
/// ```
/// # multiproc::init();
/// # let prices = multiproc::Array::<f64>::zeroed(10)?;
/// let mut part = match prices.write(2..5) {
///     Ok(part) => part,
///     Err(error) => {
///         eprintln!("{error}"); // poisoned: elements 2..4: process 4711 died while holding it
///         let mut part = error.into_guard().map_err(multiproc::Error::from)?;
///         part.fill(0.0); // whatever makes the elements sound
///         part.clear_poison();
///         part
///     }
/// };
/// part[0] = 1.5;
/// # drop(part);
/// # Ok::<(), multiproc::Error>(())
/// ```
#[cfg_attr(
    feature = "ndarray",
    doc = r"
With the feature `ndarray` what is claimed has rows and columns:

```
# multiproc::init();
use multiproc::{Array, ndarray::{ArrayViewMut2, Axis}};

let prices = Array::<f64>::zeroed([250, 4])?;
let mut rows = prices.write(prices.rows(10..20))?;
let mut view: ArrayViewMut2<f64> = rows.view_mut()?; // 10 rows of 4
view.column_mut(1).fill(1.5);
assert_eq!(view.sum_axis(Axis(0)).to_vec(), [0.0, 15.0, 0.0, 0.0]);
# Ok::<(), multiproc::Error>(())
```"
)]
pub struct Array<T: Element>(Mapped<Inner<T>>);

view!(Array<T: Element>);
shared_object!(Array<T: Element>);

impl<T: Element> Array<T> {
    /// An array of zeros of this shape (`1000`, `[3, 4]`), in an anonymous segment.
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn zeroed(shape: impl Dimensions) -> Result<Array<T>, Error> {
        Array::create(Create::anonymous(), shape)
    }

    /// A one-dimensional array of these elements, in an anonymous segment.
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn from_slice(elements: &[T]) -> Result<Array<T>, Error> {
        Array::create_from_slice(Create::anonymous(), elements)
    }

    /// A one-dimensional array of whatever the iterator gives, in an anonymous segment.
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn collect(elements: impl IntoIterator<Item = T>) -> Result<Array<T>, Error> {
        // The length must be known before the segment is made, and an iterator's hint is no promise.
        Array::from_slice(&elements.into_iter().collect::<Vec<T>>())
    }

    /// An array of zeros of this shape, where `create` says.
    ///
    /// A name goes with its maker, unless [`Create::persist`] says that it stays.
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn create(create: impl Into<Create>, shape: impl Dimensions) -> Result<Array<T>, Error> {
        Array::placed(create.into(), shape.dims(), |_| ())
    }

    /// A one-dimensional array of these elements, where `create` says. It is whole before anybody can open it.
    ///
    /// A name goes with its maker, unless [`Create::persist`] says that it stays.
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn create_from_slice(create: impl Into<Create>, elements: &[T]) -> Result<Array<T>, Error> {
        Array::placed(
            create.into(),
            &[elements.len()],
            |array: &core_::Array<'_, T, Linux>| {
                let (from, to) = (elements.as_ptr(), array.as_ptr().as_ptr());
                // SAFETY: as many elements as the array has, in memory that nobody else can see yet.
                unsafe { to.copy_from_nonoverlapping(from, elements.len()) };
            },
        )
    }

    fn placed(
        create: Create,
        shape: &[usize],
        fill: impl FnOnce(&core_::Array<'_, T, Linux>),
    ) -> Result<Array<T>, Error> {
        let len = Inner::<T>::required_len(shape)?;
        Mapped::create(create, len, |region, origin| {
            // SAFETY: a new segment, which nobody else sees yet.
            unsafe { core_::Array::place(region, Linux, origin, shape) }.map(|array| fill(&array))
        })
        .map(Array)
    }

    /// The array that somebody made there, whatever its shape.
    ///
    /// # Errors
    ///
    /// [`Error`] when there is none, or none of `T`.
    pub fn open(open: impl Into<Open>) -> Result<Array<T>, Error> {
        Mapped::open(open.into(), Access::ReadWrite).map(Array)
    }

    /// This array, if it has this shape.
    ///
    /// # Errors
    ///
    /// [`LayoutError::Shape`], which names both shapes.
    pub fn with_shape(self, shape: impl Dimensions) -> Result<Array<T>, Error> {
        let expected = Shape::new(shape.dims())?;
        let found = *self.0.view().shape();
        if found != expected {
            return Err(self.segment().unfit(LayoutError::Shape { expected, found }));
        }
        Ok(self)
    }

    /// How many elements there are, over all dimensions.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.view().len()
    }

    /// Whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The dimensions, in elements, slowest first.
    #[must_use]
    pub fn shape(&self) -> Vec<usize> {
        crate::dimensions::to_vec(self.0.view().shape())
    }

    /// The range of elements that these indices of the first dimension take: the rows of a matrix.
    #[must_use]
    pub fn rows(&self, rows: Range<usize>) -> Range<usize> {
        self.0.view().rows(rows)
    }

    /// `parts` ranges, one behind the other, that together are the whole array and whose lengths differ by at most
    /// one element: one for each worker.
    pub fn split(&self, parts: usize) -> impl ExactSizeIterator<Item = Range<usize>> + use<T> {
        self.0.view().split(parts)
    }

    /// Claims a range for reading, together with other readers.
    ///
    /// # Errors
    ///
    /// [`ClaimError::Poisoned`] with the guard inside, [`ClaimError::OutOfBounds`], [`ClaimError::WouldDeadlock`],
    /// [`ClaimError::TooManyClaims`]. In a function that returns another error than [`Error`], write
    /// `.map_err(multiproc::Error::from)?`: an error with a guard inside borrows the array.
    #[inline]
    pub fn read(&self, range: impl RangeBounds<usize>) -> Read<'_, T> {
        self.0.view().read(range)
    }

    /// Claims a range for writing, alone.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    #[inline]
    pub fn write(&self, range: impl RangeBounds<usize>) -> Write<'_, T> {
        self.0.view().write(range)
    }

    /// Claims the whole array for writing.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    #[inline]
    pub fn lock(&self) -> Write<'_, T> {
        self.write(..)
    }

    /// As [`read`](Self::read), but does not wait for other claims; for a process that is stopped in the middle of its
    /// bookkeeping, up to 10 ms.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), and [`ClaimError::WouldBlock`].
    #[inline]
    pub fn try_read(&self, range: impl RangeBounds<usize>) -> Read<'_, T> {
        self.0.view().try_read(range)
    }

    /// As [`write`](Self::write), but does not wait for other claims; for a process that is stopped in the middle of its
    /// bookkeeping, up to 10 ms.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), and [`ClaimError::WouldBlock`].
    #[inline]
    pub fn try_write(&self, range: impl RangeBounds<usize>) -> Write<'_, T> {
        self.0.view().try_write(range)
    }

    /// As [`read`](Self::read), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), and [`ClaimError::TimedOut`].
    pub fn read_timeout(&self, range: impl RangeBounds<usize>, timeout: Duration) -> Read<'_, T> {
        self.0.view().read_until(range, deadline::after(timeout))
    }

    /// As [`write`](Self::write), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), and [`ClaimError::TimedOut`].
    pub fn write_timeout(&self, range: impl RangeBounds<usize>, timeout: Duration) -> Write<'_, T> {
        self.0.view().write_until(range, deadline::after(timeout))
    }

    /// The element at `index`, read under a claim of its own.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), without a guard inside; [`ClaimError::WouldDeadlock`] while this thread itself holds a
    /// [`write`](Self::write) guard of the element: read it there.
    pub fn get(&self, index: usize) -> Result<T, ClaimError<()>> {
        self.0.view().get(index)
    }

    /// Stores `value` at `index`, under a claim of its own.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), for guards of either kind.
    pub fn set(&self, index: usize, value: T) -> Result<(), ClaimError<()>> {
        self.0.view().set(index, value)
    }

    /// A copy of all elements, read under one claim.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn to_vec(&self) -> Result<Vec<T>, ClaimError<()>> {
        let all = self.read(..).map_err(ClaimError::without_guard)?;
        Ok(all.to_vec())
    }

    /// Which ranges are poisoned at this moment. What the dead had claimed shows once somebody has
    /// asked for it: claim everything, as in `drop(array.read(..))`, to have all of it told.
    ///
    /// # Errors
    ///
    /// [`Refused::NoIdentity`]: the table of poisoned ranges is read under a lock.
    pub fn poisoned(&self) -> Result<PoisonedRanges, Refused> {
        self.0.view().poisoned()
    }

    /// The element at `index`, whoever changes it meanwhile: copied in pieces that are each whole, of the largest
    /// power of two up to 8 bytes that divides both size and alignment of `T`. `None`: there is no such element.
    ///
    /// # Safety
    ///
    /// No thread of any process has a [`WriteGuard`] of the element and uses it at this time.
    #[must_use]
    pub unsafe fn load_racy(&self, index: usize) -> Option<T> {
        // SAFETY: the caller's promise is the same.
        unsafe { self.0.view().load_racy(index) }
    }

    /// Stores `value` at `index`, in pieces as [`load_racy`](Self::load_racy) has it; whether there is such an
    /// element.
    ///
    /// # Safety
    ///
    /// No thread of any process has a guard of the element and uses it at this time.
    pub unsafe fn store_racy(&self, index: usize, value: T) -> bool {
        // SAFETY: the caller's promise is the same.
        unsafe { self.0.view().store_racy(index, value) }
    }
}

impl<T: Element> fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Array")
            .field("dtype", &format_args!("{}", T::DTYPE))
            .field("shape", self.0.view().shape())
            .field("claims", &self.0.view().claims())
            .field("segment", self.segment())
            .finish()
    }
}
