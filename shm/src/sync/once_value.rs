//! `OnceValue<T>` in a segment.

use std::{fmt, time::Duration};

use multiproc_core::{self as core_, Element, InitError, Refused, SetError};

use crate::{
    deadline,
    error::Error,
    mapped::{Mapped, shared_object, view},
    segment::{Access, Create, Open},
    sys::Linux,
};

type Inner<T> = core_::OnceValue<'static, T, Linux>;

/// A `T` that is made once, by whichever thread of all processes asks first, and never changes again.
///
/// An initialiser that panics, fails or is killed with its process leaves no trace: the next who asks runs his own. So a
/// value is never poisoned and never half-made.
///
/// Once it is made, to get it costs one load. Whoever waits for it sleeps, and looks up ten times a second; one who
/// could make it himself looks whether the maker still lives.
///
/// ```
/// # multiproc::init();
/// use multiproc::{OnceValue, Process};
///
/// fn seed(once: OnceValue<u64>) -> u64 {
///     // Many ask; one process draws.
///     *once.get_or_init(|| u64::from(std::process::id())).unwrap()
/// }
///
/// let once = OnceValue::new()?;
/// assert_eq!(once.get(), None);
/// let child = Process::spawn(seed, once.clone())?;
/// assert_eq!(*once.wait()?, child.join()?);
/// # Ok::<(), multiproc::Error>(())
/// ```
pub struct OnceValue<T: Element>(Mapped<Inner<T>>);

view!(OnceValue<T: Element>);
shared_object!(OnceValue<T: Element>);

impl<T: Element> OnceValue<T> {
    /// A value that is yet to be made, in an anonymous segment.
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn new() -> Result<OnceValue<T>, Error> {
        OnceValue::create(Create::anonymous())
    }

    /// A value that is yet to be made, where `create` says.
    ///
    /// A name goes with its maker, unless [`Create::persist`] says that it stays.
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn create(create: impl Into<Create>) -> Result<OnceValue<T>, Error> {
        let len = Inner::<T>::required_len();
        Mapped::create(create.into(), len, |region, origin| {
            // SAFETY: a new segment, which nobody else sees yet.
            unsafe { core_::OnceValue::<T, Linux>::place(region, Linux, origin) }.map(drop)
        })
        .map(OnceValue)
    }

    /// The value, made or not, that somebody put there.
    ///
    /// # Errors
    ///
    /// [`Error`] when there is none, or none of type `T`.
    pub fn open(open: impl Into<Open>) -> Result<OnceValue<T>, Error> {
        Mapped::open(open.into(), Access::ReadWrite).map(OnceValue)
    }

    /// The value, if it has been made. Never waits.
    #[inline]
    #[must_use]
    pub fn get(&self) -> Option<&T> {
        self.0.view().get()
    }

    /// Whether the value has been made.
    #[inline]
    #[must_use]
    pub fn is_initialized(&self) -> bool {
        self.0.view().is_initialized()
    }

    /// The value, which `init` makes if nobody has made it. Waits while another is making it.
    ///
    /// # Errors
    ///
    /// [`Refused::WouldDeadlock`] when `init` asks for the very same value.
    #[inline]
    pub fn get_or_init(&self, init: impl FnOnce() -> T) -> Result<&T, Refused> {
        self.0.view().get_or_init(init)
    }

    /// As [`get_or_init`](Self::get_or_init), but waits for others no longer than `timeout`. How long `init` itself
    /// takes is its own affair.
    ///
    /// # Errors
    ///
    /// As [`get_or_init`](Self::get_or_init), and [`Refused::TimedOut`].
    pub fn get_or_init_timeout(
        &self,
        timeout: Duration,
        init: impl FnOnce() -> T,
    ) -> Result<&T, Refused> {
        let until = deadline::after(timeout);
        self.0.view().get_or_init_until(until, init)
    }

    /// The value, which `init` makes, unless it fails, if nobody has made it. Waits while another is making it.
    ///
    /// # Errors
    ///
    /// [`InitError::Failed`] with the error of `init`, otherwise as [`get_or_init`](Self::get_or_init).
    #[inline]
    pub fn get_or_try_init<E>(
        &self,
        init: impl FnOnce() -> Result<T, E>,
    ) -> Result<&T, InitError<E>> {
        self.0.view().get_or_try_init(init)
    }

    /// As [`get_or_try_init`](Self::get_or_try_init), but waits for others no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_init`](Self::get_or_try_init), and [`Refused::TimedOut`].
    pub fn get_or_try_init_timeout<E>(
        &self,
        timeout: Duration,
        init: impl FnOnce() -> Result<T, E>,
    ) -> Result<&T, InitError<E>> {
        let until = deadline::after(timeout);
        self.0.view().get_or_try_init_until(until, init)
    }

    /// Makes `value` the value, unless there is one. Waits while another is making it.
    ///
    /// # Errors
    ///
    /// [`SetError::AlreadySet`] when there is one, otherwise [`SetError::Refused`] as
    /// [`get_or_init`](Self::get_or_init); `value` is inside either.
    pub fn set(&self, value: T) -> Result<(), SetError<T>> {
        self.0.view().set(value)
    }

    /// As [`set`](Self::set), but waits for others no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set), and [`Refused::TimedOut`].
    pub fn set_timeout(&self, value: T, timeout: Duration) -> Result<(), SetError<T>> {
        self.0.view().set_until(deadline::after(timeout), value)
    }

    /// Waits until somebody has made the value.
    ///
    /// # Errors
    ///
    /// [`Refused::WouldDeadlock`] when the calling thread is making it.
    pub fn wait(&self) -> Result<&T, Refused> {
        self.0.view().wait()
    }

    /// As [`wait`](Self::wait), but no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait), and [`Refused::TimedOut`].
    pub fn wait_timeout(&self, timeout: Duration) -> Result<&T, Refused> {
        self.0.view().wait_until(deadline::after(timeout))
    }
}

impl<T: Element + fmt::Debug> fmt::Debug for OnceValue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnceValue")
            .field("value", &self.get())
            .field("segment", self.segment())
            .finish()
    }
}
