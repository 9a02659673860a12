//! `AtomicArray<T>`: an array whose elements are atomics, changed by anybody at any time without claims.

use core::{
    fmt,
    ops::Deref,
    ptr::NonNull,
    sync::atomic::{
        AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicIsize, AtomicU8, AtomicU16, AtomicU32,
        AtomicU64, AtomicUsize, Ordering,
    },
};

use crate::{
    array::data_spec,
    element::Element,
    error::{LayoutError, Shape},
    header::{HEADER_LEN, Header, Kind, Spec},
    origin::Origin,
    region::Region,
};

/// An [`Element`] that has an atomic form of the same size.
///
/// # Safety
///
/// `Atomic` has the size of the element, an alignment of its size, and every bit pattern is valid for it.
pub unsafe trait AtomicElement: Element {
    /// The atomic form.
    type Atomic: Send + Sync + 'static;

    /// Loads an element, relaxed.
    fn load(from: &Self::Atomic) -> Self;

    /// Stores an element, relaxed.
    fn store(self, to: &Self::Atomic);
}

/// Implements [`AtomicElement`].
macro_rules! atomic_elements {
    ($($type:ty => $atomic:ty),* $(,)?) => {$(
        // SAFETY: the atomic form has the size and the bit patterns of the type (std's promise, and for floats
        // repr(transparent)), and is aligned to its size.
        unsafe impl AtomicElement for $type {
            type Atomic = $atomic;

            #[inline]
            fn load(from: &$atomic) -> $type {
                from.load(Ordering::Relaxed)
            }

            #[inline]
            fn store(self, to: &$atomic) {
                to.store(self, Ordering::Relaxed);
            }
        }
    )*};
}

atomic_elements! {
    u8 => AtomicU8, u16 => AtomicU16, u32 => AtomicU32, u64 => AtomicU64, usize => AtomicUsize,
    i8 => AtomicI8, i16 => AtomicI16, i32 => AtomicI32, i64 => AtomicI64, isize => AtomicIsize,
    f32 => AtomicF32, f64 => AtomicF64,
}

/// Defines an atomic float as an atomic integer of its bits.
macro_rules! atomic_float {
    ($name:ident, $float:ty, $bits:ty) => {
        #[doc = concat!("An `", stringify!($float), "` that many threads and processes may change.")]
        #[repr(transparent)]
        #[derive(Default)]
        pub struct $name($bits);

        impl $name {
            /// An atomic that holds `value`.
            #[must_use]
            pub const fn new(value: $float) -> $name {
                $name(<$bits>::new(value.to_bits()))
            }

            /// The value.
            #[inline]
            #[must_use]
            pub fn load(&self, order: Ordering) -> $float {
                <$float>::from_bits(self.0.load(order))
            }

            /// Makes `value` the value.
            #[inline]
            pub fn store(&self, value: $float, order: Ordering) {
                self.0.store(value.to_bits(), order);
            }

            /// Makes `value` the value and returns the one before.
            #[inline]
            pub fn swap(&self, value: $float, order: Ordering) -> $float {
                <$float>::from_bits(self.0.swap(value.to_bits(), order))
            }

            /// Replaces the value by `change` of it, trying again until nobody comes between; returns the value
            /// before.
            #[inline]
            pub fn update(
                &self,
                order: Ordering,
                mut change: impl FnMut($float) -> $float,
            ) -> $float {
                // Relaxed: what was loaded counts only if the exchange that follows, in `order`, confirms it.
                let mut bits = self.0.load(Ordering::Relaxed);
                loop {
                    let now = <$float>::from_bits(bits);
                    let new = change(now).to_bits();
                    match self
                        .0
                        .compare_exchange_weak(bits, new, order, Ordering::Relaxed)
                    {
                        Ok(_) => return now,
                        Err(found) => bits = found,
                    }
                }
            }

            /// Adds `value` and returns the value before.
            #[inline]
            pub fn fetch_add(&self, value: $float, order: Ordering) -> $float {
                self.update(order, |now| now + value)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.load(Ordering::Relaxed), f)
            }
        }
    };
}

atomic_float!(AtomicF32, f32, AtomicU32);
atomic_float!(AtomicF64, f64, AtomicU64);

/// A shared array of up to eight dimensions whose elements are atomics; it derefs to a slice of them.
pub struct AtomicArray<'m, T: AtomicElement> {
    elements: &'m [T::Atomic],
    shape: Shape,
}

impl<'m, T: AtomicElement> AtomicArray<'m, T> {
    fn spec(shape: Shape) -> Result<Spec, LayoutError> {
        const { assert!(size_of::<T>() == size_of::<T::Atomic>()) };
        data_spec::<T>(Kind::AtomicArray, shape, HEADER_LEN)
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
        origin: Origin,
        shape: &[usize],
    ) -> Result<Self, LayoutError> {
        let spec = Self::spec(Shape::new(shape)?)?;
        let header = Header::write(&region, &spec, origin)?;
        let array = Self::view(&region, &spec)?;
        header.publish();
        Ok(array)
    }

    /// The array that somebody placed in `region`, whatever its shape. Nobody owns anything in it, so its origin does
    /// not matter.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] when the bytes do not hold an atomic array of `T`.
    pub fn attach(region: Region<'m>) -> Result<Self, LayoutError> {
        let (_, spec) = Header::check::<T>(&region, Kind::AtomicArray, None, Self::spec)?;
        Self::view(&region, &spec)
    }

    fn view(region: &Region<'m>, spec: &Spec) -> Result<Self, LayoutError> {
        let data: NonNull<T::Atomic> =
            region
                .at(spec.data_offset, spec.data_len)
                .ok_or(LayoutError::TooShort {
                    expected: spec.total() as u64,
                    found: region.len() as u64,
                })?;
        let len = spec.data_len / size_of::<T>();
        Ok(AtomicArray {
            // SAFETY: inside the region and aligned (checked by `at`), mapped for 'm, valid whatever the bytes
            // (`AtomicElement`), and reached only as atomics.
            elements: unsafe { core::slice::from_raw_parts(data.as_ptr(), len) },
            shape: spec.shape,
        })
    }

    /// The dimensions, in elements, slowest first.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }
}

impl<T: AtomicElement> Deref for AtomicArray<'_, T> {
    type Target = [T::Atomic];

    #[inline]
    fn deref(&self) -> &[T::Atomic] {
        self.elements
    }
}

impl<T: AtomicElement> fmt::Debug for AtomicArray<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AtomicArray")
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}
