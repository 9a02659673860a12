//! Linux, on x86-64 and aarch64, with glibc or musl.

use std::io;

pub mod clock;
pub mod clone;
pub mod elf;
pub mod eventfd;
pub mod file;
pub mod futex;
pub mod identity;
mod liveness;
pub mod memory;
mod memory_left;
mod origin;
mod os;
pub mod pidfd;
pub mod poll;
mod processor;
pub mod sibling;
pub mod signal;
pub mod socket;
pub mod stat;
mod step;
pub mod thread;

pub use liveness::liveness;
pub use memory_left::memory_left;
pub use origin::origin;
pub use os::Linux;
pub use processor::{processor, processors};
pub use step::*;

/// Turns the `-1` of a system call into its error.
fn checked<T: PartialEq + From<i8>>(result: T) -> io::Result<T> {
    if result == T::from(-1) {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
