//! Panics of a task: caught, with the place and the backtrace that only the hook sees, and told to the parent.

use std::{
    any::Any,
    backtrace::{Backtrace, BacktraceStatus},
    cell::Cell,
    fmt,
    mem::{self, ManuallyDrop},
    panic::{self, AssertUnwindSafe, PanicHookInfo},
    sync::RwLock,
    thread,
};

use serde::{Deserialize, Serialize};

use super::{frame::Kind, wire::Message};

/// How a task panicked, in whichever process that was.
///
/// Its text is the place and the message: `panicked at src/main.rs:7:9: no more salt`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TaskPanic {
    /// What it panicked with, if that was a text.
    pub message: String,
    /// File, line and column of the panic.
    pub location: Option<String>,
    /// The backtrace, if the environment asks for one (`RUST_BACKTRACE`).
    pub backtrace: Option<String>,
}

impl fmt::Display for TaskPanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("panicked")?;
        if let Some(location) = &self.location {
            write!(f, " at {location}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl TaskPanic {
    /// Leaves away of it what makes it longer than so many bytes: first the backtrace, then the end of the message.
    pub(crate) fn shorten(&mut self, most: usize) {
        let rest = most.saturating_sub(256 + self.location.as_ref().map_or(0, String::len));
        if self.message.len() + self.backtrace.as_ref().map_or(0, String::len) > rest {
            self.backtrace = None;
        }
        if self.message.len() > rest {
            self.message
                .truncate(self.message.floor_char_boundary(rest));
            self.message.push_str(" ...");
        }
    }
}

/// The exit code of a process whose task panicked: that of a panicking `main`.
pub(crate) const EXIT_CODE: i32 = 101;

struct Captured {
    location: Option<String>,
    backtrace: Backtrace,
}

thread_local! {
    /// Whether this thread runs the task of this process.
    static RUNS_TASK: Cell<bool> = const { Cell::new(false) };
    /// The last panic of that thread. It has no destructor, which would take long to register; nobody else has one.
    static LAST: ManuallyDrop<Cell<Option<Captured>>> = const { ManuallyDrop::new(Cell::new(None)) };
}

/// Runs a task in the process that was started for it. A panic becomes a message; it is printed as ever.
///
/// Where the panic was is known only if [`install_hook`] was called before.
pub(crate) fn caught(task: impl FnOnce() -> Message) -> Message {
    catch(task).unwrap_or_else(|panic| message(&panic))
}

/// What tells the parent of a panic.
#[cold]
pub(crate) fn message(panic: &TaskPanic) -> Message {
    match postcard::to_allocvec(panic) {
        Ok(payload) => Message {
            kind: Kind::Panicked,
            payload,
            descriptors: Vec::new(),
        },
        Err(error) => Message::text(Kind::NotEncoded, error),
    }
}

/// Runs a task, or one of many, likewise; gives the panic.
#[inline]
pub(crate) fn catch<T>(task: impl FnOnce() -> T) -> Result<T, TaskPanic> {
    RUNS_TASK.set(true);
    panic::catch_unwind(AssertUnwindSafe(task)).map_err(|payload| {
        let report = report(&*payload);
        // Dropping what a task panicked with may panic again.
        mem::forget(payload);
        report
    })
}

type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync>;

/// The hook that was there before; set once [`note`] is the hook. A lock and no `OnceLock`: a forked child would come to the
/// code of that for nothing else, and the first use of code takes a while.
static PREVIOUS: RwLock<Option<Hook>> = RwLock::new(None);

/// Lets [`note`] see panics before the hook that was there. A copy of this process inherits that.
#[inline]
pub(crate) fn install_hook() {
    // While a thread panics, std refuses to change the hook: a task started then goes without a location.
    if thread::panicking() {
        return;
    }
    // It is locked while somebody is at it, or was when this process was copied; then it is installed, or soon will be.
    if let Ok(mut previous) = PREVIOUS.try_write()
        && previous.is_none()
    {
        *previous = Some(panic::take_hook());
        panic::set_hook(Box::new(note));
    }
}

fn note(info: &PanicHookInfo<'_>) {
    if RUNS_TASK.get() {
        let captured = Captured {
            location: info.location().map(ToString::to_string),
            backtrace: Backtrace::capture(),
        };
        LAST.with(|last| last.set(Some(captured)));
    }
    if let Ok(previous) = PREVIOUS.try_read()
        && let Some(previous) = &*previous
    {
        previous(info);
    }
}

fn report(payload: &(dyn Any + Send)) -> TaskPanic {
    let message = payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "(not a text)".to_owned());
    let captured = LAST.with(|last| last.take());
    let backtrace = captured
        .as_ref()
        .filter(|captured| captured.backtrace.status() == BacktraceStatus::Captured)
        .map(|captured| captured.backtrace.to_string());
    TaskPanic {
        message,
        location: captured.and_then(|captured| captured.location),
        backtrace,
    }
}
