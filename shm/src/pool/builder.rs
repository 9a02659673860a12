//! How a pool is made.

use std::{
    fmt,
    num::NonZero,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use multiproc_core::MAX_WORKERS;

use super::{
    Pool, collector,
    core::Core,
    error::{PoolError, TaskError},
    executor::Payload,
    ledger::State,
    options::{OnWorkerDeath, Watch},
    shared::Shared,
    stats::Member,
    supervisor::{Post, Starter, Supervisor},
    threads::{self, PoolId},
    worker::{Setup, work},
};
use crate::{
    Process, StartError, StartMethod,
    packet::codec::{self, Encoded},
    process::{
        Server,
        task::{self, Places},
    },
    sys,
};

/// Options for a pool; made by [`Pool::builder`].
///
/// ```
/// # multiproc::init();
/// use multiproc::{Executor, OnWorkerDeath, Pool, StartMethod};
/// use std::{sync::OnceLock, time::Duration};
///
/// static FACTOR: OnceLock<u64> = OnceLock::new();
///
/// let pool = Pool::builder()
///     .workers(2)
///     .method(StartMethod::ForkServer)
///     .initializer(|factor: u64| FACTOR.set(factor).unwrap(), 3)
///     .task_deadline(Duration::from_secs(5))
///     .on_worker_death(OnWorkerDeath::Retry(1))
///     .build()?;
/// assert_eq!(pool.map(|x: u64| x * FACTOR.get().unwrap(), 1..4)?, [3, 6, 9]);
/// # Ok::<(), multiproc::Error>(())
/// ```
#[must_use = "a builder makes nothing by itself"]
pub struct PoolBuilder {
    workers: Option<usize>,
    method: StartMethod,
    name: String,
    max_tasks: Option<u64>,
    watch: Watch,
    crew: CrewCode,
}

/// What workers are begun with.
struct CrewCode {
    places: Option<Places>,
    /// Where the initializer lies; `Err` when it is no code of the executable itself.
    initializer: Result<Option<u64>, PoolError>,
    encode: Encode,
}

type Encode = Box<dyn Fn(&Setup<&Shared>) -> Result<Encoded, String> + Send>;

impl CrewCode {
    fn new<I: Payload>(initializer: Option<fn(I)>, argument: I) -> CrewCode {
        let place = |initializer| {
            let place = task::place(initializer as fn(I) as usize);
            place.ok_or(PoolError::NotInExecutable)
        };
        CrewCode {
            places: Places::of(work::<I>),
            initializer: initializer.map(place).transpose(),
            encode: Box::new(move |setup| codec::encode(&(setup, &argument))),
        }
    }
}

/// How long workers have to end once they are asked to, by default.
const GRACE: Duration = Duration::from_millis(200);

impl Default for PoolBuilder {
    fn default() -> PoolBuilder {
        PoolBuilder {
            workers: None,
            method: StartMethod::default(),
            name: "worker".to_owned(),
            max_tasks: None,
            watch: Watch {
                on_death: OnWorkerDeath::default(),
                deadline: None,
                memory: None,
                grace: GRACE,
            },
            crew: CrewCode::new::<()>(None, ()),
        }
    }
}

impl PoolBuilder {
    /// How many workers there are, at most 1000; by default as many as this process may use processors.
    pub fn workers(mut self, workers: usize) -> PoolBuilder {
        self.workers = Some(workers);
        self
    }

    /// How workers are started; by default [`StartMethod::Spawn`].
    ///
    /// With [`StartMethod::Fork`] the pool forks one helper when it is made, from which all workers come, those that
    /// replace others, too: so they are copies of this process as it is now. It is then that other threads are refused. A
    /// pool has threads of its own: while one exists, a second one by [`StartMethod::Fork`] is refused. Use
    /// [`StartMethod::ForkServer`] for it.
    pub fn method(mut self, method: StartMethod) -> PoolBuilder {
        self.method = method;
        self
    }

    /// What workers are called, followed by a number: by default `worker`.
    pub fn name(mut self, name: impl Into<String>) -> PoolBuilder {
        self.name = name.into();
        self
    }

    /// Has each worker call `initializer(argument)` before it takes tasks.
    ///
    /// If that panics or ends the process the pool cannot be made; or it breaks, if it is a later worker to which that
    /// happens. If it hangs, so does [`build`](Self::build): no deadline counts the time that it takes.
    pub fn initializer<I: Payload>(mut self, initializer: fn(I), argument: I) -> PoolBuilder {
        self.crew = CrewCode::new(Some(initializer), argument);
        self
    }

    /// After how many tasks a worker ends and another is started in its place; by default never. All items of a chunk of a map
    /// are one task.
    pub fn max_tasks_per_worker(mut self, tasks: u64) -> PoolBuilder {
        self.max_tasks = Some(tasks);
        self
    }

    /// How long a task, or an item of a map, may be at work. One that takes longer is killed with its worker, and fails;
    /// another worker is started. By default as long as it likes.
    pub fn task_deadline(mut self, deadline: Duration) -> PoolBuilder {
        self.watch.deadline = Some(deadline);
        self
    }

    /// How many bytes of memory a worker may have. If it has more while it is at work it is killed, and its task fails; of a
    /// chunk of a map, the item that it is at. Another worker is started. By default as many as the system gives it.
    ///
    /// What the worker has for itself counts, what it was begun with and what earlier tasks have left as well; memory that it
    /// shares does not. It is looked at ten times a second: this is to stop a task that grows, not to keep
    /// to the byte.
    pub fn memory_limit(mut self, bytes: u64) -> PoolBuilder {
        self.watch.memory = Some(bytes);
        self
    }

    /// What happens to the task that a worker had in hand when it died; by default [`OnWorkerDeath::FailTask`].
    pub fn on_worker_death(mut self, policy: OnWorkerDeath) -> PoolBuilder {
        self.watch.on_death = policy;
        self
    }

    /// How long workers have to end once they are asked to (SIGTERM), before they are killed; by default 200 ms.
    pub fn grace(mut self, grace: Duration) -> PoolBuilder {
        self.watch.grace = grace;
        self
    }

    /// Makes the pool and waits until all its workers are ready, however long their initializer takes: one that hangs hangs
    /// this. The [deadline](Self::task_deadline) is for tasks.
    ///
    /// # Errors
    ///
    /// [`PoolError`] when an option makes no sense, when the system refuses, and when a worker ends before it is ready: its
    /// initializer failed. Then all workers are ended.
    pub fn build(self) -> Result<Pool, PoolError> {
        let workers = match self.workers {
            Some(workers) => workers,
            None => thread::available_parallelism()
                .map_or(1, NonZero::get)
                .min(MAX_WORKERS),
        };
        if !(1..=MAX_WORKERS).contains(&workers) {
            return Err(PoolError::Workers {
                asked: workers,
                limit: MAX_WORKERS,
            });
        }
        let zero = |what| Err(PoolError::Zero { what });
        match self {
            _ if self.max_tasks == Some(0) => return zero("the number of tasks of a worker"),
            _ if self.watch.deadline == Some(Duration::ZERO) => {
                return zero("the deadline of tasks");
            }
            _ if self.watch.memory == Some(0) => return zero("the memory of a worker"),
            _ => {}
        }
        let core = Arc::new(Core::new(workers, self.watch.on_death.retries())?);
        let watch = self.watch;
        let start = self.starter(Arc::clone(&core))?;
        let mut posts = Vec::with_capacity(workers);
        for row in 0..workers {
            let process = start(row).map_err(|why| PoolError::Start(why.into()))?;
            core.crew().members[row] = Member {
                pid: Some(process.pid()),
                is_ready: false,
            };
            posts.push(Post::new(process));
        }
        let supervisor = Supervisor {
            core: Arc::clone(&core),
            posts,
            start,
            watch,
            false_starts: 0,
            refused_starts: 0,
            is_unsettled: false,
        };
        let id = PoolId::new();
        let failed = |why| PoolError::Io {
            what: "starting a thread",
            why,
        };
        let collector = Arc::clone(&core);
        let collect = move || {
            let _net = Net(&collector);
            collector::collect(&collector);
        };
        // If the second cannot be started, the first ends at once, and nobody waits for it.
        let collector = threads::start(id, "multiproc-told".to_owned(), collect).map_err(failed)?;
        let supervised = Arc::clone(&core);
        let supervise = move || {
            let _net = Net(&supervised);
            supervisor.run();
        };
        let supervisor = threads::start(id, "multiproc-pool".to_owned(), supervise)
            .inspect_err(|_| core.finish())
            .map_err(failed)?;
        let pool = Pool {
            core,
            workers,
            id,
            threads: Mutex::new(vec![supervisor, collector]),
        };
        pool.wait_until_ready()?;
        Ok(pool)
    }

    fn starter(self, core: Arc<Core>) -> Result<Starter, PoolError> {
        let PoolBuilder {
            method,
            name,
            max_tasks,
            watch,
            crew,
            ..
        } = self;
        let places = crew.places.ok_or(PoolError::NotInExecutable)?;
        let initializer = crew.initializer?;
        let server = match method {
            StartMethod::Fork => Some(
                Server::forked(sys::identity::me()).map_err(|why| PoolError::Start(why.into()))?,
            ),
            _ => None,
        };
        Ok(Box::new(move |row| {
            let name = format!("{name}-{}", row + 1);
            let setup = Setup {
                shared: &core.shared,
                row,
                max_tasks,
                timed: watch.deadline.is_some() || watch.memory.is_some(),
                initializer,
            };
            let encoded = (crew.encode)(&setup).map_err(|message| StartError::NotEncoded {
                name: name.clone(),
                message,
            })?;
            Process::builder()
                .name(name)
                .method(method)
                .daemon(true)
                .start_encoded(places, encoded, server.as_ref())
        }))
    }
}

/// If a thread of a pool panics, the pool is broken, and nobody waits for it.
struct Net<'a>(&'a Core);

impl Drop for Net<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let message = "a thread of the pool panicked";
            let broken = TaskError::Broken {
                message: message.into(),
            };
            self.0.end_all(State::Broken(message.to_owned()), &broken);
            self.0.finish();
        }
    }
}

impl fmt::Debug for PoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolBuilder")
            .field("name", &self.name)
            .field("workers", &self.workers)
            .field("method", &self.method)
            .field("max_tasks_per_worker", &self.max_tasks)
            .field("task_deadline", &self.watch.deadline)
            .field("memory_limit", &self.watch.memory)
            .field("on_worker_death", &self.watch.on_death)
            .field("grace", &self.watch.grace)
            .finish_non_exhaustive()
    }
}
