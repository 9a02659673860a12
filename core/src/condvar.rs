//! `Condvar`: waiting for what a [`Mutex`](crate::Mutex) guards to become as one wishes.

use core::fmt;

use crate::{
    condvar_word::CondvarWord,
    element::Element,
    error::LayoutError,
    header::Kind,
    lock::FOREVER,
    mutex::MutexGuard,
    origin::Origin,
    os::{Os, Wait},
    placed::{self, Placed},
    refusal::LockError,
    region::Region,
    wait_timeout::WaitTimeoutResult,
};

// SAFETY: one atomic.
unsafe impl placed::Words for CondvarWord {
    const KIND: Kind = Kind::Condvar;

    fn bury(&self) {
        self.reset();
    }
}

/// What waiting gives: the guard again, or an error with the guard inside.
type Waited<'a, T, O> = Result<MutexGuard<'a, T, O>, LockError<MutexGuard<'a, T, O>>>;

/// The same with how the wait ended.
type WaitedUntil<'a, T, O> = Result<
    (MutexGuard<'a, T, O>, WaitTimeoutResult),
    LockError<(MutexGuard<'a, T, O>, WaitTimeoutResult)>,
>;

/// Waiting, with a [`Mutex`](crate::Mutex) unlocked meanwhile, until somebody notifies.
///
/// Waits may end although nobody notified, as those of `std::sync::Condvar`: look at the data after each, or use
/// [`wait_while`](Self::wait_while). Notifying takes no lock, never waits, and is a load when nobody waits. What is waited
/// for must change under the mutex; the notification can come after that, before or after it is unlocked.
///
/// Who waits sleeps, but each wait ends, for nothing if need be, after a tenth of a second, and the data is looked at
/// again. So nobody is lost to whom a notification did not come because somebody was killed: before he could act on
/// it, or between changing the data and notifying. One notification wakes as many as it says at once, in no
/// order that is promised. A waiter that was killed costs the next notification a system call.
///
/// A waiter does not know who will change the data, and so not that nobody is left to do so: who cannot rely on that waits
/// with a deadline. A guard that a fork child has inherited is not waited with: the child takes the lock for itself, and
/// looks.
pub struct Condvar<'m, O> {
    word: &'m CondvarWord,
    os: O,
}

impl<'m, O: Os> Condvar<'m, O> {
    /// How many bytes it takes.
    #[must_use]
    pub fn required_len() -> usize {
        Placed::<CondvarWord, ()>::required_len()
    }

    /// Places a condition variable in fresh memory.
    ///
    /// # Errors
    ///
    /// [`LayoutError::TooShort`] when the memory is shorter than [`required_len`](Self::required_len).
    ///
    /// # Safety
    ///
    /// No process uses a layout that overlaps `region`.
    pub unsafe fn place(
        region: Region<'m>,
        os: O,
        origin: Origin,
    ) -> Result<Condvar<'m, O>, LayoutError> {
        // SAFETY: promised by the caller.
        unsafe { Placed::place(&region, origin, (), CondvarWord::reset) }
            .map(|placed| Condvar::view(placed, os))
    }

    /// The condition variable that somebody placed in `region`.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] when the bytes do not hold a condition variable of this `origin`.
    pub fn attach(region: Region<'m>, os: O, origin: Origin) -> Result<Self, LayoutError> {
        Placed::attach(&region, origin).map(|placed| Condvar::view(placed, os))
    }

    /// Declares every process that ever had it open dead: nobody waits.
    ///
    /// # Errors
    ///
    /// As [`attach`](Self::attach), except that any origin will do.
    ///
    /// # Safety
    ///
    /// Nobody else has the memory open.
    pub unsafe fn bury(region: Region<'m>, _: O, origin: Origin) -> Result<(), LayoutError> {
        // SAFETY: promised by the caller.
        unsafe { Placed::<CondvarWord, ()>::bury(&region, origin) }
    }

    fn view(placed: Placed<'m, CondvarWord, ()>, os: O) -> Self {
        Condvar {
            word: placed.words,
            os,
        }
    }

    /// Unlocks, waits until somebody notifies, and locks again. It may end without that.
    ///
    /// # Errors
    ///
    /// [`LockError::Poisoned`] with the guard inside when the mutex is poisoned by now, or still is.
    pub fn wait<'a, T: Element>(&self, guard: MutexGuard<'a, T, O>) -> Waited<'a, T, O> {
        match self.wait_until(guard, FOREVER) {
            Ok((guard, _)) => Ok(guard),
            Err(error) => Err(error.map(|(guard, _)| guard)),
        }
    }

    /// As [`wait`](Self::wait), but sleeps no longer than until `until` on the clock of [`Os::now`]. To lock again may take
    /// longer.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_until<'a, T: Element>(
        &self,
        guard: MutexGuard<'a, T, O>,
        until: u64,
    ) -> WaitedUntil<'a, T, O> {
        let mutex = guard.mutex();
        let wait = if guard.is_mine() {
            let marked = self.word.mark();
            self.os.step("condvar: marked");
            drop(guard);
            self.os.step("condvar: unlocked");
            self.word.sleep(&self.os, marked, until)
        } else {
            // The mark would come after whatever was notified since the fork, and nothing tells that it came too late.
            drop(guard);
            Wait::Woken
        };
        let how = WaitTimeoutResult::new(wait == Wait::TimedOut);
        match mutex.lock() {
            Ok(guard) => Ok((guard, how)),
            Err(error) => Err(error.map(|guard| (guard, how))),
        }
    }

    /// Waits as long as `condition` holds, which is asked under the lock.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait). `condition` may hold then.
    pub fn wait_while<'a, T: Element>(
        &self,
        mut guard: MutexGuard<'a, T, O>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> Waited<'a, T, O> {
        while condition(&mut guard) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// As [`wait_while`](Self::wait_while), but no longer than until `until` on the clock of [`Os::now`]; it timed out when
    /// `condition` holds even then.
    ///
    /// # Errors
    ///
    /// As [`wait_while`](Self::wait_while).
    pub fn wait_until_while<'a, T: Element>(
        &self,
        mut guard: MutexGuard<'a, T, O>,
        until: u64,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> WaitedUntil<'a, T, O> {
        let mut how = WaitTimeoutResult::new(false);
        while condition(&mut guard) {
            if how.timed_out() {
                return Ok((guard, how));
            }
            (guard, how) = self.wait_until(guard, until)?;
        }
        Ok((guard, WaitTimeoutResult::new(false)))
    }

    /// Wakes one of those who wait.
    #[inline]
    pub fn notify_one(&self) {
        self.notify_n(1);
    }

    /// Wakes up to `count` of those who wait.
    #[inline]
    pub fn notify_n(&self, count: u32) {
        self.word.notify(&self.os, count);
    }

    /// Wakes all who wait.
    #[inline]
    pub fn notify_all(&self) {
        self.word.notify_all(&self.os);
    }
}

impl<O> fmt::Debug for Condvar<'_, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").finish_non_exhaustive()
    }
}
