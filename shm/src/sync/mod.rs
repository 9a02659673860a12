//! Locks between processes.

mod barrier;
mod condvar;
mod event;
mod mutex;
mod once;
mod once_value;
mod reentrant_mutex;
mod rwlock;
mod semaphore;

pub use barrier::Barrier;
pub use condvar::Condvar;
pub use event::Event;
pub use mutex::{Mutex, MutexGuard};
pub use once::Once;
pub use once_value::OnceValue;
pub use reentrant_mutex::{ReentrantMutex, ReentrantMutexGuard};
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use semaphore::{BoundedSemaphore, Permit, Semaphore};

/// Guards stay with the thread that made them: by its number a lock knows who asks again, and fork what is held.
///
/// ```compile_fail,E0277
/// fn is_send<T: Send>() {}
/// is_send::<multiproc::MutexGuard<'_, u64>>();
/// ```
/// ```compile_fail,E0277
/// fn is_send<T: Send>() {}
/// is_send::<multiproc::ReentrantMutexGuard<'_, u64>>();
/// ```
/// ```compile_fail,E0277
/// fn is_sync<T: Sync>() {}
/// is_sync::<multiproc::ReentrantMutexGuard<'_, u64>>();
/// ```
/// ```compile_fail,E0277
/// fn is_send<T: Send>() {}
/// is_send::<multiproc::RwLockReadGuard<'_, u64>>();
/// ```
/// ```compile_fail,E0277
/// fn is_send<T: Send>() {}
/// is_send::<multiproc::RwLockWriteGuard<'_, u64>>();
/// ```
/// ```compile_fail,E0277
/// fn is_send<T: Send>() {}
/// is_send::<multiproc::ValueGuard<'_, u64>>();
/// ```
/// ```compile_fail,E0277
/// fn is_send<T: Send>() {}
/// is_send::<multiproc::Permit<'_>>();
/// ```
/// ```compile_fail,E0277
/// fn is_send<T: Send>() {}
/// is_send::<multiproc::ReadGuard<'_, u64>>();
/// ```
/// ```compile_fail,E0277
/// fn is_send<T: Send>() {}
/// is_send::<multiproc::WriteGuard<'_, u64>>();
/// ```
///
/// The rest of that code compiles:
///
/// ```
/// fn is_send<T: Send>() {}
/// fn is_sync<T: Sync>() {}
/// is_send::<multiproc::Mutex<u64>>();
/// is_sync::<multiproc::MutexGuard<'_, u64>>();
/// ```
#[cfg(doctest)]
mod guards_stay_with_their_thread {}
