//! `pthread_cond_t`.

use std::{cell::UnsafeCell, io};

use super::{Guard, checked, shared, zeroed};

/// A process-shared condition variable.
pub struct Condvar(UnsafeCell<libc::pthread_cond_t>);

// SAFETY: its functions may be called from everywhere.
unsafe impl Sync for Condvar {}

impl Condvar {
    /// One on which nobody waits.
    pub fn new() -> io::Result<&'static Condvar> {
        // SAFETY: zeros are valid.
        let condvar = unsafe { zeroed::<Condvar>() }?;
        // SAFETY: the two calls are those of condition variables.
        let attributes = unsafe {
            shared(
                libc::pthread_condattr_init,
                libc::pthread_condattr_setpshared,
            )
        }?;
        // SAFETY: the place is mapped for ever and nobody else knows of it yet.
        checked(unsafe { libc::pthread_cond_init(condvar.0.get(), &attributes) })?;
        Ok(condvar)
    }

    /// Waits while the data is such that `condition`.
    pub fn wait_while<'a, T>(
        &self,
        guard: Guard<'a, T>,
        condition: impl Fn(&T) -> bool,
    ) -> Guard<'a, T> {
        while condition(&guard) {
            // SAFETY: initialised by `new`, and the mutex is held by this thread.
            let waited = unsafe { libc::pthread_cond_wait(self.0.get(), guard.as_ptr()) };
            assert_eq!(waited, 0);
        }
        guard
    }

    /// Wakes one of those who wait.
    #[inline]
    pub fn notify_one(&self) {
        // SAFETY: initialised by `new`.
        unsafe { libc::pthread_cond_signal(self.0.get()) };
    }

    /// Wakes all who wait.
    #[inline]
    pub fn notify_all(&self) {
        // SAFETY: initialised by `new`.
        unsafe { libc::pthread_cond_broadcast(self.0.get()) };
    }
}
