//! Children made by the bare system call: for tests of what lies below processes, and of limits that would be in the
//! way of anything more.

use std::{
    io,
    os::unix::process::ExitStatusExt,
    panic::{self, AssertUnwindSafe},
    process::{self, ExitStatus},
    sync::atomic::{AtomicU32, Ordering},
};

/// What a child ends with when a test cannot be made here: for want of a right, or of a kernel's feature.
const SKIPPED: i32 = 77;

/// Says why a test cannot be made here, and ends the child.
pub fn skip(why: &str) -> ! {
    println!("skipped: {why}");
    end(SKIPPED)
}

/// Runs `body` in a copy of this process and waits for its end: status 0, or 101 after a panic.
pub fn in_child(body: impl FnOnce()) -> ExitStatus {
    wait(start(body))
}

/// Runs `body` in a copy of this process and panics unless it ends well, or is skipped.
pub fn expect_in_child(body: impl FnOnce()) {
    expect(in_child(body));
}

/// Panics unless a child has ended well, or was skipped.
pub fn expect(status: ExitStatus) {
    assert!(matches!(status.code(), Some(0 | SKIPPED)), "{status}");
}

/// Starts a copy of this process that runs `body`; returns its id.
pub fn start(body: impl FnOnce()) -> libc::pid_t {
    // SAFETY: the tests that use this have one thread.
    match unsafe { libc::fork() } {
        -1 => panic!("fork: {}", io::Error::last_os_error()),
        0 => {
            let result = panic::catch_unwind(AssertUnwindSafe(body));
            end(if result.is_ok() { 0 } else { 101 })
        }
        child => child,
    }
}

/// Waits for the end of a child.
pub fn wait(child: libc::pid_t) -> ExitStatus {
    let (ended, status) = wait_for(child);
    assert_eq!(ended, child);
    status
}

/// Waits for the end of whichever child is first.
pub fn wait_for_any() -> (libc::pid_t, ExitStatus) {
    wait_for(-1)
}

fn wait_for(child: libc::pid_t) -> (libc::pid_t, ExitStatus) {
    let mut status = 0;
    // SAFETY: `status` is writable.
    let ended = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert!(ended > 0, "{}", io::Error::last_os_error());
    (ended, ExitStatus::from_raw(status))
}

fn end(code: i32) -> ! {
    // SAFETY: ends the process and runs nothing of what it inherited.
    unsafe { libc::_exit(code) }
}

/// A name for a segment that no other test has.
pub fn new_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("multiproc-test-{}-{number}", process::id())
}

/// Sets a limit of this process, for ever. The numbers of limits have different types in different C libraries.
pub fn set_limit(resource: i32, limit: u64) {
    let limit = libc::rlimit {
        rlim_cur: limit,
        rlim_max: limit,
    };
    // SAFETY: `limit` is readable.
    must(unsafe { libc::setrlimit(resource as _, &raw const limit) });
}

/// Lets this process, and those that it starts, have descriptors up to this one, until more are allowed again; up to which
/// it could before.
pub fn limit_descriptors(limit: libc::rlim_t) -> libc::rlim_t {
    let mut limits = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limits` is writable.
    must(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limits) });
    let before = limits.rlim_cur;
    limits.rlim_cur = limit;
    // SAFETY: `limits` is readable.
    must(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limits) });
    before
}

/// Panics with the system's error when a call has failed.
pub fn must(result: libc::c_int) {
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}
