//! What can go wrong with a pool and with its tasks.

use std::{io, time::Duration};

use thiserror::Error;

pub use crate::process::TaskPanic;
use crate::{
    Error,
    error::debug_as_display,
    process::{JoinError, StartError},
    sys::signal,
};

/// Why a task has no return value.
#[derive(Clone, Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The task panicked. Its worker goes on.
    #[error("the task {0}")]
    Panicked(Box<TaskPanic>),
    /// The worker that had the task in hand was killed by a signal.
    #[error(
        "worker {pid}, which had the task in hand, was killed by {}{}",
        signal::name(*.signal),
        if *.core_dumped { " and dumped core" } else { "" }
    )]
    WorkerDied {
        /// The process id that the worker had.
        pid: u32,
        /// The number of the signal.
        signal: i32,
        /// Whether it left a core dump.
        core_dumped: bool,
    },
    /// The worker that had the task in hand ended itself.
    #[error("worker {pid}, which had the task in hand, {what}")]
    WorkerExited {
        /// The process id that the worker had.
        pid: u32,
        /// Its exit code, where that is known.
        code: Option<i32>,
        /// How it ended.
        what: Box<str>,
    },
    /// The task was at work for longer than it may be; its worker was killed.
    #[error("the task was not done after {deadline:?}, and was killed with its worker")]
    DeadlineExceeded {
        /// How long a task of this pool may be at work.
        deadline: Duration,
    },
    /// The worker that had the task in hand had more memory than it may have, and was killed.
    #[error(
        "the task's worker was killed: it had {used} bytes of memory of its own, {limit} are allowed"
    )]
    MemoryExceeded {
        /// How many bytes a worker of this pool may have.
        limit: u64,
        /// How many it had.
        used: u64,
    },
    /// The task could not begin: its arguments could not be decoded by the worker, or its chunk of an array could not be
    /// claimed.
    #[error("the task could not begin: {message}")]
    NotBegun {
        /// Why not.
        message: Box<str>,
    },
    /// The task returned, but its return value could not be encoded or sent.
    #[error("the return value of the task could not be encoded: {message}")]
    NotEncoded {
        /// What the worker said.
        message: Box<str>,
    },
    /// The return value arrived, but could not be decoded.
    #[error("the return value of the task could not be decoded: {message}")]
    NotDecoded {
        /// What was wrong with it.
        message: Box<str>,
    },
    /// The task was cancelled before it began.
    #[error("the task was cancelled")]
    Cancelled,
    /// The pool was terminated, or dropped, before the task was done.
    #[error("the pool was terminated before the task was done")]
    Terminated,
    /// The pool broke before the task was done.
    #[error("the pool broke before the task was done: {message}")]
    Broken {
        /// Why it broke.
        message: Box<str>,
    },
    /// The calling thread is the pool's own, in a callback: while it waited, the pool would learn of nothing.
    #[error("a callback cannot wait for a task of the same pool")]
    WouldDeadlock,
    /// The outcome was handed out before, or goes to a callback.
    #[error("the outcome of the task was given elsewhere")]
    OutcomeTaken,
    /// The task was never handed to the pool.
    #[error("the task was not submitted: {message}")]
    NotSubmitted {
        /// Why not.
        message: Box<str>,
    },
}

// Outcomes of maps are kept side by side.
const _: () = assert!(size_of::<TaskError>() <= 32);

impl TaskError {
    /// Whether the task itself panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self, TaskError::Panicked(_))
    }

    /// Whether the task went with its worker, by a signal, an exit, its deadline or the limit on memory: it may have been
    /// half done.
    #[must_use]
    pub fn is_worker_death(&self) -> bool {
        matches!(
            self,
            TaskError::WorkerDied { .. }
                | TaskError::WorkerExited { .. }
                | TaskError::DeadlineExceeded { .. }
                | TaskError::MemoryExceeded { .. }
        )
    }

    /// The panic of the task.
    #[must_use]
    pub fn panic(&self) -> Option<&TaskPanic> {
        match self {
            TaskError::Panicked(panic) => Some(panic),
            _ => None,
        }
    }

    /// Whether the pool ended before the task was done.
    #[must_use]
    pub fn is_terminated(&self) -> bool {
        matches!(self, TaskError::Terminated)
    }

    /// The exit code of the worker, if it exited over the task.
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        match self {
            TaskError::WorkerExited { code, .. } => *code,
            _ => None,
        }
    }

    /// Whether the deadline of the task passed.
    #[must_use]
    pub fn is_deadline(&self) -> bool {
        matches!(self, TaskError::DeadlineExceeded { .. })
    }

    /// Whether the task was cancelled before it began. One that has not run because its pool ended first was not cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self, TaskError::Cancelled)
    }

    /// The number of the signal that ended the worker.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        match self {
            TaskError::WorkerDied { signal, .. } => Some(*signal),
            _ => None,
        }
    }

    /// What a task is told whose worker has ended so.
    pub(super) fn of_worker(pid: u32, how: &Result<(), JoinError>) -> TaskError {
        match how {
            Err(JoinError::Killed {
                signal,
                core_dumped,
                ..
            }) => TaskError::WorkerDied {
                pid,
                signal: *signal,
                core_dumped: *core_dumped,
            },
            Ok(()) => TaskError::WorkerExited {
                pid,
                code: Some(0),
                what: "ended".into(),
            },
            Err(error) => TaskError::WorkerExited {
                pid,
                code: error.exit_code(),
                what: match error.exit_code() {
                    Some(code) => format!("exited with code {code}").into(),
                    None => format!("ended: {error}").into(),
                },
            },
        }
    }
}

/// Why a pool could not be made, or does not take a task.
#[derive(Error)]
#[non_exhaustive]
pub enum PoolError {
    /// The pool was asked for no workers, or for more than it can have.
    #[error("a pool has from 1 to {limit} workers, not {asked}")]
    Workers {
        /// How many were asked for.
        asked: usize,
        /// The most there can be.
        limit: usize,
    },
    /// An option has a value that makes no sense.
    #[error("{what} of a pool must be more than zero")]
    Zero {
        /// Which one.
        what: &'static str,
    },
    /// A worker could not be started.
    #[error("a worker of the pool could not be started: {0}")]
    Start(Box<StartError>),
    /// A worker ended before it was ready: the initializer failed, or it crashed.
    #[error("a worker of the pool ended before it was ready: {0}")]
    NotReady(Box<JoinError>),
    /// The shared memory of the pool could not be made.
    #[error("the shared memory of the pool could not be made: {0}")]
    Memory(Box<Error>),
    /// The system refused something.
    #[error("a pool cannot be made: {what} failed: {why}")]
    Io {
        /// What was refused.
        what: &'static str,
        /// Why.
        why: io::Error,
    },
    /// The task is not a function of the executable itself.
    #[error(
        "the task is not a function of the executable itself: functions of dynamic libraries cannot be run"
    )]
    NotInExecutable,
    /// The pool was closed, or terminated: it takes no more tasks.
    #[error("the pool is closed")]
    Closed,
    /// The pool is broken: it takes no more tasks.
    #[error("the pool is broken: {message}")]
    Broken {
        /// Why.
        message: String,
    },
    /// The arguments could not be encoded.
    #[error("the arguments of the task could not be encoded: {message}")]
    NotEncoded {
        /// Why not.
        message: String,
    },
    /// The calling thread is the pool's own, in a callback: while it waited, the pool would learn of nothing. Or it is in the
    /// middle of a map, which the pool does not end before.
    #[error("a callback cannot wait for tasks of the same pool")]
    WouldDeadlock,
    /// This process is a copy of the one whose pool it is.
    #[error("a pool is used by the process that made it only")]
    NotTheOwner,
}

impl PoolError {
    /// Whether the pool takes no more tasks because it was closed or terminated.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self, PoolError::Closed)
    }

    /// Whether the pool broke.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        matches!(self, PoolError::Broken { .. })
    }
}

/// A task that the pool did not take, and why.
#[derive(Error)]
#[error("{why}")]
pub struct SubmitError<A> {
    /// The arguments, given back.
    pub arguments: A,
    /// Why not.
    pub why: PoolError,
}

/// Why [`map`](crate::Executor::map) has no results.
#[derive(Error)]
#[non_exhaustive]
pub enum MapError {
    /// Of the tasks that failed, the first.
    #[error("item {index}: {error}")]
    Task {
        /// Which item's it was, counted from 0.
        index: usize,
        /// Why it failed.
        error: TaskError,
    },
    /// The tasks were not submitted. Of those before it some may have run.
    #[error("{0}")]
    Pool(PoolError),
}

impl MapError {
    /// The index of the item that failed.
    #[must_use]
    pub fn index(&self) -> Option<usize> {
        match self {
            MapError::Task { index, .. } => Some(*index),
            MapError::Pool(_) => None,
        }
    }

    /// Why that item failed.
    #[must_use]
    pub fn task_error(&self) -> Option<&TaskError> {
        match self {
            MapError::Task { error, .. } => Some(error),
            MapError::Pool(_) => None,
        }
    }
}

impl From<PoolError> for MapError {
    fn from(error: PoolError) -> MapError {
        MapError::Pool(error)
    }
}

debug_as_display!(TaskError, PoolError, MapError, SubmitError<A>);
