//! The elements of a raw array, which nobody claims.

use std::{iter, ptr::NonNull, slice};

use multiproc_core::{Element, load_racy, store_racy};

use super::RawArray;
use crate::read_only::ReadOnly;

impl<T: Element> RawArray<T> {
    /// The first element; the others lie behind it, the last dimension fastest.
    #[must_use]
    pub fn as_ptr(&self) -> NonNull<T> {
        self.first
    }

    /// The elements, in the order in which they lie in memory.
    ///
    /// # Safety
    ///
    /// As long as the slice is in use, nobody changes an element: no thread of any process, in whatever language.
    #[must_use]
    pub unsafe fn as_slice(&self) -> &[T] {
        // SAFETY: the invariant of `first`; that nobody writes is promised by the caller.
        unsafe { slice::from_raw_parts(self.first.as_ptr(), self.len) }
    }

    /// The elements, in the order in which they lie in memory, to change them.
    ///
    /// # Safety
    ///
    /// As long as the slice is in use, nobody else looks at an element or changes it: no thread of any process, in
    /// whatever language, not through a clone of this handle either.
    #[must_use]
    pub unsafe fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: the invariant of `first`; that nobody else is there is promised by the caller.
        unsafe { slice::from_raw_parts_mut(self.first.as_ptr(), self.len) }
    }

    /// The element at `index`, whoever changes it meanwhile: copied in pieces that are each whole, of the largest
    /// power of two up to 8 bytes that divides both size and alignment of `T`. `None`: there is no such element.
    ///
    /// # Safety
    ///
    /// While this runs, no Rust program changes the element but by [`store_racy`](Self::store_racy) and
    /// [`copy_from_racy`](Self::copy_from_racy) for the same `T`. Other languages may; what they write is seen as they
    /// write it, a number of up to 8 bytes usually as a whole.
    #[must_use]
    pub unsafe fn load_racy(&self, index: usize) -> Option<T> {
        let element = self.element(index)?;
        // SAFETY: an element of the mapping; the rest was promised by the caller.
        Some(unsafe { load_racy(element) })
    }

    /// Stores `value` at `index`, in pieces as [`load_racy`](Self::load_racy) has it; whether there is such an
    /// element.
    ///
    /// # Safety
    ///
    /// While this runs, no Rust program looks at the element or changes it but by the `racy` calls for the same `T`.
    pub unsafe fn store_racy(&self, index: usize, value: T) -> bool {
        let Some(element) = self.element(index) else {
            return false;
        };
        // SAFETY: an element of the mapping; the rest was promised by the caller.
        unsafe { store_racy(element, value) };
        true
    }

    /// Copies elements from the one at `start` on, each as [`load_racy`](Self::load_racy) does, until `to` is full. Copies
    /// nothing and gives `false` when there are not so many.
    ///
    /// # Safety
    ///
    /// As [`load_racy`](Self::load_racy).
    #[must_use]
    pub unsafe fn copy_to_racy(&self, start: usize, to: &mut [T]) -> bool {
        let Some(elements) = self.elements(start, to.len()) else {
            return false;
        };
        for (to, element) in iter::zip(to, elements) {
            // SAFETY: an element of the mapping; the rest was promised by the caller.
            *to = unsafe { load_racy(element) };
        }
        true
    }

    /// Copies all of `from` to the elements from the one at `start` on, each as [`store_racy`](Self::store_racy) does. Copies
    /// nothing and gives `false` when there are not so many.
    ///
    /// # Safety
    ///
    /// As [`store_racy`](Self::store_racy).
    #[must_use]
    pub unsafe fn copy_from_racy(&self, start: usize, from: &[T]) -> bool {
        let Some(elements) = self.elements(start, from.len()) else {
            return false;
        };
        for (from, element) in iter::zip(from, elements) {
            // SAFETY: an element of the mapping; the rest was promised by the caller.
            unsafe { store_racy(element, *from) };
        }
        true
    }

    fn element(&self, index: usize) -> Option<NonNull<T>> {
        self.elements(index, 1)?.next()
    }

    /// The places of `count` elements from the one at `start` on, if there are so many.
    fn elements(
        &self,
        start: usize,
        count: usize,
    ) -> Option<impl Iterator<Item = NonNull<T>> + use<'_, T>> {
        let end = start.checked_add(count)?;
        (end <= self.len).then(|| {
            (start..end).map(|index| {
                // SAFETY: `index` is less than `len` (checked above), and so many elements are there (the invariant of `first`).
                unsafe { self.first.add(index) }
            })
        })
    }
}

impl<T: Element> ReadOnly<RawArray<T>> {
    /// As [`RawArray::as_ptr`].
    #[must_use]
    pub fn as_ptr(&self) -> *const T {
        self.object().first.as_ptr()
    }

    /// As [`RawArray::as_slice`].
    ///
    /// # Safety
    ///
    /// As [`RawArray::as_slice`].
    #[must_use]
    pub unsafe fn as_slice(&self) -> &[T] {
        // SAFETY: promised by the caller.
        unsafe { self.object().as_slice() }
    }

    /// As [`RawArray::load_racy`].
    ///
    /// # Safety
    ///
    /// As [`RawArray::load_racy`].
    #[must_use]
    pub unsafe fn load_racy(&self, index: usize) -> Option<T> {
        // SAFETY: promised by the caller.
        unsafe { self.object().load_racy(index) }
    }

    /// As [`RawArray::copy_to_racy`].
    ///
    /// # Safety
    ///
    /// As [`RawArray::copy_to_racy`].
    #[must_use]
    pub unsafe fn copy_to_racy(&self, start: usize, to: &mut [T]) -> bool {
        // SAFETY: promised by the caller.
        unsafe { self.object().copy_to_racy(start, to) }
    }
}
