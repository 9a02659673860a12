//! Starting a child as a copy of this process.
//!
//! A copy has one thread. What other threads hold at that moment (a lock of the allocator, of a library, of the
//! program) stays locked in it for ever, so the safe form refuses while there are any.

use std::{
    io::{self, Write},
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
    ptr, thread,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{
    boot,
    builder::{Start, StartMethod},
    child::Started,
    current::{self, Info},
    error::StartError,
    frame::Kind,
    panics, registry, serve, watch,
    wire::Message,
};
use crate::{
    channel,
    handle::{self, Moves},
    packet::{self, Role, Socket},
    sys::{
        self,
        clone::{self, Side},
        pidfd,
        sibling::Notice,
        socket,
    },
};

/// How long a thread that was joined may linger in `/proc`.
const LINGER: Duration = Duration::from_millis(10);

/// Whether a copy of this process would lack threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Company {
    /// There is one thread.
    None,
    /// There may be others, and each may hold any lock: of std's too.
    Threads,
}

impl Company {
    /// Looks. If it cannot be told, there may be others.
    pub(crate) fn find() -> Company {
        match others() {
            Ok(0) => Company::None,
            _ => Company::Threads,
        }
    }
}

/// How many threads a copy of this process would lack that may hold something.
fn others() -> io::Result<usize> {
    Ok(clone::threads()?.saturating_sub(1 + watch::watchers()))
}

/// Refuses when a copy of this process would lack threads, or seem to hold what this process holds.
pub(crate) fn refuse_company(start: &Start<'_>) -> Result<(), StartError> {
    match sys::thread::guards_held() {
        0 => {}
        count => return Err(StartError::GuardsHeld { count }),
    }
    let until = Instant::now() + LINGER;
    loop {
        match others().map_err(|error| start.io("reading /proc/self/task", error))? {
            0 => return Ok(()),
            count if Instant::now() >= until => return Err(StartError::ThreadsRunning { count }),
            _ => thread::sleep(Duration::from_micros(100)),
        }
    }
}

/// Whether this process has ends of channels or pipes. If not, nobody looks at the arguments of a fork.
fn has_ends() -> bool {
    channel::has_ends() || packet::has_pipes()
}

/// What keeps the ends of channels in these arguments from being taken for abandoned until the copy has them, and which of
/// them are handed over.
pub(crate) fn ends_in(arguments: &impl Serialize) -> Result<(Vec<OwnedFd>, Moves), String> {
    if has_ends() {
        handle::collect_ends(arguments)
    } else {
        Ok(Default::default())
    }
}

/// In the copy: makes the ends in its arguments its own, and lets go of all other ends of pipes.
pub(crate) fn adopt_ends(
    arguments: &impl Serialize,
    on_their_way: Vec<OwnedFd>,
) -> Result<(), Message> {
    if has_ends() {
        let pipes =
            handle::adopt_ends(arguments).map_err(|why| Message::text(Kind::NotBegun, why))?;
        packet::cut_off(Role::Pipe, &pipes).map_err(|error| {
            let why = format_args!("it cannot let go of its parent's pipes: {error}");
            Message::text(Kind::NotBegun, why)
        })?;
    }
    drop(on_their_way);
    Ok(())
}

/// Copies this process; the copy runs `work`, tells what came of it, and ends.
///
/// # Safety
///
/// `work` needs nothing that another thread of this process may hold.
pub(crate) unsafe fn start(
    start: &Start<'_>,
    company: Company,
    work: impl FnOnce() -> Message,
) -> Result<Started, StartError> {
    // SAFETY: promised by the caller.
    match unsafe { copy(start) }? {
        Copied::Child(socket) => run(start, company, socket, work),
        Copied::Parent(started) => Ok(started),
    }
}

/// Which of two processes this is.
pub(crate) enum Copied {
    /// The copy, and its end of the connection. It must not return from where it was made, but [begin](begin_copy).
    Child(OwnedFd),
    /// The parent, and its child.
    Parent(Started),
}

/// Copies this process.
///
/// # Safety
///
/// The copy needs nothing that another thread of this process may hold.
pub(crate) unsafe fn copy(start: &Start<'_>) -> Result<Copied, StartError> {
    // What is buffered would be printed by both. If it cannot be printed, nothing that is done here can change that.
    let _ = io::stdout().flush();
    // Held until the child knows that it is one, or is gone. A child of another thread would have a copy of `ours`,
    // and this one could wait for a parent that is dead. And a copy made meanwhile would find it locked for ever.
    let children = registry::children();
    let (ours, theirs) =
        socket::pair().map_err(|error| start.io("making a pair of sockets", error))?;
    let sockets = packet::open_sockets();
    // SAFETY: promised by the caller.
    let side = unsafe { clone::fork() };
    drop(sockets);
    let pid = match side.map_err(|error| start.io("fork", error))? {
        Side::Child => {
            drop(ours);
            drop(children);
            return Ok(Copied::Child(theirs));
        }
        Side::Parent(pid) => pid,
    };
    drop(theirs);
    let ours = Socket::new(ours, Role::Child);
    // The child waits for the next message, so it is there to be opened even where children are reaped by themselves.
    let process = match pidfd::open(pid) {
        Ok(process) => process,
        Err(error) => {
            clone::kill_and_reap(pid);
            return Err(start.io("opening a descriptor of the child", error));
        }
    };
    // A child that was killed meanwhile is told of by `join`.
    let _ = socket::send(ours.as_fd(), [b"!", &[]], &[]);
    Ok(Copied::Parent(Started {
        pid,
        process,
        socket: ours,
        begun: true,
    }))
}

/// What every copy does first: forgets what is its parent's, and waits until the parent has it.
fn begin_copy(socket: &OwnedFd) {
    sys::thread::forget_guards();
    handle::forget_scopes();
    // What was sent to the parent and never received would be on its way for as long as this process lives. If the system
    // refuses, it is.
    let _ = packet::cut_off(Role::Child, &[]);
    match socket::receive_waiting(socket.as_fd(), &mut [MaybeUninit::uninit()]) {
        Ok(go) if go.len == 1 => {}
        _ => clone::exit_now(panics::EXIT_CODE),
    }
}

/// A copy that is to be a server, from here to its end.
pub(crate) fn run_server(start: &Start<'_>, socket: OwnedFd, notice: Notice) -> ! {
    let _bomb = NeverUnwind;
    begin_copy(&socket);
    // Its children are handed ends of pipes in their arguments. If the system refuses, the others stay open.
    let _ = packet::cut_off(Role::Pipe, &[]);
    serve::copied(start, socket, notice)
}

/// Ends the process rather than let a panic reach the frames that it has from its parent.
struct NeverUnwind;

impl Drop for NeverUnwind {
    fn drop(&mut self) {
        clone::exit_now(panics::EXIT_CODE)
    }
}

/// The copy from here to its end.
fn run(start: &Start<'_>, company: Company, socket: OwnedFd, work: impl FnOnce() -> Message) -> ! {
    let _bomb = NeverUnwind;
    begin_copy(&socket);
    // SAFETY: the name lies in a frame that this process never returns to.
    let name: &'static String = unsafe { &*ptr::from_ref(start.name) };
    let info = Info {
        pid: std::process::id(),
        name,
        method: StartMethod::Fork,
        daemon: start.daemon,
        parent: start.parent,
        parent_name: start.parent_name,
    };
    // SAFETY: likewise.
    let info: &'static Info = unsafe { &*ptr::from_ref(&info) };
    current::set_info(info);
    // The hook and standard output have locks that another thread of the parent may hold, then for ever.
    let alone = company == Company::None;
    if alone {
        panics::install_hook();
    }
    let outcome = match boot::settle(info) {
        Ok(()) => panics::caught(work),
        Err(message) => message,
    };
    let code = boot::tell(&socket, &outcome);
    if alone {
        let _ = io::stdout().flush();
    }
    // Not `exit`: handlers that the parent registered are for the parent's end.
    clone::exit_now(code)
}
