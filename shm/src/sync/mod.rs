//! Locks between processes.

mod barrier;
mod mutex;

pub use barrier::Barrier;
pub use mutex::{Mutex, MutexGuard};
