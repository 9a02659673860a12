//! `pthread_mutex_t`.

use std::{
    cell::UnsafeCell,
    io,
    ops::{Deref, DerefMut},
};

use super::{checked, shared, zeroed};

/// A process-shared mutex with data beside it.
#[repr(C, align(128))]
pub struct Mutex<T> {
    mutex: UnsafeCell<libc::pthread_mutex_t>,
    data: UnsafeCell<T>,
}

// SAFETY: the data is only touched under the mutex.
unsafe impl<T: Send> Sync for Mutex<T> {}

impl Mutex<u64> {
    /// An ordinary one around 0.
    pub fn new() -> io::Result<&'static Self> {
        Mutex::zeroed(|_| 0)
    }

    /// One that tells when its owner has died.
    pub fn robust() -> io::Result<&'static Self> {
        // SAFETY: called with attributes that are initialised.
        Mutex::zeroed(|attributes| unsafe {
            libc::pthread_mutexattr_setrobust(attributes, libc::PTHREAD_MUTEX_ROBUST)
        })
    }
}

impl Mutex<()> {
    /// One that its holder can lock again: around nothing, since several guards of one thread lead to the data.
    pub fn recursive() -> io::Result<&'static Self> {
        // SAFETY: called with attributes that are initialised.
        Mutex::zeroed(|attributes| unsafe {
            libc::pthread_mutexattr_settype(attributes, libc::PTHREAD_MUTEX_RECURSIVE)
        })
    }
}

impl<T> Mutex<T> {
    /// One with attributes that `set` has changed.
    fn zeroed(
        set: impl FnOnce(*mut libc::pthread_mutexattr_t) -> i32,
    ) -> io::Result<&'static Self> {
        // SAFETY: zeros are valid for the mutex, and for the data of those above.
        let mutex = unsafe { zeroed::<Self>() }?;
        // SAFETY: the two calls are those of mutexes.
        let mut attributes = unsafe {
            shared(
                libc::pthread_mutexattr_init,
                libc::pthread_mutexattr_setpshared,
            )
        }?;
        checked(set(&mut attributes))?;
        // SAFETY: the place is mapped for ever and nobody else knows of it yet.
        checked(unsafe { libc::pthread_mutex_init(mutex.mutex.get(), &attributes) })?;
        Ok(mutex)
    }

    /// Waits for the lock.
    #[inline]
    pub fn lock(&self) -> Guard<'_, T> {
        // SAFETY: initialised when it was made.
        let locked = unsafe { libc::pthread_mutex_lock(self.mutex.get()) };
        assert_eq!(locked, 0);
        Guard(self)
    }
}

/// The lock, held.
pub struct Guard<'a, T>(&'a Mutex<T>);

impl<T> Guard<'_, T> {
    /// What condition variables ask for.
    pub fn as_ptr(&self) -> *mut libc::pthread_mutex_t {
        self.0.mutex.get()
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: under the mutex nobody else touches the data.
        unsafe { &*self.0.data.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; where one thread has several guards the data is nothing.
        unsafe { &mut *self.0.data.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: locked by this thread.
        unsafe { libc::pthread_mutex_unlock(self.0.mutex.get()) };
    }
}
