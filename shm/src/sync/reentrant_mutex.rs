//! `ReentrantMutex<T>` in a segment.

use std::{fmt, time::Duration};

use multiproc_core::{self as core_, Cause, Element, LockError};

use crate::{
    deadline,
    error::Error,
    mapped::{Mapped, shared_object, view},
    segment::{Access, Create, Open},
    sys::Linux,
};

type Inner<T> = core_::ReentrantMutex<'static, T, Linux>;

/// The right of one thread to what a [`ReentrantMutex`] holds; dropping the last one of that thread unlocks.
///
/// It gives the data as a [`Cell`](std::cell::Cell). The guards of one thread may be dropped in any order; none can be
/// sent to another thread or shared with it.
pub type ReentrantMutexGuard<'a, T> = core_::ReentrantMutexGuard<'a, T, Linux>;

/// What locking gives: the guard, or an error that may have the guard inside.
type Locked<'a, T> = Result<ReentrantMutexGuard<'a, T>, LockError<ReentrantMutexGuard<'a, T>>>;

/// A `T` that one thread of all processes at a time may change, and lock again while it holds it: for functions that
/// lock what their caller may have locked.
///
/// Since one thread may have several guards at once, a guard gives the data as a [`Cell`](std::cell::Cell): to get, to
/// set, to update. `ReentrantMutex<()>` guards what lies elsewhere.
///
/// When the process that holds the lock dies, or its thread panics, the lock is poisoned as that of a
/// [`Mutex`](crate::Mutex): whoever locks it is told, a thread that locks it again as well, until
/// [`clear_poison`](ReentrantMutexGuard::clear_poison).
///
/// To lock again what one holds costs a few nanoseconds. Whoever waits sleeps, and looks up ten times a second whether
/// the holder still lives. Nobody is served in order: who comes at the right moment may overtake who sleeps.
///
/// ```
/// # multiproc::init();
/// use multiproc::{Error, ReentrantMutex};
///
/// fn pay(account: &ReentrantMutex<i64>, amount: i64) -> Result<(), Error> {
///     account.lock()?.update(|balance| balance - amount);
///     Ok(())
/// }
///
/// let account = ReentrantMutex::new(100)?;
/// // Nobody sees it between the two payments.
/// let balance = account.lock()?;
/// pay(&account, 30)?;
/// pay(&account, 20)?;
/// assert_eq!(balance.get(), 50);
/// # drop(balance);
/// # Ok::<(), Error>(())
/// ```
pub struct ReentrantMutex<T: Element>(Mapped<Inner<T>>);

view!(ReentrantMutex<T: Element>);
shared_object!(ReentrantMutex<T: Element>);

impl<T: Element> ReentrantMutex<T> {
    /// A reentrant mutex around `value`, in an anonymous segment.
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn new(value: T) -> Result<ReentrantMutex<T>, Error> {
        ReentrantMutex::create(Create::anonymous(), value)
    }

    /// A reentrant mutex around `value`, where `create` says.
    ///
    /// A name goes with its maker, unless [`Create::persist`] says that it stays.
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn create(create: impl Into<Create>, value: T) -> Result<ReentrantMutex<T>, Error> {
        let len = Inner::<T>::required_len();
        Mapped::create(create.into(), len, |region, origin| {
            // SAFETY: a new segment, which nobody else sees yet.
            unsafe { core_::ReentrantMutex::place(region, Linux, origin, value) }.map(drop)
        })
        .map(ReentrantMutex)
    }

    /// The reentrant mutex that somebody made there.
    ///
    /// # Errors
    ///
    /// [`Error`] when there is none, or none around a `T`.
    pub fn open(open: impl Into<Open>) -> Result<ReentrantMutex<T>, Error> {
        Mapped::open(open.into(), Access::ReadWrite).map(ReentrantMutex)
    }

    /// Waits for the lock, unless this thread holds it already.
    ///
    /// # Errors
    ///
    /// [`LockError::Poisoned`] with the guard inside; never [`LockError::WouldDeadlock`]. In a function that returns
    /// another error than [`Error`], write `.map_err(multiproc::Error::from)?`: an error with a guard inside borrows
    /// the mutex.
    #[inline]
    pub fn lock(&self) -> Locked<'_, T> {
        self.0.view().lock()
    }

    /// Takes the lock if it is free now, or this thread's.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock), and [`LockError::WouldBlock`].
    #[inline]
    pub fn try_lock(&self) -> Locked<'_, T> {
        self.0.view().try_lock()
    }

    /// Waits for the lock, but not longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock), and [`LockError::TimedOut`].
    pub fn lock_timeout(&self, timeout: Duration) -> Locked<'_, T> {
        self.0.view().lock_until(deadline::after(timeout))
    }

    /// Why the mutex is poisoned at this moment, if it is. The death of an owner shows once somebody has tried to
    /// lock.
    #[must_use]
    pub fn poison(&self) -> Option<Cause> {
        self.0.view().poison()
    }

    /// Whether the mutex is poisoned at this moment, as [`poison`](Self::poison) says.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.poison().is_some()
    }

    /// Whether somebody holds the lock at this moment. One who died counts as its holder until somebody asks for it.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.0.view().is_locked()
    }
}

impl<T: Element + fmt::Debug> fmt::Debug for ReentrantMutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("ReentrantMutex");
        match self.try_lock().or_else(LockError::into_guard) {
            Ok(guard) => debug.field("data", &guard.get()),
            Err(_) => debug.field("data", &format_args!("<locked>")),
        };
        debug
            .field("poison", &self.poison())
            .field("segment", self.segment())
            .finish()
    }
}
