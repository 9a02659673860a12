//! `JoinableQueue<T>` in a segment.

use std::{fmt, time::Duration};

use multiproc_core::{
    Element, FOREVER, JoinableRing, LayoutError, NOW, Origin, Refused, Region, RingError,
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    item::{Item, Taken},
    iter::{Gets, Iter},
};
use crate::{
    deadline,
    error::Error,
    mapped::{Mapped, View, shared_object},
    message::{
        self, Format, PutRecords, Raw, RecvError, SendError, SendManyError, Serde, Side, recv_error,
    },
    readiness::{Readiness, Source},
    segment::{Access, Create, Open},
    sys::Linux,
};

type Inner<R> = JoinableRing<'static, R, Linux>;

/// A [`Queue`](crate::Queue) that can be waited for until everything in it is done.
///
/// [`get`](Self::get) gives a guard around the item; dropping it says that the item is done. [`join`](Self::join) waits
/// until all are. An item whose process was killed, or whose guard was dropped by a panic, is not done: `join` says how
/// many such there were, rather than wait for ever.
///
/// ```
/// # multiproc::init();
/// use multiproc::{JoinableQueue, Process};
///
/// fn work(jobs: JoinableQueue<String>) {
///     for job in &jobs {
///         println!("done: {job}");
///     }
/// }
///
/// let jobs = JoinableQueue::new(4096)?;
/// let worker = Process::spawn(work, jobs.clone())?;
/// jobs.put("sweep".to_owned())?;
/// jobs.put("mop".to_owned())?;
/// jobs.join()?;
/// jobs.close()?;
/// worker.join()?;
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// Up to 189 processes can have items in hand at the same time. Beside its capacity it takes 4 KiB.
pub struct JoinableQueue<T, F: Format<T> = Serde>(Mapped<Inner<F::Record>>);

shared_object!(JoinableQueue<T, F: Format<T>>);

impl<R: Element> View for Inner<R> {
    fn attach(region: Region<'static>, origin: Origin) -> Result<Self, LayoutError> {
        JoinableRing::attach(region, Linux, origin)
    }

    fn bury(region: Region<'_>, origin: Origin) -> Result<(), LayoutError> {
        // SAFETY: `View::bury` is called while nobody else has the segment.
        unsafe { JoinableRing::<R, Linux>::bury(region, Linux, origin) }
    }
}

/// Why what was put into a [`JoinableQueue`] is not all done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinQueueError {
    /// So many items were taken by processes that died, or panicked, before they were done, or were given up. All others
    /// are done.
    Lost(u32),
    /// Not all were done before the deadline.
    Timeout,
    /// The system cannot tell who this process is.
    Refused(Refused),
}

impl JoinQueueError {
    /// Whether items were lost.
    #[must_use]
    pub fn is_lost(self) -> bool {
        matches!(self, JoinQueueError::Lost(_))
    }

    /// Whether the deadline passed.
    #[must_use]
    pub fn is_timeout(self) -> bool {
        self == JoinQueueError::Timeout
    }
}

impl fmt::Display for JoinQueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinQueueError::Lost(1) => {
                f.write_str("1 item was lost with whoever had taken it; all others are done")
            }
            JoinQueueError::Lost(count) => write!(
                f,
                "{count} items were lost with those who had taken them; all others are done"
            ),
            JoinQueueError::Timeout => f.write_str("not all items were done before the deadline"),
            JoinQueueError::Refused(why) => write!(f, "cannot wait for the items: {why}"),
        }
    }
}

impl std::error::Error for JoinQueueError {}

impl<T: Serialize + DeserializeOwned> JoinableQueue<T> {
    /// A queue of at least `capacity` bytes, in an anonymous segment.
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn new(capacity: usize) -> Result<JoinableQueue<T>, Error> {
        JoinableQueue::create(Create::anonymous(), capacity)
    }

    /// A queue of at least `capacity` bytes, where `create` says.
    ///
    /// A name goes with its maker, unless [`Create::persist`] says that it stays.
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn create(create: impl Into<Create>, capacity: usize) -> Result<JoinableQueue<T>, Error> {
        JoinableQueue::place(create.into(), capacity)
    }

    /// The queue that somebody made there. Of what type its items are is not known: those that are something else cannot be
    /// decoded.
    ///
    /// # Errors
    ///
    /// [`Error`] when there is none.
    pub fn open(open: impl Into<Open>) -> Result<JoinableQueue<T>, Error> {
        Mapped::open(open.into(), Access::ReadWrite).map(JoinableQueue)
    }
}

impl<T: Element> JoinableQueue<T, Raw> {
    /// A queue of at least `capacity` bytes, in an anonymous segment, that passes elements as they are.
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn raw(capacity: usize) -> Result<JoinableQueue<T, Raw>, Error> {
        JoinableQueue::create_raw(Create::anonymous(), capacity)
    }

    /// As [`raw`](Self::raw), where `create` says.
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn create_raw(
        create: impl Into<Create>,
        capacity: usize,
    ) -> Result<JoinableQueue<T, Raw>, Error> {
        JoinableQueue::place(create.into(), capacity)
    }

    /// The queue of such elements that somebody made there.
    ///
    /// # Errors
    ///
    /// [`Error`] when there is none, or one of something else.
    pub fn open_raw(open: impl Into<Open>) -> Result<JoinableQueue<T, Raw>, Error> {
        Mapped::open(open.into(), Access::ReadWrite).map(JoinableQueue)
    }
}

impl<T, F: Format<T>> JoinableQueue<T, F> {
    fn place(create: Create, capacity: usize) -> Result<JoinableQueue<T, F>, Error> {
        let len = Inner::<F::Record>::required_len(capacity)?;
        Mapped::create(create, len, |region, origin| {
            // SAFETY: a new segment, which nobody else sees yet.
            unsafe { JoinableRing::<F::Record, Linux>::place(region, Linux, origin, capacity) }
                .map(drop)
        })
        .map(JoinableQueue)
    }

    pub(super) fn view(&self) -> &Inner<F::Record> {
        self.0.view()
    }

    /// Puts an item, waiting for room.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the item inside, when the queue is closed, or the item cannot be encoded or is too large.
    pub fn put(&self, item: T) -> Result<(), SendError<T>> {
        message::put::<T, F, _>(self.view(), item, FOREVER)
    }

    /// Puts an item if there is room now.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put), and [`SendError::Full`].
    pub fn try_put(&self, item: T) -> Result<(), SendError<T>> {
        message::put::<T, F, _>(self.view(), item, NOW)
    }

    /// Puts an item, waiting for room no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put), and [`SendError::Timeout`].
    pub fn put_timeout(&self, item: T, timeout: Duration) -> Result<(), SendError<T>> {
        message::put::<T, F, _>(self.view(), item, deadline::after(timeout))
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
        message::put_many::<T, F, _, _>(self.view(), items.into_iter(), FOREVER)
    }

    /// Puts as many items as there is room for now.
    ///
    /// # Errors
    ///
    /// As [`put_many`](Self::put_many).
    pub fn try_put_many<I: IntoIterator<Item = T>>(
        &self,
        items: I,
    ) -> Result<usize, SendManyError<T, I::IntoIter>> {
        message::put_many::<T, F, _, _>(self.view(), items.into_iter(), NOW)
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
        message::put_many::<T, F, _, _>(self.view(), items.into_iter(), until)
    }

    /// Takes an item, waiting for one.
    ///
    /// # Errors
    ///
    /// [`RecvError::Closed`] when the queue is closed and empty; [`RecvError::Decode`] when what was put is no `T`, which
    /// then counts as done.
    pub fn get(&self) -> Result<Item<'_, T, F>, RecvError> {
        self.get_until(FOREVER)
    }

    /// Takes an item if there is one now.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and [`RecvError::Empty`].
    pub fn try_get(&self) -> Result<Item<'_, T, F>, RecvError> {
        self.get_until(NOW)
    }

    /// Takes an item, waiting for one no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and [`RecvError::Timeout`].
    pub fn get_timeout(&self, timeout: Duration) -> Result<Item<'_, T, F>, RecvError> {
        self.get_until(deadline::after(timeout))
    }

    fn get_until(&self, until: u64) -> Result<Item<'_, T, F>, RecvError> {
        let (copied, in_hand) = self
            .view()
            .get(until, F::copy)
            .map_err(|why| recv_error(why, Side::Queue))?;
        // From here on a panic, of what decodes, gives it up.
        let taken = Taken::new(in_hand, self);
        match F::item(copied) {
            Ok(item) => Ok(Item::new(item, taken.keep(), self)),
            Err(why) => {
                self.view().done(taken.keep());
                Err(why.into())
            }
        }
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

    /// Waits until every item that was ever put is done.
    ///
    /// # Errors
    ///
    /// [`JoinQueueError::Lost`] says how many items were lost; all others are done. It is told to those who wait when it is
    /// found out, and not again.
    pub fn join(&self) -> Result<(), JoinQueueError> {
        self.join_until(FOREVER)
    }

    /// As [`join`](Self::join), but no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join), and [`JoinQueueError::Timeout`].
    pub fn join_timeout(&self, timeout: Duration) -> Result<(), JoinQueueError> {
        self.join_until(deadline::after(timeout))
    }

    fn join_until(&self, until: u64) -> Result<(), JoinQueueError> {
        match self.view().join(until) {
            Ok(Some(joined)) if joined.lost == 0 => Ok(()),
            Ok(Some(joined)) => Err(JoinQueueError::Lost(joined.lost)),
            Ok(None) | Err(Refused::TimedOut | Refused::WouldBlock) => Err(JoinQueueError::Timeout),
            Err(why) => Err(JoinQueueError::Refused(why)),
        }
    }

    /// How many items were put and are not done, at this moment. Those that were lost count until somebody has joined.
    #[must_use]
    pub fn unfinished(&self) -> u32 {
        self.view().unfinished()
    }

    /// How many items were ever found lost.
    #[must_use]
    pub fn lost(&self) -> u32 {
        self.view().lost()
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
        self.view().close(until).map_err(Error::from)
    }

    /// Whether it is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.view().ring().is_closed()
    }

    /// How many items are in it, exactly, at this moment; those in hand not counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.view().ring().len()
    }

    /// Whether no item is in it at this moment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.view().ring().is_empty()
    }

    /// Whether an item of one to eight bytes would find no room at this moment. A longer one may find none although this is
    /// false: see [`has_room_for`](Self::has_room_for).
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.view().ring().is_full_for(8)
    }

    /// Whether an item of `len` bytes would find room at this moment.
    #[must_use]
    pub fn has_room_for(&self, len: usize) -> bool {
        !self.view().ring().is_full_for(len)
    }

    /// How many bytes of items it holds, with 8 more for each.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.view().ring().capacity()
    }

    /// How many bytes the longest item may take.
    #[must_use]
    pub fn max_len(&self) -> usize {
        self.view().ring().max_len()
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

impl<R: Element> Source for Mapped<Inner<R>> {
    fn wait_until_some(&self, stop: &dyn Fn() -> bool) -> bool {
        let ring = self.view().ring();
        ring.wait_until_some(&Linux, FOREVER, |_| stop()).is_ok()
    }

    fn has_some(&self) -> bool {
        let ring = self.view().ring();
        !ring.is_empty() || ring.is_closed()
    }

    fn wake(&self) {
        self.view().ring().wake_consumers(&Linux);
    }
}

impl<R: Element> PutRecords for Inner<R> {
    const SIDE: Side = Side::Queue;

    fn put(&self, record: &[u8], until: u64) -> Result<(), RingError> {
        self.put(record, until)
    }

    fn put_many<'a>(
        &self,
        records: impl Iterator<Item = &'a [u8]>,
        until: u64,
    ) -> (usize, Result<(), RingError>) {
        self.put_many(records, until)
    }

    fn max_len(&self) -> usize {
        self.ring().max_len()
    }
}

/// Items with their guards.
impl<'a, T, F: Format<T>> Gets for &'a JoinableQueue<T, F> {
    type Item = Item<'a, T, F>;

    fn next(&mut self, wait: bool) -> Result<Item<'a, T, F>, RecvError> {
        let queue: &'a JoinableQueue<T, F> = self;
        if wait { queue.get() } else { queue.try_get() }
    }
}

impl<'a, T, F: Format<T>> IntoIterator for &'a JoinableQueue<T, F> {
    type Item = Item<'a, T, F>;
    type IntoIter = Iter<&'a JoinableQueue<T, F>>;

    fn into_iter(self) -> Iter<&'a JoinableQueue<T, F>> {
        self.iter()
    }
}

impl<T, F: Format<T>> fmt::Debug for JoinableQueue<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinableQueue")
            .field("len", &self.len())
            .field("unfinished", &self.unfinished())
            .field("lost", &self.lost())
            .field("capacity", &self.capacity())
            .field("closed", &self.is_closed())
            .field("segment", self.segment())
            .finish()
    }
}
