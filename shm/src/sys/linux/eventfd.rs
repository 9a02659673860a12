//! A descriptor that is readable once it was set, until it is cleared.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, BorrowedFd, FromRawFd},
};

use super::checked;

/// Set or not.
#[derive(Debug)]
pub struct EventFd(File);

impl EventFd {
    /// One that is not set, closed on exec.
    pub fn new() -> io::Result<EventFd> {
        // SAFETY: takes two numbers.
        let fd = checked(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: the descriptor was made just now and belongs to nobody else.
        Ok(EventFd(unsafe { File::from_raw_fd(fd) }))
    }

    /// Makes it readable. Each time is an edge for those who watch edges.
    pub fn set(&self) {
        // It could only fail once it was set 2^64 - 2 times, and is readable then.
        let _ = (&self.0).write(&1u64.to_ne_bytes());
    }

    /// Makes it not readable.
    pub fn clear(&self) {
        // It fails when it was not set.
        let _ = (&self.0).read(&mut [0; 8]);
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
