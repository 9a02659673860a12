//! `AtomicArray<T>` in a segment.

use std::{fmt, ops::Deref};

use multiproc_core::{self as core_, AtomicElement, LayoutError, Origin, Region};

use crate::{
    dimensions::{self, Dimensions},
    error::Error,
    mapped::{Mapped, View, shared_object},
    read_only::ReadOnly,
    segment::{Access, Create, Open},
};

type Inner<T> = core_::AtomicArray<'static, T>;

/// A shared array whose elements are atomics; it derefs to a slice of them, so that everything std's atomics do can
/// be done to any element, by any process, at any time, without claims.
///
/// ```
/// # multiproc::init();
/// use std::sync::atomic::Ordering::Relaxed;
/// let histogram = multiproc::AtomicArray::<u64>::zeroed(10)?;
/// histogram[3].fetch_add(1, Relaxed);
/// assert_eq!(histogram.to_vec()[3], 1);
/// # Ok::<(), multiproc::Error>(())
/// ```
pub struct AtomicArray<T: AtomicElement>(Mapped<Inner<T>>);

impl<T: AtomicElement> View for Inner<T> {
    fn attach(region: Region<'static>, _: Origin) -> Result<Self, LayoutError> {
        core_::AtomicArray::attach(region)
    }

    fn bury(region: Region<'_>, _: Origin) -> Result<(), LayoutError> {
        // Nobody owns anything in it; it need only be one.
        core_::AtomicArray::<T>::attach(region).map(drop)
    }
}

shared_object!(AtomicArray<T: AtomicElement>);

impl<T: AtomicElement> AtomicArray<T> {
    /// An array of zeros of this shape (`1000`, `[3, 4]`), in an anonymous segment.
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn zeroed(shape: impl Dimensions) -> Result<AtomicArray<T>, Error> {
        AtomicArray::create(Create::anonymous(), shape)
    }

    /// A one-dimensional array of these elements, in an anonymous segment.
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn from_slice(elements: &[T]) -> Result<AtomicArray<T>, Error> {
        let array = AtomicArray::zeroed(elements.len())?;
        for (atomic, &element) in array.iter().zip(elements) {
            element.store(atomic);
        }
        Ok(array)
    }

    /// An array of zeros of this shape, where `create` says.
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn create(
        create: impl Into<Create>,
        shape: impl Dimensions,
    ) -> Result<AtomicArray<T>, Error> {
        let len = Inner::<T>::required_len(shape.dims())?;
        Mapped::create(create.into(), len, |region, origin| {
            // SAFETY: a new segment, which nobody else sees yet.
            unsafe { core_::AtomicArray::<T>::place(region, origin, shape.dims()) }.map(drop)
        })
        .map(AtomicArray)
    }

    /// The array that somebody made there, whatever its shape.
    ///
    /// # Errors
    ///
    /// [`Error`] when there is none, or none of `T`.
    pub fn open(open: impl Into<Open>) -> Result<AtomicArray<T>, Error> {
        Mapped::open(open.into(), Access::ReadWrite).map(AtomicArray)
    }

    /// The array that somebody made there, for reading only.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_read_only(open: impl Into<Open>) -> Result<ReadOnly<AtomicArray<T>>, Error> {
        let mapped = Mapped::open(open.into(), Access::ReadOnly)?;
        Ok(ReadOnly::new(AtomicArray(mapped)))
    }

    /// A handle to the same memory that cannot change it, mapped anew.
    ///
    /// # Errors
    ///
    /// [`Error`] when it cannot be mapped.
    pub fn read_only(&self) -> Result<ReadOnly<AtomicArray<T>>, Error> {
        Ok(ReadOnly::new(AtomicArray(self.0.read_only()?)))
    }

    /// The dimensions, in elements, slowest first.
    #[must_use]
    pub fn shape(&self) -> Vec<usize> {
        dimensions::to_vec(self.0.view().shape())
    }

    /// A copy of the elements, each loaded by itself.
    #[must_use]
    pub fn to_vec(&self) -> Vec<T> {
        self.iter().map(T::load).collect()
    }
}

impl<T: AtomicElement> Deref for AtomicArray<T> {
    type Target = [T::Atomic];

    #[inline]
    fn deref(&self) -> &[T::Atomic] {
        self.0.view()
    }
}

impl<T: AtomicElement> ReadOnly<AtomicArray<T>> {
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

    /// The element at `index`; `None` when there is none.
    #[must_use]
    pub fn load(&self, index: usize) -> Option<T> {
        self.object().get(index).map(T::load)
    }

    /// A copy of the elements, each loaded by itself.
    #[must_use]
    pub fn to_vec(&self) -> Vec<T> {
        self.object().to_vec()
    }
}

impl<T: AtomicElement> fmt::Debug for AtomicArray<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AtomicArray")
            .field("dtype", &format_args!("{}", T::DTYPE))
            .field("shape", self.0.view().shape())
            .field("segment", self.segment())
            .finish()
    }
}
