//! The end of a channel where items are put.

use std::{fmt, time::Duration};

use multiproc_core::{Element, End, FOREVER, Locked, NOW};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Endpoint;
use crate::{
    deadline, handle,
    message::{self, Format, Raw, SendError, SendManyError, Serde},
};

/// The sending end of a [`channel`](crate::channel).
///
/// Cloning makes another one. It travels to other processes inside arguments, return values and pipes.
pub struct Sender<T, F: Format<T> = Serde>(Endpoint<F::Record, Locked>);

impl<T, F: Format<T>> Sender<T, F> {
    pub(super) fn new(end: Endpoint<F::Record, Locked>) -> Sender<T, F> {
        Sender(end)
    }

    fn send_until(&self, item: T, until: u64) -> Result<(), SendError<T>> {
        match self.0.to_send(until) {
            Ok(ring) => message::put::<T, F, _>(&ring, item, until),
            Err(why) => Err(why.around(item)),
        }
    }

    /// Sends an item, waiting for room.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the item inside, when no receiver is left, or the item cannot be encoded or is too large, or 93
    /// other processes are at this end.
    #[inline]
    pub fn send(&self, item: T) -> Result<(), SendError<T>> {
        self.send_until(item, FOREVER)
    }

    /// Sends an item if there is room now.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`SendError::Full`]: that is also said, after 10 ms, when a process that is stopped in the
    /// middle of sending has the lock.
    #[inline]
    pub fn try_send(&self, item: T) -> Result<(), SendError<T>> {
        self.send_until(item, NOW)
    }

    /// Sends an item, waiting for room no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`SendError::Timeout`].
    pub fn send_timeout(&self, item: T, timeout: Duration) -> Result<(), SendError<T>> {
        self.send_until(item, deadline::after(timeout))
    }

    fn send_many_until<I: IntoIterator<Item = T>>(
        &self,
        items: I,
        until: u64,
    ) -> Result<usize, SendManyError<T, I::IntoIter>> {
        let items = items.into_iter();
        match self.0.to_send(until) {
            Ok(ring) => message::put_many::<T, F, _, _>(&ring, items, until),
            Err(why) => Err(SendManyError::none(why, items)),
        }
    }

    /// Sends items, many at once, waiting for room; how many. Those of others may come between them.
    ///
    /// # Errors
    ///
    /// [`SendManyError`], with the items that were not sent inside, and why the first of them was not.
    pub fn send_many<I: IntoIterator<Item = T>>(
        &self,
        items: I,
    ) -> Result<usize, SendManyError<T, I::IntoIter>> {
        self.send_many_until(items, FOREVER)
    }

    /// Sends as many items as there is room for now.
    ///
    /// # Errors
    ///
    /// As [`send_many`](Self::send_many), and [`SendError::Full`] as by [`try_send`](Self::try_send).
    pub fn try_send_many<I: IntoIterator<Item = T>>(
        &self,
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
        &self,
        items: I,
        timeout: Duration,
    ) -> Result<usize, SendManyError<T, I::IntoIter>> {
        self.send_many_until(items, deadline::after(timeout))
    }

    /// Whether no receiver is left. It asks at most ten times a second whether those that are there live.
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

impl<T: Element> Sender<T, Raw> {
    fn send_slice_until(&self, elements: &[T], until: u64) -> Result<(), SendError<()>> {
        match self.0.to_send(until) {
            Ok(ring) => message::put_slice(&ring, elements, until),
            Err(why) => Err(why.around(())),
        }
    }

    /// Sends several elements as one item, which is received as a [slice](crate::Receiver::recv_slice).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    #[inline]
    pub fn send_slice(&self, elements: &[T]) -> Result<(), SendError<()>> {
        self.send_slice_until(elements, FOREVER)
    }

    /// Sends several elements as one item if there is room now.
    ///
    /// # Errors
    ///
    /// As [`try_send`](Self::try_send).
    #[inline]
    pub fn try_send_slice(&self, elements: &[T]) -> Result<(), SendError<()>> {
        self.send_slice_until(elements, NOW)
    }

    /// Sends several elements as one item, waiting for room no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`send_timeout`](Self::send_timeout).
    pub fn send_slice_timeout(
        &self,
        elements: &[T],
        timeout: Duration,
    ) -> Result<(), SendError<()>> {
        self.send_slice_until(elements, deadline::after(timeout))
    }
}

impl<T, F: Format<T>> Clone for Sender<T, F> {
    /// Another handle of this end.
    fn clone(&self) -> Sender<T, F> {
        Sender(self.0.clone())
    }
}

impl<T, F: Format<T>> Serialize for Sender<T, F> {
    /// As a handle: only within arguments, return values and messages of pipes.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        handle::serialize_end(&self.0, serializer)
    }
}

impl<'de, T, F: Format<T>> Deserialize<'de> for Sender<T, F> {
    /// From a handle: only within arguments, return values and messages of pipes.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let received = |segment, transit| Endpoint::received(segment, transit, End::Sender);
        handle::deserialize_end(deserializer, received).map(Sender)
    }
}

impl<T, F: Format<T>> fmt::Debug for Sender<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.debug("Sender", f)
    }
}
