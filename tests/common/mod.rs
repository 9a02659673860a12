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

/// Runs tests one after the other, those whose name contains the first argument that is not an option and none that
/// follows a `--skip`, and says what came of them as cargo's own harness does.
pub fn run(tests: &[Test<'_>]) -> ExitCode {
    run_given(&arguments(), tests)
}

fn arguments() -> Vec<String> {
    std::env::args().skip(1).collect()
}

/// As [`run`], with these arguments instead of those of this process.
pub fn run_given(arguments: &[String], tests: &[Test<'_>]) -> ExitCode {
    let Some(chosen) = chosen(arguments, tests) else {
        return ExitCode::SUCCESS;
    };
    let mut verdict = Verdict::new();
    for (name, test) in chosen {
        verdict.add(name, panic::catch_unwind(test).is_ok());
    }
    verdict.tell()
}

/// As [`run`], up to so many tests at once, each in a copy of this process.
pub fn run_at_once(at_once: usize, tests: &[Test<'_>]) -> ExitCode {
    let Some(mut chosen) = chosen(&arguments(), tests) else {
        return ExitCode::SUCCESS;
    };
    let mut verdict = Verdict::new();
    let mut running = Vec::new();
    loop {
        let free = at_once - running.len();
        let next = chosen.drain(..free.min(chosen.len()));
        running.extend(next.map(|(name, test)| (name, raw::start(test))));
        if running.is_empty() {
            return verdict.tell();
        }
        let (ended, status) = raw::wait_for_any();
        running.retain(|(name, child)| {
            if *child == ended {
                verdict.add(name, status.success());
            }
            *child != ended
        });
    }
}

/// A test and its name.
pub type Test<'a> = (&'a str, fn());

/// The tests that were asked for; `None` when they are only to be listed, which is done.
fn chosen<'a>(arguments: &[String], tests: &[Test<'a>]) -> Option<Vec<Test<'a>>> {
    let given = |option: &str| arguments.iter().any(|argument| argument == option);
    // Asked by cargo-nextest, which then runs each test in a process of its own. None is ever ignored.
    if given("--list") {
        let listed = if given("--ignored") { &[] } else { tests };
        listed.iter().for_each(|(name, _)| println!("{name}: test"));
        return None;
    }
    let (mut filter, mut skipped) = (None, Vec::new());
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--skip" {
            skipped.extend(rest.next());
        } else if filter.is_none() && !argument.starts_with('-') {
            filter = Some(argument);
        }
    }
    let matches = |name: &str, filter: &str| match given("--exact") {
        true => name == filter,
        false => name.contains(filter),
    };
    let chosen = tests.iter().filter(|(name, _)| {
        filter.is_none_or(|filter| matches(name, filter))
            && !skipped.iter().any(|skip| matches(name, skip))
    });
    Some(chosen.copied().collect())
}

/// What came of the tests so far.
struct Verdict {
    passed: usize,
    failed: usize,
    begun: Instant,
}

impl Verdict {
    fn new() -> Verdict {
        Verdict {
            passed: 0,
            failed: 0,
            begun: Instant::now(),
        }
    }

    fn add(&mut self, name: &str, passed: bool) {
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        *(if passed {
            &mut self.passed
        } else {
            &mut self.failed
        }) += 1;
    }

    fn tell(self) -> ExitCode {
        let Verdict { passed, failed, .. } = self;
        let verdict = if failed == 0 { "ok" } else { "FAILED" };
        let seconds = self.begun.elapsed().as_secs_f64();
        println!(
            "\ntest result: {verdict}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out; finished in {seconds:.2}s\n"
        );
        if failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
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

/// How much later than said a wait may end, on a machine that is busy with other things. What is wrong ends later still, or
/// not at all.
const LATE: Duration = Duration::from_secs(3);

/// What `wait` gives. Panics unless that takes as long as it was told to, and not much longer.
pub fn in_time<R>(timeout: Duration, wait: impl FnOnce() -> R) -> R {
    let begun = Instant::now();
    let told = wait();
    let waited = begun.elapsed();
    assert!(waited >= timeout, "{waited:?} instead of {timeout:?}");
    assert!(waited < timeout + LATE, "{waited:?} instead of {timeout:?}");
    told
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
