//! `Once` in a segment.

use std::{fmt, time::Duration};

use multiproc_core::{self as core_, Refused};

use crate::{
    deadline,
    error::Error,
    mapped::{Mapped, shared_object, view},
    segment::{Access, Create, Open},
    sys::Linux,
};

type Inner = core_::Once<'static, Linux>;

/// Something that is done once among all processes, by the first who comes.
///
/// When whoever does it panics, or is killed with its process, it counts as not done: the next who comes does it. So
/// what is done should be such that it can be begun anew.
///
/// Once it is done, to ask costs one load. Whoever waits for it sleeps, and looks up ten times a second.
///
/// ```
/// # multiproc::init();
/// use multiproc::{Array, Once, Process};
///
/// fn work((once, table): (Once, Array<f64>)) -> f64 {
///     once.call_once(|| table.write(..).unwrap().fill(0.5)).unwrap();
///     table.get(3).unwrap()
/// }
///
/// let once = Once::new()?;
/// let table = Array::zeroed(10)?;
/// let children = [(); 2].map(|()| Process::spawn(work, (once.clone(), table.clone())));
/// for child in children {
///     assert_eq!(child?.join()?, 0.5);
/// }
/// assert!(once.is_completed());
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// To hand out what was made, use a [`OnceValue`](crate::OnceValue).
pub struct Once(Mapped<Inner>);

view!(Once);
shared_object!(Once);

impl Once {
    /// Something that is yet to be done, in an anonymous segment.
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn new() -> Result<Once, Error> {
        Once::create(Create::anonymous())
    }

    /// Something that is yet to be done, where `create` says.
    ///
    /// A name goes with its maker, unless [`Create::persist`] says that it stays.
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn create(create: impl Into<Create>) -> Result<Once, Error> {
        Mapped::create(create.into(), Inner::required_len(), |region, origin| {
            // SAFETY: a new segment, which nobody else sees yet.
            unsafe { core_::Once::<Linux>::place(region, Linux, origin) }.map(drop)
        })
        .map(Once)
    }

    /// What somebody put there, done or not.
    ///
    /// # Errors
    ///
    /// [`Error`] when there is none.
    pub fn open(open: impl Into<Open>) -> Result<Once, Error> {
        Mapped::open(open.into(), Access::ReadWrite).map(Once)
    }

    /// Runs `f`, unless another call has run its own to the end; whether it did. Waits while another is at it. When this
    /// returns, all that was done is seen.
    ///
    /// # Errors
    ///
    /// [`Refused::WouldDeadlock`] when `f` calls the very same.
    pub fn call_once(&self, f: impl FnOnce()) -> Result<bool, Refused> {
        self.call_until(core_::FOREVER, f)
    }

    /// As [`call_once`](Self::call_once), but waits for others no longer than `timeout`. How long `f` itself takes is its
    /// own affair.
    ///
    /// # Errors
    ///
    /// As [`call_once`](Self::call_once), and [`Refused::TimedOut`].
    pub fn call_once_timeout(&self, timeout: Duration, f: impl FnOnce()) -> Result<bool, Refused> {
        self.call_until(deadline::after(timeout), f)
    }

    fn call_until(&self, until: u64, f: impl FnOnce()) -> Result<bool, Refused> {
        let mut ran = false;
        self.0.view().get_or_init_until(until, || {
            f();
            ran = true;
        })?;
        Ok(ran)
    }

    /// Whether it has been done.
    #[inline]
    #[must_use]
    pub fn is_completed(&self) -> bool {
        self.0.view().is_initialized()
    }

    /// Waits until somebody has done it.
    ///
    /// # Errors
    ///
    /// [`Refused::WouldDeadlock`] when the calling thread is doing it.
    pub fn wait(&self) -> Result<(), Refused> {
        self.0.view().wait().map(drop)
    }

    /// As [`wait`](Self::wait), but no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait), and [`Refused::TimedOut`].
    pub fn wait_timeout(&self, timeout: Duration) -> Result<(), Refused> {
        let until = deadline::after(timeout);
        self.0.view().wait_until(until).map(drop)
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once")
            .field("is_completed", &self.is_completed())
            .field("segment", self.segment())
            .finish()
    }
}
