//! `Mutex<T>` in a segment.

use std::{fmt, time::Duration};

use multiproc_core::{self as core_, Cause, Element, LockError};

use crate::{
    deadline,
    error::Error,
    mapped::{Mapped, shared_object, view},
    segment::{Access, Create, Open},
    sys::Linux,
};

type Inner<T> = core_::Mutex<'static, T, Linux>;

/// The right to change what a [`Mutex`] holds; dropping it unlocks.
pub type MutexGuard<'a, T> = core_::MutexGuard<'a, T, Linux>;

/// What locking gives: the guard, or an error that may have the guard inside.
type Locked<'a, T> = Result<MutexGuard<'a, T>, LockError<MutexGuard<'a, T>>>;

/// A `T` that one thread of all processes at a time may change.
///
/// The lock survives the death of whoever holds it: the next process to lock it finds out, takes it over, and gets
/// the guard inside [`LockError::Poisoned`], until it has called [`clear_poison`](MutexGuard::clear_poison). A panic
/// poisons likewise. A value that should simply never be half-written is better off in a [`Value`](crate::Value).
///
/// Not fair: who comes at the right moment may overtake who sleeps. Locking what is free costs some nanoseconds; a waiter
/// sleeps, and wakes itself after 5 ms and then every 100 ms to look whether the holder still lives.
///
/// ```
/// # multiproc::init();
/// let total = multiproc::Mutex::new(0u64)?;
/// *total.lock()? += 1;
/// assert_eq!(*total.lock()?, 1);
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// Recovering what a process that died has left:
///
/// ```
/// # multiproc::init();
/// # let total = multiproc::Mutex::new(0u64)?;
/// let mut guard = total.lock().or_else(|error| {
///     let mut guard = error.into_guard()?;
///     *guard = 0; // whatever makes the data sound
///     guard.clear_poison();
///     Ok::<_, multiproc::LockError<_>>(guard)
/// })?;
/// *guard += 1;
/// # drop(guard);
/// # Ok::<(), multiproc::Error>(())
/// ```
pub struct Mutex<T: Element>(Mapped<Inner<T>>);

view!(Mutex<T: Element>);
shared_object!(Mutex<T: Element>);

impl<T: Element> Mutex<T> {
    /// A mutex around `value`, in an anonymous segment.
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn new(value: T) -> Result<Mutex<T>, Error> {
        Mutex::create(Create::anonymous(), value)
    }

    /// A mutex around `value`, where `create` says.
    ///
    /// A name goes with its maker, unless [`Create::persist`] says that it stays.
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn create(create: impl Into<Create>, value: T) -> Result<Mutex<T>, Error> {
        let len = Inner::<T>::required_len();
        Mapped::create(create.into(), len, |region, origin| {
            // SAFETY: a new segment, which nobody else sees yet.
            unsafe { core_::Mutex::place(region, Linux, origin, value) }.map(drop)
        })
        .map(Mutex)
    }

    /// The mutex that somebody made there.
    ///
    /// # Errors
    ///
    /// [`Error`] when there is none, or none around a `T`.
    pub fn open(open: impl Into<Open>) -> Result<Mutex<T>, Error> {
        Mapped::open(open.into(), Access::ReadWrite).map(Mutex)
    }

    /// Waits for the lock.
    ///
    /// # Errors
    ///
    /// [`LockError::Poisoned`] with the guard inside, or [`LockError::WouldDeadlock`]. In a function that returns another
    /// error than [`Error`], write `.map_err(multiproc::Error::from)?`: an error with a guard inside borrows the mutex.
    #[inline]
    pub fn lock(&self) -> Locked<'_, T> {
        self.0.view().lock()
    }

    /// Takes the lock if it is free now.
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

impl<T: Element + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Mutex");
        match self.try_lock().or_else(LockError::into_guard) {
            Ok(guard) => debug.field("data", &*guard),
            Err(_) => debug.field("data", &format_args!("<locked>")),
        };
        debug
            .field("poison", &self.poison())
            .field("segment", self.segment())
            .finish()
    }
}
