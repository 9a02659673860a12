//! The end of a channel where items are taken.

use std::{fmt, time::Duration};

use multiproc_core::{Element, End, FOREVER, Locked, NOW};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Endpoint;
use crate::{
    deadline,
    error::Error,
    handle,
    message::{self, Format, Raw, RecvError, Serde},
    queue::{Gets, Iter},
    readiness::Readiness,
};

/// The receiving end of a [`channel`](crate::channel).
///
/// Cloning makes another one; each item goes to one of them. It travels to other processes inside arguments, return
/// values and pipes.
pub struct Receiver<T, F: Format<T> = Serde>(Endpoint<F::Record, Locked>);

impl<T, F: Format<T>> Receiver<T, F> {
    pub(super) fn new(end: Endpoint<F::Record, Locked>) -> Receiver<T, F> {
        Receiver(end)
    }

    #[inline]
    fn recv_until(&self, until: u64) -> Result<T, RecvError> {
        message::get::<T, F, _>(&self.0.to_receive(until)?, until)
    }

    /// Takes an item, waiting for one.
    ///
    /// # Errors
    ///
    /// [`RecvError::Disconnected`] when there is none and no sender is left; [`RecvError::Decode`] when what was sent is no
    /// `T`; [`RecvError::TooManyProcesses`] when 93 others are at this end.
    #[inline]
    pub fn recv(&self) -> Result<T, RecvError> {
        self.recv_until(FOREVER)
    }

    /// Takes an item if there is one now.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and [`RecvError::Empty`]: that is also said, after 10 ms, when a process that is stopped in
    /// the middle of receiving has the lock.
    #[inline]
    pub fn try_recv(&self) -> Result<T, RecvError> {
        self.recv_until(NOW)
    }

    /// Takes an item, waiting for one no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and [`RecvError::Timeout`].
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvError> {
        self.recv_until(deadline::after(timeout))
    }

    /// Takes all items that are there, up to `most`, waiting for one; appends them to `items` and says how many. A process
    /// that is killed meanwhile takes up to `most` items along.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv). Of several that are taken at once and of which one cannot be decoded, the others are in
    /// `items`.
    pub fn recv_many(&self, items: &mut Vec<T>, most: usize) -> Result<usize, RecvError> {
        message::get_many::<T, F, _>(&self.0.to_receive(FOREVER)?, items, FOREVER, most)
    }

    /// As [`recv_many`](Self::recv_many), of what is there now.
    ///
    /// # Errors
    ///
    /// As [`recv_many`](Self::recv_many), and [`RecvError::Empty`] as by [`try_recv`](Self::try_recv).
    pub fn try_recv_many(&self, items: &mut Vec<T>, most: usize) -> Result<usize, RecvError> {
        message::get_many::<T, F, _>(&self.0.to_receive(NOW)?, items, NOW, most)
    }

    /// As [`recv_many`](Self::recv_many), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`recv_many`](Self::recv_many), and [`RecvError::Timeout`].
    pub fn recv_many_timeout(
        &self,
        items: &mut Vec<T>,
        most: usize,
        timeout: Duration,
    ) -> Result<usize, RecvError> {
        let until = deadline::after(timeout);
        message::get_many::<T, F, _>(&self.0.to_receive(until)?, items, until, most)
    }

    /// Takes items, waiting for each, until no sender is left and all were taken. An item that cannot be decoded ends it: see
    /// [`Iter::error`].
    pub fn iter(&self) -> Iter<&Self> {
        Iter::waiting(self)
    }

    /// Takes the items that are there, without waiting. An item that cannot be decoded ends it: see [`Iter::error`].
    pub fn try_iter(&self) -> Iter<&Self> {
        Iter::not_waiting(self)
    }

    /// Whether no sender is left; there may still be items. It asks at most ten times a second whether those that are there
    /// live.
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

    /// A descriptor that is readable while there is something to receive, or nobody is left to send: for
    /// [`wait`](crate::wait) and for the event loops of async runtimes.
    ///
    /// # Errors
    ///
    /// [`Error`] when the system refuses.
    pub fn readiness(&self) -> Result<Readiness, Error> {
        Readiness::of(self.0.channel().clone())
    }
}

impl<T: Element> Receiver<T, Raw> {
    /// Takes the next item, of however many elements, and appends them to `elements`; how many there were.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    #[inline]
    pub fn recv_slice(&self, elements: &mut Vec<T>) -> Result<usize, RecvError> {
        message::get_slice(&self.0.to_receive(FOREVER)?, elements, FOREVER)
    }

    /// As [`recv_slice`](Self::recv_slice), if there is an item now.
    ///
    /// # Errors
    ///
    /// As [`try_recv`](Self::try_recv).
    #[inline]
    pub fn try_recv_slice(&self, elements: &mut Vec<T>) -> Result<usize, RecvError> {
        message::get_slice(&self.0.to_receive(NOW)?, elements, NOW)
    }

    /// As [`recv_slice`](Self::recv_slice), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`recv_timeout`](Self::recv_timeout).
    pub fn recv_slice_timeout(
        &self,
        elements: &mut Vec<T>,
        timeout: Duration,
    ) -> Result<usize, RecvError> {
        let until = deadline::after(timeout);
        message::get_slice(&self.0.to_receive(until)?, elements, until)
    }
}

impl<T, F: Format<T>> Gets for &Receiver<T, F> {
    type Item = T;

    #[inline]
    fn next(&mut self, wait: bool) -> Result<T, RecvError> {
        self.recv_until(if wait { FOREVER } else { NOW })
    }
}

impl<T, F: Format<T>> Gets for Receiver<T, F> {
    type Item = T;

    #[inline]
    fn next(&mut self, wait: bool) -> Result<T, RecvError> {
        (&mut &*self).next(wait)
    }
}

impl<'a, T, F: Format<T>> IntoIterator for &'a Receiver<T, F> {
    type Item = T;
    type IntoIter = Iter<&'a Receiver<T, F>>;

    fn into_iter(self) -> Iter<&'a Receiver<T, F>> {
        self.iter()
    }
}

impl<T, F: Format<T>> IntoIterator for Receiver<T, F> {
    type Item = T;
    type IntoIter = Iter<Receiver<T, F>>;

    /// As [`iter`](Receiver::iter), with the receiver inside.
    fn into_iter(self) -> Iter<Receiver<T, F>> {
        Iter::waiting(self)
    }
}

impl<T, F: Format<T>> Clone for Receiver<T, F> {
    /// Another handle of this end.
    fn clone(&self) -> Receiver<T, F> {
        Receiver(self.0.clone())
    }
}

impl<T, F: Format<T>> Serialize for Receiver<T, F> {
    /// As a handle: only within arguments, return values and messages of pipes.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        handle::serialize_end(&self.0, serializer)
    }
}

impl<'de, T, F: Format<T>> Deserialize<'de> for Receiver<T, F> {
    /// From a handle: only within arguments, return values and messages of pipes.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let received = |segment, transit| Endpoint::received(segment, transit, End::Receiver);
        handle::deserialize_end(deserializer, received).map(Receiver)
    }
}

impl<T, F: Format<T>> fmt::Debug for Receiver<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.debug("Receiver", f)
    }
}
