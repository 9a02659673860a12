//! Child processes through descriptors that keep naming them when their process id is given out again.

use std::{
    io, mem,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    ptr, thread,
    time::{Duration, Instant},
};

use super::{checked, poll};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By itself, with this code.
    Exited(i32),
    /// By a signal.
    Killed { signal: i32, core_dumped: bool },
}

/// A descriptor of the process with this id, closed on exec.
pub(crate) fn open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: takes two numbers.
    let opened = unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) };
    checked(opened)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(opened as i32) })
}

/// Waits until all threads of the process have ended, or until the given moment. Tells whether they have.
pub(crate) fn wait(process: BorrowedFd<'_>, until: Option<Instant>) -> io::Result<bool> {
    poll::one(process, poll::For::Reading, until)
}

/// How long to wait before asking again for a status that a tracer holds back.
const HELD_BACK: Duration = Duration::from_millis(1);

/// Waits until a child has ended, or until the given moment, and takes its status; `None` when it has not ended by
/// then, an ECHILD error when the status is gone.
///
/// A child that is traced counts as running until its tracer, too, has seen its end.
pub(crate) fn reap(process: BorrowedFd<'_>, until: Option<Instant>) -> io::Result<Option<Ending>> {
    let Some(until) = until else {
        return take_status(process, 0);
    };
    while wait(process, Some(until))? {
        let ending = take_status(process, libc::WNOHANG)?;
        let left = until.saturating_duration_since(Instant::now());
        if ending.is_some() || left.is_zero() {
            return Ok(ending);
        }
        // The descriptor is ready already, so it cannot tell when the tracer lets go.
        thread::sleep(left.min(HELD_BACK));
    }
    Ok(None)
}

fn take_status(process: BorrowedFd<'_>, options: libc::c_int) -> io::Result<Option<Ending>> {
    // SAFETY: zeros are a valid `siginfo_t`.
    let mut info: libc::siginfo_t = unsafe { mem::zeroed() };
    loop {
        // SAFETY: `info` is writable.
        let done = unsafe {
            libc::waitid(
                libc::P_PIDFD,
                process.as_raw_fd() as libc::id_t,
                &mut info,
                libc::WEXITED | options,
            )
        };
        match checked(done) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => {
                result?;
                break;
            }
        }
    }
    // SAFETY: `waitid` fills these fields, or leaves the zeros.
    if unsafe { info.si_pid() } == 0 {
        return Ok(None);
    }
    // SAFETY: likewise.
    let status = unsafe { info.si_status() };
    Ok(Some(match info.si_code {
        libc::CLD_EXITED => Ending::Exited(status),
        code => Ending::Killed {
            signal: status,
            core_dumped: code == libc::CLD_DUMPED,
        },
    }))
}

/// Sends a signal to the process, and never to another one.
pub(crate) fn signal(process: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // SAFETY: takes numbers and a null pointer.
    let sent = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            process.as_raw_fd(),
            signal,
            ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    checked(sent).map(drop)
}

/// Whether an error says that there is no such process, or no such child any more.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ESRCH | libc::ECHILD))
}
