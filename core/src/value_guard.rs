//! The guard of a [`Value`]: a transaction on a private copy.

use core::{
    fmt,
    marker::PhantomData,
    ops::{Deref, DerefMut},
};

use crate::{
    element::Element,
    os::Os,
    owner::Owner,
    value::{Value, word_of},
};

/// A private copy of a [`Value`], under its lock; dropping it publishes the copy and unlocks.
///
/// Dropped by a panic that began after it was made, or in a fork child that inherited it, it publishes nothing.
#[must_use = "the copy is published when the guard is dropped"]
pub struct ValueGuard<'a, T: Element, O: Os> {
    value: &'a Value<'a, T, O>,
    copy: T,
    me: Owner,
    panicking: bool,
    publish: bool,
    _one_thread: PhantomData<*mut ()>,
}

// SAFETY: `&ValueGuard` gives `&T` alone, and elements are `Sync`.
unsafe impl<T: Element, O: Os + Sync> Sync for ValueGuard<'_, T, O> {}

impl<'a, T: Element, O: Os> ValueGuard<'a, T, O> {
    #[inline]
    pub(crate) fn new(value: &'a Value<'a, T, O>, me: Owner) -> ValueGuard<'a, T, O> {
        value.os.guard_made();
        ValueGuard {
            copy: value.read_locked(),
            value,
            me,
            panicking: value.os.panicking(),
            publish: true,
            _one_thread: PhantomData,
        }
    }

    /// Changes the copy by `change`; should that unwind, the value stays, whatever the system says of panics.
    #[inline]
    pub(crate) fn change<R>(&mut self, change: impl FnOnce(&mut T) -> R) -> R {
        self.publish = false;
        let result = change(&mut self.copy);
        self.publish = true;
        result
    }

    /// Unlocks and leaves the value as it was.
    pub fn discard(mut self) {
        self.publish = false;
    }
}

impl<T: Element, O: Os> Deref for ValueGuard<'_, T, O> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.copy
    }
}

impl<T: Element, O: Os> DerefMut for ValueGuard<'_, T, O> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.copy
    }
}

impl<T: Element, O: Os> Drop for ValueGuard<'_, T, O> {
    #[inline]
    fn drop(&mut self) {
        let os = &self.value.os;
        if !os.is_me(self.me) {
            return;
        }
        os.guard_dropped();
        if self.publish && (self.panicking || !os.panicking()) {
            self.value
                .protocol()
                .write(|at| os.step(at), |i| word_of(&self.copy, i));
        }
        self.value.watched().unlock_mine(os, self.me);
    }
}

impl<T: Element + fmt::Display, O: Os> fmt::Display for ValueGuard<'_, T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.copy, f)
    }
}

impl<T: Element + fmt::Debug, O: Os> fmt::Debug for ValueGuard<'_, T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.copy, f)
    }
}
