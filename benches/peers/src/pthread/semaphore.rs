//! `sem_t`.

use std::{cell::UnsafeCell, io};

use super::zeroed;

/// A process-shared semaphore.
pub struct Semaphore(UnsafeCell<libc::sem_t>);

// SAFETY: its functions may be called from everywhere.
unsafe impl Sync for Semaphore {}

impl Semaphore {
    /// One with so many permits.
    pub fn new(permits: u32) -> io::Result<&'static Semaphore> {
        const BETWEEN_PROCESSES: i32 = 1;
        // SAFETY: zeros are valid.
        let semaphore = unsafe { zeroed::<Semaphore>() }?;
        // SAFETY: the place is mapped for ever and nobody else knows of it yet.
        match unsafe { libc::sem_init(semaphore.0.get(), BETWEEN_PROCESSES, permits) } {
            0 => Ok(semaphore),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Waits for a permit and takes it.
    #[inline]
    pub fn acquire(&self) {
        // SAFETY: initialised by `new`.
        let acquired = unsafe { libc::sem_wait(self.0.get()) };
        assert_eq!(acquired, 0);
    }

    /// Gives a permit.
    #[inline]
    pub fn release(&self) {
        // SAFETY: initialised by `new`.
        unsafe { libc::sem_post(self.0.get()) };
    }
}
