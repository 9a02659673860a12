//! What can go wrong with shared memory, what is sent through it, processes and pools of them.

use std::{io, path::PathBuf};

use multiproc_core::{
    BarrierError, ClaimError, InitError, LayoutError, LockError, Refused, RingError, SetError,
    TooManyPermits,
};

use crate::{
    message::{RecvError, SendError, SendManyError},
    pipe::PipeError,
    pool::{MapError, PoolError, SubmitError, TaskError},
    process::{JoinError, StartError},
    queue::JoinQueueError,
};

/// Why shared memory, queues, pipes, processes or pools could not be made or used, or a task has no return value.
///
/// Every variant says what was expected and what was found; its text says all, causes are not told again as sources. The
/// errors of locks, claims, queues, pipes, processes, pools and their tasks, which are types of their own, turn into this
/// one by `?`; a guard, an item or arguments inside are dropped then. Where a function returns `Box<dyn Error>` or anyhow's
/// error, write `.map_err(multiproc::Error::from)?` where there is a guard inside, or an item or arguments that are not
/// `Send + Sync + 'static`.
#[derive(thiserror::Error)]
#[non_exhaustive]
#[allow(
    missing_docs,
    reason = "each variant's fields are said by its sentence"
)]
pub enum Error {
    /// No segment can be called that.
    #[error("{name:?} cannot name a segment: {why}")]
    InvalidName { name: String, why: &'static str },

    /// There is something of this name already, and it is in use or was made to stay.
    #[error("{name} exists already")]
    AlreadyExists { name: String },

    /// There is nothing of this name.
    #[error("{name} does not exist")]
    NotFound { name: String },

    /// It belongs to another user.
    #[error("{} belongs to user {uid}, this process acts for user {expected}", path.display())]
    NotOurs {
        path: PathBuf,
        uid: u32,
        expected: u32,
    },

    /// It is no regular file: a symbolic link, a directory, a pipe.
    #[error("{name} is {found}, not a regular file")]
    NotRegular { name: String, found: &'static str },

    /// It is shorter than a segment can be.
    #[error("{name} is {found} bytes long, at least {expected} are needed")]
    TooShort {
        name: String,
        expected: u64,
        found: u64,
    },

    /// What was asked for cannot begin there.
    #[error("offset {found} in {name} is not aligned: it must be a multiple of {expected}")]
    MisalignedOffset {
        name: String,
        expected: usize,
        found: usize,
    },

    /// It is longer than this process can address.
    #[error("{name} is {found} bytes long, this process can address {limit}")]
    TooLong {
        name: String,
        limit: u64,
        found: u64,
    },

    /// There is not enough room, on the disk or in memory.
    #[error("no room for {needed} bytes in {name}: {why}")]
    NoSpace {
        name: String,
        needed: u64,
        why: io::Error,
    },

    /// The memory that is left, to the machine or to the control group, does not suffice.
    #[error("no memory for {needed} bytes: about {available} are left")]
    NoMemory { needed: u64, available: u64 },

    /// The limit on file sizes (RLIMIT_FSIZE, `ulimit -f`) forbids it.
    #[error("{needed} bytes are more than RLIMIT_FSIZE allows: {limit}")]
    FileSizeLimit { limit: u64, needed: u64 },

    /// Another process could make it shorter under our feet, which would kill this one when it looks.
    #[error("the length of {name} is not sealed and cannot be")]
    Unsealed { name: String },

    /// The descriptor does not allow what was asked for.
    #[error("{name} is open for {found}, it must be open for {expected}")]
    WrongAccess {
        name: String,
        expected: &'static str,
        found: &'static str,
    },

    /// Somebody has been looking at it, all alone, for too long: it may be stopped.
    #[error("{name} is kept busy by a process that is just opening it")]
    Busy { name: String },

    /// The segment does not hold what was asked for.
    #[error("{name}: {why}")]
    Unfit { name: String, why: LayoutError },

    /// No memory can hold what was asked for, or not this one.
    #[error(transparent)]
    Layout(#[from] LayoutError),

    /// A lock could not be had, or is poisoned.
    #[error(transparent)]
    Lock(LockError<()>),

    /// A range could not be claimed, or is poisoned.
    #[error(transparent)]
    Claim(ClaimError<()>),

    /// A claimed range has not the dimensions that were asked for.
    #[cfg(feature = "ndarray")]
    #[error(transparent)]
    View(#[from] multiproc_core::ViewError),

    /// A value could not be changed or made, or permits could not be had.
    #[error(transparent)]
    Refused(#[from] Refused),

    /// What is set once has a value already.
    #[error("there is a value already")]
    AlreadySet,

    /// A barrier could not be passed.
    #[error(transparent)]
    Barrier(#[from] BarrierError),

    /// A barrier for nobody was asked for.
    #[error("a barrier needs at least one party")]
    NoParties,

    /// A semaphore was released too often.
    #[error(transparent)]
    TooManyPermits(#[from] TooManyPermits),

    /// Nothing could be put into a queue or a channel.
    #[error(transparent)]
    Send(SendError<()>),

    /// Nothing could be taken from a queue or a channel.
    #[error(transparent)]
    Recv(#[from] RecvError),

    /// A queue could not be closed.
    #[error("the queue could not be closed: {}", why_open(.0))]
    Ring(RingError),

    /// The only handle of an end of a channel was claimed by one to whom it was not sent, or another has it already.
    #[error("this end of a channel was not handed over, or another has it already")]
    NotHandedOver,

    /// Not all that was put into a joinable queue was done.
    #[error(transparent)]
    JoinQueue(#[from] JoinQueueError),

    /// A child process could not be started.
    #[error(transparent)]
    Start(#[from] StartError),

    /// There is no return value of a child process.
    #[error(transparent)]
    Join(#[from] JoinError),

    /// A pool could not be made, or does not take a task.
    #[error(transparent)]
    Pool(#[from] PoolError),

    /// There is no return value of a task of a pool.
    #[error(transparent)]
    Task(#[from] TaskError),

    /// Not all items of a map have a result.
    #[error(transparent)]
    Map(#[from] MapError),

    /// Nothing could be sent, or received, through a pipe.
    #[error(transparent)]
    Pipe(#[from] PipeError),

    /// One of several that were to be waited for is closed.
    #[error("source {index} is no open descriptor")]
    BadDescriptor { index: usize },

    /// What the caller itself did beside this library failed, in a function that returns this error.
    #[error(transparent)]
    ForeignIo(#[from] io::Error),

    /// Without `/proc` a process can tell neither who it is nor who is dead.
    #[error("/proc is not mounted")]
    NoProc,

    /// `/proc` tells of another PID namespace.
    #[error(
        "/proc/self is {found}, but this process is {expected}: /proc belongs to another PID namespace"
    )]
    ForeignProc { expected: u32, found: String },

    /// This process cannot tell who it is: `/proc` is unreadable, or the process was made in other namespaces than
    /// its parent lives in.
    #[error("this process cannot tell its own identity from /proc")]
    NoIdentity,

    /// The system refused.
    #[error("cannot {doing} {name}: {why}")]
    Io {
        doing: &'static str,
        name: String,
        why: io::Error,
    },
}

impl Error {
    /// Whether there is nothing of that name.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        match self {
            Error::NotFound { .. } => true,
            Error::ForeignIo(error) => error.kind() == io::ErrorKind::NotFound,
            _ => false,
        }
    }

    /// Whether somebody has the name already.
    #[must_use]
    pub fn is_already_exists(&self) -> bool {
        match self {
            Error::AlreadyExists { .. } => true,
            Error::ForeignIo(error) => error.kind() == io::ErrorKind::AlreadyExists,
            _ => false,
        }
    }

    /// Whether it may work a moment later: somebody else is still making it, or just looking at it.
    #[must_use]
    pub fn is_not_ready(&self) -> bool {
        match self {
            Error::Layout(why) | Error::Unfit { why, .. } => *why == LayoutError::NotReady,
            Error::Busy { .. } => true,
            Error::TooShort { found, .. } => *found == 0,
            _ => false,
        }
    }

    /// Whether a deadline passed before it could be done, of whatever was waited for; also that of a task of a pool, which was
    /// killed then.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        match self {
            Error::Lock(why) => why.is_timeout(),
            Error::Claim(why) => why.is_timeout(),
            Error::Refused(why) => why.is_timeout(),
            Error::Barrier(why) => why.is_timeout(),
            Error::Send(why) => why.is_timeout(),
            Error::Recv(why) => why.is_timeout(),
            Error::Ring(why) => *why == RingError::TimedOut,
            Error::JoinQueue(why) => why.is_timeout(),
            Error::Pipe(why) => why.is_timeout(),
            _ => self.task_error().is_some_and(TaskError::is_deadline),
        }
    }

    /// Whether a task panicked: that of a child, or one of a pool; or what a fork server was to preload.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        match self {
            Error::Join(why) => why.is_panic(),
            Error::Start(why) => why.is_panic(),
            Error::Pool(PoolError::Start(why)) => why.is_panic(),
            _ => self.task_error().is_some_and(TaskError::is_panic),
        }
    }

    /// The number of the signal that ended a child, or the worker that had a task in hand.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        match self {
            Error::Join(why) => why.signal(),
            _ => self.task_error()?.signal(),
        }
    }

    /// The exit code of a child that ended by itself before its task returned, or of the worker that had a task in hand.
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        match self {
            Error::Join(why) => why.exit_code(),
            _ => match self.task_error()? {
                TaskError::WorkerExited { code, .. } => *code,
                _ => None,
            },
        }
    }

    /// Why a task of a pool has no return value.
    fn task_error(&self) -> Option<&TaskError> {
        match self {
            Error::Task(why) => Some(why),
            Error::Map(why) => why.task_error(),
            _ => None,
        }
    }

    /// Whether nothing more can be sent, or will come: a queue was closed, or nobody is left at the other end of a channel or
    /// a pipe.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        match self {
            Error::Send(why) => why.is_disconnected(),
            Error::Recv(why) => why.is_disconnected(),
            Error::Pipe(why) => why.is_disconnected(),
            _ => false,
        }
    }

    pub(crate) fn io(doing: &'static str, name: impl Into<String>, why: io::Error) -> Error {
        Error::Io {
            doing,
            name: name.into(),
            why,
        }
    }
}

fn why_open(why: &RingError) -> String {
    match why {
        RingError::TimedOut | RingError::WouldBlock => {
            "its lock could not be had before the deadline".to_owned()
        }
        why => why.to_string(),
    }
}

impl<G> From<LockError<G>> for Error {
    fn from(error: LockError<G>) -> Error {
        Error::Lock(error.without_guard())
    }
}

impl<G> From<ClaimError<G>> for Error {
    fn from(error: ClaimError<G>) -> Error {
        Error::Claim(error.without_guard())
    }
}

/// By hand, so that the reason, which the text tells, is not told again as its source.
impl From<RingError> for Error {
    fn from(error: RingError) -> Error {
        Error::Ring(error)
    }
}

impl<T> From<SendError<T>> for Error {
    fn from(error: SendError<T>) -> Error {
        Error::Send(error.without_item())
    }
}

/// Without the messages that were not sent.
impl<T, I> From<SendManyError<T, I>> for Error {
    fn from(error: SendManyError<T, I>) -> Error {
        Error::Send(error.why)
    }
}

/// What the initialiser failed with, or why it did not run.
impl<E: Into<Error>> From<InitError<E>> for Error {
    fn from(error: InitError<E>) -> Error {
        match error {
            InitError::Failed(error) => error.into(),
            InitError::Refused(why) => why.into(),
        }
    }
}

/// Without the value that was offered.
impl<T> From<SetError<T>> for Error {
    fn from(error: SetError<T>) -> Error {
        match error {
            SetError::AlreadySet(_) => Error::AlreadySet,
            SetError::Refused(_, why) => why.into(),
        }
    }
}

/// Without the arguments.
impl<A> From<SubmitError<A>> for Error {
    fn from(error: SubmitError<A>) -> Error {
        Error::Pool(error.why)
    }
}

/// Implements `Debug` for errors.
macro_rules! debug_as_display {
    ($($type:ident $(<$inside:ident>)?),*) => { $(
        /// As `Display`: what a `main` that returns the error prints, and what `unwrap` does, which so needs nothing of what
        /// is inside.
        impl $(<$inside>)? std::fmt::Debug for $type $(<$inside>)? {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }
    )* };
}
pub(crate) use debug_as_display;

debug_as_display!(Error);
