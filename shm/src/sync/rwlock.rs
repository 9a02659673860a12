//! `RwLock<T>` in a segment.

use std::{fmt, time::Duration};

use multiproc_core::{self as core_, Cause, Element, LockError};

use crate::{
    deadline,
    error::Error,
    mapped::{Mapped, shared_object, view},
    segment::{Access, Create, Open},
    sys::Linux,
};

type Inner<T> = core_::RwLock<'static, T, Linux>;

/// The right to look at what a [`RwLock`] holds, together with other readers; dropping it gives it back.
pub type RwLockReadGuard<'a, T> = core_::RwLockReadGuard<'a, T, Linux>;

/// The right to change what a [`RwLock`] holds; dropping it gives it back.
pub type RwLockWriteGuard<'a, T> = core_::RwLockWriteGuard<'a, T, Linux>;

/// What locking to read gives: the guard, or an error that may have the guard inside.
type Reading<'a, T> = Result<RwLockReadGuard<'a, T>, LockError<RwLockReadGuard<'a, T>>>;

/// What locking to write gives: the guard, or an error that may have the guard inside.
type Writing<'a, T> = Result<RwLockWriteGuard<'a, T>, LockError<RwLockWriteGuard<'a, T>>>;

/// A `T` that many threads of all processes read at once, or one of them changes.
///
/// ```
/// # multiproc::init();
/// let limits = multiproc::RwLock::new([1.0, 2.0])?;
/// {
///     let (one, another) = (limits.read()?, limits.read()?);
///     assert_eq!(one[0] + another[1], 3.0);
/// }
/// limits.write()?[1] = 5.0;
/// assert_eq!(*limits.read()?, [1.0, 5.0]);
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// **Order.** Who asks first gets it first: readers that come after a waiting writer wait behind it, so that it is not kept
/// waiting for ever; only a thread that reads already may read again at once. 64 can read or wait in order: the 65th
/// looks every 10 ms until there is room, and keeps no place in line meanwhile.
///
/// **Death.** When a process is killed that reads, or waits, the others go on. When it is killed while it writes, or a
/// thread panics after it could have changed something, the lock is *poisoned*: whoever locks it next, to read or to write,
/// gets the guard inside [`LockError::Poisoned`], until [`clear_poison`](RwLockWriteGuard::clear_poison).
///
/// **Cost.** About that of two mutexes: a table of readers is changed under a lock of its own. Worth it when reading takes
/// longer than that; what is small and read often is better off in a [`Value`](crate::Value). Who waits sleeps,
/// but wakes itself after 5 ms and then every 100 ms to see whether those in the way still live.
pub struct RwLock<T: Element>(Mapped<Inner<T>>);

view!(RwLock<T: Element>);
shared_object!(RwLock<T: Element>);

impl<T: Element> RwLock<T> {
    /// A lock around `value`, in an anonymous segment.
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn new(value: T) -> Result<RwLock<T>, Error> {
        RwLock::create(Create::anonymous(), value)
    }

    /// A lock around `value`, where `create` says.
    ///
    /// A name goes with its maker, unless [`Create::persist`] says that it stays.
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn create(create: impl Into<Create>, value: T) -> Result<RwLock<T>, Error> {
        let len = Inner::<T>::required_len();
        Mapped::create(create.into(), len, |region, origin| {
            // SAFETY: a new segment, which nobody else sees yet.
            unsafe { core_::RwLock::place(region, Linux, origin, value) }.map(drop)
        })
        .map(RwLock)
    }

    /// The lock that somebody made there.
    ///
    /// # Errors
    ///
    /// [`Error`] when there is none, or none around a `T`.
    pub fn open(open: impl Into<Open>) -> Result<RwLock<T>, Error> {
        Mapped::open(open.into(), Access::ReadWrite).map(RwLock)
    }

    /// Waits until nobody writes, and nobody who asked to write before is waiting, and shares the data with other readers.
    ///
    /// # Errors
    ///
    /// [`LockError::Poisoned`] with the guard inside, [`LockError::WouldDeadlock`] when this thread writes, or
    /// [`LockError::TooManyClaims`] when all 64 places are taken and it has one. In a function that returns another
    /// error than [`Error`], write `.map_err(multiproc::Error::from)?`: an error with a guard inside borrows the lock.
    #[inline]
    pub fn read(&self) -> Reading<'_, T> {
        self.0.view().read()
    }

    /// Waits until nobody else reads or writes, and takes the data for itself.
    ///
    /// # Errors
    ///
    /// [`LockError::Poisoned`] with the guard inside, or [`LockError::WouldDeadlock`] when this thread reads or writes
    /// already: to look first and then change, lock to write and [downgrade](RwLockWriteGuard::downgrade), or drop the
    /// guard in between and look again.
    #[inline]
    pub fn write(&self) -> Writing<'_, T> {
        self.0.view().write()
    }

    /// As [`read`](Self::read), but does not wait for others who read or write; for a process that is stopped in
    /// the middle of its bookkeeping, up to 10 ms.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), and [`LockError::WouldBlock`].
    #[inline]
    pub fn try_read(&self) -> Reading<'_, T> {
        self.0.view().try_read()
    }

    /// As [`write`](Self::write), but does not wait for others who read or write; for a process that is stopped in
    /// the middle of its bookkeeping, up to 10 ms.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write), and [`LockError::WouldBlock`].
    #[inline]
    pub fn try_write(&self) -> Writing<'_, T> {
        self.0.view().try_write()
    }

    /// As [`read`](Self::read), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), and [`LockError::TimedOut`].
    pub fn read_timeout(&self, timeout: Duration) -> Reading<'_, T> {
        self.0.view().read_until(deadline::after(timeout))
    }

    /// As [`write`](Self::write), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write), and [`LockError::TimedOut`].
    pub fn write_timeout(&self, timeout: Duration) -> Writing<'_, T> {
        self.0.view().write_until(deadline::after(timeout))
    }

    /// Why the lock is poisoned at this moment, if it is. The death of a writer shows once somebody has tried to lock.
    #[must_use]
    pub fn poison(&self) -> Option<Cause> {
        self.0.view().poison()
    }

    /// Whether the lock is poisoned at this moment, as [`poison`](Self::poison) says.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.poison().is_some()
    }

    /// Whether somebody reads or writes at this moment. Those who died are counted until somebody has waited for them.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.0.view().is_locked()
    }

    /// How many read at this moment. Those who died are counted until somebody has waited for them.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.0.view().readers()
    }

    /// How many wait at this moment, to read or to write, not counting those who have found no room.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.view().waiting()
    }
}

impl<T: Element + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (readers, waiting) = (self.readers(), self.waiting());
        let mut debug = f.debug_struct("RwLock");
        match self.try_read().or_else(LockError::into_guard) {
            Ok(guard) => debug.field("data", &*guard),
            Err(_) => debug.field("data", &format_args!("<locked>")),
        };
        debug
            .field("readers", &readers)
            .field("waiting", &waiting)
            .field("poison", &self.poison())
            .field("segment", self.segment())
            .finish()
    }
}
