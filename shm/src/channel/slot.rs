//! Elements in their place in the ring of a channel from one to one.

use std::{
    fmt,
    marker::PhantomData,
    ops::{Deref, DerefMut},
};

use multiproc_core::{self as core_, Element};

use crate::{
    message::{RecvError, not_whole},
    sys::Linux,
};

/// Room for elements in the ring itself, filled in place and then [sent](Self::send); made by
/// [`Producer::reserve`](crate::Producer::reserve). Dropped, it sends nothing.
///
/// The elements are at first what happens to lie there.
#[must_use = "what it holds is sent by `send`"]
pub struct SendSlot<'a, T> {
    slot: core_::SendSlot<'a, 'static, Linux>,
    _elements: PhantomData<&'a mut [T]>,
}

impl<'a, T: Element> SendSlot<'a, T> {
    pub(super) fn new(slot: core_::SendSlot<'a, 'static, Linux>) -> SendSlot<'a, T> {
        const { assert_fits::<T>() };
        SendSlot {
            slot,
            _elements: PhantomData,
        }
    }

    /// Sends the elements, as they are now.
    #[inline]
    pub fn send(self) {
        self.slot.send();
    }
}

/// Records begin at multiples of eight bytes.
const fn assert_fits<T: Element>() {
    assert!(
        size_of::<T>() > 0,
        "there is no place for elements of no bytes"
    );
    assert!(
        align_of::<T>() <= 8,
        "elements that need more than 8 bytes of alignment cannot be used in their place in a ring"
    );
}

impl<T: Element> Deref for SendSlot<'_, T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        bytemuck::cast_slice(&self.slot)
    }
}

impl<T: Element> DerefMut for SendSlot<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(&mut self.slot)
    }
}

impl<T: Element + fmt::Debug> fmt::Debug for SendSlot<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SendSlot").field(&&**self).finish()
    }
}

/// An item that is still in its place in the ring; made by [`Consumer::recv_ref`](crate::Consumer::recv_ref). Dropping it
/// takes the item.
#[must_use = "dropping it takes the item"]
pub struct RecvSlot<'a, T> {
    slot: core_::RecvSlot<'a, 'static, Linux>,
    _elements: PhantomData<&'a [T]>,
}

impl<'a, T: Element> RecvSlot<'a, T> {
    pub(super) fn new(
        slot: core_::RecvSlot<'a, 'static, Linux>,
    ) -> Result<RecvSlot<'a, T>, RecvError> {
        const { assert_fits::<T>() };
        if !slot.len().is_multiple_of(size_of::<T>()) {
            return Err(not_whole::<T>(slot.len()));
        }
        Ok(RecvSlot {
            slot,
            _elements: PhantomData,
        })
    }

    /// Leaves the item where it is: it is the next one again.
    pub fn put_back(self) {
        self.slot.put_back();
    }
}

impl<T: Element> Deref for RecvSlot<'_, T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        bytemuck::cast_slice(&self.slot)
    }
}

impl<T: Element + fmt::Debug> fmt::Debug for RecvSlot<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RecvSlot").field(&&**self).finish()
    }
}
