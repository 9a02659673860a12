//! The end of a channel from one to one where items are taken.

use std::time::Duration;

use multiproc_core::{Element, FOREVER, NOW, Sole};

use super::{endpoint::Endpoint, slot::RecvSlot};
use crate::{
    deadline,
    error::Error,
    message::{self, Format, Raw, RecvError, Serde, Side, recv_error},
    queue::{Gets, Iter},
    readiness::Readiness,
};

/// The receiving end of a channel [from one to one](crate::spsc).
pub struct Consumer<T, F: Format<T> = Serde>(pub(super) Endpoint<F::Record, Sole>);

impl<T, F: Format<T>> Consumer<T, F> {
    #[inline]
    fn recv_until(&mut self, until: u64) -> Result<T, RecvError> {
        message::get::<T, F, _>(&self.0.to_receive(until)?, until)
    }

    /// Takes an item, waiting for one.
    ///
    /// # Errors
    ///
    /// [`RecvError::Disconnected`] when there is none and the sender is gone; [`RecvError::Decode`] when what was sent is no
    /// `T`.
    #[inline]
    pub fn recv(&mut self) -> Result<T, RecvError> {
        self.recv_until(FOREVER)
    }

    /// Takes an item if there is one now. Never waits.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and [`RecvError::Empty`].
    #[inline]
    pub fn try_recv(&mut self) -> Result<T, RecvError> {
        self.recv_until(NOW)
    }

    /// Takes an item, waiting for one no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and [`RecvError::Timeout`].
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<T, RecvError> {
        self.recv_until(deadline::after(timeout))
    }

    /// Takes all items that are there, up to `most`, waiting for one; appends them to `items` and says how many. A process
    /// that is killed meanwhile takes up to `most` items along.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv). Of several that are taken at once and of which one cannot be decoded, the others are in
    /// `items`.
    pub fn recv_many(&mut self, items: &mut Vec<T>, most: usize) -> Result<usize, RecvError> {
        message::get_many::<T, F, _>(&self.0.to_receive(FOREVER)?, items, FOREVER, most)
    }

    /// As [`recv_many`](Self::recv_many), of what is there now.
    ///
    /// # Errors
    ///
    /// As [`recv_many`](Self::recv_many), and [`RecvError::Empty`].
    pub fn try_recv_many(&mut self, items: &mut Vec<T>, most: usize) -> Result<usize, RecvError> {
        message::get_many::<T, F, _>(&self.0.to_receive(NOW)?, items, NOW, most)
    }

    /// As [`recv_many`](Self::recv_many), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`recv_many`](Self::recv_many), and [`RecvError::Timeout`].
    pub fn recv_many_timeout(
        &mut self,
        items: &mut Vec<T>,
        most: usize,
        timeout: Duration,
    ) -> Result<usize, RecvError> {
        let until = deadline::after(timeout);
        message::get_many::<T, F, _>(&self.0.to_receive(until)?, items, until, most)
    }

    /// Takes items, waiting for each, until the sender is gone and all were taken. An item that cannot be decoded ends it:
    /// see [`Iter::error`].
    pub fn iter(&mut self) -> Iter<&mut Self> {
        Iter::waiting(self)
    }

    /// Takes the items that are there, without waiting. An item that cannot be decoded ends it: see [`Iter::error`].
    pub fn try_iter(&mut self) -> Iter<&mut Self> {
        Iter::not_waiting(self)
    }

    /// Whether the sender is gone; there may still be items. It asks at most ten times a second whether it lives.
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

    /// A descriptor that is readable while there is something to receive, or the sender is gone: for
    /// [`wait`](crate::wait) and for the event loops of async runtimes.
    ///
    /// # Errors
    ///
    /// [`Error`] when the system refuses.
    pub fn readiness(&self) -> Result<Readiness, Error> {
        Readiness::of(self.0.channel().clone())
    }
}

impl<T: Element> Consumer<T, Raw> {
    /// Takes the next item, of however many elements, and appends them to `elements`; how many there were.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    #[inline]
    pub fn recv_slice(&mut self, elements: &mut Vec<T>) -> Result<usize, RecvError> {
        self.recv_slice_until(elements, FOREVER)
    }

    /// As [`recv_slice`](Self::recv_slice), if there is an item now.
    ///
    /// # Errors
    ///
    /// As [`try_recv`](Self::try_recv).
    #[inline]
    pub fn try_recv_slice(&mut self, elements: &mut Vec<T>) -> Result<usize, RecvError> {
        self.recv_slice_until(elements, NOW)
    }

    /// As [`recv_slice`](Self::recv_slice), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`recv_timeout`](Self::recv_timeout).
    pub fn recv_slice_timeout(
        &mut self,
        elements: &mut Vec<T>,
        timeout: Duration,
    ) -> Result<usize, RecvError> {
        self.recv_slice_until(elements, deadline::after(timeout))
    }

    #[inline]
    fn recv_slice_until(&mut self, elements: &mut Vec<T>, until: u64) -> Result<usize, RecvError> {
        message::get_slice(&self.0.to_receive(until)?, elements, until)
    }

    fn recv_ref_until(&mut self, until: u64) -> Result<RecvSlot<'_, T>, RecvError> {
        let using = self.0.to_receive(until)?;
        // SAFETY: this is the only handle, borrowed as long as the slot, and used by nobody else: there is
        // never a second one (invariant 3 of `endpoint`).
        let slot = unsafe { using.view().next(until, using.in_transit()) };
        RecvSlot::new(slot.map_err(|why| recv_error(why, Side::Channel))?)
    }

    /// The next item, of however many elements, in its place in the ring, waiting for one. Dropping it takes it.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    #[inline]
    pub fn recv_ref(&mut self) -> Result<RecvSlot<'_, T>, RecvError> {
        self.recv_ref_until(FOREVER)
    }

    /// The next item in its place in the ring, if there is one now.
    ///
    /// # Errors
    ///
    /// As [`try_recv`](Self::try_recv).
    #[inline]
    pub fn try_recv_ref(&mut self) -> Result<RecvSlot<'_, T>, RecvError> {
        self.recv_ref_until(NOW)
    }

    /// The next item in its place in the ring, waiting for one no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`recv_timeout`](Self::recv_timeout).
    pub fn recv_ref_timeout(&mut self, timeout: Duration) -> Result<RecvSlot<'_, T>, RecvError> {
        self.recv_ref_until(deadline::after(timeout))
    }
}

impl<T, F: Format<T>> Gets for Consumer<T, F> {
    type Item = T;

    #[inline]
    fn next(&mut self, wait: bool) -> Result<T, RecvError> {
        self.recv_until(if wait { FOREVER } else { NOW })
    }
}

impl<T, F: Format<T>> Gets for &mut Consumer<T, F> {
    type Item = T;

    #[inline]
    fn next(&mut self, wait: bool) -> Result<T, RecvError> {
        (**self).next(wait)
    }
}

impl<'a, T, F: Format<T>> IntoIterator for &'a mut Consumer<T, F> {
    type Item = T;
    type IntoIter = Iter<&'a mut Consumer<T, F>>;

    fn into_iter(self) -> Iter<&'a mut Consumer<T, F>> {
        self.iter()
    }
}

impl<T, F: Format<T>> IntoIterator for Consumer<T, F> {
    type Item = T;
    type IntoIter = Iter<Consumer<T, F>>;

    /// As [`iter`](Consumer::iter), with the consumer inside.
    fn into_iter(self) -> Iter<Consumer<T, F>> {
        Iter::waiting(self)
    }
}
