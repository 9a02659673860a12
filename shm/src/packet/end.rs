//! Sockets, and what becomes of them in a fork.
//!
//! A fork copies every descriptor, and a connection is at its end only when nobody has the other one, nor anything that was
//! sent and not received. So a forked child lets go of its parent's connections to other children, and, if it was given
//! arguments, of all ends of pipes that are not among them: they are made ends that nobody is at. Their numbers stay in use,
//! since values that the child never drops have them.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::sys::{file, socket};

/// What a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// To talk with a child.
    Child,
    /// An end of a pipe.
    Pipe,
}

/// The sockets of this process. Whoever forks holds it meanwhile, so that no copy finds it locked.
static OPEN: Mutex<Vec<(RawFd, Role)>> = Mutex::new(Vec::new());

/// The list of them, locked.
#[inline]
pub(crate) fn open_sockets() -> MutexGuard<'static, Vec<(RawFd, Role)>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A socket to another process.
#[derive(Debug)]
pub(crate) struct Socket(OwnedFd);

impl Socket {
    pub(crate) fn new(socket: OwnedFd, role: Role) -> Socket {
        open_sockets().push((socket.as_raw_fd(), role));
        Socket(socket)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Before it is closed: then the number is another's.
        let number = self.0.as_raw_fd();
        let mut open = open_sockets();
        if let Some(at) = open.iter().position(|(fd, _)| *fd == number) {
            open.swap_remove(at);
        }
    }
}

/// Whether there is any end of a pipe in this process.
#[inline]
pub(crate) fn has_pipes() -> bool {
    open_sockets().iter().any(|(_, role)| *role == Role::Pipe)
}

/// In a child that has just been forked: makes all sockets of that role but those to `keep` ends that nobody is at.
///
/// # Errors
///
/// When the system refuses; then some may be as they were.
#[inline]
pub(crate) fn cut_off(role: Role, keep: &[RawFd]) -> io::Result<()> {
    let open = open_sockets();
    let is_other = |(fd, of): &&(RawFd, Role)| *of == role && !keep.contains(fd);
    let mut others = open.iter().filter(is_other).peekable();
    if others.peek().is_none() {
        return Ok(());
    }
    let (dead, _) = socket::pair()?;
    for &(number, _) in others {
        // SAFETY: the number is that of a `Socket`, which stays one.
        unsafe { file::replace(number, dead.as_fd()) }?;
    }
    Ok(())
}
