//! Child processes: started, watched, joined.
//!
//! The task of a child is a function of the executable, with arguments and a return value of any serde type. What
//! comes back from [`Child::join`] is the value, the panic with its backtrace, the exit code or the signal.

use serde::{Serialize, de::DeserializeOwned};

mod boot;
mod builder;
mod child;
mod current;
mod error;
mod fork;
mod forkserver;
mod frame;
#[cfg(feature = "__fuzz")]
mod fuzz;
mod panics;
mod registry;
mod scope;
mod serve;
mod server;
mod slate;
mod spawn;
pub(crate) mod task;
mod usage;
mod watch;
mod wire;

pub use boot::{__init_before_main, init};
pub use builder::{OnDrop, ParseStartMethodError, ProcessBuilder, StartMethod};
pub use child::Child;
pub use current::{CurrentProcess, ParentProcess, current, parent};
pub use error::{JoinError, StartError};
pub use forkserver::ForkServer;
#[cfg(feature = "__fuzz")]
pub use fuzz::{
    address, connection, hear, place, read_entry, receive_packet, reread_answer, reread_frame,
    send_packet,
};
pub use panics::TaskPanic;
pub use registry::{ActiveChild, active_children};
pub use scope::{Scope, ScopedChild, scope};
pub use usage::MemoryUse;

pub(crate) use frame::decode as decode_frame;
pub(crate) use panics::catch;
pub(crate) use server::Server;

/// Starts child processes.
#[derive(Debug)]
#[non_exhaustive]
pub struct Process;

impl Process {
    /// Starts the same executable anew, to run `task(arguments)`; it inherits nothing but the standard streams, the
    /// environment and what is handed to it. The arguments of this program's command line are not: pass what it needs.
    ///
    /// `task` is a function, or a closure that captures nothing, of one argument: a tuple for several, `()` for none. Its
    /// argument and its return value are owned serde types (`String` and not `&str`; for errors `Result<T, String>`);
    /// shared objects among them are shared.
    ///
    /// Dropping the [`Child`] kills it: keep it until it is joined.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    pub fn spawn<A, R>(task: fn(A) -> R, arguments: A) -> Result<Child<R>, StartError>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        Process::builder()
            .method(StartMethod::Spawn)
            .start(task, arguments)
    }

    /// Starts a copy of this process, to run `task(arguments)`. The task is as in [`spawn`](Process::spawn).
    ///
    /// # Errors
    ///
    /// See [`StartError`]; refused while other threads run or this process holds guards of shared objects.
    pub fn fork<A, R>(task: fn(A) -> R, arguments: A) -> Result<Child<R>, StartError>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        Process::builder()
            .method(StartMethod::Fork)
            .start(task, arguments)
    }

    /// Starts a copy of this process, to run a closure that may use everything this process has.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    ///
    /// # Safety
    ///
    /// As [`ProcessBuilder::start_closure`]: what other threads hold stays locked in the child for ever, and guards made
    /// before protect nothing there.
    pub unsafe fn fork_closure<F, R>(task: F) -> Result<Child<R>, StartError>
    where
        F: FnOnce() -> R,
        R: Serialize + DeserializeOwned,
    {
        // SAFETY: promised by the caller.
        unsafe { Process::builder().start_closure(task) }
    }

    /// Options for a child process.
    pub fn builder() -> ProcessBuilder {
        ProcessBuilder::default()
    }
}
