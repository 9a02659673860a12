//! The fork server: what it loads, what becomes of it and of its children when it is killed or stopped, and of it when its
//! requester is. Each test runs in a copy of this program, and has a server of its own.

mod common;
#[path = "common/fifo.rs"]
mod fifo;
#[path = "common/observe.rs"]
mod observe;

use std::{
    fs, io, process,
    process::ExitCode,
    ptr,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use common::{STUCK, forked, wait_until};
use fifo::Fifo;
use multiproc::{
    Child, Counter, ForkServer, JoinError, Mutex, MutexGuard, Process, ProcessBuilder, StartError,
    StartMethod,
};
use observe::{is_in_state, signal, stop};

macro_rules! tests {
    ($($name:ident,)*) => {
        &[$((stringify!($name), $name),)*]
    };
}

fn main() -> ExitCode {
    multiproc::init();
    common::run_at_once(
        2,
        tests! {
            what_was_preloaded_is_found_by_every_child_and_loaded_once,
            a_preload_that_panics_is_the_error_of_the_start,
            preloads_with_an_argument_run_in_their_order,
            a_shared_object_is_not_preloaded,
            cleared_preloads_are_not_loaded,
            a_preload_that_exits_is_an_error_of_the_start,
            nothing_is_preloaded_into_a_server_that_runs,
            a_thread_that_a_preload_left_is_counted,
            a_guard_that_a_preload_left_is_counted,
            a_killed_server_is_replaced_and_its_children_end_well,
            a_stopped_server_is_replaced,
            no_child_is_lost_when_servers_are_killed_at_any_moment,
            a_stopped_server_can_be_ended,
            a_copy_of_the_requester_has_a_server_of_its_own,
            the_server_ends_with_its_requester,
            the_server_ends_with_a_killed_requester_though_a_copy_of_that_lives,
            a_child_inherits_nothing_that_was_not_handed_to_it,
            a_child_has_threads_and_signals_of_its_own,
            an_interrupt_ends_children_and_not_the_server,
            children_are_started_beside_threads,
            what_a_preload_prints_is_printed_once,
        },
    )
}

fn builder() -> ProcessBuilder {
    Process::builder().method(StartMethod::ForkServer)
}

fn double(x: u32) -> u32 {
    2 * x
}

fn start_one() {
    assert_eq!(builder().start(double, 4).unwrap().join().unwrap(), 8);
}

fn server() -> u32 {
    ForkServer::pid().unwrap()
}

fn is_over(pid: u32) -> bool {
    !fs::exists(format!("/proc/{pid}")).unwrap() || is_in_state(pid, "Z")
}

/// Which process has loaded it, and how often it has.
static LOADED_BY: OnceLock<u32> = OnceLock::new();
static LOADS: AtomicU32 = AtomicU32::new(0);

fn load() {
    LOADS.fetch_add(1, Ordering::Relaxed);
    LOADED_BY.get_or_init(process::id);
}

fn what_was_preloaded_is_found_by_every_child_and_loaded_once() {
    fn find(_: ()) -> (Option<u32>, u32) {
        (LOADED_BY.get().copied(), LOADS.load(Ordering::Relaxed))
    }
    ForkServer::preload(load).unwrap();
    assert_eq!(ForkServer::pid(), None);
    ForkServer::start().unwrap();
    let server = server();
    for _ in 0..3 {
        let found = builder().start(find, ()).unwrap().join().unwrap();
        assert_eq!(found, (Some(server), 1));
    }
    assert_eq!(ForkServer::pid(), Some(server));
    assert_eq!(LOADED_BY.get(), None);
}

fn a_preload_that_panics_is_the_error_of_the_start() {
    fn fail() {
        panic!("nothing to load");
    }
    ForkServer::preload(fail).unwrap();
    for error in [
        ForkServer::start().unwrap_err(),
        builder().start(double, 4).unwrap_err(),
    ] {
        let text = error.to_string();
        assert!(error.is_panic(), "{error}");
        assert!(text.contains("nothing to load") && text.contains("forkserver.rs:"));
    }
    assert_eq!(ForkServer::pid(), None);
}

fn preloads_with_an_argument_run_in_their_order() {
    static LOADED: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());
    fn load(text: String) {
        LOADED.lock().unwrap().push(text);
    }
    let plain: fn() = || load("plain".into());
    ForkServer::preload_with(load, "x".repeat(100_000)).unwrap();
    ForkServer::preload(plain).unwrap();
    ForkServer::preload_with(load, "last".into()).unwrap();
    let child = builder().start(|()| LOADED.lock().unwrap().clone(), ());
    let found = child.unwrap().join().unwrap();
    assert_eq!(found, ["x".repeat(100_000), "plain".into(), "last".into()]);
}

fn a_shared_object_is_not_preloaded() {
    fn load(_: Counter) {}
    let error = ForkServer::preload_with(load, Counter::new(0).unwrap()).unwrap_err();
    assert!(matches!(error, StartError::NotEncoded { .. }), "{error}");
    start_one();
}

fn cleared_preloads_are_not_loaded() {
    fn fail(why: String) {
        panic!("{why}");
    }
    ForkServer::preload_with(fail, "nothing to load".into()).unwrap();
    assert!(ForkServer::start().unwrap_err().is_panic());
    ForkServer::clear_preloads();
    start_one();
}

fn a_preload_that_exits_is_an_error_of_the_start() {
    ForkServer::preload(|| process::exit(3)).unwrap();
    let error = builder().start(double, 4).unwrap_err();
    assert!(matches!(error, StartError::ServerEnded { .. }), "{error}");
    assert!(error.to_string().contains("code 3"), "{error}");
}

fn nothing_is_preloaded_into_a_server_that_runs() {
    start_one();
    let error = ForkServer::preload(load).unwrap_err();
    let pid = server();
    assert!(
        matches!(error, StartError::ServerRunning { pid: found } if found == pid),
        "{error}"
    );
    ForkServer::stop();
    assert!(is_over(pid));
    ForkServer::preload(load).unwrap();
    start_one();
    assert_ne!(server(), pid);
}

/// Fault 39.
fn a_thread_that_a_preload_left_is_counted() {
    ForkServer::preload(|| drop(thread::spawn(observe::idle))).unwrap();
    let error = builder().start(double, 4).unwrap_err();
    assert!(
        matches!(
            error,
            StartError::ServerBusy {
                threads: 1,
                guards: 0
            }
        ),
        "{error}"
    );
}

/// Fault 39.
fn a_guard_that_a_preload_left_is_counted() {
    static KEPT: OnceLock<Mutex<u32>> = OnceLock::new();
    ForkServer::preload(|| {
        let mutex = KEPT.get_or_init(|| Mutex::new(0).unwrap());
        let guard: MutexGuard<'_, u32> = mutex.lock().unwrap();
        std::mem::forget(guard);
    })
    .unwrap();
    let error = builder().start(double, 4).unwrap_err();
    assert!(
        matches!(
            error,
            StartError::ServerBusy {
                threads: 0,
                guards: 1
            }
        ),
        "{error}"
    );
}

fn wait_and_exit((gate, code): (Fifo, i32)) {
    gate.receive();
    process::exit(code)
}

/// Fault 24.
fn a_killed_server_is_replaced_and_its_children_end_well() {
    let gate = Fifo::new();
    let child = builder().start(wait_and_exit, (gate.clone(), 7)).unwrap();
    let first = server();
    signal(first, libc::SIGKILL);
    wait_until(|| ForkServer::pid().is_none());
    start_one();
    assert_ne!(server(), first);
    assert!(child.is_alive());
    gate.send("go");
    gate.remove();
    assert_eq!(child.join().unwrap_err().exit_code(), Some(7));
    // Killed while nobody looks, and asked at once.
    signal(server(), libc::SIGKILL);
    start_one();
}

fn a_stopped_server_is_replaced() {
    start_one();
    let first = server();
    stop(first);
    start_one();
    assert_ne!(server(), first);
    assert!(is_over(first));
}

fn a_stopped_server_can_be_ended() {
    start_one();
    let first = server();
    stop(first);
    ForkServer::stop();
    assert!(is_over(first));
}

/// Fault 24.
fn no_child_is_lost_when_servers_are_killed_at_any_moment() {
    start_one();
    let done = std::sync::atomic::AtomicBool::new(false);
    let running = AtomicU32::new(server());
    let (mut started, mut refused) = (0, 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut pause = 0;
            while !done.load(Ordering::Relaxed) {
                let server = running.swap(0, Ordering::Relaxed);
                if server != 0 {
                    // At another moment of the next request each time.
                    (0..pause).for_each(|_| std::hint::spin_loop());
                    pause = (pause + 977) % 40_000;
                    // SAFETY: no memory is involved. It is this process's child, which nobody has reaped.
                    unsafe { libc::kill(server as i32, libc::SIGKILL) };
                }
                thread::yield_now();
            }
        });
        for i in 0..200 {
            running.store(ForkServer::pid().unwrap_or(0), Ordering::Relaxed);
            match builder().start(double, i) {
                Ok(child) => {
                    assert_eq!(child.join().unwrap(), 2 * i);
                    started += 1;
                }
                Err(StartError::ServerEnded { .. }) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(started > refused, "{started} of {}", started + refused);
    ForkServer::stop();
    // SAFETY: the status is not asked for.
    let left = unsafe { libc::waitpid(-1, ptr::null_mut(), libc::WNOHANG) };
    let error = io::Error::last_os_error().raw_os_error();
    assert_eq!((left, error), (-1, Some(libc::ECHILD)), "a child is left");
}

/// Fault 43.
fn a_copy_of_the_requester_has_a_server_of_its_own() {
    start_one();
    let ours = server();
    let copy = forked(|| {
        assert_eq!(ForkServer::pid(), None);
        ForkServer::stop();
        start_one();
        server()
    });
    assert_ne!(copy.join().unwrap(), ours);
    assert_eq!(server(), ours);
    start_one();
}

fn requester(told: Fifo) {
    start_one();
    told.send(&server().to_string());
    observe::idle();
}

/// A child with a server, and that server.
fn with_server() -> (Child<()>, u32) {
    let told = Fifo::new();
    let child = Process::fork(requester, told.clone()).unwrap();
    let server = told.receive().parse().unwrap();
    told.remove();
    (child, server)
}

/// Fault 23.
fn the_server_ends_with_its_requester() {
    let (child, server) = with_server();
    assert!(!is_over(server));
    child.terminate().unwrap();
    assert!(child.join().unwrap_err().is_killed());
    wait_until(|| is_over(server));
}

/// Fault 23.
fn the_server_ends_with_a_killed_requester_though_a_copy_of_that_lives() {
    fn requester((told, copied): (Fifo, Fifo)) {
        start_one();
        // A copy that this library did not make has the other end of whatever this process talks to its server with.
        common::raw::start(|| {
            copied.send("copied");
            observe::idle()
        });
        told.send(&server().to_string());
        observe::idle();
    }
    let (told, copied) = (Fifo::new(), Fifo::new());
    let child = Process::fork(requester, (told.clone(), copied.clone())).unwrap();
    copied.receive();
    let server: u32 = told.receive().parse().unwrap();
    [told, copied].into_iter().for_each(Fifo::remove);
    let group = fs::read_to_string(format!(
        "/proc/{}/task/{}/children",
        child.pid(),
        child.pid()
    ));
    child.kill().unwrap();
    assert!(child.join().unwrap_err().is_killed());
    wait_until(|| is_over(server));
    // The copy, if it can be found.
    for pid in group.unwrap_or_default().split_whitespace() {
        // SAFETY: no memory is involved.
        unsafe { libc::kill(pid.parse().unwrap(), libc::SIGKILL) };
    }
}

/// What each descriptor of this process is, the one that reads them left out.
fn descriptors() -> Vec<String> {
    let list = fs::read_dir("/proc/self/fd").unwrap();
    let links = list.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    links
        .map(|link| link.to_string_lossy().into_owned())
        .filter(|link| !link.ends_with("/fd"))
        .collect()
}

/// Fault 40.
fn a_child_inherits_nothing_that_was_not_handed_to_it() {
    fn look(_: ()) -> Vec<String> {
        descriptors()
    }
    fn look_with_one(_kept: Counter) -> Vec<String> {
        descriptors()
    }
    let file = fs::File::open("/proc/self/stat").unwrap();
    // SAFETY: copies a descriptor, to stay open on exec as a C library's might.
    let leaky = unsafe { libc::dup(std::os::fd::AsRawFd::as_raw_fd(&file)) };
    assert_ne!(leaky, -1);
    let other = builder().start(double, 1).unwrap();
    let found = builder().start(look, ()).unwrap().join().unwrap();
    // The three standard ones, and the socket to its parent.
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found[3].starts_with("socket:"), "{found:?}");
    let counter = Counter::new(0).unwrap();
    let found = builder()
        .start(look_with_one, counter)
        .unwrap()
        .join()
        .unwrap();
    assert_eq!(found.len(), 5, "{found:?}");
    drop(other);
}

/// Whether a signal that this thread sends to itself by the id that libc has of it, comes.
fn gets_what_it_sends_itself() -> bool {
    // SAFETY: zeros are a set of no signals.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is writable.
    unsafe { libc::sigaddset(&mut set, libc::SIGUSR1) };
    // SAFETY: `set` is readable.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, ptr::null_mut()) };
    // SAFETY: takes nothing, cannot fail.
    let thread = unsafe { libc::pthread_self() };
    // SAFETY: the calling thread lives.
    unsafe { libc::pthread_kill(thread, libc::SIGUSR1) };
    // SAFETY: `set` is writable.
    unsafe { libc::sigpending(&mut set) };
    // SAFETY: `set` is readable.
    unsafe { libc::sigismember(&set, libc::SIGUSR1) == 1 }
}

fn a_child_has_threads_and_signals_of_its_own() {
    fn look(_: ()) -> (bool, bool, u32) {
        let (mut robust, mut len) = (ptr::null_mut::<libc::c_void>(), 0usize);
        // SAFETY: both are writable.
        let told = unsafe { libc::syscall(libc::SYS_get_robust_list, 0, &mut robust, &mut len) };
        // musl registers its list with the first robust mutex.
        let has_list = told == 0 && (!robust.is_null() || cfg!(target_env = "musl"));
        let sum = thread::spawn(|| 1 + 1).join().unwrap();
        (has_list, gets_what_it_sends_itself(), sum)
    }
    start_one();
    let server = server();
    let child = builder().start(look, ()).unwrap();
    assert_eq!(child.join().unwrap(), (true, true, 2));
    start_one();
    assert_eq!(ForkServer::pid(), Some(server));
}

fn an_interrupt_ends_children_and_not_the_server() {
    // Whoever runs these tests in the background has them ignore it.
    // SAFETY: installs no handler.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
    let gate = Fifo::new();
    start_one();
    let server = server();
    let mut child = builder().start(wait_and_exit, (gate.clone(), 7)).unwrap();
    signal(server, libc::SIGINT);
    signal(child.pid(), libc::SIGINT);
    let error = child.join_timeout(STUCK).unwrap_err();
    assert!(
        matches!(
            error,
            JoinError::Killed {
                signal: libc::SIGINT,
                ..
            }
        ),
        "{error}"
    );
    gate.remove();
    start_one();
    assert_eq!(ForkServer::pid(), Some(server));
}

fn children_are_started_beside_threads() {
    thread::scope(|scope| {
        for i in 0..4 {
            scope.spawn(move || {
                for j in 0..10 {
                    let child = builder().start(double, i * j).unwrap();
                    assert_eq!(child.join().unwrap(), 2 * i * j);
                }
            });
        }
    });
}

fn what_a_preload_prints_is_printed_once() {
    fn print() {
        print!("preloaded ");
    }
    fn program(_: ()) {
        ForkServer::preload(print).unwrap();
        start_one();
        start_one();
    }
    let path = std::env::temp_dir().join(format!("multiproc-test-out-{}", process::id()));
    let copy = forked(|| {
        let file = fs::File::create(&path).unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&file);
        // SAFETY: standard output goes to the file from here on, in this process alone.
        let copied = unsafe { libc::dup2(number, 1) };
        assert_eq!(copied, 1);
        program(());
    });
    copy.join().unwrap();
    let printed = fs::read_to_string(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(printed, "preloaded ");
}
