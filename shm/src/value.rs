//! `Value<T>` in a segment.

use std::{fmt, time::Duration};

use multiproc_core::{self as core_, Element, LockError, Refused, WaitTimeoutResult};

use crate::{
    deadline,
    error::Error,
    mapped::{Mapped, shared_object, view},
    read_only::ReadOnly,
    segment::{Access, Create, Open},
    sys::Linux,
};

type Inner<T> = core_::Value<'static, T, Linux>;

/// A private copy of a [`Value`], under its lock; dropping it publishes the copy and unlocks.
pub type ValueGuard<'a, T> = core_::ValueGuard<'a, T, Linux>;

/// What locking gives.
type Locked<'a, T> = Result<ValueGuard<'a, T>, LockError<ValueGuard<'a, T>>>;

/// A `T` that every process reads without waiting and changes as a transaction.
///
/// * [`get`](Self::get) is a snapshot: it takes no lock and never returns a mixture of two values.
/// * [`lock`](Self::lock) gives a private copy to change; dropping the guard publishes it with one store. Whoever is
///   killed, or panics, before that store leaves the old value, whole. A value is therefore never poisoned.
/// * [`wait_while`](Self::wait_while) sleeps until the value is another one.
///
/// A snapshot costs a copy of the value; a change costs a lock and two copies. Writers are not served in order: who comes
/// at the right moment may overtake who sleeps, and a sleeper wakes itself after 5 ms and then every 100 ms to look whether
/// the holder still lives.
///
/// ```
/// # multiproc::init();
/// let best = multiproc::Value::new([0.0f64; 3])?;
/// best.update(|at| at[1] = 2.5)?;
/// assert_eq!(best.get(), [0.0, 2.5, 0.0]);
/// # Ok::<(), multiproc::Error>(())
/// ```
pub struct Value<T: Element>(Mapped<Inner<T>>);

view!(Value<T: Element>);
shared_object!(Value<T: Element>);

impl<T: Element> Value<T> {
    /// A shared `value`, in an anonymous segment.
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn new(value: T) -> Result<Value<T>, Error> {
        Value::create(Create::anonymous(), value)
    }

    /// A shared `value`, where `create` says.
    ///
    /// A name goes with its maker, unless [`Create::persist`] says that it stays.
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn create(create: impl Into<Create>, value: T) -> Result<Value<T>, Error> {
        let len = Inner::<T>::required_len();
        Mapped::create(create.into(), len, |region, origin| {
            // SAFETY: a new segment, which nobody else sees yet.
            unsafe { core_::Value::place(region, Linux, origin, value) }.map(drop)
        })
        .map(Value)
    }

    /// The value that somebody made there.
    ///
    /// # Errors
    ///
    /// [`Error`] when there is none, or none of type `T`.
    pub fn open(open: impl Into<Open>) -> Result<Value<T>, Error> {
        Mapped::open(open.into(), Access::ReadWrite).map(Value)
    }

    /// The value that somebody made there, for reading only.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_read_only(open: impl Into<Open>) -> Result<ReadOnly<Value<T>>, Error> {
        let mapped = Mapped::open(open.into(), Access::ReadOnly)?;
        Ok(ReadOnly::new(Value(mapped)))
    }

    /// A handle to the same memory that cannot change it, mapped anew.
    ///
    /// # Errors
    ///
    /// [`Error`] when it cannot be mapped.
    pub fn read_only(&self) -> Result<ReadOnly<Value<T>>, Error> {
        Ok(ReadOnly::new(Value(self.0.read_only()?)))
    }

    /// A snapshot of the value: without a lock, and without waiting unless writers never pause.
    #[inline]
    #[must_use]
    pub fn get(&self) -> T {
        self.0.view().get()
    }

    /// Makes `value` the value.
    ///
    /// # Errors
    ///
    /// [`Refused::WouldDeadlock`] when this thread holds a guard of it.
    #[inline]
    pub fn set(&self, value: T) -> Result<(), Refused> {
        self.0.view().set(value)
    }

    /// Makes `value` the value and returns the one before it.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set).
    #[inline]
    pub fn replace(&self, value: T) -> Result<T, Refused> {
        self.0.view().replace(value)
    }

    /// Changes the value by `change`, as one transaction, and returns what `change` returns. If `change` panics, or
    /// the process is killed meanwhile, the value stays as it was.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set).
    #[inline]
    pub fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> Result<R, Refused> {
        self.0.view().update(change)
    }

    /// Waits for the lock and gives a private copy to change.
    ///
    /// # Errors
    ///
    /// [`LockError::WouldDeadlock`] when this thread holds a guard of it already.
    #[inline]
    pub fn lock(&self) -> Locked<'_, T> {
        self.0.view().lock()
    }

    /// As [`lock`](Self::lock), but does not wait.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock), and [`LockError::WouldBlock`].
    #[inline]
    pub fn try_lock(&self) -> Locked<'_, T> {
        self.0.view().try_lock()
    }

    /// As [`lock`](Self::lock), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock), and [`LockError::TimedOut`].
    pub fn lock_timeout(&self, timeout: Duration) -> Locked<'_, T> {
        self.0.view().lock_until(deadline::after(timeout))
    }

    /// Waits while `pred` holds of the value, and returns the first for which it does not.
    ///
    /// It takes no lock and no process can hold it up. `pred` is called with a snapshot at once, after changes, and now
    /// and then in between; of several changes in quick succession it may see the last alone.
    ///
    /// Who waits sleeps, but wakes itself after 5 ms and then every 100 ms to look: so it also finds out what
    /// somebody changed who was killed before he woke anybody. Changes cost two system calls more while somebody waits,
    /// and nothing otherwise.
    ///
    /// # Errors
    ///
    /// [`Refused::WouldDeadlock`] when it would wait while this thread holds a guard of the value: nobody else could
    /// change it.
    ///
    /// ```
    /// # multiproc::init();
    /// use multiproc::{Process, Value};
    ///
    /// fn work(progress: Value<u64>) {
    ///     for percent in 1..=100 {
    ///         progress.set(percent).unwrap();
    ///     }
    /// }
    ///
    /// let progress = Value::new(0)?;
    /// let child = Process::spawn(work, progress.clone())?;
    /// assert!(progress.wait_while(|percent| *percent < 50)? >= 50);
    /// child.join()?;
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn wait_while(&self, pred: impl FnMut(&T) -> bool) -> Result<T, Refused> {
        self.0.view().wait_while(pred)
    }

    /// As [`wait_while`](Self::wait_while), but waits no longer than `timeout`. The result has timed out if `pred` still
    /// held of the value that is returned.
    ///
    /// # Errors
    ///
    /// As [`wait_while`](Self::wait_while).
    ///
    /// ```
    /// # multiproc::init();
    /// use std::time::Duration;
    ///
    /// let ready = multiproc::Value::new(0u8)?;
    /// let (value, result) = ready.wait_timeout_while(Duration::from_millis(10), |ready| *ready == 0)?;
    /// assert!(value == 0 && result.timed_out());
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn wait_timeout_while(
        &self,
        timeout: Duration,
        pred: impl FnMut(&T) -> bool,
    ) -> Result<(T, WaitTimeoutResult), Refused> {
        let until = deadline::after(timeout);
        self.0.view().wait_until_while(until, pred)
    }

    /// How often the value has changed so far.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.0.view().sequence()
    }
}

impl<T: Element> ReadOnly<Value<T>> {
    /// A snapshot of the value. Beside writers that never pause it may take long: what may only be read cannot be
    /// locked.
    #[inline]
    #[must_use]
    pub fn get(&self) -> T {
        self.object().0.view().get_unlocked()
    }

    /// How often the value has changed so far.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.object().sequence()
    }
}

impl<T: Element + fmt::Debug> fmt::Debug for Value<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value")
            .field("value", &self.0.view().get_unlocked())
            .field("segment", self.segment())
            .finish()
    }
}
