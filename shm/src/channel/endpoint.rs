//! A handle of one end of a channel, in this process: entered when it is made, gone when it is dropped.
//!
//! 1. A handle that is another process's (its copy in a fork child) does nothing, until it is adopted: because it was among
//!    the arguments of a fork, or by its first use.
//! 2. What is on its way to another process has an open file description of the segment with a lock on a byte of it, which
//!    the kernel keeps as long as the message is anywhere. It is closed after the other process has entered.
//! 3. Where there is one handle at an end it is taken over by an exchange in the segment (`Channel::take_over`), also by a
//!    fork child, and only what was handed over can be. So there is never a second one that can be used, whatever a
//!    `Serialize`, a `Deserialize` or a fork makes of messages.

use std::{
    fmt,
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use multiproc_core::{
    Channel, Element, End, Entered, FOREVER, Hold, LayoutError, Locked, Origin, Os, Owner, Region,
    RingError,
};

use crate::{
    deadline,
    error::Error,
    handle::{self, Undo},
    mapped::{Mapped, View},
    message::{
        GetRecords, PutRecords, RecvError, SendError, SendErrorKind, Side, recv_error, send_error,
    },
    readiness::Source,
    segment::{Create, Segment},
    sys::{Linux, file},
};

/// A channel in a segment.
pub type Inner<R, H> = Channel<'static, R, Linux, H>;

/// How many handles there are in this process, those that a fork has copied among them.
static ENDS: AtomicUsize = AtomicUsize::new(0);

/// Whether there is any handle in this process.
#[inline]
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

/// How long decoding waits for the table of an end, at most: it takes longer only while a process is stopped that has it. Then
/// the handle is entered by its first use.
const PATIENCE: Duration = Duration::from_millis(100);

/// The row of a handle that is in none yet.
const NO_ROW: usize = usize::MAX;

/// Why there is no handle: what whoever sends or receives is told who has one that is not entered.
#[cold]
fn not_entered(end: End, why: RingError) -> Error {
    match end {
        End::Sender => send_error(why, Side::Channel, 0, 0).around(()).into(),
        End::Receiver => recv_error(why, Side::Channel).into(),
    }
}

/// A handle of one end.
pub(super) struct Endpoint<R: Element, H: Hold + 'static> {
    channel: Mapped<Inner<R, H>>,
    end: End,
    /// The bits of the process whose it is.
    owner: AtomicU64,
    /// The row in which that process has entered it, or [`NO_ROW`]. Written before the owner.
    row: AtomicUsize,
    /// What stands for a handle that has arrived and is not entered yet.
    arriving: Mutex<Option<OwnedFd>>,
    /// Whether the only handle was handed over.
    moved: Arc<AtomicBool>,
}

impl<R: Element, H: Hold + 'static> Endpoint<R, H> {
    /// A new handle of this process.
    fn enter(channel: Mapped<Inner<R, H>>, end: End) -> Result<Endpoint<R, H>, Error> {
        match channel.view().enter(end, FOREVER) {
            Ok(entered) => Ok(Endpoint::of(channel, end, entered.owner(), entered.row())),
            Err(why) => Err(not_entered(end, why)),
        }
    }

    fn of(channel: Mapped<Inner<R, H>>, end: End, owner: Owner, row: usize) -> Endpoint<R, H> {
        ENDS.fetch_add(1, Ordering::Relaxed);
        Endpoint {
            channel,
            end,
            owner: AtomicU64::new(owner.to_bits()),
            row: AtomicUsize::new(row),
            arriving: Mutex::new(None),
            moved: Arc::new(AtomicBool::new(false)),
        }
    }

    /// The handle that came from another process, and what stood for it on its way.
    pub fn received(segment: Segment, transit: OwnedFd, end: End) -> Result<Endpoint<R, H>, Error> {
        let channel: Mapped<Inner<R, H>> = Mapped::received(segment)?;
        let handle = Endpoint::of(channel, end, Linux.me(), NO_ROW);
        if !H::IS_SHARED && !handle.view().take_over(end) {
            return Err(Error::NotHandedOver);
        }
        match handle.arrive(transit) {
            Ok(()) => Ok(handle),
            Err(why) => Err(not_entered(end, why)),
        }
    }

    /// Enters a handle that was handed over; or keeps what stands for it for later, if a process is stopped with the table.
    fn arrive(&self, transit: OwnedFd) -> Result<(), RingError> {
        match self.become_mine(deadline::after(PATIENCE)) {
            Err(RingError::TimedOut) => {
                self.note_arriving(Some(transit));
                Ok(())
            }
            entered => entered,
        }
    }

    pub fn view(&self) -> &Inner<R, H> {
        self.channel.view()
    }

    pub fn channel(&self) -> &Mapped<Inner<R, H>> {
        &self.channel
    }

    /// Whether it is this process's.
    #[inline]
    fn is_mine(&self) -> bool {
        // Relaxed: a process finds its own identity only after it has written it; what it entered is in shared memory.
        let owner = Owner::from_bits(self.owner.load(Ordering::Relaxed));
        Linux.is_surely_me(owner) || Linux.is_me(owner)
    }

    /// Whether it is this process's, and entered.
    #[inline]
    fn is_entered(&self) -> bool {
        self.is_mine() && self.row.load(Ordering::Relaxed) != NO_ROW
    }

    /// Enters a handle that has arrived, or that a fork has copied.
    #[cold]
    fn become_mine(&self, until: u64) -> Result<(), RingError> {
        let before = self.owner.load(Ordering::Relaxed);
        let entered = self.view().enter(self.end, until)?;
        let (me, row) = (entered.owner().to_bits(), entered.row());
        // Of several threads that do this one has done it, and the others leave again. Relaxed: each finds the same row, since
        // a process has one at an end. Release: pairs with the Acquire of `entered`.
        let done = if before == me {
            self.row
                .compare_exchange(NO_ROW, row, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        } else {
            self.row.store(row, Ordering::Relaxed);
            self.owner
                .compare_exchange(before, me, Ordering::Release, Ordering::Relaxed)
                .is_ok()
        };
        if !done {
            self.view().leave(entered, || is_in_transit(self));
        }
        self.note_arriving(None);
        Ok(())
    }

    /// Keeps what stands for a handle that is not entered yet, or lets it go. Nobody waits for that: where another thread is
    /// just doing it, or was when this process was forked, it is kept as long as the handle.
    fn note_arriving(&self, transit: Option<OwnedFd>) {
        if let Ok(mut arriving) = self.arriving.try_lock() {
            *arriving = transit;
        }
    }

    /// Where it is entered, by whichever process.
    fn entered(&self) -> Option<Entered> {
        // Acquire: pairs with the Release of `become_mine`.
        let owner = Owner::from_bits(self.owner.load(Ordering::Acquire));
        let row = self.row.load(Ordering::Relaxed);
        (row != NO_ROW).then(|| Entered::of(owner, self.end, row))
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
        if !self.is_entered() {
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
        let channel = self.view();
        f.debug_struct(name)
            .field("len", &channel.len())
            .field("capacity", &channel.capacity())
            .field("senders", &self.view().handles(End::Sender))
            .field("receivers", &self.view().handles(End::Receiver))
            .field("disconnected", &channel.is_closed())
            .finish()
    }
}

impl<R: Element> Clone for Endpoint<R, Locked> {
    /// Another handle of this process; this one as well, if a fork has copied it.
    fn clone(&self) -> Endpoint<R, Locked> {
        if !self.is_entered() {
            // Refused where the system cannot tell who this process is: then both are copies, and do nothing.
            let _ = self.become_mine(FOREVER);
        }
        let (owner, row) = match self.entered() {
            Some(entered) if self.is_mine() => {
                let another = self.view().enter_another(&entered);
                (another.owner(), another.row())
            }
            _ => (Owner::NONE, NO_ROW),
        };
        Endpoint::of(self.channel.clone(), self.end, owner, row)
    }
}

impl<R: Element, H: Hold + 'static> Drop for Endpoint<R, H> {
    fn drop(&mut self) {
        ENDS.fetch_sub(1, Ordering::Relaxed);
        if let Some(entered) = self.entered() {
            self.view().leave(entered, || is_in_transit(self));
        }
    }
}

impl<R: Element, H: Hold + 'static> handle::End for Endpoint<R, H> {
    fn segment(&self) -> &Segment {
        self.channel.segment()
    }

    fn transit(&self) -> io::Result<OwnedFd> {
        if self.is_gone() {
            return Err(io::Error::other(SendError::Moved(())));
        }
        // Who sends an end has one.
        if !self.is_entered() {
            let refused = |why| io::Error::other(not_entered(self.end, why));
            self.become_mine(FOREVER).map_err(refused)?;
        }
        self.stand_in()
    }

    fn hand_over(&self) -> Result<Option<Undo>, String> {
        if H::IS_SHARED {
            return Ok(None);
        }
        if !self.view().hand_over(self.end) {
            return Err("the only handle of an end was handed over already".to_owned());
        }
        self.moved.store(true, Ordering::Relaxed);
        let (channel, end, moved) = (self.channel.clone(), self.end, Arc::clone(&self.moved));
        Ok(Some(Box::new(move || {
            if channel.view().take_over(end) {
                moved.store(false, Ordering::Relaxed);
            }
        })))
    }

    fn adopt(&self) -> Result<(), String> {
        if !H::IS_SHARED {
            if !self.view().take_over(self.end) {
                // It was not among what the parent has handed over, or another has it: this stays a copy.
                return Ok(());
            }
            self.row.store(NO_ROW, Ordering::Relaxed);
            self.owner.store(Linux.me().to_bits(), Ordering::Relaxed);
            self.moved.store(false, Ordering::Relaxed);
        }
        if self.is_entered() {
            return Ok(());
        }
        // Of its own, because that of the parent is closed after this.
        let transit = self.stand_in().map_err(|why| why.to_string())?;
        self.arrive(transit)
            .map_err(|why| not_entered(self.end, why).to_string())
    }
}

impl<R: Element, H: Hold + 'static> Endpoint<R, H> {
    /// What keeps the end from being taken for abandoned as long as it exists.
    fn stand_in(&self) -> io::Result<OwnedFd> {
        let file: File = file::reopen(self.channel.segment().as_fd(), false)?;
        file::lock_byte(&file, byte_of(self.end))?;
        Ok(file.into())
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
        // SAFETY: a handle of a channel with locks, or the only one of its end, borrowed mutably by who puts.
        unsafe { self.view().put_alone(record, until, self.in_transit()) }
    }

    #[inline]
    fn put_many<'a>(
        &self,
        records: impl Iterator<Item = &'a [u8]>,
        until: u64,
    ) -> (usize, Result<(), RingError>) {
        // SAFETY: as above.
        unsafe {
            self.view()
                .put_many_alone(records, until, self.in_transit())
        }
    }

    fn max_len(&self) -> usize {
        self.view().max_len()
    }
}

impl<R: Element, H: Hold + 'static> GetRecords for Using<'_, R, H> {
    const SIDE: Side = Side::Channel;

    #[inline]
    fn get<V>(&self, until: u64, take: impl FnMut(&[u8]) -> V) -> Result<V, RingError> {
        // SAFETY: as above, for who gets.
        unsafe { self.view().get_alone(until, self.in_transit(), take) }
    }

    #[inline]
    fn get_many(
        &self,
        until: u64,
        most: usize,
        take: impl FnMut(&[u8]),
    ) -> Result<usize, RingError> {
        // SAFETY: as above.
        unsafe {
            self.view()
                .get_many_alone(until, most, self.in_transit(), take)
        }
    }

    fn len(&self) -> usize {
        self.view().len()
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
        !self.view().is_empty() || self.view().is_closed()
    }

    fn wake(&self) {
        self.view().wake_receivers();
    }
}
