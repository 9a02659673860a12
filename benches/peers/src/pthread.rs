//! glibc's process-shared mutexes, called as C calls them.

use std::{cell::UnsafeCell, io, mem::MaybeUninit};

use crate::sys::Mapping;

/// A process-shared `pthread_mutex_t` with a number beside it.
#[repr(C, align(128))]
pub struct Shared {
    mutex: UnsafeCell<libc::pthread_mutex_t>,
    number: UnsafeCell<u64>,
}

// SAFETY: the number is only touched under the mutex.
unsafe impl Sync for Shared {}

impl Shared {
    /// In a plain shared mapping, for the rest of the program.
    pub fn new(robust: bool) -> io::Result<&'static Shared> {
        let words = Mapping::new(4096)?.leak_words();
        // SAFETY: the page is large enough, aligned, and zeros are valid for both fields.
        let shared: &'static Shared = unsafe { &*words.as_ptr().cast() };
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: initialises the attributes.
        checked(unsafe { libc::pthread_mutexattr_init(attributes.as_mut_ptr()) })?;
        // SAFETY: initialised by the call above, which succeeded.
        let mut attributes = unsafe { attributes.assume_init() };
        // SAFETY: the attributes are initialised.
        checked(unsafe {
            libc::pthread_mutexattr_setpshared(&mut attributes, libc::PTHREAD_PROCESS_SHARED)
        })?;
        if robust {
            // SAFETY: the attributes are initialised.
            checked(unsafe {
                libc::pthread_mutexattr_setrobust(&mut attributes, libc::PTHREAD_MUTEX_ROBUST)
            })?;
        }
        // SAFETY: the place is mapped for ever and nobody else knows of it yet.
        checked(unsafe { libc::pthread_mutex_init(shared.mutex.get(), &attributes) })?;
        Ok(shared)
    }

    /// Locks, adds one, unlocks.
    #[inline]
    pub fn increment(&self) {
        // SAFETY: initialised by `new`.
        let locked = unsafe { libc::pthread_mutex_lock(self.mutex.get()) };
        assert_eq!(locked, 0);
        // SAFETY: under the mutex nobody else touches the number.
        unsafe { *self.number.get() += 1 };
        // SAFETY: locked by this thread.
        unsafe { libc::pthread_mutex_unlock(self.mutex.get()) };
    }
}

fn checked(error: i32) -> io::Result<()> {
    match error {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}
