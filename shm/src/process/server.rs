//! A process that forks children for this one, as its requester sees it.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use multiproc_core::Owner;

use super::{
    builder::{Start, StartMethod},
    child::Started,
    error::StartError,
    fork::{self, Copied, Pair},
    frame::{self, Kind, Preload, Serve},
    serve::{Answer, GO, REQUEST},
    spawn::{self, Errand},
    wire::{self, Message},
};
use crate::{
    packet::Socket,
    sys::{
        self, clone,
        pidfd::{self, Ending},
        poll::{self, State},
        sibling::Notice,
        signal, socket, stat,
    },
};

/// What it is called.
pub(crate) const NAME: &str = "forkserver";

/// A server that forks for the process that started it, and for no copy of that.
#[derive(Debug)]
pub(crate) struct Server {
    parent: Owner,
    pid: u32,
    process: OwnedFd,
    socket: Socket,
    notice: Notice,
    /// One request at a time: there is one notice.
    turn: Mutex<()>,
}

/// Why a server did not fork.
pub(crate) enum Failure {
    /// It is gone, and no child came of the request: another server may be asked.
    Ended(String),
    /// It, or the system, refused.
    Refused(StartError),
}

/// How often a server that says nothing is looked at.
const SLICE: Duration = Duration::from_millis(100);
/// At so many looks in a row it is found stopped before it is given up. A stop of all, from the keyboard, ends for all at
/// once, but not at the same instant.
const PATIENCE: u32 = 10;

impl Server {
    /// A new process of this executable, which runs these functions first.
    pub(crate) fn spawned(parent: Owner, preloads: Vec<Preload<'_>>) -> Result<Server, StartError> {
        let name = NAME.to_owned();
        let start = &Start::server(&name, StartMethod::Spawn, parent);
        let (file, notice) = Notice::new().map_err(|error| start.io("making a page", error))?;
        let message = Message {
            kind: Kind::Serve,
            payload: postcard::to_allocvec(&Serve {
                parent_name: start.parent_name,
                preloads,
            })
            .map_err(|error| start.not_encoded(error))?,
            descriptors: vec![file.into()],
        };
        let errand = Errand::new(start, &message)?;
        let started = spawn::execute(start, errand)?;
        Server::new(parent, started, notice).ready(start)
    }

    /// A copy of this process.
    ///
    /// # Errors
    ///
    /// As for any fork: when other threads run or guards are held.
    pub(crate) fn forked(parent: Owner) -> Result<Server, StartError> {
        let name = NAME.to_owned();
        let start = &Start::server(&name, StartMethod::Fork, parent);
        fork::refuse_company(start)?;
        let (_, notice) = Notice::new().map_err(|error| start.io("making a page", error))?;
        // SAFETY: there are no other threads.
        match unsafe { fork::copy(start, || Pair::new(start)) }? {
            Copied::Parent(started) => Server::new(parent, started, notice).ready(start),
            Copied::Child(socket) => fork::run_server(start, socket, notice),
        }
    }

    fn new(parent: Owner, started: Started<Socket>, notice: Notice) -> Server {
        Server {
            parent,
            pid: started.pid,
            process: started.process,
            socket: started.line,
            notice,
            turn: Mutex::new(()),
        }
    }

    /// Waits until it serves.
    fn ready(self, start: &Start<'_>) -> Result<Server, StartError> {
        self.listen()
            .map_err(|error| start.io("waiting for the fork server", error))?;
        // What cannot be read says as little as nothing does: it ended.
        let message = wire::receive(self.socket.as_fd()).unwrap_or_default();
        let ended = |message| StartError::ServerEnded { message };
        Err(match message {
            Some(message) if message.kind == Kind::Begun => return Ok(self),
            Some(message) if message.kind == Kind::Panicked => {
                match frame::decode(&message.payload) {
                    Ok(panic) => StartError::PreloadPanicked { panic },
                    Err(error) => ended(error.to_string()),
                }
            }
            Some(message) => ended(message.into_text()),
            None => ended(self.end()),
        })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it has not ended.
    pub(crate) fn is_alive(&self) -> bool {
        !pidfd::wait(self.process.as_fd(), Some(Instant::now())).unwrap_or(true)
    }

    /// Has it fork the child that this errand is for. The errand is used up if that succeeds.
    pub(crate) fn start(&self, start: &Start<'_>, errand: &Errand) -> Result<Child, Failure> {
        if self.parent != start.parent {
            // A copy of the requester, whose child it would not be.
            return Err(Failure::Ended("it is another process's".to_owned()));
        }
        let _turn = self.turn();
        let refused = |what, error| Failure::Refused(start.io(what, error));
        self.notice.clear();
        let sent = socket::send(
            self.socket.as_fd(),
            [REQUEST, &[]],
            &[errand.theirs.as_fd()],
        );
        match sent {
            Err(error) if socket::is_disconnected(&error) => {}
            sent => {
                sent.map_err(|error| refused("asking the fork server", error))?;
                self.listen().map_err(|error| {
                    // What it would answer now would be taken for the answer to the next request.
                    self.end();
                    refused("waiting for the fork server", error)
                })?;
            }
        }
        match self.answer() {
            Some(Answer::Forked) => {}
            Some(Answer::Refused(errno)) => {
                let error = io::Error::from_raw_os_error(errno as i32);
                return Err(refused("forking in the fork server", error));
            }
            Some(Answer::Threads(count)) => {
                return Err(Failure::Refused(StartError::ServerBusy {
                    threads: count,
                    guards: 0,
                }));
            }
            Some(Answer::Guards(count)) => {
                return Err(Failure::Refused(StartError::ServerBusy {
                    threads: 0,
                    guards: count,
                }));
            }
            None => {
                let how = self.end();
                // It may have forked before it ended: that child is as good as any.
                if self.notice.pid().is_none() {
                    return Err(Failure::Ended(how));
                }
            }
        }
        match self.notice.pid() {
            Some(pid) => self.open(pid).map_err(|error| {
                clone::kill_and_reap(pid);
                refused("opening a descriptor of the child", error)
            }),
            None => Err(Failure::Ended("it told of no child".to_owned())),
        }
    }

    fn open(&self, pid: u32) -> io::Result<Child> {
        // The child waits until it is told to go, so it is there to be opened even where children are reaped by themselves.
        let process = pidfd::open(pid)?;
        Ok(Child { pid, process })
    }

    /// Waits until it has said something or ended. If it is stopped for long, it is killed.
    fn listen(&self) -> io::Result<()> {
        let mut stopped = 0;
        loop {
            let both = [self.socket.as_fd(), self.process.as_fd()];
            let states = poll::any(&both, Some(Instant::now() + SLICE))?;
            if states.iter().any(|state| *state != State::NotReady) {
                return Ok(());
            }
            // It is this process's child and has not ended, so the number is still its own.
            let is_stopped = stat::read(self.pid).is_ok_and(|stat| stat.state == b'T');
            stopped = if is_stopped { stopped + 1 } else { 0 };
            if stopped == PATIENCE {
                let _ = pidfd::signal(self.process.as_fd(), signal::KILL);
            }
        }
    }

    fn answer(&self) -> Option<Answer> {
        let mut bytes = Vec::with_capacity(Answer::LEN);
        // A server that ended with a request unread reports that first.
        for _ in 0..2 {
            if socket::receive(self.socket.as_fd(), &mut bytes).is_ok() {
                break;
            }
        }
        Answer::from_bytes(&bytes)
    }

    /// Ends it, if it has not ended, and says how it did.
    fn end(&self) -> String {
        let _ = pidfd::signal(self.process.as_fd(), signal::KILL);
        match pidfd::reap(self.process.as_fd(), None) {
            Ok(Some(Ending::Exited(code))) => format!("it exited with code {code}"),
            Ok(Some(Ending::Killed { signal, .. })) => {
                format!("it was killed by {}", signal::name(signal))
            }
            _ => "it has ended".to_owned(),
        }
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A copy of the requester has no say.
        if self.parent != sys::identity::me() {
            return;
        }
        // It ends by itself once nobody can ask it any more, unless it is stopped.
        let _ = socket::finish_sending(self.socket.as_fd());
        let _ = pidfd::wait(
            self.process.as_fd(),
            Some(Instant::now() + SLICE * PATIENCE),
        );
        self.end();
    }
}

/// A child that was forked and waits to be told to go.
pub(crate) struct Child {
    pid: u32,
    process: OwnedFd,
}

impl Child {
    /// Lets it go.
    pub(crate) fn go(self, errand: Errand) -> Started<Socket> {
        // A child that was killed meanwhile is told of by `join`.
        let _ = socket::send(errand.ours.as_fd(), [GO, &[]], &[]);
        Started {
            pid: self.pid,
            process: self.process,
            line: errand.ours,
            begun: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Process, ProcessBuilder, task::Places};
    use super::*;
    use crate::packet::codec;

    crate::init_in_tests!();

    fn start_through(
        server: &Server,
        task: fn(u32) -> u32,
        argument: u32,
    ) -> Result<crate::Child<u32>, StartError> {
        let arguments = codec::encode(&argument).unwrap();
        let places = Places::of(task).unwrap();
        ProcessBuilder::default().start_encoded(places, arguments, Some(server))
    }

    /// A process of one thread, as the harness has none, that starts children from a copy of itself.
    fn requester(beside_threads: bool) -> (u32, Result<u32, String>) {
        let server = Server::forked(sys::identity::me()).unwrap();
        let start = |task: fn(u32) -> u32| {
            let child = start_through(&server, task, 20).unwrap();
            child.join().map_err(|error| error.to_string())
        };
        let work = || {
            let parent = start(|_| clone::parent()).unwrap();
            let panic = start(|number| panic!("{number} on purpose"));
            (parent, panic)
        };
        let (parent, panic) = if beside_threads {
            std::thread::scope(|scope| scope.spawn(work).join().unwrap())
        } else {
            work()
        };
        drop(server);
        (parent, panic)
    }

    #[test]
    fn a_copy_of_a_process_forks_for_it_also_once_that_has_threads() {
        for beside_threads in [false, true] {
            let child = Process::spawn(requester, beside_threads).unwrap();
            let pid = child.pid();
            let (parent, panic) = child.join().unwrap();
            assert_eq!(parent, pid);
            assert!(panic.unwrap_err().contains("20 on purpose"));
        }
    }

    fn asks_a_killed_one(_: ()) -> (bool, bool) {
        let server = Server::forked(sys::identity::me()).unwrap();
        let child = start_through(&server, |x| x + 1, 1).unwrap();
        pidfd::signal(server.process.as_fd(), signal::KILL).unwrap();
        let refused = start_through(&server, |x| x, 1);
        (
            matches!(refused, Err(StartError::ServerEnded { .. })),
            matches!(child.join(), Ok(2)),
        )
    }

    #[test]
    fn a_killed_copy_is_told_of_and_its_children_are_not_lost() {
        let child = Process::spawn(asks_a_killed_one, ()).unwrap();
        assert_eq!(child.join().unwrap(), (true, true));
    }
}
