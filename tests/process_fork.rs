//! Children that are copies, in a program of one thread; and a `main` that does not always begin with `init`.

mod common;
#[path = "common/fifo.rs"]
mod fifo;
#[path = "common/outcomes.rs"]
mod outcomes;

use std::{
    env,
    process::{Command, ExitCode, exit},
    ptr,
    sync::{OnceLock, mpsc},
    thread,
};

use fifo::Fifo;
use multiproc::{JoinError, Process, StartError, StartMethod, Value};

/// Tells `main` what to do before `init`.
const BEFORE_INIT: &str = "PROCESS_FORK_BEFORE_INIT";
const GRANDCHILD: &str = "PROCESS_FORK_GRANDCHILD";
/// The exit code of a grandchild that took itself for an ordinary program.
const ORDINARY: i32 = 42;

/// What came of starting a child before `init`.
static EARLY: OnceLock<Result<u32, StartError>> = OnceLock::new();

fn double(x: u32) -> u32 {
    2 * x
}

fn main() -> ExitCode {
    let early = Process::spawn(double, 1).map(|child| child.join().unwrap_or_default());
    let _ = EARLY.set(early);
    match env::var(BEFORE_INIT).as_deref() {
        Ok("exit") => exit(3),
        Ok("relay") => {
            // A program that knows nothing of multiproc and starts one that does.
            let mut command = Command::new("/proc/self/exe");
            let status = command
                .env_remove(BEFORE_INIT)
                .env(GRANDCHILD, "1")
                .status()
                .unwrap();
            exit(status.code().unwrap_or(1));
        }
        _ => {}
    }
    multiproc::init();
    if env::var_os(GRANDCHILD).is_some() {
        // The entry that it inherited is gone as well.
        exit(if env::var_os("MULTIPROC_BOOT").is_none() {
            ORDINARY
        } else {
            1
        });
    }
    common::run(TESTS)
}

macro_rules! tests {
    ($($name:ident,)*) => {
        const TESTS: &[(&str, fn())] = &[
            $((stringify!($name), || outcomes::$name(StartMethod::Fork)),)*
            ("starting_before_init_is_an_error", starting_before_init_is_an_error),
            ("a_child_that_never_reaches_init_is_told_of", a_child_that_never_reaches_init_is_told_of),
            ("a_grandchild_is_not_mistaken_for_the_child", a_grandchild_is_not_mistaken_for_the_child),
            ("fork_is_refused_while_another_thread_runs", fork_is_refused_while_another_thread_runs),
            ("fork_is_refused_while_a_guard_is_held", fork_is_refused_while_a_guard_is_held),
            ("a_copy_that_drops_a_child_changes_nothing", a_copy_that_drops_a_child_changes_nothing),
            ("a_copy_cannot_join_its_parents_child", a_copy_cannot_join_its_parents_child),
            ("a_daemon_can_fork", a_daemon_can_fork),
            ("a_closure_is_run_with_what_it_has", a_closure_is_run_with_what_it_has),
            ("a_panic_brings_its_backtrace_if_asked", a_panic_brings_its_backtrace_if_asked),
            ("detached_children_do_not_pile_up", detached_children_do_not_pile_up),
        ];
    };
}

for_each_outcome!(tests);

/// Spawns a child with this before its `init`.
fn spawn_with(before_init: &str) -> JoinError {
    // SAFETY: there is one thread.
    unsafe { env::set_var(BEFORE_INIT, before_init) };
    let child = Process::spawn(double, 1);
    // SAFETY: likewise.
    unsafe { env::remove_var(BEFORE_INIT) };
    child.unwrap().join().unwrap_err()
}

fn starting_before_init_is_an_error() {
    let early = EARLY.get().unwrap();
    assert!(
        matches!(early, Err(StartError::NotInitialised)),
        "{early:?}"
    );
    let message = early.as_ref().unwrap_err().to_string();
    assert!(message.contains("first in main") && message.contains("init_in_tests"));
}

fn a_child_that_never_reaches_init_is_told_of() {
    let error = spawn_with("exit");
    assert!(
        matches!(error, JoinError::NeverInitialised { code: 3, .. }),
        "{error}"
    );
}

fn a_grandchild_is_not_mistaken_for_the_child() {
    let error = spawn_with("relay");
    assert!(
        matches!(error, JoinError::NeverInitialised { code: ORDINARY, .. }),
        "{error}"
    );
}

fn fork_is_refused_while_another_thread_runs() {
    let (release, wait) = mpsc::channel::<()>();
    let other = thread::spawn(move || wait.recv());
    let error = Process::fork(double, 1).unwrap_err();
    assert!(
        matches!(error, StartError::ThreadsRunning { count: 1 }),
        "{error}"
    );
    drop(release);
    let _ = other.join().unwrap();
    // A joined thread lingers for a moment.
    assert_eq!(Process::fork(double, 1).unwrap().join().unwrap(), 2);
}

fn fork_is_refused_while_a_guard_is_held() {
    let value = Value::new(1u64).unwrap();
    let guard = value.lock().unwrap();
    let error = Process::fork(double, 1).unwrap_err();
    assert!(
        matches!(error, StartError::GuardsHeld { count: 1 }),
        "{error}"
    );
    drop(guard);
    assert_eq!(Process::fork(double, 1).unwrap().join().unwrap(), 2);
}

fn wait((gate, value): (Fifo, u32)) -> u32 {
    gate.receive();
    value
}

fn a_copy_that_drops_a_child_changes_nothing() {
    let gate = Fifo::new();
    let child = Process::fork(wait, (gate.clone(), 5)).unwrap();
    // SAFETY: the copy drops what it has of `child`; in this process `child` stays.
    let copy = || drop(unsafe { ptr::read(&child) });
    // SAFETY: there is one thread and no guard.
    unsafe { Process::fork_closure(copy) }
        .unwrap()
        .join()
        .unwrap();
    assert!(child.is_alive());
    gate.send("go");
    gate.remove();
    assert_eq!(child.join().unwrap(), 5);
}

fn a_copy_cannot_join_its_parents_child() {
    let mut child = Process::fork(double, 5).unwrap();
    // The copy must not take the message either.
    let join = || {
        let refused = child.join_timeout(common::STUCK);
        matches!(refused, Err(JoinError::NotTheParent { .. }))
    };
    // SAFETY: there is one thread and no guard.
    let copy = unsafe { Process::fork_closure(join) }.unwrap();
    assert!(copy.join().unwrap());
    assert_eq!(child.join().unwrap(), 10);
}

fn a_daemon_can_fork() {
    fn fork(x: u32) -> u32 {
        Process::fork(double, x).unwrap().join().unwrap()
    }
    for method in [StartMethod::Fork, StartMethod::Spawn] {
        let builder = Process::builder().method(method).die_with_parent(true);
        assert_eq!(builder.start(fork, 3).unwrap().join().unwrap(), 6);
    }
}

fn a_closure_is_run_with_what_it_has() {
    let text = String::from("borrowed");
    // SAFETY: there is one thread and no guard.
    let child = unsafe { Process::fork_closure(|| text.len()) }.unwrap();
    assert_eq!(child.join().unwrap(), 8);
}

fn a_panic_brings_its_backtrace_if_asked() {
    fn fail(_: ()) {
        panic!("asked for");
    }
    let backtrace_with = |setting: &str| {
        // SAFETY: there is one thread.
        unsafe { env::set_var("RUST_BACKTRACE", setting) };
        match Process::spawn(fail, ()).unwrap().join() {
            Err(JoinError::Panicked { backtrace, .. }) => backtrace,
            other => panic!("{other:?}"),
        }
    };
    assert!(backtrace_with("1").unwrap().contains("fail"));
    assert_eq!(backtrace_with("0"), None);
}

fn detached_children_do_not_pile_up() {
    fn leave(done: Fifo) {
        done.send("done");
    }
    let done = Fifo::new();
    let child = Process::fork(leave, done.clone()).unwrap();
    let pid = child.pid();
    child.detach();
    done.receive();
    done.remove();
    common::wait_until(|| {
        Process::fork(double, 1).unwrap().join().unwrap();
        !std::path::Path::new(&format!("/proc/{pid}")).exists()
    });
}
