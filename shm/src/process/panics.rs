//! Panics of a task: caught, with the place and the backtrace that only the hook sees, and told to the parent.

use std::{
    any::Any,
    backtrace::{Backtrace, BacktraceStatus},
    cell::Cell,
    mem,
    panic::{self, AssertUnwindSafe},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use super::{
    frame::{Kind, Panic},
    wire::Message,
};

/// The exit code of a process whose task panicked: that of a panicking `main`.
pub(crate) const EXIT_CODE: i32 = 101;

struct Captured {
    location: Option<String>,
    backtrace: Backtrace,
}

thread_local! {
    /// The last panic of this thread.
    static LAST: Cell<Option<Captured>> = const { Cell::new(None) };
}

/// Runs a task in the process that was started for it. A panic becomes a message; it is printed as ever.
pub(crate) fn caught(task: impl FnOnce() -> Message) -> Message {
    install_hook();
    LAST.take();
    match panic::catch_unwind(AssertUnwindSafe(task)) {
        Ok(message) => message,
        Err(payload) => {
            let report = report(&*payload);
            // Dropping what a task panicked with may panic again, and the process ends now anyway.
            mem::forget(payload);
            match postcard::to_allocvec(&report) {
                Ok(payload) => Message {
                    kind: Kind::Panicked,
                    payload,
                    descriptors: Vec::new(),
                },
                Err(error) => Message::text(Kind::NotEncoded, error),
            }
        }
    }
}

/// Lets the hook note what it sees before the hook that was there runs. A copy of this process inherits that.
fn install_hook() {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    // While a thread panics, std refuses to change the hook: a task started then goes without a location.
    if thread::panicking() || INSTALLED.swap(true, Ordering::Relaxed) {
        return;
    }
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        // A thread that ends cannot note anything any more, nor is it the one that runs the task.
        let _ = LAST.try_with(|last| {
            last.set(Some(Captured {
                location: info.location().map(ToString::to_string),
                backtrace: Backtrace::capture(),
            }));
        });
        previous(info);
    }));
}

fn report(payload: &(dyn Any + Send)) -> Panic {
    let message = payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "(not a text)".to_owned());
    let captured = LAST.take();
    let backtrace = captured
        .as_ref()
        .filter(|captured| captured.backtrace.status() == BacktraceStatus::Captured)
        .map(|captured| captured.backtrace.to_string());
    Panic {
        message,
        location: captured.and_then(|captured| captured.location),
        backtrace,
    }
}
