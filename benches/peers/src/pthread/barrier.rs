//! `pthread_barrier_t`.

use std::{cell::UnsafeCell, io};

use super::{checked, shared, zeroed};

/// A process-shared barrier.
pub struct Barrier(UnsafeCell<libc::pthread_barrier_t>);

// SAFETY: its functions may be called from everywhere.
unsafe impl Sync for Barrier {}

impl Barrier {
    /// One for so many parties.
    pub fn new(parties: u32) -> io::Result<&'static Barrier> {
        // SAFETY: zeros are valid.
        let barrier = unsafe { zeroed::<Barrier>() }?;
        // SAFETY: the two calls are those of barriers.
        let attributes = unsafe {
            shared(
                libc::pthread_barrierattr_init,
                libc::pthread_barrierattr_setpshared,
            )
        }?;
        // SAFETY: the place is mapped for ever and nobody else knows of it yet.
        checked(unsafe { libc::pthread_barrier_init(barrier.0.get(), &attributes, parties) })?;
        Ok(barrier)
    }

    /// Waits until all parties have come.
    pub fn wait(&self) {
        // SAFETY: initialised by `new`.
        let waited = unsafe { libc::pthread_barrier_wait(self.0.get()) };
        assert!([0, libc::PTHREAD_BARRIER_SERIAL_THREAD].contains(&waited));
    }
}
