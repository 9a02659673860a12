//! Starting a child as a copy of this process.
//!
//! A copy has one thread. What other threads hold at that moment (a lock of the allocator, of a library, of the
//! program) stays locked in it for ever, so the safe form refuses while there are any.

use std::{
    io::{self, Write},
    os::fd::{AsFd, OwnedFd},
    ptr, thread,
    time::{Duration, Instant},
};

use super::{
    boot, builder::Start, child::Started, error::StartError, panics, watch, wire::Message,
};
use crate::sys::{
    self,
    clone::{self, Side},
    pidfd, socket,
};

/// How long a thread that was joined may linger in `/proc`.
const LINGER: Duration = Duration::from_millis(10);

/// Refuses when a copy of this process would lack threads, or seem to hold what this process holds.
pub(crate) fn refuse_company(start: &Start<'_>) -> Result<(), StartError> {
    match sys::thread::guards_held() {
        0 => {}
        count => return Err(StartError::GuardsHeld { count }),
    }
    let until = Instant::now() + LINGER;
    loop {
        let threads =
            clone::threads().map_err(|error| start.io("reading /proc/self/task", error))?;
        match threads.saturating_sub(1 + watch::watchers()) {
            0 => return Ok(()),
            count if Instant::now() >= until => return Err(StartError::ThreadsRunning { count }),
            _ => thread::sleep(Duration::from_micros(100)),
        }
    }
}

/// Copies this process; the copy runs `work`, tells what came of it, and ends.
///
/// # Safety
///
/// `work` needs nothing that another thread of this process may hold.
pub(crate) unsafe fn start(
    start: &Start<'_>,
    work: impl FnOnce() -> Message,
) -> Result<Started, StartError> {
    let (ours, theirs) =
        socket::pair().map_err(|error| start.io("making a pair of sockets", error))?;
    // What is buffered would be printed by both. If it cannot be printed, nothing that is done here can change that.
    let _ = io::stdout().flush();
    // SAFETY: promised by the caller.
    let side = unsafe { clone::fork() }.map_err(|error| start.io("fork", error))?;
    let pid = match side {
        Side::Child => {
            drop(ours);
            run(start, theirs, work)
        }
        Side::Parent(pid) => pid,
    };
    drop(theirs);
    // The child waits for the next message, so it is there to be opened even where children are reaped by themselves.
    let process = match pidfd::open(pid) {
        Ok(process) => process,
        Err(error) => {
            // The child finds the socket closed and ends without having begun.
            drop(ours);
            clone::reap(pid);
            return Err(start.io("opening a descriptor of the child", error));
        }
    };
    // A child that was killed meanwhile is told of by `join`.
    let _ = socket::send(ours.as_fd(), [b"!", &[]], &[]);
    Ok(Started {
        pid,
        process,
        socket: ours,
        begun: true,
    })
}

/// Ends the process rather than let a panic reach the frames that it has from its parent.
struct NeverUnwind;

impl Drop for NeverUnwind {
    fn drop(&mut self) {
        clone::exit_now(panics::EXIT_CODE)
    }
}

/// The copy from here to its end.
fn run(start: &Start<'_>, socket: OwnedFd, work: impl FnOnce() -> Message) -> ! {
    let _bomb = NeverUnwind;
    sys::thread::forget_guards();
    match socket::receive_waiting(socket.as_fd(), &mut [0; 1]) {
        Ok(go) if go.len == 1 => {}
        _ => clone::exit_now(panics::EXIT_CODE),
    }
    // SAFETY: the name lies in a frame that this process never returns to.
    let name: &'static String = unsafe { &*ptr::from_ref(start.name) };
    let outcome = match boot::settle(name, start.die_with_parent, start.parent) {
        Ok(()) => panics::caught(work),
        Err(message) => message,
    };
    let code = boot::tell(&socket, &outcome);
    let _ = io::stdout().flush();
    // Not `exit`: handlers that the parent registered are for the parent's end.
    clone::exit_now(code)
}
