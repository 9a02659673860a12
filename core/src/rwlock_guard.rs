//! The guards of a [`RwLock`].

use core::{
    fmt,
    mem::ManuallyDrop,
    ops::{Deref, DerefMut},
    ptr,
};

use crate::{
    element::Element,
    hold::{Hold, Table},
    os::Os,
    poison::Cause,
    rwlock::RwLock,
};

/// The right to look at what a [`RwLock`] holds, together with other readers; dropping it gives it back.
///
/// It belongs to the thread that locked. In a fork child the guard it inherited releases nothing.
#[must_use = "the lock is released when the guard is dropped"]
pub struct RwLockReadGuard<'a, T: Element, O: Os> {
    hold: Hold<'a, RwLock<'a, T, O>>,
}

/// The right to change what a [`RwLock`] holds; dropping it gives it back.
///
/// It belongs to the thread that locked. In a fork child the guard it inherited releases nothing. Dropped by a panic that
/// began after it was made, it leaves the lock poisoned if it was ever dereferenced mutably: one that was not has
/// changed nothing.
#[must_use = "the lock is released when the guard is dropped"]
pub struct RwLockWriteGuard<'a, T: Element, O: Os> {
    hold: Hold<'a, RwLock<'a, T, O>>,
    /// Whether anybody could have changed the data by this guard.
    touched: bool,
}

// SAFETY: `&RwLockReadGuard` gives `&T` alone, and elements are `Sync`.
unsafe impl<T: Element, O: Os + Sync> Sync for RwLockReadGuard<'_, T, O> {}
// SAFETY: `&RwLockWriteGuard` gives `&T` alone, and elements are `Sync`.
unsafe impl<T: Element, O: Os + Sync> Sync for RwLockWriteGuard<'_, T, O> {}

impl<'a, T: Element, O: Os> RwLockReadGuard<'a, T, O> {
    #[inline]
    pub(crate) fn new(hold: Hold<'a, RwLock<'a, T, O>>) -> Self {
        RwLockReadGuard { hold }
    }
}

impl<'a, T: Element, O: Os> RwLockWriteGuard<'a, T, O> {
    /// Invariant: `hold` is exclusive.
    #[inline]
    pub(crate) fn new(hold: Hold<'a, RwLock<'a, T, O>>) -> Self {
        RwLockWriteGuard {
            hold,
            touched: false,
        }
    }

    /// Makes the right to change the data one to look at it, with no writer in between. Whoever waits to read at this
    /// moment gets in at once, also where a writer has waited for longer; writers go on waiting.
    /// It waits for the table of readers, without bound while a process that has it is stopped.
    ///
    /// A function to be called as `RwLockWriteGuard::downgrade(guard)`, so that no method of `T` is hidden.
    pub fn downgrade(guard: Self) -> RwLockReadGuard<'a, T, O> {
        let mut guard = ManuallyDrop::new(guard);
        guard.poison_if_unwinding();
        guard.hold.downgrade();
        // SAFETY: `guard` is neither used nor dropped after this, so there is one hold as before.
        let hold = unsafe { ptr::read(&raw const guard.hold) };
        RwLockReadGuard::new(hold)
    }

    /// Declares the data sound again. By the guard that a fork child inherited, nothing is declared.
    pub fn clear_poison(&mut self) {
        if self.hold.is_mine() {
            self.hold.table().words.poison.clear();
        }
    }

    #[inline]
    fn poison_if_unwinding(&mut self) {
        if self.touched && self.hold.is_unwinding() {
            self.poison();
        }
    }

    #[cold]
    fn poison(&mut self) {
        let lock = self.hold.table();
        if self.hold.is_mine() {
            lock.words.poison.note(Cause::panicked());
            lock.os().step("rwlock: poisoned by a panic");
        }
    }
}

impl<T: Element, O: Os> Deref for RwLockReadGuard<'_, T, O> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: inside the mapping, which the lock borrows; nobody writes while anybody has a claim.
        unsafe { self.hold.table().data.as_ref() }
    }
}

impl<T: Element, O: Os> Deref for RwLockWriteGuard<'_, T, O> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: inside the mapping, which the lock borrows; nobody else has a claim (the invariant of `new`).
        unsafe { self.hold.table().data.as_ref() }
    }
}

impl<T: Element, O: Os> DerefMut for RwLockWriteGuard<'_, T, O> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.touched = true;
        let mut data = self.hold.table().data;
        // SAFETY: as in `deref`, and `&mut self` makes it the only reference in this process.
        unsafe { data.as_mut() }
    }
}

impl<T: Element, O: Os> Drop for RwLockWriteGuard<'_, T, O> {
    #[inline]
    fn drop(&mut self) {
        // The claim itself is given back after this, when the field is dropped.
        self.poison_if_unwinding();
    }
}

impl<T: Element + fmt::Display, O: Os> fmt::Display for RwLockReadGuard<'_, T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

impl<T: Element + fmt::Debug, O: Os> fmt::Debug for RwLockReadGuard<'_, T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<T: Element + fmt::Display, O: Os> fmt::Display for RwLockWriteGuard<'_, T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

impl<T: Element + fmt::Debug, O: Os> fmt::Debug for RwLockWriteGuard<'_, T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
