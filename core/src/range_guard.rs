//! The guards of claimed ranges: plain slices for as long as the claim is held.

use core::{
    fmt,
    ops::{Deref, DerefMut, Range},
    ptr::NonNull,
};

#[cfg(feature = "ndarray")]
use crate::error::Shape;
use crate::{
    claims::Claimed, element::Element, lock::FOREVER, os::Os, poison_ranges::PoisonedRanges,
};

/// Shared access to a claimed range, as a slice; dropping it gives the range back.
#[must_use = "the range is released when the guard is dropped"]
pub struct ReadGuard<'a, T: Element, O: Os> {
    claimed: Claimed<'a, O>,
    first: NonNull<T>,
}

/// Exclusive access to a claimed range, as a mutable slice; dropping it gives the range back.
///
/// Dropped by a panic that began after it was made, it leaves the range poisoned if it was ever dereferenced mutably: one
/// that was not has changed nothing.
#[must_use = "the range is released when the guard is dropped"]
pub struct WriteGuard<'a, T: Element, O: Os> {
    claimed: Claimed<'a, O>,
    first: NonNull<T>,
    /// Whether the claim's last element is the array's.
    reaches_the_end: bool,
    /// Whether anybody could have changed an element by this guard.
    touched: bool,
}

// SAFETY: `&ReadGuard` gives `&[T]` alone, and elements are `Sync`.
unsafe impl<T: Element, O: Os + Sync> Sync for ReadGuard<'_, T, O> {}
// SAFETY: `&WriteGuard` gives `&[T]` alone, and elements are `Sync`.
unsafe impl<T: Element, O: Os + Sync> Sync for WriteGuard<'_, T, O> {}

impl<'a, T: Element, O: Os> ReadGuard<'a, T, O> {
    /// Invariant: the elements of the claim lie at `first` for as long as `'a`.
    #[inline]
    pub(crate) fn new(claimed: Claimed<'a, O>, first: NonNull<T>) -> ReadGuard<'a, T, O> {
        ReadGuard { claimed, first }
    }

    /// The elements that are claimed.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.claimed.range()
    }

    /// The dimensions of the whole array, for views of the claimed part.
    #[cfg(feature = "ndarray")]
    pub(crate) fn array_shape(&self) -> Shape {
        self.claimed.claims().shape
    }

    /// The poisoned ranges that overlap this claim.
    #[must_use]
    pub fn poisoned(&self) -> PoisonedRanges {
        let poisoned = self.claimed.claims().poisoned(self.range(), FOREVER);
        poisoned.unwrap_or_default()
    }
}

impl<'a, T: Element, O: Os> WriteGuard<'a, T, O> {
    /// Invariant: the elements of the claim, which is exclusive, lie at `first` for as long as `'a`.
    #[inline]
    pub(crate) fn new(
        claimed: Claimed<'a, O>,
        first: NonNull<T>,
        reaches_the_end: bool,
    ) -> WriteGuard<'a, T, O> {
        WriteGuard {
            claimed,
            first,
            reaches_the_end,
            touched: false,
        }
    }

    /// The elements that are claimed.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.claimed.range()
    }

    /// The dimensions of the whole array, for views of the claimed part.
    #[cfg(feature = "ndarray")]
    pub(crate) fn array_shape(&self) -> Shape {
        self.claimed.claims().shape
    }

    /// The poisoned ranges that overlap this claim.
    #[must_use]
    pub fn poisoned(&self) -> PoisonedRanges {
        let poisoned = self.claimed.claims().poisoned(self.range(), FOREVER);
        poisoned.unwrap_or_default()
    }

    /// Declares sound again every poisoned range that lies wholly within this claim; how many there were.
    /// By the guard that a fork child inherited, none is.
    pub fn clear_poison(&mut self) -> usize {
        if !self.claimed.is_mine() {
            return 0;
        }
        let range = self.claimed.range();
        // Where foreign bytes say that poison goes on beyond the array, it ends with it.
        let end = if self.reaches_the_end {
            u64::MAX
        } else {
            range.end as u64
        };
        self.claimed.claims().clear_poison(range.start as u64..end)
    }
}

impl<T: Element, O: Os> Deref for ReadGuard<'_, T, O> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: the invariant of `new`; nobody writes to the range while it is claimed.
        unsafe { core::slice::from_raw_parts(self.first.as_ptr(), self.claimed.len()) }
    }
}

impl<T: Element, O: Os> Deref for WriteGuard<'_, T, O> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: the invariant of `new`; nobody else reaches the range while it is claimed.
        unsafe { core::slice::from_raw_parts(self.first.as_ptr(), self.claimed.len()) }
    }
}

impl<T: Element, O: Os> DerefMut for WriteGuard<'_, T, O> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        self.touched = true;
        // SAFETY: as in `deref`, and `&mut self` makes it the only reference in this process.
        unsafe { core::slice::from_raw_parts_mut(self.first.as_ptr(), self.claimed.len()) }
    }
}

impl<T: Element, O: Os> Drop for WriteGuard<'_, T, O> {
    #[inline]
    fn drop(&mut self) {
        // The claim itself is given back after this, when the field is dropped.
        if self.touched {
            self.claimed.poison_if_unwinding();
        }
    }
}

impl<T: Element + fmt::Debug, O: Os> fmt::Debug for ReadGuard<'_, T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<T: Element + fmt::Debug, O: Os> fmt::Debug for WriteGuard<'_, T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
