//! Pools for tests, and tasks that say how far they are.

use std::{
    panic,
    process::exit,
    thread,
    time::{Duration, Instant},
};

use multiproc::{Counter, Event, Executor, Pool, StartMethod, Task, TaskError, ThreadPool};
use serde::{Deserialize, Serialize};

use crate::common::{self, STUCK, kill_self, wait_until};

pub const WORKERS: usize = 2;
pub const METHODS: [StartMethod; 3] = [
    StartMethod::Spawn,
    StartMethod::Fork,
    StartMethod::ForkServer,
];

/// Runs a test in this process, which is killed if it is stuck.
pub fn guarded(test: fn()) {
    // SAFETY: takes a number. No handler is installed: the signal ends this process.
    unsafe { libc::alarm(4 * STUCK.as_secs() as libc::c_uint) };
    test();
    // SAFETY: likewise.
    unsafe { libc::alarm(0) };
}

/// Runs `body` with each way to start workers.
pub fn everywhere(body: impl Fn(StartMethod)) {
    for method in METHODS {
        until_alone();
        common::named(&method.to_string(), || body(method));
    }
}

/// Runs `body` with a pool of each kind.
pub fn with_pools(body: impl Fn(&Pool)) {
    everywhere(|method| {
        let pool = pool(method);
        body(&pool);
    });
}

/// Calls a generic function with a pool of each kind, and with a pool of threads.
macro_rules! with_executors {
    ($body:ident) => {{
        crate::pools::with_pools(|pool| $body(pool));
        crate::common::named("threads", || {
            $body(&multiproc::ThreadPool::new(crate::pools::WORKERS).unwrap())
        });
    }};
}
pub(crate) use with_executors;

pub fn pool(method: StartMethod) -> Pool {
    Pool::builder()
        .workers(WORKERS)
        .method(method)
        .build()
        .unwrap()
}

/// One worker more than none: what runs is known.
pub fn lone(method: StartMethod) -> Pool {
    Pool::builder().workers(1).method(method).build().unwrap()
}

/// How a task ended. Panics if it is stuck.
pub fn outcome<R>(mut task: Task<R>) -> Result<R, TaskError> {
    let outcome = task.get_timeout(STUCK).transpose();
    outcome.expect("the task is stuck")
}

/// What a task returned.
pub fn value<R>(task: Task<R>) -> R {
    outcome(task).unwrap()
}

/// Tasks that begin are counted, and wait until they are let go.
#[derive(Clone, Serialize, Deserialize)]
pub struct Gate {
    pub begun: Counter,
    pub open: Event,
}

impl Gate {
    pub fn new() -> Gate {
        Gate {
            begun: Counter::new(0).unwrap(),
            open: Event::new().unwrap(),
        }
    }

    /// What a task does.
    pub fn pass(&self) {
        self.begun.add(1);
        self.open.wait();
    }

    /// Waits until so many tasks have begun.
    pub fn until_begun(&self, tasks: u64) {
        wait_until(|| self.begun.get() >= tasks);
    }
}

pub fn pass(gate: Gate) {
    gate.pass();
}

/// Keeps all workers of a pool busy until the gate is opened.
pub fn busy(pool: &impl Executor) -> (Gate, Vec<Task<()>>) {
    some_busy(pool, pool.workers())
}

/// Keeps one worker of a pool busy until the gate is opened.
pub fn one_busy(pool: &impl Executor) -> (Gate, Task<()>) {
    let (gate, mut tasks) = some_busy(pool, 1);
    (gate, tasks.remove(0))
}

/// Keeps so many workers of a pool busy until the gate is opened.
pub fn some_busy(pool: &impl Executor, count: usize) -> (Gate, Vec<Task<()>>) {
    let gate = Gate::new();
    let submit = |_| pool.submit(pass, gate.clone()).unwrap();
    let tasks = (0..count).map(submit).collect();
    gate.until_begun(count as u64);
    (gate, tasks)
}

pub fn double(x: u64) -> u64 {
    2 * x
}

pub fn pid(_: ()) -> u32 {
    std::process::id()
}

pub fn die(_: ()) {
    kill_self();
}

pub fn leave(code: i32) {
    exit(code);
}

pub fn idle(_: ()) {
    loop {
        thread::park();
    }
}

/// What all outcomes are but those at these places, which are errors.
pub fn expect_all_but<R: PartialEq + std::fmt::Debug>(
    outcomes: &[Result<R, TaskError>],
    expected: impl Fn(usize) -> R,
    failed: &[usize],
) {
    for (index, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Ok(value) => {
                assert!(!failed.contains(&index), "{index} did not fail");
                assert_eq!(*value, expected(index), "{index}");
            }
            Err(error) => assert!(failed.contains(&index), "{index}: {error}"),
        }
    }
}

/// Waits until every one of these processes is gone, or a zombie.
pub fn until_gone(pids: &[u32]) {
    for &pid in pids {
        wait_until(|| is_gone(pid));
    }
}

pub fn is_gone(pid: u32) -> bool {
    let path = format!("/proc/{pid}/stat");
    let stat = std::fs::read_to_string(path);
    stat.map_or(true, |stat| {
        let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
        state.is_none_or(|rest| rest.starts_with(['Z', 'X']))
    })
}

/// The children of this process, the ended ones that nobody has waited for among them.
pub fn children() -> Vec<u32> {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let lists = threads.map(|thread| {
        let path = thread.unwrap().path().join("children");
        std::fs::read_to_string(path).unwrap_or_default()
    });
    let lists: Vec<String> = lists.collect();
    let children = lists.iter().flat_map(|list| list.split_whitespace());
    children.map(|pid| pid.parse().unwrap()).collect()
}

/// How many descriptors this process has open.
pub fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Waits until this process has no other thread. Who is dropped in a callback leaves threads behind, which end soon; beside
/// them no pool is forked.
pub fn until_alone() {
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    wait_until(|| threads() == 1);
}

/// The workers of a pool, as far as it has any.
pub fn workers(pool: &Pool) -> Vec<u32> {
    let workers = pool.stats().workers;
    workers.iter().filter_map(|worker| worker.pid).collect()
}

/// Runs `body` without what its panics, and those of its threads, would print.
pub fn quietly<R>(body: impl FnOnce() -> R) -> R {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| ()));
    let result = body();
    panic::set_hook(hook);
    result
}

/// What `body` gives, and how long it took.
pub fn timed<R>(body: impl FnOnce() -> R) -> (R, Duration) {
    let begun = Instant::now();
    let result = body();
    (result, begun.elapsed())
}

/// A pool of threads.
pub fn threads() -> ThreadPool {
    ThreadPool::new(WORKERS).unwrap()
}
