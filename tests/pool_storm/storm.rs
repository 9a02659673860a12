//! Whoever kills the workers, and settles the account.

use std::{
    collections::HashMap,
    fs,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use multiproc::{Counter, Executor, MapOptions, Pool, StartMethod, Task, TaskError};

use crate::{
    common::{STUCK, wait_until},
    crew::{Begun, begin, long, plain, value, with_object},
    random::Random,
};

/// So many items are submitted before they are waited for.
const ROUND: u64 = 500;

#[derive(Clone, Debug)]
pub struct Storm {
    /// How many items there are.
    pub tasks: u64,
    pub between_kills: Duration,
    pub workers: usize,
    pub seed: u64,
}

/// How items have ended.
#[derive(Default)]
struct Account {
    returned: u64,
    /// How often each of those that died was named.
    died: HashMap<u32, u64>,
}

impl Account {
    fn note(&mut self, item: u64, outcome: Result<u64, TaskError>) {
        match outcome {
            Ok(told) => {
                assert_eq!(told, value(item), "of {item}");
                self.returned += 1;
            }
            Err(TaskError::WorkerDied { pid, signal, .. }) => {
                assert_eq!(signal, libc::SIGKILL);
                *self.died.entry(pid).or_default() += 1;
            }
            Err(error) => panic!("{item}: {error}"),
        }
    }

    fn failed(&self) -> u64 {
        self.died.values().sum()
    }
}

/// What this process has of the system's.
#[derive(Debug, PartialEq)]
struct Belongings {
    descriptors: usize,
    segments: usize,
    children: usize,
}

fn belongings() -> Belongings {
    let segments = |text: String| text.lines().filter(|line| line.contains("memfd:")).count();
    let children = |thread: fs::DirEntry| {
        let list = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        list.split_whitespace().count()
    };
    let threads = fs::read_dir("/proc/self/task").unwrap();
    Belongings {
        descriptors: fs::read_dir("/proc/self/fd").unwrap().count(),
        segments: segments(fs::read_to_string("/proc/self/maps").unwrap()),
        children: threads.map(|thread| children(thread.unwrap())).sum(),
    }
}

impl Storm {
    /// Lets it happen over pools with workers that are started so. Panics when anything is not as it should be.
    pub fn rage(&self, method: StartMethod) {
        println!(
            "a storm over {} workers by {method}: {} tasks, a kill every {:?}, --seed {}",
            self.workers, self.tasks, self.between_kills, self.seed
        );
        // What is made once, like a server, stays.
        self.pool(method, &Begun::zeroed(1).unwrap())
            .join()
            .unwrap();
        let before = belongings();
        self.rage_over_one(method);
        let same = || belongings() == before;
        let begun = Instant::now();
        while !same() && begun.elapsed() < STUCK {
            thread::yield_now();
        }
        assert_eq!(belongings(), before, "something is left");
    }

    fn pool(&self, method: StartMethod, begun: &Begun) -> Pool {
        let builder = Pool::builder().workers(self.workers).method(method);
        builder.initializer(begin, begun.clone()).build().unwrap()
    }

    fn rage_over_one(&self, method: StartMethod) {
        let items_begun = Begun::zeroed(self.tasks as usize).unwrap();
        let pool = self.pool(method, &items_begun);
        let is_over = AtomicBool::new(false);
        let (ended, kills) = (AtomicU64::new(0), AtomicU64::new(0));
        let account = Mutex::new(Account::default());
        let begun = Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| self.kill(&pool, &is_over, &ended, &kills));
            // Two who submit at a time.
            let (first, second) = (0..self.tasks / 2, self.tasks / 2..self.tasks);
            let (pool, account, ended) = (&pool, &account, &ended);
            let first = scope.spawn(move || self.submit(pool, first, account, ended));
            self.submit(pool, second, account, ended);
            first.join().unwrap();
            is_over.store(true, SeqCst);
        });
        let took = begun.elapsed();
        assert!(pool.wait_idle_timeout(STUCK));
        let stats = pool.stats();
        let account = account.into_inner().unwrap();
        let (failed, kills) = (account.failed(), kills.into_inner());
        assert_eq!(account.returned + failed, self.tasks);
        assert_eq!(
            (stats.done, stats.failed, stats.queued),
            (self.tasks, failed, 0)
        );
        assert!(
            account.died.values().all(|items| *items == 1),
            "several items with one worker"
        );
        assert!(
            failed <= kills,
            "{failed} items were lost with {kills} workers"
        );
        for (item, begun) in items_begun.iter().enumerate() {
            assert!(begun.load(SeqCst) <= 1, "{item} was begun twice");
        }
        let runs: u64 = items_begun.iter().map(|begun| begun.load(SeqCst)).sum();
        assert!(runs >= account.returned, "what returned was run");
        wait_until(|| {
            pool.stats()
                .workers
                .iter()
                .all(|worker| worker.pid.is_some())
        });
        let restarts = pool.stats().restarts;
        pool.join().unwrap();
        println!(
            "{} returned and {failed} were lost with {kills} killed workers, {restarts} restarts, in {took:?}",
            account.returned
        );
    }

    /// Kills a random worker again and again.
    fn kill(&self, pool: &Pool, is_over: &AtomicBool, ended: &AtomicU64, kills: &AtomicU64) {
        let mut random = Random::new(self.seed, 0);
        let mut seen = (0, Instant::now());
        while !is_over.load(SeqCst) {
            thread::sleep(self.between_kills);
            let workers = pool.stats().workers;
            let place = random.below(workers.len() as u64) as usize;
            if let Some(pid) = workers[place].pid {
                // SAFETY: no memory is involved.
                let sent = unsafe { libc::kill(pid as libc::pid_t, libc::SIGKILL) };
                kills.fetch_add(u64::from(sent == 0), SeqCst);
            }
            let now = ended.load(SeqCst);
            if now != seen.0 {
                seen = (now, Instant::now());
            }
            if seen.1.elapsed() > STUCK {
                eprintln!("stuck: {}", pool.stats());
                std::process::abort();
            }
        }
    }

    /// Has these items done, in every way there is.
    fn submit(
        &self,
        pool: &Pool,
        items: std::ops::Range<u64>,
        account: &Mutex<Account>,
        ended: &AtomicU64,
    ) {
        let mut random = Random::new(self.seed, 1 + items.start);
        let mut next = items.start;
        while next < items.end {
            let end = items.end.min(next + ROUND);
            let items = next..end;
            let outcomes = if random.once_in(4) {
                one_by_one(pool, items)
            } else if random.once_in(3) {
                with_objects(pool, items)
            } else if random.once_in(2) {
                in_chunks(pool, items, 1)
            } else {
                in_chunks(pool, items, 2 + random.below(30) as usize)
            };
            assert_eq!(outcomes.len() as u64, end - next, "each once");
            let mut account = account.lock().unwrap();
            for (item, outcome) in (next..end).zip(outcomes) {
                account.note(item, outcome);
            }
            ended.store(account.returned + account.failed(), SeqCst);
            next = end;
        }
    }
}

type Outcomes = Vec<Result<u64, TaskError>>;

fn outcome<R>(mut task: Task<R>) -> Result<R, TaskError> {
    let outcome = task.get_timeout(STUCK).transpose();
    outcome.expect("a task is stuck")
}

fn one_by_one(pool: &Pool, items: std::ops::Range<u64>) -> Outcomes {
    let tasks: Vec<_> = items
        .map(|item| pool.submit(plain, item).unwrap())
        .collect();
    tasks.into_iter().map(outcome).collect()
}

fn with_objects(pool: &Pool, items: std::ops::Range<u64>) -> Outcomes {
    let counter = Counter::new(0).unwrap();
    let results = pool.imap(with_object, items.map(|item| (item, counter.clone())));
    results
        .map(|outcome| outcome.map(|(value, _)| value))
        .collect()
}

fn in_chunks(pool: &Pool, items: std::ops::Range<u64>, chunk: usize) -> Outcomes {
    let options = MapOptions::new().chunk_size(chunk);
    if chunk == 1 {
        return pool.try_map_with(options, plain, items).unwrap();
    }
    let outcomes = pool.try_map_with(options, long, items).unwrap();
    let values = outcomes.into_iter();
    values
        .map(|outcome| outcome.map(|(value, _)| value))
        .collect()
}
