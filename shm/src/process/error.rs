//! What can go wrong when a child process is started, and how it can end other than by returning.

use std::io;

use thiserror::Error;

use super::panics::TaskPanic;
use crate::{error::debug_as_display, sys::signal};

/// Why a child process was not started.
#[derive(Error)]
#[non_exhaustive]
pub enum StartError {
    /// [`init`](crate::init) has not run, so that a child could not tell that it is one.
    #[error(
        "multiproc::init() has not run: put it first in main (in a test binary, put multiproc::init_in_tests!() at \
         the top of the file)"
    )]
    NotInitialised,
    /// The task is not a function of the executable itself. Functions of dynamic libraries have no fixed place that a
    /// child could find.
    #[error(
        "the task is not a function of the executable itself: functions of dynamic libraries cannot be started"
    )]
    NotInExecutable,
    /// Other threads run. A copy of this process would lack them, but not the locks that they hold.
    #[error(
        "cannot fork while {count} other thread(s) run; start the child by spawning instead, or fork earlier"
    )]
    ThreadsRunning {
        /// How many there are beside the calling one.
        count: usize,
    },
    /// This process holds guards of shared objects, which the child would seem to hold too.
    #[error(
        "cannot fork while this process holds {count} guard(s) of shared objects: drop them first"
    )]
    GuardsHeld {
        /// How many it holds.
        count: u64,
    },
    /// This program is set-user-ID, set-group-ID or has capabilities of its file, or acts as another user or group than
    /// its real one. As its own child it could not trust who executed it.
    #[error(
        "a program that runs with the rights of another user or group, or of its file, cannot be spawned; fork the \
         child instead"
    )]
    ForeignRights,
    /// Something was to be preloaded into the fork server, which runs already without it.
    #[error(
        "the fork server (pid {pid}) runs already: preload before the first child is started from it, or stop it first"
    )]
    ServerRunning {
        /// Its process id.
        pid: u32,
    },
    /// A function that the fork server was to call when it starts has panicked.
    #[error("preloading the fork server {panic}")]
    PreloadPanicked {
        /// How it did.
        panic: Box<TaskPanic>,
    },
    /// The fork server cannot fork, because of what was preloaded into it. A copy of it would lack its threads, but not the
    /// locks that they hold, and would seem to hold its guards.
    #[error(
        "the fork server cannot fork: what was preloaded has left {threads} thread(s) running and {guards} guard(s) of \
         shared objects held"
    )]
    ServerBusy {
        /// How many threads run beside its own.
        threads: u32,
        /// How many guards it holds.
        guards: u32,
    },
    /// The fork server ended before it had forked the child.
    #[error("the fork server could not fork: {message}")]
    ServerEnded {
        /// How it ended, or what it said.
        message: String,
    },
    /// The arguments could not be encoded.
    #[error("the arguments of child '{name}' could not be encoded: {message}")]
    NotEncoded {
        /// The name of the child.
        name: String,
        /// What the encoding said.
        message: String,
    },
    /// The name holds a zero byte.
    #[error("a child cannot be named {name:?}: the name holds a zero byte")]
    InvalidName {
        /// The name that was asked for.
        name: String,
    },
    /// This process could not tell who it is, for want of a readable `/proc`.
    #[error("this process cannot tell its own time of birth from /proc: {why}")]
    IdentityUnknown {
        /// Why not.
        why: io::Error,
    },
    /// The system refused something.
    #[error("cannot start child '{name}': {what} failed: {why}")]
    Io {
        /// The name of the child.
        name: String,
        /// What was refused.
        what: &'static str,
        /// Why.
        why: io::Error,
    },
}

/// Why there is no return value of a child process.
#[derive(Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The task panicked.
    #[error("child '{name}' (pid {pid}) {panic}")]
    Panicked {
        /// The name of the child.
        name: String,
        /// Its process id.
        pid: u32,
        /// How it did.
        panic: Box<TaskPanic>,
    },
    /// The child ended by itself before the task returned.
    #[error("child '{name}' (pid {pid}) exited with code {code} before its task returned")]
    Exited {
        /// The name of the child.
        name: String,
        /// Its process id.
        pid: u32,
        /// Its exit code.
        code: i32,
    },
    /// The child was killed by a signal.
    #[error(
        "child '{name}' (pid {pid}) was killed by {}{}",
        signal::name(*.signal),
        if *.core_dumped { " and dumped core" } else { "" }
    )]
    Killed {
        /// The name of the child.
        name: String,
        /// Its process id.
        pid: u32,
        /// The number of the signal.
        signal: i32,
        /// Whether it left a core dump.
        core_dumped: bool,
    },
    /// The child ended before it knew that it was one.
    #[error(
        "child '{name}' (pid {pid}) exited with code {code} without reaching multiproc::init(): it must come first in \
         main (in a test binary, multiproc::init_in_tests!() at the top of the file)"
    )]
    NeverInitialised {
        /// The name of the child.
        name: String,
        /// Its process id.
        pid: u32,
        /// Its exit code.
        code: i32,
    },
    /// The child could not begin its task.
    #[error("child '{name}' (pid {pid}) could not begin its task: {message}")]
    NotBegun {
        /// The name of the child.
        name: String,
        /// Its process id.
        pid: u32,
        /// What the child said.
        message: String,
    },
    /// The task returned, but its return value could not be encoded or sent.
    #[error("the return value of child '{name}' (pid {pid}) could not be encoded: {message}")]
    NotEncoded {
        /// The name of the child.
        name: String,
        /// Its process id.
        pid: u32,
        /// What the child said.
        message: String,
    },
    /// The return value arrived, but could not be decoded.
    #[error("the return value of child '{name}' (pid {pid}) could not be decoded: {message}")]
    NotDecoded {
        /// The name of the child.
        name: String,
        /// Its process id.
        pid: u32,
        /// What was wrong with it.
        message: String,
    },
    /// The outcome was handed out before.
    #[error("child '{name}' (pid {pid}) was joined already")]
    AlreadyJoined {
        /// The name of the child.
        name: String,
        /// Its process id.
        pid: u32,
    },
    /// The child has ended, but somebody else took its status: SIGCHLD is ignored, or other code waits for any child.
    #[error(
        "child '{name}' (pid {pid}) has ended, but its status was taken by somebody else, or SIGCHLD is ignored"
    )]
    StatusUnknown {
        /// The name of the child.
        name: String,
        /// Its process id.
        pid: u32,
    },
    /// The child was started by another process, of which the calling one is a copy.
    #[error("child '{name}' (pid {pid}) can only be joined by the process that started it")]
    NotTheParent {
        /// The name of the child.
        name: String,
        /// Its process id.
        pid: u32,
    },
    /// The system refused something.
    #[error("cannot join child '{name}' (pid {pid}): {what} failed: {why}")]
    Io {
        /// The name of the child.
        name: String,
        /// Its process id.
        pid: u32,
        /// What was refused.
        what: &'static str,
        /// Why.
        why: io::Error,
    },
}

impl StartError {
    /// Whether what the fork server was to preload panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self, StartError::PreloadPanicked { .. })
    }
}

impl JoinError {
    /// Whether a signal ended the child.
    #[must_use]
    pub fn is_killed(&self) -> bool {
        matches!(self, JoinError::Killed { .. })
    }

    /// Whether the task panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self, JoinError::Panicked { .. })
    }

    /// The exit code, if the child ended by itself before its task returned.
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        match self {
            JoinError::Exited { code, .. } | JoinError::NeverInitialised { code, .. } => {
                Some(*code)
            }
            _ => None,
        }
    }

    /// The number of the signal that ended the child.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        match self {
            JoinError::Killed { signal, .. } => Some(*signal),
            _ => None,
        }
    }
}

debug_as_display!(StartError, JoinError);
