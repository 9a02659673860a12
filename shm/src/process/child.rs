//! A child process as its parent sees it.

use std::{
    fmt, io,
    marker::PhantomData,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    sync::Arc,
    time::{Duration, Instant},
};

use multiproc_core::Owner;
use serde::de::DeserializeOwned;

use super::{
    builder::OnDrop,
    error::JoinError,
    frame::{self, Kind},
    registry::{self, Entry},
    slate::Slot,
    usage::MemoryUse,
    wire::{self, Message},
};
use crate::{
    deadline,
    packet::{Socket, codec},
    sys::{
        self,
        pidfd::{self, Ending},
        signal,
    },
};

/// A child process whose task returns an `R`.
///
/// Dropping it without having joined does what [`OnDrop`] says: by default the child is killed. So keep it until it is
/// [joined](Child::join), or [detach](Child::detach) it.
/// As a descriptor ([`AsFd`]) it is readable once the child has ended, for use with `poll` and its kin.
#[must_use = "a child that is dropped without having been joined is killed: join or detach it"]
pub struct Child<R> {
    running: Running,
    returns: PhantomData<fn() -> R>,
}

/// What starting a child gives.
pub(crate) struct Started<L = Line> {
    pub(crate) pid: u32,
    pub(crate) process: OwnedFd,
    pub(crate) line: L,
    /// Whether it is known that the child knows that it is one.
    pub(crate) begun: bool,
}

impl<L: Into<Line>> Started<L> {
    /// The same, wherever it tells what came of its task.
    pub(crate) fn any(self) -> Started {
        Started {
            pid: self.pid,
            process: self.process,
            line: self.line.into(),
            begun: self.begun,
        }
    }
}

/// Where a child tells what came of its task.
pub(crate) enum Line {
    Socket(Socket),
    /// A copy of this process, and of a slot of its slate.
    Slot(Slot),
}

impl From<Socket> for Line {
    fn from(socket: Socket) -> Line {
        Line::Socket(socket)
    }
}

impl From<Slot> for Line {
    fn from(slot: Slot) -> Line {
        Line::Slot(slot)
    }
}

/// A child, whatever it returns.
struct Running {
    entry: Arc<Entry>,
    on_drop: OnDrop,
    joined: bool,
    /// If there is none, it tells on the slot that is entered with it.
    socket: Option<Socket>,
    /// Whether it is known that the child knows that it is one.
    begun: bool,
}

impl<R: DeserializeOwned> Child<R> {
    pub(crate) fn new(name: String, parent: Owner, on_drop: OnDrop, started: Started) -> Child<R> {
        let (socket, slot) = match started.line {
            Line::Socket(socket) => (Some(socket), None),
            Line::Slot(slot) => (None, Some(slot)),
        };
        Child {
            running: Running {
                entry: registry::enter(parent, started.pid, name, started.process, slot),
                on_drop,
                joined: false,
                socket,
                begun: started.begun,
            },
            returns: PhantomData,
        }
    }

    /// Waits until the child has ended and gives what its task returned.
    ///
    /// # Errors
    ///
    /// See [`JoinError`]: the task panicked, the child was killed, the value could not travel, or the child exited before its
    /// task returned, be it with code 0.
    pub fn join(mut self) -> Result<R, JoinError> {
        match self.running.collect(None)? {
            Some(message) => self.decode(message),
            // Not reached: without a limit of time the end is waited for.
            None => Err(self.running.status_unknown()),
        }
    }

    /// Waits for at most `timeout`; `None` when the child has not ended by then.
    ///
    /// # Errors
    ///
    /// As [`join`](Child::join), and [`JoinError::AlreadyJoined`] once the outcome was handed out.
    pub fn join_timeout(&mut self, timeout: Duration) -> Result<Option<R>, JoinError> {
        let message = self.running.collect(deadline::moment(timeout))?;
        message.map(|message| self.decode(message)).transpose()
    }

    /// What the task returned, or `None` when the child has not ended yet.
    ///
    /// # Errors
    ///
    /// As [`join_timeout`](Child::join_timeout).
    pub fn try_join(&mut self) -> Result<Option<R>, JoinError> {
        self.join_timeout(Duration::ZERO)
    }

    fn decode(&self, message: Message) -> Result<R, JoinError> {
        codec::decode(&message.payload, message.descriptors)
            .map_err(|why| self.running.not_decoded(why))
    }
}

impl<R> Child<R> {
    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.running.entry.pid
    }

    /// The name that it was given, or got by default.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.running.entry.name
    }

    /// Whether it has not ended yet.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.running.entry.is_active()
    }

    /// Asks the child to end (SIGTERM). Does nothing when it has ended.
    ///
    /// A child that was spawned begins with no signal blocked and no handler, and so does one of the fork server, unless what
    /// was preloaded there has changed that. One that was forked has the signal mask of the thread that forked it and the
    /// handlers of its parent, which then run in the child.
    ///
    /// # Errors
    ///
    /// When the child has changed its user, so that it may not be signalled.
    pub fn terminate(&self) -> io::Result<()> {
        self.running.entry.signal(signal::TERMINATE)
    }

    /// Ends the child at once (SIGKILL). Does nothing when it has ended.
    ///
    /// # Errors
    ///
    /// When the child has changed its user, so that it may not be signalled.
    pub fn kill(&self) -> io::Result<()> {
        self.running.entry.signal(signal::KILL)
    }

    /// Lets the child go on by itself. Its outcome is lost.
    ///
    /// Once it has ended, it stays a zombie until this process starts another child, or asks for its
    /// [`active_children`](crate::active_children).
    pub fn detach(mut self) {
        self.running.on_drop = OnDrop::Detach;
    }

    /// How much memory the child has now, and the most it has had.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] when the child has ended; when `/proc` cannot be read.
    pub fn memory(&self) -> io::Result<MemoryUse> {
        self.running.entry.memory()
    }

    /// How long all threads of the child together have been on a processor, in its own code and in the system's.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] when the child has ended; when the system refuses.
    pub fn cpu_time(&self) -> io::Result<Duration> {
        self.running.entry.cpu_time()
    }

    /// Whether its outcome was handed out.
    pub(super) fn is_joined(&self) -> bool {
        self.running.joined
    }

    /// What the scope of a child keeps of it.
    pub(super) fn entry(&self) -> Arc<Entry> {
        Arc::clone(&self.running.entry)
    }
}

impl<R> AsRawFd for Child<R> {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl<R> AsFd for Child<R> {
    /// The child's pidfd: readable once the child has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.running.entry.process.as_fd()
    }
}

impl<R> fmt::Debug for Child<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("name", &self.name())
            .field("pid", &self.pid())
            .field("joined", &self.running.joined)
            .finish_non_exhaustive()
    }
}

impl Running {
    /// Waits for the end of the child and takes what it left behind: its status, and its last message, which is what
    /// its task returned. `None` when it has not ended by then.
    fn collect(&mut self, until: Option<Instant>) -> Result<Option<Message>, JoinError> {
        let (name, pid) = self.who();
        if self.entry.parent != sys::identity::me() {
            return Err(JoinError::NotTheParent { name, pid });
        }
        if self.joined {
            return Err(JoinError::AlreadyJoined { name, pid });
        }
        let ending = match pidfd::reap(self.entry.process.as_fd(), until) {
            Ok(None) => return Ok(None),
            Ok(ending) => ending,
            Err(error) if pidfd::is_gone(&error) => None,
            Err(why) => return Err(self.io_error("waiting for its end", why)),
        };
        self.joined = true;
        registry::leave(&self.entry);
        match self.last_message()? {
            // A value that was sent whole counts, whatever happened to the child afterwards.
            Some(message) if message.kind == Kind::Returned => return Ok(Some(message)),
            Some(message) => return Err(self.failure(message)),
            None => {}
        }
        Err(match ending {
            Some(Ending::Exited(code)) if !self.begun => {
                JoinError::NeverInitialised { name, pid, code }
            }
            Some(Ending::Exited(code)) => JoinError::Exited { name, pid, code },
            Some(Ending::Killed {
                signal,
                core_dumped,
            }) => JoinError::Killed {
                name,
                pid,
                signal,
                core_dumped,
            },
            None => self.status_unknown(),
        })
    }

    /// How the task ended, if the child told.
    fn last_message(&mut self) -> Result<Option<Message>, JoinError> {
        loop {
            let told = match (&self.socket, &self.entry.slot) {
                (Some(socket), _) => wire::receive(socket.as_fd()),
                (None, Some(slot)) => slot.read(),
                (None, None) => Ok(None),
            };
            match told {
                Ok(Some(message)) if message.kind == Kind::Begun => self.begun = true,
                Ok(message) => return Ok(message),
                Err(error) => return Err(self.not_decoded(error.to_string())),
            }
        }
    }

    /// The error that a message other than a return value stands for.
    fn failure(&self, message: Message) -> JoinError {
        let (name, pid) = self.who();
        match message.kind {
            Kind::Panicked => match frame::decode(&message.payload) {
                Ok(panic) => JoinError::Panicked { name, pid, panic },
                Err(error) => self.not_decoded(error.to_string()),
            },
            Kind::NotBegun => JoinError::NotBegun {
                name,
                pid,
                message: message.into_text(),
            },
            Kind::NotEncoded => JoinError::NotEncoded {
                name,
                pid,
                message: message.into_text(),
            },
            kind => self.not_decoded(format!("an unexpected message ({kind:?})")),
        }
    }

    fn who(&self) -> (String, u32) {
        (self.entry.name.clone(), self.entry.pid)
    }

    fn status_unknown(&self) -> JoinError {
        let (name, pid) = self.who();
        JoinError::StatusUnknown { name, pid }
    }

    fn not_decoded(&self, message: String) -> JoinError {
        let (name, pid) = self.who();
        JoinError::NotDecoded { name, pid, message }
    }

    fn io_error(&self, what: &'static str, why: io::Error) -> JoinError {
        let (name, pid) = self.who();
        JoinError::Io {
            name,
            pid,
            what,
            why,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A copy of the parent inherits this too, and its drop must change nothing outside it.
        if self.joined || self.entry.parent != sys::identity::me() {
            return;
        }
        let waits = match self.on_drop {
            // What may not be signalled is not waited for either.
            OnDrop::Kill => self.entry.signal(signal::KILL).is_ok(),
            OnDrop::Join => true,
            OnDrop::Detach => false,
        };
        let has_ended = waits
            && match pidfd::reap(self.entry.process.as_fd(), None) {
                Ok(_) => true,
                // Nobody is left who could be told of an error.
                Err(error) => pidfd::is_gone(&error),
            };
        if has_ended {
            registry::leave(&self.entry);
        } else {
            self.entry.detach();
        }
    }
}
