//! What the tests that fork have in common. They are programs of their own (`harness = false`): a process with other
//! threads must not fork, and the standard test harness always has some.
#![allow(dead_code, reason = "each test uses its part")]

pub mod raw;

use std::{
    fs,
    marker::PhantomData,
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
    ptr, thread,
    time::{Duration, Instant},
};

use multiproc::{Child, Process};

/// Far longer than anything here takes: whoever is not through by then is stuck.
pub const STUCK: Duration = Duration::from_secs(30);

/// Runs tests one after the other, those whose name contains the first argument that is not an option, and says what
/// came of them as cargo's own harness does.
pub fn run(tests: &[(&str, fn())]) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let given = |option: &str| arguments.iter().any(|argument| argument == option);
    // Asked by cargo-nextest, which then runs each test in a process of its own. None is ever ignored.
    if given("--list") {
        let listed = if given("--ignored") { &[] } else { tests };
        listed.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    let chosen = tests.iter().filter(|(name, _)| match filter {
        Some(filter) if given("--exact") => name == filter,
        Some(filter) => name.contains(filter.as_str()),
        None => true,
    });
    let (mut passed, mut failed) = (0, 0);
    let start = Instant::now();
    for (name, test) in chosen {
        let result = panic::catch_unwind(test);
        println!(
            "test {name} ... {}",
            if result.is_ok() { "ok" } else { "FAILED" }
        );
        *(if result.is_ok() {
            &mut passed
        } else {
            &mut failed
        }) += 1;
    }
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out; finished in {seconds:.2}s\n"
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs `body` and, when it panics, says which part of a test that was.
pub fn named<R>(what: &str, body: impl FnOnce() -> R) -> R {
    panic::catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        eprintln!("that was: {what}");
        panic::resume_unwind(panic)
    })
}

/// A child that is a copy of this process and runs `body`.
pub fn forked<R: serde::Serialize + serde::de::DeserializeOwned>(
    body: impl FnOnce() -> R,
) -> Child<R> {
    // SAFETY: these tests have one thread, and what a child does with inherited guards is what they test.
    unsafe { Process::fork_closure(body) }.unwrap()
}

/// Ends this process as `kill -9` does.
pub fn kill_self() {
    // SAFETY: no memory is involved.
    unsafe { libc::raise(libc::SIGKILL) };
}

/// Gives other processes the processor until `condition` holds; panics when that takes for ever.
pub fn wait_until(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < STUCK, "stuck waiting");
        thread::yield_now();
    }
}

/// Whether the process is asleep on a futex.
pub fn asleep(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/wchan")).is_ok_and(|place| place.contains("futex"))
}

/// A zeroed `T` that this process shares with its forked children, and that stays mapped until it ends.
pub struct SharedPage<T>(*mut T, PhantomData<T>);

impl<T> SharedPage<T> {
    pub fn new() -> SharedPage<T> {
        assert!(size_of::<T>() <= 4096);
        // SAFETY: a new mapping.
        let page = unsafe {
            libc::mmap(
                ptr::null_mut(),
                4096,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert_ne!(page, libc::MAP_FAILED);
        SharedPage(page.cast(), PhantomData)
    }

    pub fn as_ptr(&self) -> *mut T {
        self.0
    }
}
