//! `RawArray<T>`: elements in memory that says nothing of itself, as Python's `SharedMemory` does not.

mod elements;
mod travel;

use std::{fmt, ptr::NonNull, sync::Arc};

use multiproc_core::{ALIGN, Element, LayoutError, Shape};

use crate::{
    dimensions::{self, Dimensions},
    error::Error,
    read_only::ReadOnly,
    segment::{Access, Create, Open, Segment},
};

/// A numeric array in shared memory without a header: in what Python's `multiprocessing.shared_memory.SharedMemory` made,
/// or any other program that maps a file.
///
/// Nothing in such memory says what it holds, so whoever opens it says type and shape; that there is room for them is
/// checked. And nobody keeps claims there, so every access to an element is `unsafe`: who uses it when is for the
/// programs to agree on. Where Rust makes the memory, an [`Array`](crate::Array) is safe, and NumPy can use it as well.
///
/// ```
/// # multiproc::init();
/// use multiproc::RawArray;
///
/// let name = format!("prices-{}", std::process::id());
/// # let _maker = RawArray::<f64>::create(name.as_str(), [250, 4])?;
/// // In Python: block = SharedMemory(name, create=True, size=250 * 4 * 8)
/// //            prices = numpy.ndarray((250, 4), "<f8", block.buf)
/// let mut prices = RawArray::<f64>::open(name.as_str(), [250, 4])?;
/// // SAFETY: Python waits until this is done.
/// let elements = unsafe { prices.as_mut_slice() };
/// elements[4] = 1.5; // prices[1, 0]
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// # Names
///
/// Names are the same in both languages: `SharedMemory("prices")` is [`Open::named`]`("prices")`. A name goes when Python
/// calls `unlink`, or somebody here [`Segment::unlink`]; and with its maker here, unless it was made to
/// [persist](Create::persist). A name that was left behind by a maker that was killed counts as free when no Rust program
/// has the segment open, whether Python has or not. Python before 3.13 takes the names away at exit that it has only opened,
/// later ones do not if `track=False`.
///
/// # Alignment
///
/// Segments are aligned to 128 bytes at least, and so may elements be at most: others do not compile.
///
/// ```compile_fail,E0080
/// # use multiproc::{Create, Error, RawArray};
/// multiproc::record! {
///     #[repr(align(256))]
///     struct Wide { bytes: [u8; 256] }
/// }
/// RawArray::<Wide>::create(Create::anonymous(), 1)?;
/// # Ok::<(), Error>(())
/// ```
pub struct RawArray<T: Element> {
    /// Invariant: `len` elements lie here, aligned, and mapped for as long as `segment` is.
    first: NonNull<T>,
    len: usize,
    shape: Shape,
    /// From the start of the segment, in bytes.
    offset: usize,
    segment: Arc<Segment>,
}

// SAFETY: elements are reached by `unsafe` calls alone; `T: Element` is itself `Send` and `Sync`.
unsafe impl<T: Element> Send for RawArray<T> {}
// SAFETY: as above.
unsafe impl<T: Element> Sync for RawArray<T> {}

impl<T: Element> RawArray<T> {
    /// The array of this shape (`1000`, `[3, 4]`) at the start of memory that somebody has made. There may be more behind it.
    ///
    /// Python may not have made it yet: see [`Open::wait`].
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::TooShort`], when there is less; [`Error::NotOurs`], [`Error::NotRegular`], or what the
    /// system refuses.
    pub fn open(open: impl Into<Open>, shape: impl Dimensions) -> Result<RawArray<T>, Error> {
        RawArray::open_at(open, 0, shape)
    }

    /// The array of this shape that begins `offset` bytes from the start of memory that somebody has made.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and [`Error::MisalignedOffset`].
    pub fn open_at(
        open: impl Into<Open>,
        offset: usize,
        shape: impl Dimensions,
    ) -> Result<RawArray<T>, Error> {
        let shape = Shape::new(shape.dims())?;
        let segment = opened(open.into(), Access::ReadWrite)?;
        RawArray::within(segment, offset, shape)
    }

    /// As [`open`](Self::open), for reading only.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_read_only(
        open: impl Into<Open>,
        shape: impl Dimensions,
    ) -> Result<ReadOnly<RawArray<T>>, Error> {
        let shape = Shape::new(shape.dims())?;
        let segment = opened(open.into(), Access::ReadOnly)?;
        RawArray::within(segment, 0, shape).map(ReadOnly::new)
    }

    /// New memory, as long as an array of zeros of this shape, where `create` says. Python opens it by
    /// `SharedMemory(name)`.
    ///
    /// A name goes with its maker, unless [`Create::persist`] says that it stays.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyExists`]; [`Error::TooShort`] for an array of nothing; or what the system refuses.
    pub fn create(create: impl Into<Create>, shape: impl Dimensions) -> Result<RawArray<T>, Error> {
        let shape = Shape::new(shape.dims())?;
        let (_, bytes) = extent::<T>(&shape)?;
        let segment = Segment::create(create.into(), bytes, |_| Ok(()))?;
        RawArray::within(Arc::new(segment), 0, shape)
    }

    /// The array of this shape that begins `offset` bytes from the start of the same memory, wherever this one begins.
    ///
    /// ```
    /// # multiproc::init();
    /// use multiproc::{Create, RawArray};
    ///
    /// let bytes = RawArray::<u8>::create(Create::anonymous(), 4096)?;
    /// let matrix = bytes.part::<f64>(64, [3, 4])?;
    /// assert_eq!(matrix.shape(), [3, 4]);
    /// assert_eq!(
    ///     bytes.part::<f64>(4000, [3, 5]).unwrap_err().to_string(),
    ///     "an anonymous segment is 4096 bytes long, at least 4120 are needed"
    /// );
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::TooShort`] when there is less, [`Error::MisalignedOffset`].
    pub fn part<U: Element>(
        &self,
        offset: usize,
        shape: impl Dimensions,
    ) -> Result<RawArray<U>, Error> {
        let shape = Shape::new(shape.dims())?;
        RawArray::within(Arc::clone(&self.segment), offset, shape)
    }

    /// A handle to the same memory that cannot change it, mapped anew.
    ///
    /// # Errors
    ///
    /// [`Error`] when it cannot be mapped.
    pub fn read_only(&self) -> Result<ReadOnly<RawArray<T>>, Error> {
        let segment = Arc::new(self.segment.read_only()?);
        RawArray::within(segment, self.offset, self.shape).map(ReadOnly::new)
    }

    fn within(segment: Arc<Segment>, offset: usize, shape: Shape) -> Result<RawArray<T>, Error> {
        let (len, bytes) = extent::<T>(&shape)?;
        let (align, region) = (align_of::<T>(), segment.region());
        if !offset.is_multiple_of(align) {
            return Err(Error::MisalignedOffset {
                name: segment.label(),
                expected: align,
                found: offset,
            });
        }
        let end = offset.saturating_add(bytes);
        if end > region.len() {
            return Err(Error::TooShort {
                name: segment.label(),
                expected: end as u64,
                found: region.len() as u64,
            });
        }
        // SAFETY: `offset` is at most the length of the region, which is mapped.
        let first = unsafe { region.as_ptr().add(offset) }.cast();
        Ok(RawArray {
            first,
            len,
            shape,
            offset,
            segment,
        })
    }

    /// How many elements there are, over all dimensions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The dimensions, in elements, slowest first.
    #[must_use]
    pub fn shape(&self) -> Vec<usize> {
        dimensions::to_vec(&self.shape)
    }

    /// The segment that it lies in.
    #[must_use]
    pub fn segment(&self) -> &Segment {
        &self.segment
    }
}

impl<T: Element> ReadOnly<RawArray<T>> {
    /// As [`RawArray::part`].
    ///
    /// # Errors
    ///
    /// As [`RawArray::part`].
    pub fn part<U: Element>(
        &self,
        offset: usize,
        shape: impl Dimensions,
    ) -> Result<ReadOnly<RawArray<U>>, Error> {
        self.object().part(offset, shape).map(ReadOnly::new)
    }

    /// How many elements there are, over all dimensions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.object().len()
    }

    /// Whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.object().is_empty()
    }

    /// The dimensions, in elements, slowest first.
    #[must_use]
    pub fn shape(&self) -> Vec<usize> {
        self.object().shape()
    }
}

/// Memory in which nobody is known to hold anything.
fn opened(open: Open, access: Access) -> Result<Arc<Segment>, Error> {
    Segment::open(open, access, |_| Ok(())).map(Arc::new)
}

/// How many elements an array has, and how many bytes.
fn extent<T: Element>(shape: &Shape) -> Result<(usize, usize), LayoutError> {
    const { assert!(size_of::<T>() > 0, "an array of nothing cannot be shared") };
    // Offsets are checked, which say nothing unless the segment is aligned as well.
    const { assert!(align_of::<T>() <= ALIGN, "no segment is aligned so far") };
    let elements = shape.elements();
    elements
        .and_then(|elements| usize::try_from(elements).ok())
        .and_then(|len| Some((len, len.checked_mul(size_of::<T>())?)))
        // No slice may be longer.
        .filter(|(_, bytes)| *bytes <= isize::MAX as usize)
        .ok_or(LayoutError::TooLarge {
            elements: elements.unwrap_or(u64::MAX),
            element_size: size_of::<T>(),
        })
}

impl<T: Element> Clone for RawArray<T> {
    /// Another handle to the same memory.
    fn clone(&self) -> RawArray<T> {
        RawArray {
            segment: Arc::clone(&self.segment),
            ..*self
        }
    }
}

impl<T: Element> fmt::Debug for RawArray<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawArray")
            .field("dtype", &format_args!("{}", T::DTYPE))
            .field("shape", &self.shape)
            .field("offset", &self.offset)
            .field("segment", &self.segment)
            .finish()
    }
}
