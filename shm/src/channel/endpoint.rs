//! A handle of one end of a channel, in this process: entered when it is made, gone when it is dropped.
//!
//! 1. A handle that another process entered (its copy in a fork child) does nothing, until it is adopted: because it was
//!    among the arguments of a fork, or by its first use. There may be one of it at most where there is no lock: such a
//!    handle is adopted only in the former case, since the parent's is gone then.
//! 2. What is on its way to another process has an open file description of the segment with a lock on a byte of it, which
//!    the kernel keeps as long as the message is anywhere. It is closed after the other process has entered.

use std::{
    fmt,
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use multiproc_core::{
    Channel, Element, End, Entered, FOREVER, Hold, LayoutError, Locked, Origin, Os, Owner, Region,
    RingError,
};

use crate::{
    error::Error,
    handle,
    mapped::{Mapped, View},
    message::{GetRecords, PutRecords, RecvError, SendErrorKind, Side, recv_error, send_error},
    readiness::Source,
    segment::{Create, Segment},
    sys::{Linux, file},
};

/// A channel in a segment.
pub type Inner<R, H> = Channel<'static, R, Linux, H>;

/// How many handles there are in this process, those that a fork has copied among them.
static ENDS: AtomicUsize = AtomicUsize::new(0);

/// Whether there is any handle in this process.
pub(crate) fn has_ends() -> bool {
    ENDS.load(Ordering::Relaxed) != 0
}

impl<R: Element, H: Hold + 'static> View for Inner<R, H> {
    fn attach(region: Region<'static>, origin: Origin) -> Result<Self, LayoutError> {
        Channel::attach(region, Linux, origin)
    }

    fn bury(region: Region<'_>, origin: Origin) -> Result<(), LayoutError> {
        // SAFETY: `View::bury` is called while nobody else has the segment.
        unsafe { Channel::<R, Linux, H>::bury(region, Linux, origin) }
    }
}

/// Both ends of a new channel.
pub(super) fn pair<R: Element, H: Hold + 'static>(
    capacity: usize,
) -> Result<(Endpoint<R, H>, Endpoint<R, H>), Error> {
    let len = Inner::<R, H>::required_len(capacity)?;
    let mapped = Mapped::create(Create::anonymous(), len, |region, origin| {
        // SAFETY: a new segment, which nobody else sees yet.
        unsafe { Channel::<R, Linux, H>::place(region, Linux, origin, capacity) }.map(drop)
    })?;
    let sender = Endpoint::enter(mapped.clone(), End::Sender)?;
    Ok((sender, Endpoint::enter(mapped, End::Receiver)?))
}

/// A handle of one end.
pub(super) struct Endpoint<R: Element, H: Hold + 'static> {
    channel: Mapped<Inner<R, H>>,
    end: End,
    /// The bits of the process that entered it.
    owner: AtomicU64,
    /// Its row there. Written before the owner.
    row: AtomicUsize,
    /// Whether the only handle was handed over.
    moved: Arc<AtomicBool>,
}

impl<R: Element, H: Hold + 'static> Endpoint<R, H> {
    /// A new handle of this process.
    pub fn enter(channel: Mapped<Inner<R, H>>, end: End) -> Result<Endpoint<R, H>, Error> {
        let entered = channel.view().enter(end, FOREVER)?;
        Ok(Endpoint::of(channel, entered))
    }

    fn of(channel: Mapped<Inner<R, H>>, entered: Entered) -> Endpoint<R, H> {
        ENDS.fetch_add(1, Ordering::Relaxed);
        Endpoint {
            channel,
            end: entered.end(),
            owner: AtomicU64::new(entered.owner().to_bits()),
            row: AtomicUsize::new(entered.row()),
            moved: Arc::new(AtomicBool::new(false)),
        }
    }

    /// The handle that came from another process.
    pub fn received(segment: Segment, end: End) -> Result<Endpoint<R, H>, Error> {
        Endpoint::enter(Mapped::received(segment)?, end)
    }

    pub fn view(&self) -> &Inner<R, H> {
        self.channel.view()
    }

    pub fn channel(&self) -> &Mapped<Inner<R, H>> {
        &self.channel
    }

    /// Whether it is this process's to use.
    #[inline]
    fn is_mine(&self) -> bool {
        // Relaxed: a process finds its own identity only after it has written it; what it entered is in shared memory.
        let owner = Owner::from_bits(self.owner.load(Ordering::Relaxed));
        Linux.is_surely_me(owner) || Linux.is_me(owner)
    }

    /// Enters a handle that a fork has copied.
    #[cold]
    fn become_mine(&self, until: u64) -> Result<(), RingError> {
        let before = self.owner.load(Ordering::Relaxed);
        let entered = self.view().enter(self.end, until)?;
        // A process has one row at an end: of several threads that do this each finds the same.
        self.row.store(entered.row(), Ordering::Relaxed);
        let me = entered.owner().to_bits();
        // Release: pairs with the Acquire of `entered`.
        let done = self
            .owner
            .compare_exchange(before, me, Ordering::Release, Ordering::Relaxed);
        if done.is_err() || before == me {
            // Another thread was faster.
            self.view().leave(entered, || is_in_transit(self));
        }
        Ok(())
    }

    fn entered(&self) -> Entered {
        // Acquire: pairs with the Release of `become_mine`.
        let owner = Owner::from_bits(self.owner.load(Ordering::Acquire));
        Entered::of(owner, self.end, self.row.load(Ordering::Relaxed))
    }

    /// Whether it was handed over, or never came to this process.
    #[inline]
    fn is_gone(&self) -> bool {
        // Relaxed: handed over by the thread that has the only handle, or by one that this one knows of.
        !H::IS_SHARED && (self.moved.load(Ordering::Relaxed) || !self.is_mine())
    }

    /// Makes sure that it is this process's; `None` when it can never be.
    #[inline]
    fn usable(&self, until: u64) -> Result<Option<Using<'_, R, H>>, RingError> {
        if self.is_gone() {
            return Ok(None);
        }
        if !self.is_mine() {
            self.become_mine(until)?;
        }
        Ok(Some(Using(self)))
    }

    #[inline]
    pub fn to_send(&self, until: u64) -> Result<Using<'_, R, H>, SendErrorKind> {
        match self.usable(until) {
            Ok(using) => using.ok_or(SendErrorKind::Moved),
            Err(why) => Err(send_error(why, Side::Channel, 0, 0)),
        }
    }

    #[inline]
    pub fn to_receive(&self, until: u64) -> Result<Using<'_, R, H>, RecvError> {
        match self.usable(until) {
            Ok(using) => using.ok_or(RecvError::Moved),
            Err(why) => Err(recv_error(why, Side::Channel)),
        }
    }

    /// Whether nobody is at the other end any more; asks at most ten times a second whether they live.
    pub fn is_disconnected(&self) -> bool {
        self.view().is_abandoned(self.end.other(), || {
            is_at_byte(self.channel.segment(), self.end.other())
        })
    }
}

impl<R: Element, H: Hold + 'static> Endpoint<R, H> {
    pub fn debug(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ring = self.view().ring();
        f.debug_struct(name)
            .field("len", &ring.len())
            .field("capacity", &ring.capacity())
            .field("senders", &self.view().handles(End::Sender))
            .field("receivers", &self.view().handles(End::Receiver))
            .field("disconnected", &ring.is_closed())
            .finish()
    }
}

impl<R: Element> Clone for Endpoint<R, Locked> {
    /// Another handle of this process; this one as well, if a fork has copied it.
    fn clone(&self) -> Endpoint<R, Locked> {
        if !self.is_mine() {
            // Refused where the system cannot tell who this process is: then both are copies, and do nothing.
            let _ = self.become_mine(FOREVER);
        }
        let mut entered = self.entered();
        if self.is_mine() {
            entered = self.view().enter_another(&entered);
        }
        Endpoint::of(self.channel.clone(), entered)
    }
}

impl<R: Element, H: Hold + 'static> Drop for Endpoint<R, H> {
    fn drop(&mut self) {
        ENDS.fetch_sub(1, Ordering::Relaxed);
        self.view().leave(self.entered(), || is_in_transit(self));
    }
}

impl<R: Element, H: Hold + 'static> handle::End for Endpoint<R, H> {
    fn segment(&self) -> &Segment {
        self.channel.segment()
    }

    fn transit(&self) -> io::Result<OwnedFd> {
        if self.is_gone() {
            return Err(io::Error::other("it was handed to another process"));
        }
        // Who sends an end has one.
        if !self.is_mine() {
            self.become_mine(FOREVER).map_err(io::Error::other)?;
        }
        let file: File = file::reopen(self.segment().as_fd(), false)?;
        file::lock_byte(&file, byte_of(self.end))?;
        Ok(file.into())
    }

    fn adopt(&self) {
        if !self.is_mine() {
            // Refused where the system cannot tell who this process is: so is then whatever is done with the end.
            let _ = self.become_mine(FOREVER);
        }
        // It was by the parent, to this process.
        self.moved.store(false, Ordering::Relaxed);
    }

    fn moved(&self) -> Option<&Arc<AtomicBool>> {
        (!H::IS_SHARED).then_some(&self.moved)
    }
}

/// The byte of the segment that is locked while a handle of this end is on its way.
fn byte_of(end: End) -> i64 {
    match end {
        End::Sender => 0,
        End::Receiver => 1,
    }
}

/// Whether a handle of that end is on its way. If the system does not say, there may be one.
fn is_at_byte(segment: &Segment, end: End) -> bool {
    file::is_byte_locked(segment.as_fd(), byte_of(end)).unwrap_or(true)
}

fn is_in_transit<R: Element, H: Hold + 'static>(endpoint: &Endpoint<R, H>) -> bool {
    is_at_byte(endpoint.channel.segment(), endpoint.end)
}

/// A handle that may be used now.
pub(super) struct Using<'a, R: Element, H: Hold + 'static>(&'a Endpoint<R, H>);

impl<'a, R: Element, H: Hold + 'static> Using<'a, R, H> {
    pub fn view(&self) -> &'a Inner<R, H> {
        self.0.view()
    }

    /// Whether a handle of the other end is on its way.
    pub fn in_transit(&self) -> impl Fn() -> bool + use<'a, R, H> {
        let Using(endpoint) = *self;
        move || is_at_byte(endpoint.channel.segment(), endpoint.end.other())
    }
}

impl<R: Element, H: Hold + 'static> PutRecords for Using<'_, R, H> {
    const SIDE: Side = Side::Channel;

    #[inline]
    fn put(&self, record: &[u8], until: u64) -> Result<(), RingError> {
        self.view().put(record, until, self.in_transit())
    }

    #[inline]
    fn put_many<'a>(
        &self,
        records: impl Iterator<Item = &'a [u8]>,
        until: u64,
    ) -> (usize, Result<(), RingError>) {
        self.view().put_many(records, until, self.in_transit())
    }

    fn max_len(&self) -> usize {
        self.view().ring().max_len()
    }
}

impl<R: Element, H: Hold + 'static> GetRecords for Using<'_, R, H> {
    const SIDE: Side = Side::Channel;

    #[inline]
    fn get<V>(&self, until: u64, take: impl FnMut(&[u8]) -> V) -> Result<V, RingError> {
        self.view().get(until, self.in_transit(), take)
    }

    #[inline]
    fn get_many(
        &self,
        until: u64,
        most: usize,
        take: impl FnMut(&[u8]),
    ) -> Result<usize, RingError> {
        self.view().get_many(until, most, self.in_transit(), take)
    }

    fn len(&self) -> usize {
        self.view().ring().len()
    }
}

/// What can be received, for a thread that watches: it keeps the channel mapped, but no end of it.
impl<R: Element, H: Hold + 'static> Source for Mapped<Inner<R, H>> {
    fn wait_until_some(&self, stop: &dyn Fn() -> bool) -> bool {
        let in_transit = || is_at_byte(self.segment(), End::Sender);
        self.view()
            .wait_until_some(FOREVER, in_transit, stop)
            .is_ok()
    }

    fn has_some(&self) -> bool {
        let ring = self.view().ring();
        !ring.is_empty() || ring.is_closed()
    }

    fn wake(&self) {
        self.view().ring().wake_consumers(&Linux);
    }
}
