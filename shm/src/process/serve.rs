//! A process that forks children for another one: what it does, from its beginning to its end.
//!
//! It has one thread, and waits for requests: a packet with a socket, the child's end of a connection to the requester, in
//! which a [`Boot`](super::frame::Boot) lies already. The copy that it makes is the requester's own child (see
//! [`sibling`]), so that nobody has to pass its end on.
//!
//! It ends when the requester has closed the connection or is gone, however that ended.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    thread,
    time::{Duration, Instant},
};

use multiproc_core::{Liveness, Owner};

use super::{
    boot::{self, Known},
    builder::{Start, StartMethod},
    frame::{self, Kind, Serve},
    panics,
    server::NAME,
    wire::Message,
};
use crate::sys::{
    self,
    clone::{self, Side},
    pidfd,
    poll::{self, State},
    sibling::{Notice, Thread},
    signal::Blocked,
    socket,
};

/// What a request says; what matters is the descriptor that comes with it.
pub(crate) const REQUEST: &[u8] = b"?";
/// What tells a child that its parent has it.
pub(crate) const GO: &[u8] = b"!";

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// There is a child; the notice says which.
    Forked,
    /// The system refused, with this errno.
    Refused(u32),
    /// So many other threads run in the server.
    Threads(u32),
    /// The server holds so many guards of shared objects.
    Guards(u32),
}

impl Answer {
    pub(crate) const LEN: usize = 5;

    pub(crate) fn to_bytes(self) -> [u8; Answer::LEN] {
        let (what, number) = match self {
            Answer::Forked => (b'f', 0),
            Answer::Refused(errno) => (b'e', errno),
            Answer::Threads(count) => (b't', count),
            Answer::Guards(count) => (b'g', count),
        };
        let [a, b, c, d] = number.to_le_bytes();
        [what, a, b, c, d]
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Answer> {
        let (what, number) = bytes.split_first()?;
        let number = u32::from_le_bytes(number.try_into().ok()?);
        Some(match what {
            b'f' if number == 0 => Answer::Forked,
            b'e' => Answer::Refused(number),
            b't' => Answer::Threads(number),
            b'g' => Answer::Guards(number),
            _ => return None,
        })
    }
}

/// How a server came to be, and so how it and its children end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// It is the executable anew: handlers of `atexit` are its own.
    Executed,
    /// It is a copy of the requester, whose handlers they are.
    Copied,
}

impl Origin {
    fn leave(self, code: i32) -> ! {
        if self == Origin::Executed {
            std::process::exit(code)
        }
        let _ = io::stdout().flush();
        clone::exit_now(code)
    }
}

/// A server at work.
struct Server {
    socket: OwnedFd,
    requester: OwnedFd,
    notice: Notice,
    thread: Thread,
    origin: Origin,
    /// An interrupt from the keyboard is for the requester to act upon, and for the children.
    interrupts: Blocked,
}

/// A new process of the same executable, as a server: runs what is to be preloaded, and serves.
pub(crate) fn executed(socket: OwnedFd, requester: Owner, message: Message) -> ! {
    let refuse = |message: Message| -> ! {
        let _ = message.send(socket.as_fd());
        std::process::exit(panics::EXIT_CODE)
    };
    let not_begun = |why: &dyn ToString| Message::text(Kind::NotBegun, why.to_string());
    let serve: Serve<'_> = match frame::decode(&message.payload) {
        Ok(serve) => serve,
        Err(error) => refuse(not_begun(&error)),
    };
    let Some(file) = message.descriptors.into_iter().next().map(File::from) else {
        refuse(not_begun(&"it was not given its notice"))
    };
    become_known(StartMethod::Spawn, requester, serve.parent_name);
    for preload in serve.preloads {
        // SAFETY: the requester made it and runs the same file, which it had us execute.
        let Some(load) = (unsafe { preload.places.find() }) else {
            refuse(not_begun(
                &"what it is to preload lies outside the code of the executable",
            ))
        };
        let outcome = load.run(preload.argument, Vec::new());
        if outcome.kind != Kind::Returned {
            refuse(outcome)
        }
    }
    let set_up = || Ok((Notice::open(&file)?, Thread::find()?, watch(requester)?));
    let (notice, thread, requester_fd) = match set_up() {
        Ok(all) => all,
        Err(error) => refuse(not_begun(&why_not(&error))),
    };
    // Nothing here is ever dropped by itself: this function does not return.
    drop(file);
    let ready = Message::text(Kind::Begun, "").send(socket.as_fd());
    if ready.is_err() {
        Origin::Executed.leave(0)
    }
    let server = Server {
        socket,
        requester: requester_fd,
        notice,
        thread,
        origin: Origin::Executed,
        interrupts: Blocked::interrupts(),
    };
    server.run(requester)
}

/// A copy of the requester, which has one thread, as a server.
pub(crate) fn copied(start: &Start<'_>, socket: OwnedFd, notice: Notice) -> ! {
    let requester = start.parent;
    become_known(StartMethod::Fork, requester, start.parent_name);
    let set_up = || Ok((Thread::find()?, watch(requester)?));
    match set_up() {
        Ok((thread, requester_fd)) => {
            let _ = Message::text(Kind::Begun, "").send(socket.as_fd());
            let server = Server {
                socket,
                requester: requester_fd,
                notice,
                thread,
                origin: Origin::Copied,
                interrupts: Blocked::interrupts(),
            };
            server.run(requester)
        }
        Err(error) => {
            let _ = Message::text(Kind::NotBegun, why_not(&error)).send(socket.as_fd());
            Origin::Copied.leave(panics::EXIT_CODE)
        }
    }
}

/// Names this process, for those whom it calls.
fn become_known(method: StartMethod, parent: Owner, parent_name: &str) {
    boot::become_known(Known {
        name: NAME,
        method,
        daemon: true,
        parent,
        parent_name,
    });
}

fn why_not(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::Unsupported => {
            "this system does not tell where libc keeps the id of a thread".to_owned()
        }
        _ => error.to_string(),
    }
}

/// A descriptor of the requester, who lives.
fn watch(requester: Owner) -> io::Result<OwnedFd> {
    let process = pidfd::open(requester.pid())?;
    // The descriptor came first: if the requester lives now, then that is the requester's.
    match sys::liveness(requester) {
        Liveness::Dead => Err(io::ErrorKind::NotFound.into()),
        _ => Ok(process),
    }
}

impl Server {
    fn run(self, requester: Owner) -> ! {
        loop {
            match self.next_request() {
                Ok(None) => {}
                Ok(Some(child)) => match self.fork() {
                    Ok(Side::Child) => self.become_child(child, requester),
                    Ok(Side::Parent(_)) => self.answer(Answer::Forked),
                    Err(answer) => self.answer(answer),
                },
                Err(_) => self.origin.leave(0),
            }
        }
    }

    /// Waits for something to happen. An error when there will be no more requests.
    fn next_request(&self) -> io::Result<Option<OwnedFd>> {
        let ended = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let states = poll::any(&[self.socket.as_fd(), self.requester.as_fd()], None)?;
        if states.get(1) != Some(&State::NotReady) {
            return Err(ended());
        }
        let mut bytes = Vec::with_capacity(REQUEST.len());
        let packet = match socket::receive(self.socket.as_fd(), &mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            packet => packet?,
        };
        if packet.len == 0 {
            return Err(ended());
        }
        let child = packet.descriptors.into_iter().next();
        if child.is_none() {
            // This process may open no more descriptors.
            self.answer(refused(&io::Error::from_raw_os_error(
                socket::TOO_MANY_OPEN,
            )));
        }
        Ok(child)
    }

    fn answer(&self, answer: Answer) {
        // If the requester is gone, the next look at the socket says so.
        let _ = socket::send(self.socket.as_fd(), [&answer.to_bytes(), &[]], &[]);
    }

    fn fork(&self) -> Result<Side, Answer> {
        match sys::thread::guards_held() {
            0 => {}
            count => return Err(Answer::Guards(count.try_into().unwrap_or(u32::MAX))),
        }
        alone()?;
        // What is buffered would be printed by both.
        let _ = io::stdout().flush();
        // SAFETY: there is one thread, the one that `thread` was found in: it has never left this loop.
        unsafe { self.thread.copy(&self.notice) }.map_err(|error| refused(&error))
    }

    /// The copy from here to its end.
    fn become_child(self, socket: OwnedFd, parent: Owner) -> ! {
        let Server {
            socket: servers,
            requester,
            notice,
            origin,
            interrupts,
            ..
        } = self;
        drop((servers, notice, interrupts));
        sys::thread::forget_guards();
        let code = boot::run_when_told(&socket, requester, parent);
        origin.leave(code)
    }
}

/// Waits for what was sent to say that the parent has this child; whether it came. A parent that is gone sends nothing.
pub(crate) fn wait_for_go(socket: BorrowedFd<'_>, parent: BorrowedFd<'_>) -> bool {
    // A copy of the parent may have its end of the socket, so that the end of file would not come.
    let _ = poll::any(&[socket, parent], None);
    let mut go = Vec::with_capacity(GO.len());
    socket::receive(socket, &mut go).is_ok_and(|packet| packet.len == GO.len())
}

fn refused(error: &io::Error) -> Answer {
    Answer::Refused(error.raw_os_error().unwrap_or_default().unsigned_abs())
}

/// How long a thread that has ended may linger in `/proc`.
const LINGER: Duration = Duration::from_millis(10);

/// Refuses when this process has more than one thread.
fn alone() -> Result<(), Answer> {
    let until = Instant::now() + LINGER;
    loop {
        match clone::threads().map_err(|error| refused(&error))? {
            0 | 1 => return Ok(()),
            count if Instant::now() >= until => {
                let others = u32::try_from(count - 1).unwrap_or(u32::MAX);
                return Err(Answer::Threads(others));
            }
            _ => thread::sleep(Duration::from_micros(100)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_out_as_it_went_in() {
        for answer in [
            Answer::Forked,
            Answer::Refused(12),
            Answer::Threads(u32::MAX),
            Answer::Guards(1),
        ] {
            assert_eq!(Answer::from_bytes(&answer.to_bytes()), Some(answer));
        }
        for wrong in [&b""[..], b"f", b"f000", b"f00000", b"f0000", b"x0000"] {
            assert_eq!(Answer::from_bytes(wrong), None);
        }
    }
}
