//! Children that are copies, in a program of one thread; and a `main` that does not always begin with `init`.

mod common;
#[path = "common/fifo.rs"]
mod fifo;
#[path = "process_fork/left_behind.rs"]
mod left_behind;
#[path = "common/outcomes.rs"]
mod outcomes;

use std::{
    env, fs, io,
    os::unix::process::CommandExt,
    panic,
    process::{self, Command, ExitCode, exit},
    ptr,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};

use fifo::Fifo;
use multiproc::{JoinError, Process, StartError, StartMethod, Value};
use serde::{Serialize, de::DeserializeOwned};

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
        Ok("close") => {
            // SAFETY: the socket that this child was given.
            unsafe { libc::close(3) };
            multiproc::init();
            exit(ORDINARY)
        }
        Ok("thread") => drop(thread::spawn(|| {
            loop {
                thread::park()
            }
        })),
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
            ("a_child_without_its_socket_does_not_run_main", a_child_without_its_socket_does_not_run_main),
            (
                "what_a_child_executes_in_its_place_is_not_mistaken_for_it",
                what_a_child_executes_in_its_place_is_not_mistaken_for_it,
            ),
            ("a_program_with_foreign_rights_is_no_child", a_program_with_foreign_rights_is_no_child),
            ("spawning_with_foreign_rights_is_refused", spawning_with_foreign_rights_is_refused),
            ("fork_is_refused_while_another_thread_runs", fork_is_refused_while_another_thread_runs),
            ("fork_is_refused_while_a_guard_is_held", fork_is_refused_while_a_guard_is_held),
            ("a_copy_that_drops_a_child_changes_nothing", a_copy_that_drops_a_child_changes_nothing),
            ("a_copy_cannot_join_its_parents_child", a_copy_cannot_join_its_parents_child),
            ("a_daemon_can_fork", a_daemon_can_fork),
            ("a_closure_is_run_with_what_it_has", a_closure_is_run_with_what_it_has),
            ("a_copy_ends_beside_a_thread_in_the_panic_hook", a_copy_ends_beside_a_thread_in_the_panic_hook),
            ("a_copy_ends_beside_a_thread_that_prints", a_copy_ends_beside_a_thread_that_prints),
            ("a_traced_child_is_joined_once_its_tracer_lets_go", a_traced_child_is_joined_once_its_tracer_lets_go),
            (
                "a_failed_exec_is_told_of_though_sigchld_is_ignored",
                a_failed_exec_is_told_of_though_sigchld_is_ignored,
            ),
            (
                "a_fork_short_of_descriptors_is_an_error_and_leaves_no_child",
                a_fork_short_of_descriptors_is_an_error_and_leaves_no_child,
            ),
            ("a_panic_brings_its_backtrace_if_asked", a_panic_brings_its_backtrace_if_asked),
            ("detached_children_do_not_pile_up", detached_children_do_not_pile_up),
            ("values_of_any_length_come_back", left_behind::values_of_any_length_come_back),
            ("a_long_panic_is_told_by_its_beginning", left_behind::a_long_panic_is_told_by_its_beginning),
            ("a_limit_on_files_keeps_no_panic_back", left_behind::a_limit_on_files_keeps_no_panic_back),
            ("many_can_live_at_once", left_behind::many_can_live_at_once),
            ("a_detached_child_writes_over_nobody", left_behind::a_detached_child_writes_over_nobody),
            (
                "a_copy_that_a_task_made_by_itself_tells_nothing",
                left_behind::a_copy_that_a_task_made_by_itself_tells_nothing,
            ),
            (
                "a_child_whose_parent_dies_before_it_lets_it_go_does_nothing",
                left_behind::a_child_whose_parent_dies_before_it_lets_it_go_does_nothing,
            ),
            (
                "a_panic_hook_that_another_thread_is_in_holds_up_no_child",
                left_behind::a_panic_hook_that_another_thread_is_in_holds_up_no_child,
            ),
            ("a_child_forks_children_of_its_own", left_behind::a_child_forks_children_of_its_own),
            ("nothing_is_left_open", left_behind::nothing_is_left_open),
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

/// Fault 38.
fn starting_before_init_is_an_error() {
    let early = EARLY.get().unwrap();
    assert!(
        matches!(early, Err(StartError::NotInitialised)),
        "{early:?}"
    );
    let message = early.as_ref().unwrap_err().to_string();
    assert!(message.contains("first in main") && message.contains("init_in_tests"));
}

/// Fault 38.
fn a_child_that_never_reaches_init_is_told_of() {
    let error = spawn_with("exit");
    assert!(
        matches!(error, JoinError::NeverInitialised { code: 3, .. }),
        "{error}"
    );
}

/// Fault 38.
fn a_grandchild_is_not_mistaken_for_the_child() {
    let error = spawn_with("relay");
    assert!(
        matches!(error, JoinError::NeverInitialised { code: ORDINARY, .. }),
        "{error}"
    );
}

/// Fault 38.
fn a_child_without_its_socket_does_not_run_main() {
    let error = spawn_with("close");
    assert!(
        matches!(error, JoinError::NeverInitialised { code: 101, .. }),
        "{error}"
    );
}

/// Fault 38.
fn what_a_child_executes_in_its_place_is_not_mistaken_for_it() {
    fn execute(_: ()) {
        let mut command = Command::new("/proc/self/exe");
        let error = command.env_remove(BEFORE_INIT).env(GRANDCHILD, "1").exec();
        panic!("{error}");
    }
    // With a thread beside `init`, the child cannot remove the entry from its environment.
    // SAFETY: there is one thread.
    unsafe { env::set_var(BEFORE_INIT, "thread") };
    let child = Process::spawn(execute, ());
    // SAFETY: likewise.
    unsafe { env::remove_var(BEFORE_INIT) };
    let error = child.unwrap().join().unwrap_err();
    assert!(
        matches!(error, JoinError::Exited { code: ORDINARY, .. }),
        "{error}"
    );
}

/// Acts as another group than the real one, as after the exec of a set-group-ID program; `false` if this may not.
fn act_as_another_group() -> bool {
    // SAFETY: takes numbers.
    unsafe { libc::setresgid(u32::MAX, 65534, u32::MAX) == 0 }
}

fn a_program_with_foreign_rights_is_no_child() {
    let child = common::raw::start(|| {
        if !act_as_another_group() {
            common::raw::skip("needs the rights of root");
        }
        let stat = fs::read_to_string("/proc/1/task/1/stat").unwrap();
        let mut fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
        let birth: u64 = fields.nth(22 - 3).unwrap().parse().unwrap();
        // It says that this process is a child of process 1, which lives and is not its parent.
        let entry = format!("{:016x}:3:{:08x}", birth << 23 | 1 << 1, process::id());
        let mut command = Command::new("/proc/self/exe");
        let command = command.env("MULTIPROC_BOOT", entry).env(GRANDCHILD, "1");
        panic!("{}", command.exec());
    });
    let code = common::raw::wait(child).code();
    assert!(matches!(code, Some(101 | 77)), "{code:?}");
}

fn spawning_with_foreign_rights_is_refused() {
    let copy = common::forked(|| {
        !act_as_another_group()
            || matches!(Process::spawn(double, 1), Err(StartError::ForeignRights))
    });
    assert!(copy.join().unwrap());
}

/// Fault 39.
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

/// Fault 39.
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

/// Fault 43.
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

/// Fault 43.
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
        let builder = Process::builder().method(method).daemon(true);
        assert_eq!(builder.start(fork, 3).unwrap().join().unwrap(), 6);
    }
}

fn a_closure_is_run_with_what_it_has() {
    let text = String::from("borrowed");
    // SAFETY: there is one thread and no guard.
    let child = unsafe { Process::fork_closure(|| text.len()) }.unwrap();
    assert_eq!(child.join().unwrap(), 8);
}

/// Forks while other threads are at work, and waits for a copy that does nothing.
fn fork_in_company() {
    // SAFETY: the copy needs nothing of other threads.
    let mut copy = unsafe { Process::fork_closure(|| 5) }.unwrap();
    assert_eq!(copy.join_timeout(common::STUCK).unwrap(), Some(5));
}

fn a_copy_ends_beside_a_thread_in_the_panic_hook() {
    let (inside, is_inside) = mpsc::channel();
    let (release, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |_| {
        inside.send(()).unwrap();
        let _ = wait.lock().unwrap().recv();
    }));
    let panicking = thread::spawn(|| panic!("on purpose"));
    is_inside.recv().unwrap();
    fork_in_company();
    drop(release);
    assert!(panicking.join().is_err());
    panic::set_hook(before);
}

fn a_copy_ends_beside_a_thread_that_prints() {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let _printing = io::stdout().lock();
                thread::yield_now();
            }
        });
        for _ in 0..100 {
            fork_in_company();
        }
        done.store(true, Ordering::Relaxed);
    });
}

fn a_traced_child_is_joined_once_its_tracer_lets_go() {
    let (gate, attached, release) = (Fifo::new(), Fifo::new(), Fifo::new());
    let mut child = Process::fork(wait, (gate.clone(), 5)).unwrap();
    let tracer = common::forked(|| {
        let nothing = ptr::null_mut::<libc::c_void>();
        // SAFETY: touches no memory of this process.
        let traces = unsafe { libc::ptrace(libc::PTRACE_SEIZE, child.pid(), nothing, nothing) };
        attached.send(if traces == 0 { "yes" } else { "no" });
        release.receive();
    });
    let traced = attached.receive() == "yes";
    child.kill().unwrap();
    common::wait_until(|| !child.is_alive());
    if traced {
        assert!(matches!(child.try_join(), Ok(None)));
    }
    release.send("go");
    tracer.join().unwrap();
    let error = child.join().unwrap_err();
    assert!(error.is_killed(), "{error}");
    [gate, attached, release].into_iter().for_each(Fifo::remove);
}

fn a_failed_exec_is_told_of_though_sigchld_is_ignored() {
    let copy = common::forked(|| {
        // SAFETY: installs no handler.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
        // SAFETY: there is one thread.
        unsafe { env::set_var("PROCESS_FORK_TOO_LARGE", "x".repeat(200_000)) };
        match Process::spawn(double, 1) {
            Err(StartError::Io { why, .. }) => why.raw_os_error(),
            _ => None,
        }
    });
    assert_eq!(copy.join().unwrap(), Some(libc::E2BIG));
}

fn a_fork_short_of_descriptors_is_an_error_and_leaves_no_child() {
    /// Whether it worked with room for so many descriptors more.
    fn works<A, R>(task: fn(A) -> R, argument: A, returned: &R, room: u64) -> bool
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned + PartialEq,
    {
        // SAFETY: copies a descriptor, to see which number is free.
        let free = unsafe { libc::dup(0) };
        // SAFETY: just made.
        unsafe { libc::close(free) };
        common::raw::set_limit(libc::RLIMIT_NOFILE as i32, free as u64 + room);
        let works = match Process::fork(task, argument) {
            Ok(child) => child.join().unwrap() == *returned,
            // Who it is it learns by a descriptor, too.
            Err(StartError::Io { .. } | StartError::IdentityUnknown { .. }) => false,
            Err(error) => panic!("{error}"),
        };
        // SAFETY: the status is not asked for.
        let child = unsafe { libc::waitpid(-1, ptr::null_mut(), libc::WNOHANG) };
        assert_eq!(child, -1, "a child was left");
        works
    }
    fn said(text: String) -> String {
        text
    }
    for room in 0..5 {
        // A number, and what may hold shared objects: they come back in different ways.
        let number = common::forked(move || works(double, 1, &2, room));
        let text = common::forked(move || works(said, "text".to_owned(), &"text".to_owned(), room));
        let (number, text) = (number.join().unwrap(), text.join().unwrap());
        assert!(number || room < 3, "{room} are too few for a number");
        assert!(text || room < 3, "{room} are too few for a text");
        assert!(room > 0 || !number && !text, "without any");
    }
}

fn a_panic_brings_its_backtrace_if_asked() {
    fn fail(_: ()) {
        panic!("asked for");
    }
    let backtrace_with = |setting: &str| {
        // SAFETY: there is one thread.
        unsafe { env::set_var("RUST_BACKTRACE", setting) };
        match Process::spawn(fail, ()).unwrap().join() {
            Err(JoinError::Panicked { panic, .. }) => panic.backtrace,
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
