//! How a spawned child finds out that it is one, and what it does then.
//!
//! The parent leaves an entry in the environment: who it is, which descriptor it hands over, and the child's own
//! process id, which the child writes there itself before exec. A grandchild that inherits the entry has another
//! process id, so it does not mistake itself for the child.

use std::{
    env,
    ffi::{CStr, OsStr, OsString},
    os::fd::{AsFd, OwnedFd, RawFd},
    sync::atomic::{AtomicBool, Ordering},
};

use multiproc_core::{Liveness, Owner};

use super::{
    builder::StartMethod,
    current::{self, Info},
    fork::End,
    frame::{self, Boot, Kind},
    panics, serve,
    task::Places,
    watch,
    wire::{self, Message},
};
use crate::sys::{
    self,
    clone::{self, HANDED, PID_DIGITS},
    signal, socket,
};

const VARIABLE: &str = "MULTIPROC_BOOT";
const C_VARIABLE: &CStr = c"MULTIPROC_BOOT";

static INITIALISED: AtomicBool = AtomicBool::new(false);

/// Makes this program able to start child processes; the first line of `main`.
///
/// In a process that was started by [`Process::spawn`](crate::Process::spawn) it runs the task and does not return.
/// In every other process it does nothing that could be seen. Starting a child before it is an error, since the
/// child would run `main` from the beginning and start children itself.
///
/// ```standalone_crate
/// fn main() {
///     multiproc::init();
///     let child = multiproc::Process::spawn(square, 7).unwrap();
///     assert_eq!(child.join().unwrap(), 49);
/// }
///
/// fn square(x: u32) -> u32 {
///     x * x
/// }
/// ```
pub fn init() {
    INITIALISED.store(true, Ordering::Relaxed);
    if let Some((socket, parent)) = handed_over() {
        run(socket, parent);
    }
}

/// Calls [`init`] before the tests of a test binary run; one line at the top of the file.
///
/// The harness of `cargo test` owns `main`, so this runs before it. It works with `cargo nextest` too.
///
/// ```
/// multiproc::init_in_tests!();
/// ```
#[macro_export]
macro_rules! init_in_tests {
    () => {
        const _: () = {
            extern "C" fn init() {
                $crate::__init_before_main();
            }
            #[used]
            #[unsafe(link_section = ".init_array")]
            static INIT: extern "C" fn() = init;
        };
    };
}

/// [`init`] for code that runs before the runtime of std.
#[doc(hidden)]
pub fn __init_before_main() {
    signal::ignore_broken_pipes();
    init();
}

/// Whether [`init`] has run.
pub(crate) fn is_initialised() -> bool {
    INITIALISED.load(Ordering::Relaxed)
}

/// The entry for the environment of a child, with room for its process id and a zero byte at the end.
pub(crate) fn entry(parent: Owner) -> Vec<u8> {
    let zeros = "0".repeat(PID_DIGITS);
    format!("{VARIABLE}={:016x}:{HANDED}:{zeros}\0", parent.to_bits()).into_bytes()
}

/// This process's environment without such an entry.
pub(crate) fn environment() -> impl Iterator<Item = (OsString, OsString)> {
    env::vars_os().filter(|(key, _)| key != VARIABLE)
}

/// What an entry says.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    parent: Owner,
    handed: RawFd,
    child: u32,
}

impl Entry {
    fn parse(value: &OsStr) -> Option<Entry> {
        let mut parts = value.to_str()?.split(':');
        let entry = Entry {
            parent: Owner::from_bits(u64::from_str_radix(parts.next()?, 16).ok()?),
            handed: parts.next()?.parse().ok()?,
            child: u32::from_str_radix(parts.next()?, 16).ok()?,
        };
        parts.next().is_none().then_some(entry)
    }
}

/// What an entry says.
#[cfg(feature = "__fuzz")]
pub(super) fn read_entry(value: &[u8]) -> Option<(u64, RawFd, u32)> {
    let entry = Entry::parse(std::os::unix::ffi::OsStrExt::from_bytes(value))?;
    Some((entry.parent.to_bits(), entry.handed, entry.child))
}

/// The socket that this process was started with and the parent at its other end; `None` in an ordinary process.
fn handed_over() -> Option<(OwnedFd, Owner)> {
    let value = env::var_os(VARIABLE)?;
    if clone::threads().is_ok_and(|count| count == 1) {
        // SAFETY: no other thread could be reading the environment.
        unsafe { env::remove_var(VARIABLE) };
    } else {
        // This process may execute another program, which must not take itself for the child.
        clone::blank_digits(C_VARIABLE);
    }
    let entry = Entry::parse(&value)?;
    if entry.child != std::process::id() {
        return None;
    }
    let parent = entry.parent;
    if clone::has_foreign_rights() {
        refuse(&entry, FOREIGN_RIGHTS);
    }
    // A parent that has died meanwhile is no reason to run `main` instead of the task.
    let ours = clone::parent() == parent.pid() || sys::liveness(parent) == Liveness::Dead;
    match socket::maker(entry.handed) {
        // The number of a child that has ended, given out again to a descendant that inherited the entry.
        None if !ours => return None,
        // To run `main` would be to start the same child again, without end.
        None => refuse(&entry, "the socket that it was given has been closed"),
        Some(maker) if maker.pid != parent.pid() || !ours => refuse(
            &entry,
            "that is not its parent; a new PID namespace is not supported",
        ),
        Some(maker) if maker.ids != clone::effective_ids() => {
            refuse(&entry, "that is another user's or group's");
        }
        Some(_) => {}
    }
    // SAFETY: the parent handed it to this very process, in which nobody else knows of it.
    let socket = unsafe { socket::adopt(entry.handed) }?;
    Some((socket, parent))
}

/// Why a program that is set-user-ID or the like is no child: whoever executes it chooses its environment, its
/// descriptors and its parent, and a task is whatever function these name.
const FOREIGN_RIGHTS: &str =
    "it runs with rights that its parent may not have (set-user-ID, set-group-ID, capabilities)";

/// Ends a process that was started as a child and cannot be one.
fn refuse(entry: &Entry, why: &str) -> ! {
    eprintln!(
        "multiproc: this process (pid {}) was started as a child of process {}: {why}",
        entry.child,
        entry.parent.pid(),
    );
    std::process::exit(panics::EXIT_CODE)
}

/// A process that was executed as a child, from here to its end.
fn run(socket: OwnedFd, parent: Owner) -> ! {
    let outcome = match told(&socket) {
        Ok(message) if message.kind == Kind::Serve => serve::executed(socket, parent, message),
        Ok(message) => {
            // A parent that is gone cannot be told; the task is run all the same.
            let _ = Message::text(Kind::Begun, "").send(socket.as_fd());
            begin(parent, message)
        }
        Err(not_begun) => not_begun,
    };
    std::process::exit(tell(&socket, &outcome))
}

/// A child that came from a server from here to its end, which is this exit code. If its parent has ended before that knew
/// of it, it does nothing.
pub(crate) fn run_when_told(socket: &OwnedFd, process: OwnedFd, parent: Owner) -> i32 {
    let told = told(socket);
    if !serve::wait_for_go(socket.as_fd(), process.as_fd()) {
        return panics::EXIT_CODE;
    }
    drop(process);
    let outcome = told.map(|message| begin(parent, message));
    tell(socket, &outcome.unwrap_or_else(|not_begun| not_begun))
}

/// What this process is to do.
fn told(socket: &OwnedFd) -> Result<Message, Message> {
    match wire::receive(socket.as_fd()) {
        Ok(Some(message)) if matches!(message.kind, Kind::Boot | Kind::Serve) => Ok(message),
        Ok(_) => Err(Message::text(Kind::NotBegun, "it was not told what to do")),
        Err(error) => Err(Message::text(Kind::NotBegun, error)),
    }
}

/// What a process that is no mere copy is told of itself.
pub(crate) struct Known<'a> {
    pub(crate) name: &'a str,
    pub(crate) method: StartMethod,
    pub(crate) daemon: bool,
    pub(crate) parent: Owner,
    pub(crate) parent_name: &'a str,
}

/// Names this process, for `ps` too, and has it know what it is.
pub(crate) fn become_known(known: Known<'_>) -> &'static Info {
    // Exec has named it after `/proc/self/exe`, or it has the name of its server.
    clone::set_title(known.name);
    let leaked = |text: &str| &*Box::leak(text.to_owned().into_boxed_str());
    let info = Box::leak(Box::new(Info {
        pid: std::process::id(),
        name: leaked(known.name),
        method: known.method,
        daemon: known.daemon,
        parent: known.parent,
        parent_name: leaked(known.parent_name),
    }));
    current::set_info(info);
    info
}

fn begin(parent: Owner, message: Message) -> Message {
    let refused = |why: &dyn ToString| Message::text(Kind::NotBegun, why.to_string());
    let boot: Boot<'_> = match frame::decode(&message.payload) {
        Ok(boot) => boot,
        Err(error) => return refused(&error),
    };
    let info = become_known(Known {
        name: boot.name,
        method: boot.method,
        daemon: boot.daemon,
        parent,
        parent_name: boot.parent_name,
    });
    if let Err(message) = settle(info) {
        return message;
    }
    let places = Places {
        call: boot.trampoline,
        task: boot.task,
    };
    // SAFETY: the parent made them (the frame came from its socket) and runs the same file, which it had us execute.
    let Some(task) = (unsafe { places.find() }) else {
        return refused(&"its task lies outside the code of the executable");
    };
    task.run(boot.arguments, message.descriptors)
}

/// What every child does before its task, however it was started.
#[inline]
pub(crate) fn settle(info: &Info) -> Result<(), Message> {
    if info.daemon {
        watch::die_with(info.parent).map_err(|error| {
            Message::text(
                Kind::NotBegun,
                format_args!("it cannot watch its parent: {error}"),
            )
        })?;
    }
    Ok(())
}

/// Tells the parent how the task ended, and gives the exit code that says the same in short.
pub(crate) fn tell(end: &impl End, outcome: &Message) -> i32 {
    if let Err(error) = end.tell(outcome) {
        // If the parent is gone or does not want to know, this fails as well, and nobody is left to tell.
        let _ = end.tell(&Message::text(Kind::NotEncoded, error));
    }
    match outcome.kind {
        Kind::Returned => 0,
        _ => panics::EXIT_CODE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let parent = Owner::from_bits(0x1234_5678_9abc_def0);
        let entry = String::from_utf8(entry(parent)).unwrap();
        let value = entry.trim_end_matches('\0').split_once('=').unwrap().1;
        let expected = Entry {
            parent,
            handed: HANDED,
            child: 0,
        };
        assert_eq!(Entry::parse(OsStr::new(value)), Some(expected));
        for wrong in ["", ":", "1:3", "1:3:4:5", "x:3:4", "1:-:4", "1:3:"] {
            assert_eq!(Entry::parse(OsStr::new(wrong)), None);
        }
    }
}
