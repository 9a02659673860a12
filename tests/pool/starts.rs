//! How workers begin.

use std::{
    mem,
    process::Command,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use multiproc::{Counter, Executor, ForkServer, Pool, PoolError, StartMethod, current};

use crate::{
    common::{kill_self, raw::must, wait_until},
    pools::{
        METHODS, WORKERS, children, die, double, everywhere, leave, outcome, pool, timed,
        until_gone, value, workers,
    },
};

static FACTOR: AtomicU64 = AtomicU64::new(0);

pub fn an_initializer_is_called_once_in_each_worker_before_its_tasks() {
    fn set((factor, calls): (u64, Counter)) {
        calls.add(1);
        assert_eq!(FACTOR.swap(factor, Ordering::Relaxed), 0, "called twice");
    }
    everywhere(|method| {
        let calls = Counter::new(0).unwrap();
        let pool = Pool::builder()
            .workers(WORKERS)
            .method(method)
            .initializer(set, (3, calls.clone()))
            .build()
            .unwrap();
        assert_eq!(calls.get(), WORKERS as u64);
        let times = |x: u64| x * FACTOR.load(Ordering::Relaxed);
        assert_eq!(
            pool.map(times, 0..50).unwrap(),
            (0..50).map(|x| 3 * x).collect::<Vec<_>>()
        );
        // Whoever comes in place of one that died, too.
        outcome(pool.submit(die, ()).unwrap()).unwrap_err();
        wait_until(|| calls.get() == WORKERS as u64 + 1);
        assert_eq!(pool.map(times, [5; 50]).unwrap(), [15; 50]);
    });
}

/// Defect 6 of Python: workers were started anew, 371 of them in two seconds.
pub fn an_initializer_that_fails_is_an_error_at_once() {
    fn fail((how, calls): (String, Counter)) {
        calls.add(1);
        match how.as_str() {
            "panics" => panic!("no such file"),
            "exits" => leave(3),
            "exits well" => leave(0),
            _ => kill_self(),
        }
    }
    everywhere(|method| {
        for (how, said) in [
            ("panics", "no such file"),
            ("exits", "3"),
            ("exits well", "0"),
            ("is killed", "SIGKILL"),
        ] {
            let calls = Counter::new(0).unwrap();
            let argument = (how.to_owned(), calls.clone());
            let builder = Pool::builder().workers(WORKERS).method(method);
            let build = || builder.initializer(fail, argument).build();
            let (built, took) = timed(build);
            let error = built.map(drop).unwrap_err();
            assert!(matches!(error, PoolError::NotReady(_)), "{error}");
            let text = error.to_string();
            assert!(text.contains(said), "{how}: {text}");
            assert_eq!(text.matches("before it was ready").count(), 1, "{text}");
            assert!(took < Duration::from_secs(10), "{how}: {took:?}");
            assert!(calls.get() <= WORKERS as u64, "{how}");
        }
    });
}

/// Lets the first workers begin, and no other.
fn first_only((calls, how): (Counter, u8)) {
    if calls.add(1) >= WORKERS as u64 {
        match how {
            0 => panic!("no more"),
            1 => leave(3),
            _ => kill_self(),
        }
    }
}

fn with_first_only(method: StartMethod, how: u8) -> (Pool, Counter) {
    let calls = Counter::new(0).unwrap();
    let builder = Pool::builder().workers(WORKERS).method(method);
    let builder = builder.initializer(first_only, (calls.clone(), how));
    (builder.build().unwrap(), calls)
}

pub fn an_initializer_that_fails_later_breaks_the_pool() {
    everywhere(|method| {
        for how in [0, 1] {
            let (pool, calls) = with_first_only(method, how);
            let pids = workers(&pool);
            assert_eq!(value(pool.submit(double, 4).unwrap()), 8);
            let hanging = pool.submit(crate::pools::idle, ()).unwrap();
            outcome(pool.submit(die, ()).unwrap()).unwrap_err();
            let error = outcome(hanging).unwrap_err();
            assert!(error.to_string().contains("before it was ready"), "{error}");
            wait_until(|| pool.submit(double, 4).is_err());
            assert!(pool.submit(double, 4).unwrap_err().why.is_broken());
            assert_eq!(calls.get(), WORKERS as u64 + 1);
            until_gone(&pids);
        }
    });
}

pub fn initializers_that_are_killed_later_are_not_started_for_ever() {
    let (pool, calls) = with_first_only(StartMethod::Fork, 2);
    let hanging = pool.submit(crate::pools::idle, ()).unwrap();
    outcome(pool.submit(die, ()).unwrap()).unwrap_err();
    outcome(hanging).unwrap_err();
    assert!(pool.submit(double, 4).unwrap_err().why.is_broken());
    assert!(calls.get() < 100, "{}", calls.get());
}

pub fn there_are_as_many_workers_as_processors_that_may_be_used() {
    // SAFETY: a set of processors may be all zeros: it is empty.
    let mut allowed: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: `allowed` is writable, and so long.
    must(unsafe { libc::sched_getaffinity(0, size_of_val(&allowed), &raw mut allowed) });
    // SAFETY: the number is below that of the bits.
    let is_allowed = |cpu: &usize| unsafe { libc::CPU_ISSET(*cpu, &allowed) };
    let allowed: Vec<usize> = (0..libc::CPU_SETSIZE as usize).filter(is_allowed).collect();
    // A quota of the control group counts, too.
    let usable = thread::available_parallelism().unwrap().get();
    for some in 1..=allowed.len().min(3) {
        // SAFETY: likewise.
        let mut chosen: libc::cpu_set_t = unsafe { mem::zeroed() };
        for cpu in &allowed[..some] {
            // SAFETY: likewise.
            unsafe { libc::CPU_SET(*cpu, &mut chosen) };
        }
        // SAFETY: `chosen` is readable, and so long. This process is a copy that makes this test alone.
        must(unsafe { libc::sched_setaffinity(0, size_of_val(&chosen), &raw const chosen) });
        everywhere(|method| {
            let pool = Pool::builder().method(method).build().unwrap();
            assert_eq!(pool.workers(), some.min(usable));
            assert_eq!(workers(&pool).len(), pool.workers());
        });
    }
}

static LOADED_BY: OnceLock<u32> = OnceLock::new();

pub fn workers_of_a_fork_server_find_what_was_preloaded() {
    fn loaded_by(_: ()) -> Option<u32> {
        LOADED_BY.get().copied()
    }
    fn load() {
        LOADED_BY.set(std::process::id()).unwrap();
    }
    ForkServer::preload(load).unwrap();
    let pool = pool(StartMethod::ForkServer);
    let server = ForkServer::pid().unwrap();
    assert!(!workers(&pool).contains(&server));
    assert_eq!(pool.map(loaded_by, [(); 40]).unwrap(), [Some(server); 40]);
    // Whoever comes in place of one that died, too.
    for round in 1..=WORKERS as u64 {
        outcome(pool.submit(die, ()).unwrap()).unwrap_err();
        wait_until(|| pool.stats().restarts == round);
    }
    assert_eq!(pool.map(loaded_by, [(); 40]).unwrap(), [Some(server); 40]);
    drop(pool);
    // By another way they find nothing.
    let pool = self::pool(StartMethod::Spawn);
    assert_eq!(pool.map(loaded_by, [(); 4]).unwrap(), [None; 4]);
    assert_eq!(LOADED_BY.get(), None);
}

/// In the environment it has a copy of this program make pools before it is initialised.
pub const BEFORE_INIT: &str = "MULTIPROC_TEST_BEFORE_INIT";

/// What that copy does. Prints what came of it.
pub fn make_pools_before_init() -> ! {
    for method in METHODS {
        let built = Pool::builder().workers(WORKERS).method(method).build();
        println!("{method}: {}", built.map(drop).unwrap_err());
    }
    println!("{} children", children().len());
    std::process::exit(0)
}

/// Fault 38.
pub fn a_pool_before_init_is_an_error_that_says_so() {
    let mut command = Command::new("/proc/self/exe");
    let output = command.env(BEFORE_INIT, "").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), METHODS.len() + 1, "{text}{errors}");
    for (method, line) in METHODS.iter().zip(&lines) {
        assert!(line.starts_with(&method.to_string()), "{line}");
        assert!(line.contains("init() has not run: put it first"), "{line}");
    }
    assert_eq!(lines[METHODS.len()], "0 children");
}

pub fn workers_are_named_and_are_daemons() {
    fn who(_: ()) -> (String, bool) {
        let current = current();
        (current.name().to_owned(), current.is_daemon())
    }
    everywhere(|method| {
        let builder = Pool::builder().workers(WORKERS).method(method);
        let pool = builder.name("painter").build().unwrap();
        for (name, is_daemon) in pool.map(who, [(); 30]).unwrap() {
            assert!(
                ["painter-1", "painter-2"].contains(&name.as_str()),
                "{name}"
            );
            assert!(is_daemon);
        }
    });
}
