//! `ReentrantMutex<T>`: a mutex that the thread which holds it may lock again.

use core::{cell::Cell, fmt, marker::PhantomData, ops::Deref, ptr::NonNull};

use crate::{
    element::Element,
    error::LayoutError,
    header::Kind,
    lock::{FOREVER, NOW},
    origin::Origin,
    os::Os,
    owner::Owner,
    placed::{self, Placed},
    poison::{Cause, PoisonWord},
    reentrant_lock::ReentrantLock,
    refusal::{LockError, Poisoned},
    region::Region,
};

#[repr(C)]
#[derive(Debug)]
struct Words {
    lock: ReentrantLock,
    poison: PoisonWord,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Words>() == 32);

// SAFETY: atomics alone.
unsafe impl placed::Words for Words {
    const KIND: Kind = Kind::ReentrantMutex;

    fn bury(&self) {
        let owner = self.lock.owner();
        if !owner.is_none() {
            self.poison.note(Cause::died(owner));
        }
        self.lock.reset();
    }
}

/// A `T` that one thread of all processes at a time may change, and lock again while it holds it.
///
/// Since one thread may have several guards at once, a guard gives the data as a [`Cell`]: to get, to set, to update.
/// `ReentrantMutex<()>` guards what lies elsewhere.
///
/// Poison is that of a [`Mutex`](crate::Mutex): it lasts until [`clear_poison`](ReentrantMutexGuard::clear_poison), and a
/// thread that locks again is told as well.
pub struct ReentrantMutex<'m, T, O> {
    words: &'m Words,
    data: NonNull<T>,
    os: O,
}

/// What locking gives: the guard, or an error that may have the guard inside.
type Locked<'a, T, O> =
    Result<ReentrantMutexGuard<'a, T, O>, LockError<ReentrantMutexGuard<'a, T, O>>>;

// SAFETY: the data is reached only through guards, by one thread of all processes at a time; `T: Element` is itself
// `Send`.
unsafe impl<T: Element, O: Send> Send for ReentrantMutex<'_, T, O> {}
// SAFETY: as above; `&ReentrantMutex` gives nothing but guards.
unsafe impl<T: Element, O: Sync> Sync for ReentrantMutex<'_, T, O> {}

impl<'m, T: Element, O: Os> ReentrantMutex<'m, T, O> {
    /// How many bytes it takes.
    #[must_use]
    pub fn required_len() -> usize {
        Placed::<Words, T>::required_len()
    }

    /// Places a mutex around `value` in fresh memory.
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
        value: T,
    ) -> Result<Self, LayoutError> {
        let init = |words: &Words| {
            words.lock.reset();
            words.poison.clear();
        };
        // SAFETY: promised by the caller.
        unsafe { Placed::place(&region, origin, value, init) }.map(|placed| Self::view(placed, os))
    }

    /// The mutex that somebody placed in `region`.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] when the bytes do not hold a reentrant mutex around a `T` of this `origin`.
    pub fn attach(region: Region<'m>, os: O, origin: Origin) -> Result<Self, LayoutError> {
        Placed::attach(&region, origin).map(|placed| Self::view(placed, os))
    }

    /// Declares every process that ever had it open dead: a held lock becomes free and poisoned.
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
        unsafe { Placed::<Words, T>::bury(&region, origin) }
    }

    fn view(placed: Placed<'m, Words, T>, os: O) -> Self {
        let Placed { words, data, .. } = placed;
        ReentrantMutex { words, data, os }
    }

    /// Waits for the lock, unless this thread holds it already.
    ///
    /// # Errors
    ///
    /// [`LockError::Poisoned`] with the guard inside; never [`LockError::WouldDeadlock`].
    #[inline]
    pub fn lock(&self) -> Locked<'_, T, O> {
        self.lock_until(FOREVER)
    }

    /// Takes the lock if it is free now, or this thread's.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock), and [`LockError::WouldBlock`].
    #[inline]
    pub fn try_lock(&self) -> Locked<'_, T, O> {
        self.lock_until(NOW)
    }

    /// As [`lock`](Self::lock), until `until` on the clock of [`Os::now`].
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock), and [`LockError::TimedOut`].
    #[inline]
    pub fn lock_until(&self, until: u64) -> Locked<'_, T, O> {
        match self.words.lock.enter_free(&self.os) {
            Some(taken) => {
                let guard = ReentrantMutexGuard::new(self, taken.me);
                if self.words.poison.is_clear() {
                    return Ok(guard);
                }
                self.tell(guard)
            }
            None => self.lock_contended(until),
        }
    }

    #[cold]
    #[inline(never)]
    fn lock_contended(&self, until: u64) -> Locked<'_, T, O> {
        let taken = match self.words.lock.enter_contended(&self.os, until) {
            Ok(taken) => taken,
            Err(why) => return Err(LockError::refused(why)),
        };
        let guard = ReentrantMutexGuard::new(self, taken.me);
        if !taken.died.is_none() {
            self.words.poison.note(Cause::died(taken.died));
        }
        self.tell(guard)
    }

    /// The guard, inside an error if the mutex is poisoned.
    #[cold]
    #[inline(never)]
    fn tell<'a>(&'a self, guard: ReentrantMutexGuard<'a, T, O>) -> Locked<'a, T, O> {
        match self.words.poison.get() {
            None => Ok(guard),
            Some(cause) => Err(LockError::Poisoned(Poisoned::new(guard, cause))),
        }
    }

    /// What dropping a guard does when the thread began to unwind meanwhile, or when this is a fork child, which holds
    /// nothing.
    #[cold]
    fn leave_with_care(&self, me: Owner, panicking: bool) {
        let ReentrantMutex { words, os, .. } = self;
        if os.me() != me {
            return;
        }
        os.guard_dropped();
        if os.panicking() && !panicking {
            words.poison.note(Cause::panicked());
        }
        words.lock.leave_mine(os, me);
    }

    /// Why the mutex is poisoned at this moment, if it is.
    #[must_use]
    pub fn poison(&self) -> Option<Cause> {
        self.words.poison.get()
    }

    /// Whether the mutex is poisoned at this moment, as [`poison`](Self::poison) says.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.poison().is_some()
    }

    /// Whether somebody holds the lock at this moment. One who died counts as its holder until somebody asks for it.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        !self.words.lock.owner().is_none()
    }
}

impl<T, O> fmt::Debug for ReentrantMutex<'_, T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReentrantMutex")
            .field("owner", &self.words.lock.owner())
            .field("poison", &self.words.poison.get())
            .finish_non_exhaustive()
    }
}

/// The right of one thread to what a [`ReentrantMutex`] holds; dropping the last one of that thread unlocks.
///
/// The guards of one thread are all alike and may be dropped in any order. In a fork child the guards it inherited
/// release nothing.
#[must_use = "the lock is released when the last guard is dropped"]
pub struct ReentrantMutexGuard<'a, T: Element, O: Os> {
    mutex: &'a ReentrantMutex<'a, T, O>,
    me: Owner,
    panicking: bool,
    /// Neither sent nor shared: two threads must not have the cell.
    _one_thread: PhantomData<*mut ()>,
}

impl<'a, T: Element, O: Os> ReentrantMutexGuard<'a, T, O> {
    #[inline]
    fn new(mutex: &'a ReentrantMutex<'a, T, O>, me: Owner) -> Self {
        mutex.os.guard_made();
        ReentrantMutexGuard {
            mutex,
            me,
            panicking: mutex.os.panicking(),
            _one_thread: PhantomData,
        }
    }

    /// How many guards of this mutex the calling thread has, this one included; 0 by a guard that a fork child
    /// inherited.
    #[must_use]
    pub fn depth(&self) -> u64 {
        self.mutex.words.lock.depth(&self.mutex.os)
    }

    /// Declares the data sound again. By the guard that a fork child inherited, nothing is declared.
    pub fn clear_poison(&self) {
        if self.mutex.os.is_me(self.me) {
            self.mutex.words.poison.clear();
        }
    }
}

impl<T: Element, O: Os> Deref for ReentrantMutexGuard<'_, T, O> {
    type Target = Cell<T>;

    #[inline]
    fn deref(&self) -> &Cell<T> {
        // SAFETY: inside the mapping, which `mutex` borrows. `Cell<T>` lies in memory as `T` does. No other thread reaches
        // it while this one holds the lock, and this one reaches it as a cell only; neither guards nor references to
        // cells leave their thread.
        unsafe { self.mutex.data.cast::<Cell<T>>().as_ref() }
    }
}

impl<T: Element, O: Os> Drop for ReentrantMutexGuard<'_, T, O> {
    #[inline(always)]
    fn drop(&mut self) {
        let ReentrantMutex { words, os, .. } = self.mutex;
        if (self.panicking || !os.panicking()) && os.is_surely_me(self.me) {
            os.guard_dropped();
            words.lock.leave_mine(os, self.me);
        } else {
            self.mutex.leave_with_care(self.me, self.panicking);
        }
    }
}

impl<T: Element + fmt::Display, O: Os> fmt::Display for ReentrantMutexGuard<'_, T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.get(), f)
    }
}

impl<T: Element + fmt::Debug, O: Os> fmt::Debug for ReentrantMutexGuard<'_, T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.get(), f)
    }
}
