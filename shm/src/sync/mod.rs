//! Locks between processes.

mod mutex;

pub use mutex::{Mutex, MutexGuard};
