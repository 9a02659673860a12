//! Workers of a pool, one of which is killed at each step of taking, running and answering tasks. Every task ends once: it
//! returns, or one item of all fails and says who died with it. None runs twice unless it may, and the pool goes on.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
};

use multiproc::{
    AtomicArray, Counter, Executor, MapOptions, OnWorkerDeath, Pool, PoolBuilder, StartMethod,
    Task, TaskError,
};

use crate::{
    common::{self, STUCK, asleep, kill_self, wait_until},
    engine::Steps,
};

/// How many items there are in a run, at most.
const ITEMS: usize = 16;

/// What all workers of a pool see: words to look at, which is no step.
type Trap = AtomicArray<u64>;

// Its words.
const VICTIM: usize = 0;
const STEPS: usize = 1;
const WAITS: usize = 2;
const DOOMED: usize = 3;
const NAME_LEN: usize = 4;
const NAME: usize = 5;
const RUNS: usize = 16;

// Who the victim is.
const NOBODY: u64 = 0;
const THE_FIRST: u64 = 1;
const DEAD: u64 = 2;

static TRAP: OnceLock<Trap> = OnceLock::new();
/// How many steps this worker has still to live, if it is the victim.
static LEFT: AtomicU64 = AtomicU64::new(0);

/// What each worker begins with.
fn set_the_trap(trap: Trap) {
    if TRAP.set(trap).is_ok() {
        multiproc::__set_step_hook(Some(at_step));
    }
}

/// Called at every step of a worker.
fn at_step(name: &'static str) {
    let Some(trap) = TRAP.get() else { return };
    let me = u64::from(std::process::id());
    let victim = &trap[VICTIM];
    if victim.load(SeqCst) == THE_FIRST
        && victim
            .compare_exchange(THE_FIRST, me, SeqCst, SeqCst)
            .is_ok()
    {
        LEFT.store(trap[STEPS].load(SeqCst), SeqCst);
    }
    if victim.load(SeqCst) != me || LEFT.fetch_sub(1, SeqCst) != 0 {
        return;
    }
    for (word, bytes) in trap[NAME..RUNS].iter().zip(name.as_bytes().chunks(8)) {
        let mut padded = [0; 8];
        padded[..bytes.len()].copy_from_slice(bytes);
        word.store(u64::from_ne_bytes(padded), SeqCst);
    }
    trap[NAME_LEN].store(name.len() as u64, SeqCst);
    trap[DOOMED].store(me, SeqCst);
    while trap[WAITS].load(SeqCst) != 0 {
        std::hint::spin_loop();
    }
    kill_self();
}

/// Counts that the item is run; what it returns.
fn run(item: u64) -> u64 {
    if let Some(trap) = TRAP.get() {
        trap[RUNS + item as usize].fetch_add(1, SeqCst);
    }
    item * 3
}

/// How the items of a run have ended.
type Outcomes = Vec<Result<u64, TaskError>>;

/// Something for workers to do.
type Work = fn(&Pool) -> Outcomes;

fn gather<R>(tasks: Vec<Task<R>>, value: impl Fn(R) -> u64) -> Outcomes {
    let outcome = |mut task: Task<R>| task.get_timeout(STUCK).transpose().expect("stuck");
    let outcomes = tasks.into_iter().map(outcome);
    outcomes.map(|outcome| outcome.map(&value)).collect()
}

/// One by one.
fn alone(pool: &Pool) -> Outcomes {
    let submit = |item| pool.submit(run, item).unwrap();
    gather((0..3).map(submit).collect(), |value| value)
}

/// Several in one task.
fn in_chunks(pool: &Pool) -> Outcomes {
    let options = MapOptions::new().chunk_size(3);
    pool.try_map_with(options, run, 0..6).unwrap()
}

/// Among them some that are told by themselves.
fn in_mixed_chunks(pool: &Pool) -> Outcomes {
    let long = |item: u64| (run(item), "x".repeat(if item == 1 { 17_000 } else { 0 }));
    let options = MapOptions::new().chunk_size(4);
    let outcomes = pool.try_map_with(options, long, 0..4).unwrap();
    let outcomes = outcomes.into_iter();
    outcomes
        .map(|outcome| outcome.map(|(value, _)| value))
        .collect()
}

/// With shared objects in the arguments and in what is returned.
fn with_objects(pool: &Pool) -> Outcomes {
    let task = |(item, counter): (u64, Counter)| {
        counter.add(1);
        (run(item), counter)
    };
    let submit = |item| pool.submit(task, (item, Counter::new(0).unwrap())).unwrap();
    gather(
        (0..3).map(submit).collect(),
        |(value, counter): (u64, Counter)| {
            assert!(counter.get() > 0);
            value
        },
    )
}

struct Scene {
    pool: Pool,
    trap: Trap,
    others: usize,
    /// How often an item may be run.
    runs: u64,
    work: Work,
    /// How many tasks were done before.
    done: u64,
}

impl Scene {
    fn new(others: usize, policy: OnWorkerDeath, work: Work, options: Options) -> Scene {
        let trap = Trap::zeroed(RUNS + ITEMS).unwrap();
        let builder = Pool::builder()
            .workers(1 + others)
            .method(StartMethod::Fork)
            .on_worker_death(policy)
            .initializer(set_the_trap, trap.clone());
        Scene {
            pool: options(builder).build().unwrap(),
            trap,
            others,
            runs: 1 + u64::from(policy == OnWorkerDeath::Retry(1)),
            work,
            done: 0,
        }
    }

    /// Waits until there are as many workers as there should be, and all wait for tasks.
    fn until_quiet(&self) {
        let all_asleep = || {
            let stats = self.pool.stats();
            stats.running == 0
                && stats
                    .workers
                    .iter()
                    .all(|worker| worker.pid.is_some_and(asleep))
        };
        wait_until(all_asleep);
    }

    /// One run, in which the victim dies at this step. With a thief somebody takes what he can while it is killed. The
    /// name of the step; `None` when all was done before.
    fn run(&mut self, step: u64, thief: bool) -> Option<&'static str> {
        self.until_quiet();
        for word in &self.trap[..] {
            word.store(0, SeqCst);
        }
        self.trap[STEPS].store(step, SeqCst);
        self.trap[WAITS].store(thief.into(), SeqCst);
        self.trap[VICTIM].store(THE_FIRST, SeqCst);
        let (outcomes, stolen) = thread::scope(|scope| {
            let working = scope.spawn(|| (self.work)(&self.pool));
            let doomed = || self.trap[DOOMED].load(SeqCst);
            if !thief {
                return (working.join().unwrap(), None);
            }
            wait_until(|| doomed() != 0 || working.is_finished());
            // Whoever dies here died at this step: what comes now is somebody else's.
            let victim = self.trap[VICTIM].swap(NOBODY, SeqCst);
            let more = self.pool.submit(run, ITEMS as u64 - 1).unwrap();
            let cancelling = scope.spawn(move || (more.cancel(), more));
            if doomed() != 0 {
                // SAFETY: no memory is involved; a process of this pool that nobody has joined.
                unsafe { libc::kill(victim as libc::pid_t, libc::SIGKILL) };
            }
            let (cancelled, mut more) = cancelling.join().unwrap();
            let outcome = more.get_timeout(STUCK).transpose().expect("it is stuck");
            (working.join().unwrap(), Some((cancelled, outcome)))
        });
        let was_doomed = self.trap[DOOMED].load(SeqCst);
        self.trap[VICTIM].store(DEAD, SeqCst);
        assert!(self.pool.wait_idle_timeout(STUCK), "not idle");
        self.check(&outcomes, was_doomed);
        if let Some((cancelled, outcome)) = &stolen {
            match outcome {
                Ok(value) => assert!(!cancelled && *value == 3 * (ITEMS as u64 - 1)),
                Err(error) => assert!(*cancelled && error.is_cancelled(), "{error}"),
            }
        }
        self.done += outcomes.len() as u64 + u64::from(thief);
        let stats = self.pool.stats();
        assert_eq!((stats.done, stats.queued), (self.done, 0), "{stats}");
        (was_doomed != 0).then(|| self.name())
    }

    fn check(&self, outcomes: &Outcomes, was_doomed: u64) {
        let mut failed = 0;
        for (item, outcome) in outcomes.iter().enumerate() {
            let runs = self.trap[RUNS + item].load(SeqCst);
            assert!(runs <= self.runs, "{item} ran {runs} times");
            match outcome {
                Ok(value) => assert!(*value == 3 * item as u64 && runs > 0, "{item}"),
                Err(TaskError::WorkerDied { pid, signal, .. }) => {
                    assert_eq!((u64::from(*pid), *signal), (was_doomed, libc::SIGKILL));
                    failed += 1;
                }
                Err(error) => panic!("{item}: {error}"),
            }
        }
        let most = usize::from(was_doomed != 0 && self.runs == 1);
        assert!(failed <= most, "{failed} have failed: {outcomes:?}");
    }

    /// The name of the step at which the victim died.
    fn name(&self) -> &'static str {
        let words = self.trap[NAME..RUNS].iter();
        let mut bytes: Vec<u8> = words
            .flat_map(|word| word.load(SeqCst).to_ne_bytes())
            .collect();
        bytes.truncate(self.trap[NAME_LEN].load(SeqCst) as usize);
        // A few names, for as long as the test lasts.
        String::from_utf8(bytes).unwrap().leak()
    }
}

type Options = fn(PoolBuilder) -> PoolBuilder;

/// All runs of some work. Somebody must have died at each step of `must_pass`.
fn killed_everywhere(work: Work, policy: OnWorkerDeath, options: Options, must_pass: &[&str]) {
    Steps::until_passed(must_pass, || {
        let mut steps = Steps::default();
        for others in 0..=2 {
            let mut scene = Scene::new(others, policy, work, options);
            for thief in [false, true] {
                let others = scene.others;
                steps.add(Steps::all(|step| {
                    let what = format!("{others} others, a thief: {thief}");
                    common::named(&what, || scene.run(step, thief))
                }));
            }
            scene.pool.join().unwrap();
        }
        steps
    });
}

const AS_IT_IS: Options = |builder| builder;
/// With a deadline a worker says when it begins with an item.
const TIMED: Options = |builder| builder.task_deadline(STUCK);

/// Steps that are part of all work.
const ALWAYS: [&str; 6] = [
    "lock: taken",
    "task: noted whose it will be",
    "task: in the row, and in the ring",
    "ring: about to consume",
    "ring: consumed",
    "task: told, still in hand",
];

fn always_and(more: &[&'static str]) -> Vec<&'static str> {
    ALWAYS.iter().chain(more).copied().collect()
}

/// Fault 21.
pub fn a_kill_at_any_step_of_a_task_costs_that_task_alone() {
    killed_everywhere(alone, OnWorkerDeath::FailTask, AS_IT_IS, &ALWAYS);
}

/// Fault 21.
pub fn a_kill_at_any_step_of_a_timed_task_costs_that_task_alone() {
    let must_pass = always_and(&["task: about to advance"]);
    killed_everywhere(alone, OnWorkerDeath::FailTask, TIMED, &must_pass);
}

/// Fault 21.
pub fn a_kill_at_any_step_of_a_chunk_costs_one_item_alone() {
    killed_everywhere(in_chunks, OnWorkerDeath::FailTask, AS_IT_IS, &ALWAYS);
}

/// Fault 21.
pub fn a_kill_at_any_step_of_a_chunk_with_a_long_result_costs_one_item_alone() {
    let must_pass = always_and(&["task: about to advance"]);
    killed_everywhere(in_mixed_chunks, OnWorkerDeath::FailTask, TIMED, &must_pass);
}

/// Fault 21.
pub fn a_kill_at_any_step_of_a_task_with_shared_objects_costs_that_task_alone() {
    killed_everywhere(with_objects, OnWorkerDeath::FailTask, AS_IT_IS, &ALWAYS);
}

/// Fault 21.
pub fn a_kill_at_any_step_of_what_may_be_begun_again_costs_nothing() {
    for work in [alone as Work, in_chunks, with_objects] {
        killed_everywhere(work, OnWorkerDeath::Retry(1), AS_IT_IS, &ALWAYS);
    }
}

/// Fault 21.
pub fn a_kill_at_any_step_of_a_worker_that_does_one_task_costs_that_task_alone() {
    let one: Options = |builder| builder.max_tasks_per_worker(1);
    killed_everywhere(alone, OnWorkerDeath::FailTask, one, &ALWAYS);
}
