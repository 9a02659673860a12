//! glibc's process-shared primitives, called as C calls them: the peers from POSIX.

mod barrier;
mod condvar;
mod event;
mod mutex;
mod rwlock;
mod semaphore;

use std::{io, mem::MaybeUninit};

pub use barrier::Barrier;
pub use condvar::Condvar;
pub use event::Event;
pub use mutex::{Guard, Mutex};
pub use rwlock::{Held, RwLock};
pub use semaphore::Semaphore;

use crate::sys::Mapping;

/// A `T` of zeros in a plain shared mapping, for the rest of the program.
///
/// # Safety
///
/// Zeros are a valid `T`.
unsafe fn zeroed<T>() -> io::Result<&'static T> {
    const { assert!(size_of::<T>() <= 4096 && align_of::<T>() <= 4096) };
    let words = Mapping::new(4096)?.leak_words();
    // SAFETY: the page is large enough, aligned and mapped for ever; the rest is promised by the caller.
    Ok(unsafe { &*words.as_ptr().cast() })
}

/// Attributes that make a primitive one between processes.
///
/// # Safety
///
/// `init` initialises attributes of type `A`, and `set_shared` sets whether those are shared.
unsafe fn shared<A>(
    init: unsafe extern "C" fn(*mut A) -> i32,
    set_shared: unsafe extern "C" fn(*mut A, i32) -> i32,
) -> io::Result<A> {
    let mut attributes = MaybeUninit::uninit();
    // SAFETY: initialises the attributes.
    checked(unsafe { init(attributes.as_mut_ptr()) })?;
    // SAFETY: the attributes are initialised.
    checked(unsafe { set_shared(attributes.as_mut_ptr(), libc::PTHREAD_PROCESS_SHARED) })?;
    // SAFETY: initialised by the first call, which succeeded.
    Ok(unsafe { attributes.assume_init() })
}

fn checked(error: i32) -> io::Result<()> {
    match error {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}
