//! `Event` in a segment.

use std::{fmt, time::Duration};

use multiproc_core as core_;

use crate::{
    deadline,
    error::Error,
    mapped::{Mapped, shared_object, view},
    segment::{Access, Create, Open},
    sys::Linux,
};

type Inner = core_::Event<'static, Linux>;

/// A flag that is set and cleared, and that threads of any processes wait for.
///
/// [`set`](Self::set) wakes all who wait, and none of them misses it, however soon it is [cleared](Self::clear). What was
/// done before a `set` is seen by whoever finds the event set, has waited for it, or clears it. Nobody owns an event: a process that
/// is killed leaves it set or not.
///
/// ```
/// # multiproc::init();
/// use multiproc::{Event, Process};
///
/// fn run((start, done): (Event, Event)) {
///     start.wait();
///     done.set();
/// }
///
/// let (start, done) = (Event::new()?, Event::new()?);
/// let child = Process::spawn(run, (start.clone(), done.clone()))?;
/// start.set();
/// done.wait();
/// child.join()?;
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// # Cost
///
/// To set it is one exchange of a word, and a system call if somebody waits or a waiter was killed. To find it set is a load.
/// Who waits sleeps, and wakes itself every 100 ms (at first after 5 ms) to look whether a process was killed
/// between setting it and waking the sleepers.
///
/// A waiter does not know who will set the event, and so not that nobody is left to do so: who cannot rely on that waits
/// with a timeout.
///
/// # In signal handlers
///
/// [`set`](Self::set), [`clear`](Self::clear) and [`is_set`](Self::is_set) may be called by a signal handler, on a handle
/// that is kept in a `static`: they take no lock, allocate nothing, and leave `errno` as it is.
///
/// ```
/// # multiproc::init();
/// # use std::sync::OnceLock;
/// # use multiproc::Event;
/// static STOP: OnceLock<Event> = OnceLock::new();
///
/// extern "C" fn stop(_: libc::c_int) {
///     if let Some(stop) = STOP.get() {
///         stop.set();
///     }
/// }
///
/// STOP.get_or_init(|| Event::new().unwrap());
/// unsafe { libc::signal(libc::SIGINT, stop as *const () as libc::sighandler_t) };
/// # unsafe { libc::raise(libc::SIGINT) };
/// # assert!(STOP.get().unwrap().is_set());
/// ```
pub struct Event(Mapped<Inner>);

view!(Event);
shared_object!(Event);

impl Event {
    /// An event, not set, in an anonymous segment.
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn new() -> Result<Event, Error> {
        Event::create(Create::anonymous())
    }

    /// An event, not set, where `create` says.
    ///
    /// A name goes with its maker, unless [`Create::persist`] says that it stays.
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn create(create: impl Into<Create>) -> Result<Event, Error> {
        Mapped::create(create.into(), Inner::required_len(), |region, origin| {
            // SAFETY: a new segment, which nobody else sees yet.
            unsafe { core_::Event::place(region, Linux, origin) }.map(drop)
        })
        .map(Event)
    }

    /// The event that somebody made there.
    ///
    /// # Errors
    ///
    /// [`Error`] when there is none.
    pub fn open(open: impl Into<Open>) -> Result<Event, Error> {
        Mapped::open(open.into(), Access::ReadWrite).map(Event)
    }

    /// Whether it is set at this moment.
    #[inline]
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.view().is_set()
    }

    /// Sets it and wakes all who wait.
    #[inline]
    pub fn set(&self) {
        self.0.view().set();
    }

    /// Makes it not set; whether it was. Of several who clear it at once, one is told that it was.
    #[inline]
    pub fn clear(&self) -> bool {
        self.0.view().clear()
    }

    /// Waits until it is set. It may be cleared again by the time that this returns.
    #[inline]
    pub fn wait(&self) {
        self.0.view().wait();
    }

    /// As [`wait`](Self::wait), but no longer than `timeout`; whether it was set.
    #[inline]
    #[must_use = "it says whether the event was set"]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        // What is set needs no clock.
        self.is_set() || self.0.view().wait_until(deadline::after(timeout))
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("set", &self.is_set())
            .field("segment", self.segment())
            .finish()
    }
}
