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
    child::{Line, Started},
    current::{self, Info},
    error::StartError,
    frame::Kind,
    panics, registry, serve,
    slate::{self, Slot},
    task, watch,
    wire::Message,
};
use crate::{
    channel,
    handle::{self, Moves},
    packet::{self, Role, Socket, WireError},
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
#[inline]
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
#[inline]
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
pub(crate) unsafe fn start<R: Serialize>(
    start: &Start<'_>,
    company: Company,
    work: impl FnOnce() -> Result<R, Message>,
) -> Result<Started, StartError> {
    // Beside other threads there may be one that executes another program, and the child would wait for it.
    let may_have_slot = company == Company::None && slate::is_short::<R>();
    if may_have_slot && let Some(slot) = Slot::take(start.parent) {
        // SAFETY: promised by the caller.
        return unsafe { start_with(start, company, || Ok(slot), work) };
    }
    // SAFETY: likewise.
    unsafe { start_with(start, company, || Pair::new(start), work) }
}

/// # Safety
///
/// As for [`start`].
unsafe fn start_with<L: Link, R: Serialize>(
    start: &Start<'_>,
    company: Company,
    link: impl FnOnce() -> Result<L, StartError>,
    work: impl FnOnce() -> Result<R, Message>,
) -> Result<Started, StartError> {
    // SAFETY: promised by the caller.
    match unsafe { copy(start, link) }? {
        Copied::Child(end) => run(start, company, &end, work),
        Copied::Parent(started) => Ok(started.any()),
    }
}

/// What connects a process with a copy of it, before there is one.
pub(crate) trait Link {
    /// What the process has of it.
    type Line: Into<Line>;
    /// What the copy has of it.
    type End: End;

    fn parent(self) -> Self::Line;
    fn child(self) -> Self::End;
    /// Lets the copy begin. If it was killed meanwhile, `join` tells of that.
    fn let_go(line: &Self::Line);
}

/// A child's end of what connects it with its parent.
pub(crate) trait End {
    /// How many bytes a message may have.
    const LONGEST: usize;
    /// Waits until it may begin; `false` when its parent is gone.
    fn wait_for_go(&self) -> bool;
    fn tell(&self, message: &Message) -> Result<(), WireError>;
    /// Tells at once that the task returned this, or gives the message that does.
    fn returned<R: Serialize>(&self, value: &R) -> Option<Message>;
}

/// Two sockets.
pub(crate) struct Pair {
    ours: OwnedFd,
    theirs: OwnedFd,
}

impl Pair {
    pub(crate) fn new(start: &Start<'_>) -> Result<Pair, StartError> {
        let pair = socket::pair().map_err(|error| start.io("making a pair of sockets", error));
        pair.map(|(ours, theirs)| Pair { ours, theirs })
    }
}

impl Link for Pair {
    type Line = Socket;
    type End = OwnedFd;

    fn parent(self) -> Socket {
        Socket::new(self.ours, Role::Child)
    }

    fn child(self) -> OwnedFd {
        self.theirs
    }

    fn let_go(line: &Socket) {
        let _ = socket::send(line.as_fd(), [b"!", &[]], &[]);
    }
}

impl End for OwnedFd {
    const LONGEST: usize = usize::MAX;

    fn wait_for_go(&self) -> bool {
        let go = socket::receive_waiting(self.as_fd(), &mut [MaybeUninit::uninit()]);
        go.is_ok_and(|go| go.len == 1)
    }

    fn tell(&self, message: &Message) -> Result<(), WireError> {
        message.send(self.as_fd())
    }

    fn returned<R: Serialize>(&self, value: &R) -> Option<Message> {
        Some(task::returned(value))
    }
}

impl Link for Slot {
    type Line = Slot;
    type End = Slot;

    fn parent(self) -> Slot {
        self
    }

    fn child(self) -> Slot {
        self
    }

    fn let_go(line: &Slot) {
        line.go();
    }
}

impl End for Slot {
    const LONGEST: usize = slate::LONGEST;

    #[inline]
    fn wait_for_go(&self) -> bool {
        Slot::wait_for_go(self)
    }

    #[inline]
    fn tell(&self, message: &Message) -> Result<(), WireError> {
        self.write(message)
    }

    #[inline]
    fn returned<R: Serialize>(&self, value: &R) -> Option<Message> {
        let is_told = self.write_short(value);
        (!is_told).then(|| task::returned(value))
    }
}

/// Which of two processes this is.
pub(crate) enum Copied<L: Link> {
    /// The copy, and its end of the connection. It must not return from where it was made, but [begin](begin_copy).
    Child(L::End),
    /// The parent, and its child.
    Parent(Started<L::Line>),
}

/// Copies this process.
///
/// # Safety
///
/// The copy needs nothing that another thread of this process may hold.
pub(crate) unsafe fn copy<L: Link>(
    start: &Start<'_>,
    link: impl FnOnce() -> Result<L, StartError>,
) -> Result<Copied<L>, StartError> {
    // What is buffered would be printed by both. If it cannot be printed, nothing that is done here can change that.
    let _ = io::stdout().flush();
    // Held until the child is let go, or is gone. A child of another thread would have a copy of what connects this one
    // with its parent, and this one could wait for a parent that is dead. And a copy made meanwhile would find it locked
    // for ever.
    let children = registry::children();
    let link = link()?;
    let sockets = packet::open_sockets();
    // SAFETY: promised by the caller.
    let side = unsafe { clone::fork() };
    drop(sockets);
    let pid = match side.map_err(|error| start.io("fork", error))? {
        Side::Child => {
            drop(children);
            return Ok(Copied::Child(link.child()));
        }
        Side::Parent(pid) => pid,
    };
    let line = link.parent();
    // The child waits until it may go, so it is there to be opened even where children are reaped by themselves.
    let process = match pidfd::open(pid) {
        Ok(process) => process,
        Err(error) => {
            clone::kill_and_reap(pid);
            return Err(start.io("opening a descriptor of the child", error));
        }
    };
    L::let_go(&line);
    Ok(Copied::Parent(Started {
        pid,
        process,
        line,
        begun: true,
    }))
}

/// What every copy does first: forgets what is its parent's, and waits until the parent has it.
#[inline]
fn begin_copy(end: &impl End) {
    sys::thread::forget_guards();
    handle::forget_scopes();
    // What was sent to the parent and never received would be on its way for as long as this process lives. If the system
    // refuses, it is.
    let _ = packet::cut_off(Role::Child, &[]);
    if !end.wait_for_go() {
        clone::exit_now(panics::EXIT_CODE);
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
fn run<R: Serialize, E: End>(
    start: &Start<'_>,
    company: Company,
    end: &E,
    work: impl FnOnce() -> Result<R, Message>,
) -> ! {
    let _bomb = NeverUnwind;
    begin_copy(end);
    // SAFETY: the name lies in a frame that this process never returns to.
    let name: &'static str = unsafe { &*ptr::from_ref(start.name) };
    let info = Info {
        pid: clone::own_id(),
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
    // The task may have made a copy of this process by itself, which is not the child.
    let stop_copies = || {
        if clone::own_id() != info.pid {
            clone::exit_now(panics::EXIT_CODE);
        }
    };
    let caught = panics::catch(|| {
        let value = boot::settle(info).and_then(|()| work());
        stop_copies();
        value.map_or_else(Some, |value| end.returned(&value))
    });
    let untold = caught.unwrap_or_else(|mut panic| {
        stop_copies();
        panic.shorten(E::LONGEST);
        Some(panics::message(&panic))
    });
    let code = untold.map_or(0, |outcome| boot::tell(end, &outcome));
    if alone {
        let _ = io::stdout().flush();
    }
    // Not `exit`: handlers that the parent registered are for the parent's end.
    clone::exit_now(code)
}
