//! `pthread_rwlock_t`.

use std::{cell::UnsafeCell, io};

use super::{checked, shared, zeroed};

/// A process-shared lock for many readers or one writer.
pub struct RwLock(UnsafeCell<libc::pthread_rwlock_t>);

// SAFETY: its functions may be called from everywhere.
unsafe impl Sync for RwLock {}

impl RwLock {
    /// One that nobody holds.
    pub fn new() -> io::Result<&'static RwLock> {
        // SAFETY: zeros are valid.
        let rwlock = unsafe { zeroed::<RwLock>() }?;
        // SAFETY: the two calls are those of such locks.
        let attributes = unsafe {
            shared(
                libc::pthread_rwlockattr_init,
                libc::pthread_rwlockattr_setpshared,
            )
        }?;
        // SAFETY: the place is mapped for ever and nobody else knows of it yet.
        checked(unsafe { libc::pthread_rwlock_init(rwlock.0.get(), &attributes) })?;
        Ok(rwlock)
    }

    /// Waits for the lock, as a reader.
    #[inline]
    pub fn read(&self) -> Held<'_> {
        // SAFETY: initialised by `new`.
        let locked = unsafe { libc::pthread_rwlock_rdlock(self.0.get()) };
        assert_eq!(locked, 0);
        Held(self)
    }

    /// Waits for the lock, as the writer.
    #[inline]
    pub fn write(&self) -> Held<'_> {
        // SAFETY: initialised by `new`.
        let locked = unsafe { libc::pthread_rwlock_wrlock(self.0.get()) };
        assert_eq!(locked, 0);
        Held(self)
    }
}

/// The lock, held in either way.
pub struct Held<'a>(&'a RwLock);

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: locked by this thread.
        unsafe { libc::pthread_rwlock_unlock(self.0.0.get()) };
    }
}
