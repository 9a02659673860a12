//! Channels from one to one: a single handle at each end, and therefore no locks.

use std::{fmt, time::Duration};

use multiproc_core::{Element, End, FOREVER, NOW, Sole};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

use super::{
    endpoint::{Endpoint, pair},
    slot::{RecvSlot, SendSlot},
};
use crate::{
    deadline,
    error::Error,
    handle,
    message::{
        self, Format, Raw, RecvError, SendError, SendManyError, Serde, Side, recv_error, send_error,
    },
    queue::{Gets, Iter},
    readiness::Readiness,
};

/// A bounded channel of at least `capacity` bytes from one to one: the ends cannot be cloned, and there are no locks.
///
/// Everything else is as with a [`channel`](crate::channel). An end that is handed to another process is that process's: the
/// handle that was handed over gives [`SendError::Moved`] and [`RecvError::Moved`]. A
/// [closure](crate::Process::fork_closure) that is forked cannot use it: hand it over as an argument.
///
/// ```
/// # multiproc::init();
/// use multiproc::{Producer, Process, spsc};
///
/// fn count(mut numbers: Producer<u64>) {
///     for number in 1..=3 {
///         numbers.send(number).unwrap();
///     }
/// }
///
/// let (producer, mut consumer) = spsc(4096)?;
/// let child = Process::spawn(count, producer)?;
/// assert_eq!(consumer.iter().collect::<Vec<_>>(), [1, 2, 3]);
/// child.join()?;
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// # Errors
///
/// [`Error`] when the segment cannot be made.
pub fn spsc<T: Serialize + DeserializeOwned>(
    capacity: usize,
) -> Result<(Producer<T>, Consumer<T>), Error> {
    make(capacity)
}

/// A channel from one to one, as [`spsc`], that passes elements as the bytes that they are; they can be written and read
/// in their place in the ring.
///
/// ```
/// # multiproc::init();
/// let (mut producer, mut consumer) = multiproc::spsc_raw::<f64>(1 << 20)?;
///
/// let mut row = producer.reserve(1000)?; // room for as many, in the ring
/// row.fill(0.5);
/// row.send();
///
/// let row = consumer.recv_ref()?; // in the ring, until it is dropped
/// assert_eq!(row.iter().sum::<f64>(), 500.0);
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// # Errors
///
/// [`Error`] when the segment cannot be made.
pub fn spsc_raw<T: Element>(
    capacity: usize,
) -> Result<(Producer<T, Raw>, Consumer<T, Raw>), Error> {
    make(capacity)
}

fn make<T, F: Format<T>>(capacity: usize) -> Result<(Producer<T, F>, Consumer<T, F>), Error> {
    let (sender, receiver) = pair::<F::Record, Sole>(capacity)?;
    Ok((Producer(sender), Consumer(receiver)))
}

/// The sending end of a channel [from one to one](crate::spsc).
pub struct Producer<T, F: Format<T> = Serde>(Endpoint<F::Record, Sole>);

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

    /// Sends several elements as one item, which is received as a [slice](Consumer::recv_slice), or [in its
    /// place](Consumer::recv_ref).
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

/// The receiving end of a channel [from one to one](crate::spsc).
pub struct Consumer<T, F: Format<T> = Serde>(Endpoint<F::Record, Sole>);

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

macro_rules! travels {
    ($type:ident, $end:expr) => {
        impl<T, F: Format<T>> Serialize for $type<T, F> {
            /// As a handle: only within arguments, return values and messages of pipes. This handle is then of no use.
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                handle::serialize_end(&self.0, serializer)
            }
        }

        impl<'de, T, F: Format<T>> Deserialize<'de> for $type<T, F> {
            /// From a handle: only within arguments, return values and messages of pipes.
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let received = |segment, transit| Endpoint::received(segment, transit, $end);
                handle::deserialize_end(deserializer, received).map($type)
            }
        }

        impl<T, F: Format<T>> fmt::Debug for $type<T, F> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.debug(stringify!($type), f)
            }
        }
    };
}

travels!(Producer, End::Sender);
travels!(Consumer, End::Receiver);
