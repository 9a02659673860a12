//! Signals: their names, and keeping them away for a moment.

use std::{mem, ptr};

/// Asks a process to end.
pub(crate) const TERMINATE: i32 = libc::SIGTERM;
/// Ends a process.
pub(crate) const KILL: i32 = libc::SIGKILL;

/// Keeps signals from the calling thread until dropped.
pub(crate) struct Blocked {
    before: libc::sigset_t,
}

impl Blocked {
    /// Keeps all of them away.
    pub(crate) fn new() -> Blocked {
        let mut all = none();
        // SAFETY: `all` is writable.
        unsafe { libc::sigfillset(&mut all) };
        Blocked::these(all)
    }

    /// Keeps the interrupt from the keyboard away. One that comes meanwhile is not lost to a copy of this process: it
    /// comes when that drops this.
    pub(crate) fn interrupts() -> Blocked {
        let mut interrupts = none();
        // SAFETY: `interrupts` is writable.
        unsafe { libc::sigaddset(&mut interrupts, libc::SIGINT) };
        Blocked::these(interrupts)
    }

    fn these(signals: libc::sigset_t) -> Blocked {
        let mut before = none();
        // SAFETY: both sets outlive the call. It cannot fail: the first argument is a valid one.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &signals, &mut before) };
        Blocked { before }
    }
}

fn none() -> libc::sigset_t {
    // SAFETY: zeros are a set of no signals.
    unsafe { mem::zeroed() }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: `before` came from the same call.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, ptr::null_mut()) };
    }
}

/// Has writes to a closed pipe fail with an error, as the runtime of std has it when `main` begins.
pub(crate) fn ignore_broken_pipes() {
    // SAFETY: installs no handler.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// Ends the calling process as `kill -9` does.
pub(crate) fn kill_myself() -> ! {
    // SAFETY: takes two numbers.
    unsafe { libc::kill(std::process::id() as libc::pid_t, libc::SIGKILL) };
    // Not reached, except by the first process of a PID namespace, which nobody inside it can kill.
    super::clone::exit_now(137)
}

/// The name of a signal, or its number.
pub(crate) fn name(signal: i32) -> String {
    let name = match signal {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGSTKFLT => "SIGSTKFLT",
        libc::SIGVTALRM => "SIGVTALRM",
        libc::SIGPROF => "SIGPROF",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGIO => "SIGIO",
        libc::SIGPWR => "SIGPWR",
        libc::SIGSYS => "SIGSYS",
        _ => return format!("signal {signal}"),
    };
    name.to_owned()
}
