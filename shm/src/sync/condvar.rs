//! `Condvar` in a segment.

use std::{fmt, time::Duration};

use multiproc_core::{self as core_, Element, LockError, WaitTimeoutResult};

use crate::{
    deadline,
    error::Error,
    mapped::{Mapped, shared_object, view},
    segment::{Access, Create, Open},
    sync::MutexGuard,
    sys::Linux,
};

type Inner = core_::Condvar<'static, Linux>;

/// What waiting gives: the guard again, or an error with the guard inside.
type Waited<'a, T> = Result<MutexGuard<'a, T>, LockError<MutexGuard<'a, T>>>;

/// The same with how the wait ended.
type WaitedTimeout<'a, T> = Result<
    (MutexGuard<'a, T>, WaitTimeoutResult),
    LockError<(MutexGuard<'a, T>, WaitTimeoutResult)>,
>;

/// Waiting, with a [`Mutex`](crate::Mutex) unlocked meanwhile, until somebody of any process notifies.
///
/// Used as `std::sync::Condvar` is, and like there a wait may end although nobody notified: look at the data after each,
/// or use [`wait_while`](Self::wait_while). What is waited for must change under the mutex; the notification can come after
/// that, before or after the mutex is unlocked. Notifying takes no lock and never waits, whatever becomes of the waiters.
///
/// ```
/// # multiproc::init();
/// use multiproc::{Condvar, Mutex, Process};
///
/// fn produce((level, changed): (Mutex<u64>, Condvar)) {
///     *level.lock().unwrap() += 1;
///     changed.notify_one();
/// }
///
/// let (level, changed) = (Mutex::new(0)?, Condvar::new()?);
/// let child = Process::spawn(produce, (level.clone(), changed.clone()))?;
/// let mut guard = changed.wait_while(level.lock()?, |level| *level == 0)?;
/// *guard -= 1;
/// drop(guard);
/// child.join()?;
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// # Cost and fairness
///
/// To notify is a load when nobody waits, otherwise a system call. Who waits sleeps, but each wait ends, for nothing if
/// need be, after a tenth of a second, and the data is looked at again: that is a lock and an unlock ten times a
/// second. So nobody is lost to whom a notification did not come because somebody was killed: before he could act on it,
/// or between changing the data and notifying. One notification wakes as many as it says at once, in no
/// order that is promised. A waiter that was killed costs the next notification a system call or two.
///
/// A waiter does not know who will change the data, and so not that nobody is left to do so: who cannot rely on that waits
/// with a timeout.
pub struct Condvar(Mapped<Inner>);

view!(Condvar);
shared_object!(Condvar);

impl Condvar {
    /// A condition variable in an anonymous segment.
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn new() -> Result<Condvar, Error> {
        Condvar::create(Create::anonymous())
    }

    /// A condition variable, where `create` says.
    ///
    /// A name goes with its maker, unless [`Create::persist`] says that it stays.
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn create(create: impl Into<Create>) -> Result<Condvar, Error> {
        Mapped::create(create.into(), Inner::required_len(), |region, origin| {
            // SAFETY: a new segment, which nobody else sees yet.
            unsafe { core_::Condvar::place(region, Linux, origin) }.map(drop)
        })
        .map(Condvar)
    }

    /// The condition variable that somebody made there.
    ///
    /// # Errors
    ///
    /// [`Error`] when there is none.
    pub fn open(open: impl Into<Open>) -> Result<Condvar, Error> {
        Mapped::open(open.into(), Access::ReadWrite).map(Condvar)
    }

    /// Unlocks, waits until somebody notifies, and locks again. It may end without that.
    ///
    /// A guard that a fork child has inherited holds nothing: the child then locks for itself, and does not sleep before.
    ///
    /// # Errors
    ///
    /// [`LockError::Poisoned`] with the guard inside when the mutex is poisoned by now, or still is.
    pub fn wait<'a, T: Element>(&self, guard: MutexGuard<'a, T>) -> Waited<'a, T> {
        self.0.view().wait(guard)
    }

    /// As [`wait`](Self::wait), but sleeps no longer than `timeout`. To lock again may take longer.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait). A timeout is no error: the result says whether there was one.
    pub fn wait_timeout<'a, T: Element>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> WaitedTimeout<'a, T> {
        self.0.view().wait_until(guard, deadline::after(timeout))
    }

    /// Waits as long as `condition` holds, which is asked under the lock.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait). `condition` may hold then.
    pub fn wait_while<'a, T: Element>(
        &self,
        guard: MutexGuard<'a, T>,
        condition: impl FnMut(&mut T) -> bool,
    ) -> Waited<'a, T> {
        self.0.view().wait_while(guard, condition)
    }

    /// As [`wait_while`](Self::wait_while), but no longer than `timeout`; it timed out when `condition` holds even then.
    ///
    /// # Errors
    ///
    /// As [`wait_timeout`](Self::wait_timeout). `condition` may hold then.
    pub fn wait_timeout_while<'a, T: Element>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
        condition: impl FnMut(&mut T) -> bool,
    ) -> WaitedTimeout<'a, T> {
        let until = deadline::after(timeout);
        self.0.view().wait_until_while(guard, until, condition)
    }

    /// Wakes one of those who wait.
    #[inline]
    pub fn notify_one(&self) {
        self.0.view().notify_one();
    }

    /// Wakes up to `count` of those who wait.
    #[inline]
    pub fn notify_n(&self, count: u32) {
        self.0.view().notify_n(count);
    }

    /// Wakes all who wait.
    #[inline]
    pub fn notify_all(&self) {
        self.0.view().notify_all();
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar")
            .field("segment", self.segment())
            .finish()
    }
}
