//! `Queue<T>` in a segment.

use std::{fmt, time::Duration};

use multiproc_core::{ByteRing, FOREVER, NOW};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    iter::{Gets, Iter},
    ring::Inner,
};
use crate::{
    deadline,
    error::Error,
    mapped::{Mapped, shared_object},
    message::{self, Format, RecvError, SendError, SendManyError, Serde},
    readiness::Readiness,
    segment::{Access, Create, Open},
    sys::Linux,
};

/// A bounded queue between any number of processes and threads, first in, first out over all of them. Each handle can
/// put and get.
///
/// When [`put`](Self::put) returns, the item is in the queue, for everybody to see: no thread or process is needed to bring
/// it there, and it outlives whoever put it. What cannot be encoded is an error of `put`.
///
/// A process that is killed while it puts has put the item, whole, or not at all. One that is killed while it gets leaves
/// the item to another, or has taken it along. Nobody else waits longer than a fifth of a second for either.
///
/// ```
/// # multiproc::init();
/// use multiproc::{Process, Queue};
///
/// fn square((numbers, squares): (Queue<u64>, Queue<u64>)) {
///     for number in &numbers {
///         squares.put(number * number).unwrap();
///     }
/// }
///
/// let (numbers, squares) = (Queue::new(1024)?, Queue::new(1024)?);
/// let child = Process::spawn(square, (numbers.clone(), squares.clone()))?;
/// numbers.put_many(1..=3)?;
/// numbers.close()?;
/// child.join()?;
/// squares.close()?;
/// assert_eq!(squares.iter().collect::<Vec<_>>(), [1, 4, 9]);
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// A queue does not know who uses it: whoever waits for an item does not find out that nobody is left to put one. It is
/// [closed](Self::close) for that, or [`channel`](crate::channel) is used instead.
///
/// # Form and cost
///
/// Items are of any serde type, encoded by postcard. A queue made by [`raw`](Queue::raw), a `Queue<T, Raw>`, passes
/// [`Element`](crate::Element)s as the bytes that they are, without encoding.
///
/// The capacity is in bytes, since items may be of any length: each takes its own bytes and 8 more, rounded up to 8. At
/// most 4 GiB; an item at most half of the queue, and [`SendError::TooLarge`] says what capacity would do. For elements
/// [`capacity_for`](crate::capacity_for) tells it. The memory is made when the queue is: a power of two of bytes, and 1 KiB.
///
/// Items cannot contain shared objects, ends or descriptors: those travel through a [`Pipe`](crate::Pipe), in arguments and
/// return values.
///
/// To put or get takes a lock, of its own for each side; `cargo bench` prints how long that takes. Nobody is woken, and no system call made,
/// unless somebody sleeps. Who waits looks for some microseconds, where that has been of use, and then sleeps.
pub struct Queue<T, F: Format<T> = Serde>(pub(super) Mapped<Inner<F::Record>>);

shared_object!(Queue<T, F: Format<T>>);

impl<T: Serialize + DeserializeOwned> Queue<T> {
    /// A queue of at least `capacity` bytes, in an anonymous segment.
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn new(capacity: usize) -> Result<Queue<T>, Error> {
        Queue::create(Create::anonymous(), capacity)
    }

    /// A queue of at least `capacity` bytes, where `create` says.
    ///
    /// A name goes with its maker, unless [`Create::persist`] says that it stays.
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn create(create: impl Into<Create>, capacity: usize) -> Result<Queue<T>, Error> {
        Queue::place(create.into(), capacity)
    }

    /// The queue that somebody made there.
    ///
    /// The header does not say of what type the items are. Opened with another type they may be refused one by one, or come
    /// out as wrong values: share the type, or use [`open_raw`](Queue::open_raw), whose header names it.
    ///
    /// # Errors
    ///
    /// [`Error`] when there is none.
    pub fn open(open: impl Into<Open>) -> Result<Queue<T>, Error> {
        Mapped::open(open.into(), Access::ReadWrite).map(Queue)
    }
}

impl<T, F: Format<T>> Queue<T, F> {
    pub(super) fn place(create: Create, capacity: usize) -> Result<Queue<T, F>, Error> {
        let len = Inner::<F::Record>::required_len(capacity)?;
        Mapped::create(create, len, |region, origin| {
            // SAFETY: a new segment, which nobody else sees yet.
            unsafe { ByteRing::<F::Record, Linux>::place(region, Linux, origin, capacity) }
                .map(drop)
        })
        .map(Queue)
    }

    /// Puts an item, waiting for room.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the item inside, when the queue is closed, or the item cannot be encoded or is too large.
    #[inline]
    pub fn put(&self, item: T) -> Result<(), SendError<T>> {
        message::put::<T, F, _>(self.0.view(), item, FOREVER)
    }

    /// Puts an item if there is room now.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put), and [`SendError::Full`]: that is also said, after 10 ms, when a process that is stopped in the
    /// middle of putting has the lock.
    #[inline]
    pub fn try_put(&self, item: T) -> Result<(), SendError<T>> {
        message::put::<T, F, _>(self.0.view(), item, NOW)
    }

    /// Puts an item, waiting for room no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put), and [`SendError::Timeout`].
    pub fn put_timeout(&self, item: T, timeout: Duration) -> Result<(), SendError<T>> {
        message::put::<T, F, _>(self.0.view(), item, deadline::after(timeout))
    }

    /// Puts items, many at once, waiting for room; how many. Those of others may come between them.
    ///
    /// # Errors
    ///
    /// [`SendManyError`], with the items that were not put inside, and why the first of them was not.
    pub fn put_many<I: IntoIterator<Item = T>>(
        &self,
        items: I,
    ) -> Result<usize, SendManyError<T, I::IntoIter>> {
        message::put_many::<T, F, _, _>(self.0.view(), items.into_iter(), FOREVER)
    }

    /// Puts as many items as there is room for now.
    ///
    /// # Errors
    ///
    /// As [`put_many`](Self::put_many), and [`SendError::Full`] as by [`try_put`](Self::try_put).
    pub fn try_put_many<I: IntoIterator<Item = T>>(
        &self,
        items: I,
    ) -> Result<usize, SendManyError<T, I::IntoIter>> {
        message::put_many::<T, F, _, _>(self.0.view(), items.into_iter(), NOW)
    }

    /// As [`put_many`](Self::put_many), but waits no longer than `timeout` in all.
    ///
    /// # Errors
    ///
    /// As [`put_many`](Self::put_many).
    pub fn put_many_timeout<I: IntoIterator<Item = T>>(
        &self,
        items: I,
        timeout: Duration,
    ) -> Result<usize, SendManyError<T, I::IntoIter>> {
        let until = deadline::after(timeout);
        message::put_many::<T, F, _, _>(self.0.view(), items.into_iter(), until)
    }

    /// Takes an item, waiting for one.
    ///
    /// # Errors
    ///
    /// [`RecvError::Closed`] when the queue is closed and empty; [`RecvError::Decode`] when what was put is no `T`.
    #[inline]
    pub fn get(&self) -> Result<T, RecvError> {
        message::get::<T, F, _>(self.0.view(), FOREVER)
    }

    /// Takes an item if there is one now.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and [`RecvError::Empty`]: that is also said, after 10 ms, when a process that is stopped in the
    /// middle of getting has the lock.
    #[inline]
    pub fn try_get(&self) -> Result<T, RecvError> {
        message::get::<T, F, _>(self.0.view(), NOW)
    }

    /// Takes an item, waiting for one no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and [`RecvError::Timeout`].
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, RecvError> {
        message::get::<T, F, _>(self.0.view(), deadline::after(timeout))
    }

    /// Takes all items that are there, up to `most`, waiting for one; appends them to `items` and says how many. A process
    /// that is killed meanwhile takes up to `most` items along.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get). Of several that are taken at once and of which one cannot be decoded, the others are in
    /// `items`.
    pub fn get_many(&self, items: &mut Vec<T>, most: usize) -> Result<usize, RecvError> {
        message::get_many::<T, F, _>(self.0.view(), items, FOREVER, most)
    }

    /// As [`get_many`](Self::get_many), of what is there now.
    ///
    /// # Errors
    ///
    /// As [`get_many`](Self::get_many), and [`RecvError::Empty`] as by [`try_get`](Self::try_get).
    pub fn try_get_many(&self, items: &mut Vec<T>, most: usize) -> Result<usize, RecvError> {
        message::get_many::<T, F, _>(self.0.view(), items, NOW, most)
    }

    /// As [`get_many`](Self::get_many), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`get_many`](Self::get_many), and [`RecvError::Timeout`].
    pub fn get_many_timeout(
        &self,
        items: &mut Vec<T>,
        most: usize,
        timeout: Duration,
    ) -> Result<usize, RecvError> {
        message::get_many::<T, F, _>(self.0.view(), items, deadline::after(timeout), most)
    }

    /// Takes items, waiting for each, until the queue is closed and empty. An item that cannot be decoded ends it: see
    /// [`Iter::error`].
    pub fn iter(&self) -> Iter<&Self> {
        Iter::waiting(self)
    }

    /// Takes the items that are there, without waiting. An item that cannot be decoded ends it: see [`Iter::error`].
    pub fn try_iter(&self) -> Iter<&Self> {
        Iter::not_waiting(self)
    }

    /// Lets nothing more be put, by anybody. What is in the queue can still be taken. Waits for a process that is stopped in
    /// the middle of putting.
    ///
    /// # Errors
    ///
    /// [`Error`] when the system cannot tell who this process is.
    pub fn close(&self) -> Result<(), Error> {
        self.close_until(FOREVER)
    }

    /// As [`close`](Self::close), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`close`](Self::close), and one that [is a timeout](Error::is_timeout): then the queue is open.
    pub fn close_timeout(&self, timeout: Duration) -> Result<(), Error> {
        self.close_until(deadline::after(timeout))
    }

    fn close_until(&self, until: u64) -> Result<(), Error> {
        self.0.view().close(until).map_err(Error::from)
    }

    /// Whether it is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.view().is_closed()
    }

    /// How many items are in it, exactly, at this moment.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.view().len()
    }

    /// Whether no item is in it at this moment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.view().is_empty()
    }

    /// Whether an item of one to eight bytes would find no room at this moment. A longer one may find none although this is
    /// false: see [`has_room_for`](Self::has_room_for).
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.view().ring().is_full_for(8)
    }

    /// Whether an item of `len` bytes would find room at this moment.
    #[must_use]
    pub fn has_room_for(&self, len: usize) -> bool {
        !self.0.view().ring().is_full_for(len)
    }

    /// How many bytes of items it holds, with 8 more for each.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.view().capacity()
    }

    /// How many bytes the longest item may take.
    #[must_use]
    pub fn max_len(&self) -> usize {
        self.0.view().max_len()
    }

    /// A descriptor that is readable while there is something to get: for [`wait`](crate::wait) and for the event loops of
    /// async runtimes.
    ///
    /// # Errors
    ///
    /// [`Error`] when the system refuses.
    pub fn readiness(&self) -> Result<Readiness, Error> {
        Readiness::of(self.0.clone())
    }
}

impl<T, F: Format<T>> Gets for &Queue<T, F> {
    type Item = T;

    #[inline]
    fn next(&mut self, wait: bool) -> Result<T, RecvError> {
        if wait { self.get() } else { self.try_get() }
    }
}

impl<T, F: Format<T>> Gets for Queue<T, F> {
    type Item = T;

    #[inline]
    fn next(&mut self, wait: bool) -> Result<T, RecvError> {
        (&mut &*self).next(wait)
    }
}

impl<'a, T, F: Format<T>> IntoIterator for &'a Queue<T, F> {
    type Item = T;
    type IntoIter = Iter<&'a Queue<T, F>>;

    fn into_iter(self) -> Iter<&'a Queue<T, F>> {
        self.iter()
    }
}

impl<T, F: Format<T>> IntoIterator for Queue<T, F> {
    type Item = T;
    type IntoIter = Iter<Queue<T, F>>;

    /// As [`iter`](Queue::iter), with the queue inside.
    fn into_iter(self) -> Iter<Queue<T, F>> {
        Iter::waiting(self)
    }
}

impl<T, F: Format<T>> fmt::Debug for Queue<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .field("closed", &self.is_closed())
            .field("segment", self.segment())
            .finish()
    }
}
