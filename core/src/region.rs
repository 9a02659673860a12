//! A stretch of mapped memory: where it is, how long it is, and nothing read from it is ever believed.

use core::{marker::PhantomData, ptr::NonNull};

use crate::{atomic::AtomicU64, error::LayoutError};

/// Every layout starts at a multiple of this many bytes.
pub const ALIGN: usize = 128;

/// Memory that somebody mapped, shared with other processes, for as long as `'m`.
///
/// The length is private to this process. Every offset and length that comes out of the memory itself is checked
/// against it, once, before use.
#[derive(Clone, Copy, Debug)]
pub struct Region<'m> {
    base: NonNull<u8>,
    len: usize,
    _mapping: PhantomData<&'m ()>,
}

// SAFETY: it says where memory is; what the layouts do with it is theirs to synchronise.
unsafe impl Send for Region<'_> {}
// SAFETY: as above.
unsafe impl Sync for Region<'_> {}

impl<'m> Region<'m> {
    /// The `len` bytes at `base`.
    ///
    /// # Errors
    ///
    /// [`LayoutError::Misaligned`] unless `base` is a multiple of [`ALIGN`].
    ///
    /// # Safety
    ///
    /// For all of `'m` the bytes are initialised and mapped readable and writable; readable is enough for views of which only
    /// [`Value::get_unlocked`](crate::Value::get_unlocked), [`Value::sequence`](crate::Value::sequence), sums of
    /// counters and loads of atomics are used. Nobody in this process reaches them by other means than the layouts of
    /// this crate. Other processes may
    /// change them at any time, but keep the claims of those layouts.
    pub unsafe fn new(base: NonNull<u8>, len: usize) -> Result<Region<'m>, LayoutError> {
        if !base.as_ptr().addr().is_multiple_of(ALIGN) {
            return Err(LayoutError::Misaligned { expected: ALIGN });
        }
        Ok(Region {
            base,
            len,
            _mapping: PhantomData,
        })
    }

    /// The length in bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bytes at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first byte.
    #[must_use]
    pub const fn as_ptr(&self) -> NonNull<u8> {
        self.base
    }

    /// The place of `len` bytes at `offset`, or `None` when they are not all inside or not aligned for `T`.
    pub(crate) fn at<T>(&self, offset: usize, len: usize) -> Option<NonNull<T>> {
        if offset.checked_add(len)? > self.len || !offset.is_multiple_of(align_of::<T>()) {
            return None;
        }
        // SAFETY: offset <= self.len, so the result lies in (or one past) the region that `new` was promised.
        let place = unsafe { self.base.add(offset) };
        Some(place.cast())
    }

    /// A view of the words of a protocol at `offset`.
    ///
    /// # Safety
    ///
    /// `T` consists of atomics alone: any bytes are valid for it, and everybody changes it through atomics only.
    pub(crate) unsafe fn words<T>(&self, offset: usize) -> Option<&'m T> {
        let place = self.at::<T>(offset, size_of::<T>())?;
        // SAFETY: inside the region and aligned (checked by `at`), mapped for 'm (promised to `new`), and made of
        // atomics (promised by the caller).
        Some(unsafe { place.as_ref() })
    }

    /// A view of `count` words at `offset`.
    ///
    /// # Safety
    ///
    /// As [`words`](Self::words): everybody changes them through atomics only.
    pub(crate) unsafe fn word_slice(&self, offset: usize, count: usize) -> Option<&'m [AtomicU64]> {
        let place = self.at::<AtomicU64>(offset, count.checked_mul(size_of::<AtomicU64>())?)?;
        // SAFETY: inside the region and aligned (checked by `at`), mapped for 'm (promised to `new`), atomics.
        Some(unsafe { core::slice::from_raw_parts(place.as_ptr(), count) })
    }
}
