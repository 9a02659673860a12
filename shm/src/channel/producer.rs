//! The end of a channel from one to one where items are put.

use std::time::Duration;

use multiproc_core::{Element, FOREVER, NOW, Sole};

use super::{endpoint::Endpoint, slot::SendSlot};
use crate::{
    deadline,
    message::{self, Format, Raw, SendError, SendManyError, Serde, Side, send_error},
};

/// The sending end of a channel [from one to one](crate::spsc).
pub struct Producer<T, F: Format<T> = Serde>(pub(super) Endpoint<F::Record, Sole>);

impl<T, F: Format<T>> Producer<T, F> {
    #[inline]
    fn send_until(&mut self, item: T, until: u64) -> Result<(), SendError<T>> {
        match self.0.to_send(until) {
            Ok(ring) => message::put::<T, F, _>(&ring, item, until),
            Err(why) => Err(why.around(item)),
        }
    }

    /// Sends an item, waiting for room.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the item inside, when the receiver is gone, or the item cannot be encoded or is too large.
    #[inline]
    pub fn send(&mut self, item: T) -> Result<(), SendError<T>> {
        self.send_until(item, FOREVER)
    }

    /// Sends an item if there is room now. Never waits.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`SendError::Full`].
    #[inline]
    pub fn try_send(&mut self, item: T) -> Result<(), SendError<T>> {
        self.send_until(item, NOW)
    }

    /// Sends an item, waiting for room no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`SendError::Timeout`].
    pub fn send_timeout(&mut self, item: T, timeout: Duration) -> Result<(), SendError<T>> {
        self.send_until(item, deadline::after(timeout))
    }

    /// Sends items, many at once, waiting for room; how many.
    ///
    /// # Errors
    ///
    /// [`SendManyError`], with the items that were not sent inside, and why the first of them was not.
    pub fn send_many<I: IntoIterator<Item = T>>(
        &mut self,
        items: I,
    ) -> Result<usize, SendManyError<T, I::IntoIter>> {
        self.send_many_until(items, FOREVER)
    }

    /// Sends as many items as there is room for now.
    ///
    /// # Errors
    ///
    /// As [`send_many`](Self::send_many).
    pub fn try_send_many<I: IntoIterator<Item = T>>(
        &mut self,
        items: I,
    ) -> Result<usize, SendManyError<T, I::IntoIter>> {
        self.send_many_until(items, NOW)
    }

    /// As [`send_many`](Self::send_many), but waits no longer than `timeout` in all.
    ///
    /// # Errors
    ///
    /// As [`send_many`](Self::send_many).
    pub fn send_many_timeout<I: IntoIterator<Item = T>>(
        &mut self,
        items: I,
        timeout: Duration,
    ) -> Result<usize, SendManyError<T, I::IntoIter>> {
        self.send_many_until(items, deadline::after(timeout))
    }

    fn send_many_until<I: IntoIterator<Item = T>>(
        &mut self,
        items: I,
        until: u64,
    ) -> Result<usize, SendManyError<T, I::IntoIter>> {
        let items = items.into_iter();
        match self.0.to_send(until) {
            Ok(ring) => message::put_many::<T, F, _, _>(&ring, items, until),
            Err(why) => Err(SendManyError::none(why, items)),
        }
    }

    /// Whether the receiver is gone. It asks at most ten times a second whether it lives.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        self.0.is_disconnected()
    }

    /// How many items are in the channel, exactly, at this moment.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.view().len()
    }

    /// Whether no item is in the channel at this moment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.view().is_empty()
    }

    /// Whether an item of one to eight bytes would find no room at this moment. A longer one may find none although this is
    /// false: see [`has_room_for`](Self::has_room_for).
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.view().is_full_for(8)
    }

    /// Whether an item of `len` bytes would find room at this moment.
    #[must_use]
    pub fn has_room_for(&self, len: usize) -> bool {
        !self.0.view().is_full_for(len)
    }

    /// How many bytes of items the channel holds, with 8 more for each.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.view().capacity()
    }

    /// How many bytes the longest item may take.
    #[must_use]
    pub fn max_len(&self) -> usize {
        self.0.view().max_len()
    }
}

impl<T: Element> Producer<T, Raw> {
    fn send_slice_until(&mut self, elements: &[T], until: u64) -> Result<(), SendError<()>> {
        match self.0.to_send(until) {
            Ok(ring) => message::put_slice(&ring, elements, until),
            Err(why) => Err(why.around(())),
        }
    }

    /// Sends several elements as one item, which is received as a [slice](crate::Consumer::recv_slice), or [in its
    /// place](crate::Consumer::recv_ref).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    #[inline]
    pub fn send_slice(&mut self, elements: &[T]) -> Result<(), SendError<()>> {
        self.send_slice_until(elements, FOREVER)
    }

    /// Sends several elements as one item if there is room now.
    ///
    /// # Errors
    ///
    /// As [`try_send`](Self::try_send).
    #[inline]
    pub fn try_send_slice(&mut self, elements: &[T]) -> Result<(), SendError<()>> {
        self.send_slice_until(elements, NOW)
    }

    /// Sends several elements as one item, waiting for room no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`send_timeout`](Self::send_timeout).
    pub fn send_slice_timeout(
        &mut self,
        elements: &[T],
        timeout: Duration,
    ) -> Result<(), SendError<()>> {
        self.send_slice_until(elements, deadline::after(timeout))
    }

    fn reserve_until(&mut self, len: usize, until: u64) -> Result<SendSlot<'_, T>, SendError<()>> {
        let using = self.0.to_send(until).map_err(|why| why.around(()))?;
        let bytes = len.saturating_mul(size_of::<T>());
        // SAFETY: this is the only handle, borrowed as long as the slot, and used by nobody else: there is
        // never a second one (invariant 3 of `endpoint`).
        let slot = unsafe { using.view().reserve(bytes, until, using.in_transit()) };
        match slot {
            Ok(slot) => Ok(SendSlot::new(slot)),
            Err(why) => {
                let most = using.view().max_len();
                Err(send_error(why, Side::Channel, bytes, most).around(()))
            }
        }
    }

    /// Makes room in the ring for an item of `len` elements, waiting for it; it is filled in place and then sent.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    #[inline]
    pub fn reserve(&mut self, len: usize) -> Result<SendSlot<'_, T>, SendError<()>> {
        self.reserve_until(len, FOREVER)
    }

    /// Makes room in the ring for an item of `len` elements, if there is room now.
    ///
    /// # Errors
    ///
    /// As [`try_send`](Self::try_send).
    #[inline]
    pub fn try_reserve(&mut self, len: usize) -> Result<SendSlot<'_, T>, SendError<()>> {
        self.reserve_until(len, NOW)
    }

    /// Makes room in the ring for an item of `len` elements, waiting for it no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`send_timeout`](Self::send_timeout).
    pub fn reserve_timeout(
        &mut self,
        len: usize,
        timeout: Duration,
    ) -> Result<SendSlot<'_, T>, SendError<()>> {
        self.reserve_until(len, deadline::after(timeout))
    }
}
