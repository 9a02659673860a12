//! `Mutex<T>`: the lock and its data on one cache line.

use core::{
    fmt,
    marker::PhantomData,
    ops::{Deref, DerefMut},
    ptr::NonNull,
};

use crate::{
    element::Element,
    error::LayoutError,
    header::Kind,
    lock::{FOREVER, Lock, NOW},
    origin::Origin,
    os::Os,
    owner::Owner,
    placed::{self, Placed},
    poison::{Cause, PoisonWord},
    refusal::{LockError, Poisoned},
    region::Region,
};

#[repr(C)]
#[derive(Debug)]
struct Words {
    lock: Lock,
    poison: PoisonWord,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Words>() == 24);

// SAFETY: atomics alone.
unsafe impl placed::Words for Words {
    const KIND: Kind = Kind::Mutex;

    fn bury(&self) {
        let owner = self.lock.owner();
        if !owner.is_none() {
            self.poison.note(Cause::died(owner));
        }
        self.lock.reset();
    }
}

/// A `T` that one thread of all processes at a time may change.
///
/// When the process that holds the lock dies, or its thread panics, the lock is *poisoned*: the next to lock it gets
/// the guard inside an error, until [`clear_poison`](MutexGuard::clear_poison). For a value that is never
/// half-written see [`Value`](crate::Value).
///
/// Not fair: who comes at the right moment may overtake who sleeps. Locking what is free costs some nanoseconds; a waiter
/// sleeps, and wakes itself after 5 ms and then every 100 ms to look whether the holder still lives.
pub struct Mutex<'m, T, O> {
    words: &'m Words,
    data: NonNull<T>,
    os: O,
}

// SAFETY: the data is reached only through guards, one at a time over all threads and processes; `T: Element` is
// itself `Send`.
unsafe impl<T: Element, O: Send> Send for Mutex<'_, T, O> {}
// SAFETY: as above; `&Mutex` gives nothing but guards.
unsafe impl<T: Element, O: Sync> Sync for Mutex<'_, T, O> {}

impl<'m, T: Element, O: Os> Mutex<'m, T, O> {
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
    ) -> Result<Mutex<'m, T, O>, LayoutError> {
        let init = |words: &Words| {
            words.lock.reset();
            words.poison.clear();
        };
        // SAFETY: promised by the caller.
        unsafe { Placed::place(&region, origin, value, init) }.map(|placed| Mutex::view(placed, os))
    }

    /// The mutex that somebody placed in `region`.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] when the bytes do not hold a mutex around a `T` of this `origin`.
    pub fn attach(region: Region<'m>, os: O, origin: Origin) -> Result<Self, LayoutError> {
        Placed::attach(&region, origin).map(|placed| Mutex::view(placed, os))
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
        Mutex { words, data, os }
    }

    /// Waits for the lock.
    ///
    /// # Errors
    ///
    /// [`LockError::Poisoned`] with the guard inside, or [`LockError::WouldDeadlock`].
    #[inline]
    pub fn lock(&self) -> Result<MutexGuard<'_, T, O>, LockError<MutexGuard<'_, T, O>>> {
        self.lock_until(FOREVER)
    }

    /// Takes the lock if it is free now.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock), and [`LockError::WouldBlock`].
    #[inline]
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T, O>, LockError<MutexGuard<'_, T, O>>> {
        self.lock_until(NOW)
    }

    /// Waits for the lock until `until` on the clock of [`Os::now`].
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock), and [`LockError::TimedOut`].
    #[inline]
    pub fn lock_until(
        &self,
        until: u64,
    ) -> Result<MutexGuard<'_, T, O>, LockError<MutexGuard<'_, T, O>>> {
        match self.words.lock.lock_free(&self.os) {
            Some(taken) => {
                let guard = MutexGuard::new(self, taken.me);
                if self.words.poison.is_clear() {
                    return Ok(guard);
                }
                self.tell(guard)
            }
            None => self.lock_contended(until),
        }
    }

    // The rare ways are given no more than they need: what they take by reference would be put on the stack each time.

    #[cold]
    #[inline(never)]
    fn lock_contended(
        &self,
        until: u64,
    ) -> Result<MutexGuard<'_, T, O>, LockError<MutexGuard<'_, T, O>>> {
        let taken = match self.words.lock.lock_contended(&self.os, until) {
            Ok(taken) => taken,
            Err(why) => return Err(LockError::refused(why)),
        };
        let guard = MutexGuard::new(self, taken.me);
        if !taken.died.is_none() {
            self.words.poison.note(Cause::died(taken.died));
        }
        self.tell(guard)
    }

    /// The guard, inside an error if the mutex is poisoned.
    #[cold]
    #[inline(never)]
    fn tell<'a>(
        &'a self,
        guard: MutexGuard<'a, T, O>,
    ) -> Result<MutexGuard<'a, T, O>, LockError<MutexGuard<'a, T, O>>> {
        match self.words.poison.get() {
            None => Ok(guard),
            Some(cause) => Err(LockError::Poisoned(Poisoned::new(guard, cause))),
        }
    }

    /// What dropping a guard does when the thread began to unwind meanwhile, or when this is a fork child, which holds
    /// nothing. Takes the guard apart so that the guard itself needs no place in memory.
    #[cold]
    fn unlock_with_care(&self, me: Owner, panicking: bool) {
        let Mutex { words, os, .. } = self;
        if os.me() != me {
            return;
        }
        os.guard_dropped();
        if os.panicking() && !panicking {
            words.poison.note(Cause::panicked());
        }
        words.lock.unlock_mine(os, me);
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

impl<T, O> fmt::Debug for Mutex<'_, T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex")
            .field("owner", &self.words.lock.owner())
            .field("poison", &self.words.poison.get())
            .finish_non_exhaustive()
    }
}

/// The right to change what a [`Mutex`] holds; dropping it unlocks.
///
/// It belongs to the thread that locked. In a fork child the guard it inherited releases nothing.
#[must_use = "the lock is released when the guard is dropped"]
pub struct MutexGuard<'a, T: Element, O: Os> {
    mutex: &'a Mutex<'a, T, O>,
    me: Owner,
    panicking: bool,
    _one_thread: PhantomData<*mut ()>,
}

// SAFETY: `&MutexGuard` gives `&T` alone, and elements are `Sync`.
unsafe impl<T: Element, O: Os + Sync> Sync for MutexGuard<'_, T, O> {}

impl<'a, T: Element, O: Os> MutexGuard<'a, T, O> {
    #[inline]
    fn new(mutex: &'a Mutex<'a, T, O>, me: Owner) -> MutexGuard<'a, T, O> {
        mutex.os.guard_made();
        MutexGuard {
            mutex,
            me,
            panicking: mutex.os.panicking(),
            _one_thread: PhantomData,
        }
    }

    /// What it locks, for as long as the guard could.
    pub(crate) fn mutex(&self) -> &'a Mutex<'a, T, O> {
        self.mutex
    }

    /// Whether this process has made it, and not one that this is a fork child of.
    pub(crate) fn is_mine(&self) -> bool {
        self.mutex.os.is_me(self.me)
    }

    /// Declares the data sound again. By the guard that a fork child inherited, nothing is declared.
    pub fn clear_poison(&mut self) {
        if self.is_mine() {
            self.mutex.words.poison.clear();
        }
    }
}

impl<T: Element, O: Os> Deref for MutexGuard<'_, T, O> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: inside the mapping, which `mutex` borrows; nobody writes while this guard holds the lock.
        unsafe { self.mutex.data.as_ref() }
    }
}

impl<T: Element, O: Os> DerefMut for MutexGuard<'_, T, O> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        let mut data = self.mutex.data;
        // SAFETY: as in `deref`, and `&mut self` makes it the only reference in this process.
        unsafe { data.as_mut() }
    }
}

impl<T: Element, O: Os> Drop for MutexGuard<'_, T, O> {
    #[inline(always)]
    fn drop(&mut self) {
        let Mutex { words, os, .. } = self.mutex;
        if (self.panicking || !os.panicking()) && os.is_surely_me(self.me) {
            os.guard_dropped();
            os.step("mutex: about to unlock");
            words.lock.unlock_mine(os, self.me);
        } else {
            self.mutex.unlock_with_care(self.me, self.panicking);
        }
    }
}

impl<T: Element + fmt::Display, O: Os> fmt::Display for MutexGuard<'_, T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

impl<T: Element + fmt::Debug, O: Os> fmt::Debug for MutexGuard<'_, T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
