//! The socket of an end, and what becomes of it in a fork.
//!
//! A fork copies every descriptor, and a pipe is at its end only when nobody has the other one. So a child that is forked
//! with arguments keeps the ends that are among them; all others are made ends of pipes that nobody is at. Their numbers
//! stay in use, since values that the child never drops have them.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::sys::{file, socket};

/// The sockets of all ends in this process.
static OPEN: Mutex<Vec<RawFd>> = Mutex::new(Vec::new());

fn open() -> MutexGuard<'static, Vec<RawFd>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The socket of an end.
#[derive(Debug)]
pub(super) struct End(OwnedFd);

impl End {
    pub fn new(socket: OwnedFd) -> End {
        open().push(socket.as_raw_fd());
        End(socket)
    }
}

impl AsFd for End {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Drop for End {
    fn drop(&mut self) {
        // Before it is closed: then the number is another's.
        let number = self.0.as_raw_fd();
        let mut open = open();
        if let Some(at) = open.iter().position(|fd| *fd == number) {
            open.swap_remove(at);
        }
    }
}

/// Whether there is any end in this process.
pub(crate) fn has_ends() -> bool {
    !open().is_empty()
}

/// In a child that has just been forked: makes all ends but those to `keep` ends of pipes that nobody is at.
///
/// # Errors
///
/// When the system refuses; then some may be as they were.
pub(crate) fn cut_off_all_but(keep: &[RawFd]) -> io::Result<()> {
    let open = open();
    let mut others = open.iter().filter(|fd| !keep.contains(fd)).peekable();
    if others.peek().is_none() {
        return Ok(());
    }
    let (dead, _) = socket::pair()?;
    for &number in others {
        // SAFETY: the number is that of an `End`, which stays an end of a pipe.
        unsafe { file::replace(number, dead.as_fd()) }?;
    }
    Ok(())
}
