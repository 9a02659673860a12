//! Pools: worker processes that run the tasks handed to them.
//!
//! Tasks go through a ring in shared memory straight to the workers, and their outcomes come back through another
//! (`shared`, `worker`). In the process whose pool it is, a ledger says which tasks have not ended (`ledger`); one thread takes
//! what is told (`collector`), another watches the workers (`supervisor`).

mod arrays;
mod builder;
mod code;
mod collect;
mod collector;
mod core;
mod encoding;
mod error;
mod executor;
#[cfg(feature = "__fuzz")]
mod fuzz;
mod imap;
mod job;
mod ledger;
mod mapping;
mod number;
mod options;
mod outbox;
mod outcome;
mod pack;
mod quiet;
mod record;
mod returned;
mod shared;
mod star;
mod stats;
mod supervisor;
mod task;
mod teller;
mod thread_pool;
mod threads;
mod worker;

use std::{
    fmt, mem,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

pub use builder::PoolBuilder;
pub use error::{MapError, PoolError, SubmitError, TaskError};
pub use executor::{Executor, Payload};
#[cfg(feature = "__fuzz")]
pub use fuzz::{Desk, Values, reread_task, reread_told};
pub use imap::{Imap, ImapUnordered};
pub use options::{MapOptions, OnWorkerDeath};
pub use star::StarTask;
pub use stats::{Progress, Stats, WorkerStats};
pub use task::Task;
pub use thread_pool::ThreadPool;

use self::{
    code::Code, core::Core, job::Job, ledger::State, mapping::Mapping, task::Slot, threads::PoolId,
};
use crate::{MemoryUse, deadline};

/// Worker processes that run the tasks handed to them, through the methods of [`Executor`], which is to be imported.
///
/// ```
/// # multiproc::init();
/// use multiproc::{Executor, Pool};
///
/// let pool = Pool::new(2)?;
/// assert_eq!(pool.map(|x: u64| x * x, 0..5)?, [0, 1, 4, 9, 16]);
///
/// let task = pool.submit(|name: String| format!("hello {name}"), "world".to_owned())?;
/// assert_eq!(task.get()?, "hello world");
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// A task ends once: with what it returned, or with the [`TaskError`] that says why it did not. A worker that dies costs the
/// task that it had in hand, and of a chunk the item that it was at; another worker takes its place.
///
/// Workers end with the pool, and with this process, also when that is killed; but not when it executes another program, which
/// has their parent's identity: terminate the pool before. While a pool exists,
/// [`Process::fork`](crate::Process::fork) is refused in this process: it has other threads. Dropping the pool
/// [terminates](Executor::terminate) it.
pub struct Pool {
    core: Arc<Core>,
    workers: usize,
    id: PoolId,
    /// The supervisor and the collector, until somebody has waited for their end.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Pool {
    /// A pool of so many workers, with everything else as by default.
    ///
    /// # Errors
    ///
    /// As [`PoolBuilder::build`].
    pub fn new(workers: usize) -> Result<Pool, PoolError> {
        Pool::builder().workers(workers).build()
    }

    /// Options for a pool.
    pub fn builder() -> PoolBuilder {
        PoolBuilder::default()
    }

    /// Waits until every task has ended; whether that was so before `timeout` had passed.
    #[must_use]
    pub fn wait_idle_timeout(&self, timeout: Duration) -> bool {
        self.core.wait_until_idle(deadline::moment(timeout))
    }

    /// Waits until the pool's threads have ended. One of them, in a callback, does not wait for itself.
    fn join_threads(&self) {
        if !self.core.is_ours() || threads::is_of(self.id) {
            return;
        }
        self.core.wait_until_gone();
        let threads = mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A panic of it was printed.
            let _ = thread.join();
        }
    }

    /// What it has done and is doing.
    #[must_use]
    pub fn stats(&self) -> Stats {
        if !self.core.is_ours() {
            return Stats::default();
        }
        let ring = self.core.shared.tasks.ring();
        let (counts, restarts, members) = {
            let counts = self.core.ledger().counts;
            let crew = self.core.crew();
            (counts, crew.restarts, crew.members.clone())
        };
        let workers: Vec<WorkerStats> = members
            .iter()
            .enumerate()
            .map(|(row, member)| WorkerStats {
                pid: member.pid,
                task: ring.in_hand(row).map(|(task, _)| task),
                ended: ring.ended(row),
                memory: member.pid.and_then(|pid| MemoryUse::of(pid).ok()),
            })
            .collect();
        let running = workers
            .iter()
            .filter(|worker| worker.task.is_some())
            .count();
        Stats {
            queued: counts
                .submitted
                .saturating_sub(counts.done)
                .saturating_sub(running as u64),
            running,
            done: counts.done,
            failed: counts.failed,
            restarts,
            workers,
        }
    }

    /// Waits until all workers were ready once.
    fn wait_until_ready(&self) -> Result<(), PoolError> {
        if self.core.wait_until_ready() {
            return Ok(());
        }
        self.join_threads();
        let failure = self.core.crew().failure.take();
        Err(failure.unwrap_or(PoolError::Closed))
    }

    /// Runs the items of a map; gives the outcomes to `take`, in their order.
    fn run<A: Payload, R: Payload>(
        &self,
        options: MapOptions<'_>,
        code: Option<Code>,
        items: impl IntoIterator<Item = A>,
        take: impl FnMut(Result<R, TaskError>),
    ) -> Result<(), PoolError> {
        let code = code.ok_or(PoolError::NotInExecutable)?;
        if threads::is_of(self.id) {
            return Err(PoolError::WouldDeadlock);
        }
        let items = items.into_iter();
        match items.size_hint() {
            (least, Some(most)) if least == most => self.run_some(options, code, items, most, take),
            _ => {
                let items: Vec<A> = items.collect();
                let count = items.len();
                self.run_some(options, code, items.into_iter(), count, take)
            }
        }
    }

    /// As [`run`](Self::run), for about so many items.
    fn run_some<A: Payload, R: Payload>(
        &self,
        options: MapOptions<'_>,
        code: Code,
        items: impl Iterator<Item = A>,
        count: usize,
        take: impl FnMut(Result<R, TaskError>),
    ) -> Result<(), PoolError> {
        let by_default = || count.div_ceil(self.workers * 4).max(1);
        let chunk = options.chunk_size.unwrap_or_else(by_default);
        let is_watched = options.progress.is_some();
        let mut progress = options.progress;
        let progress = |done: u64, is_last| {
            if let Some(progress) = &mut progress {
                // The iterator may have had more or fewer than it said.
                let total = if is_last {
                    done
                } else {
                    done.max(count as u64)
                };
                progress(Progress { done, total });
            }
        };
        let shape = (self.workers, chunk);
        let pool = (&*self.core, self.id);
        let map = Mapping::new(pool, code, shape, take, (is_watched, progress))?;
        map.run(items);
        Ok(())
    }
}

impl executor::rules::Executor for Pool {}

impl Executor for Pool {
    fn workers(&self) -> usize {
        self.workers
    }

    fn close(&self) {
        if !self.core.is_ours() {
            return;
        }
        let mut ledger = self.core.ledger();
        if ledger.state == State::Open {
            ledger.state = State::Closed;
        }
        drop(ledger);
        self.core.call.set();
    }

    fn join(&self) -> Result<(), PoolError> {
        if !self.core.is_ours() {
            return Err(PoolError::NotTheOwner);
        }
        self.close();
        if threads::is_mapping(self.id) {
            return Err(PoolError::WouldDeadlock);
        }
        self.join_threads();
        match &self.core.ledger().state {
            State::Broken(message) => Err(PoolError::Broken {
                message: message.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Workers are asked to end, and killed after the [grace](PoolBuilder::grace) that they have.
    fn terminate(&self) {
        if !self.core.is_ours() {
            return;
        }
        let is_over = matches!(
            self.core.ledger().state,
            State::Terminated | State::Broken(_)
        );
        if !is_over {
            self.core.end_all(State::Terminated, &TaskError::Terminated);
        }
        self.core.call.set();
        self.join_threads();
    }

    fn submit<A: Payload, R: Payload>(
        &self,
        task: fn(A) -> R,
        arguments: A,
    ) -> Result<Task<R>, SubmitError<A>> {
        let packed = match Code::of(task) {
            None => Err(PoolError::NotInExecutable),
            Some(code) => {
                pack::one(code, &arguments).map_err(|message| PoolError::NotEncoded { message })
            }
        };
        let slot = Slot::new();
        let job: Arc<dyn Job> = slot.clone();
        let submitted = packed.and_then(|body| self.core.submit(&job, 0, body));
        match submitted {
            Ok(name) => {
                let core = Arc::downgrade(&self.core);
                Ok(Task::new(slot, self.id, move || {
                    core.upgrade().is_some_and(|core| core.cancel(name))
                }))
            }
            Err(why) => Err(SubmitError { arguments, why }),
        }
    }

    fn each<A: Payload, R: Payload>(
        &self,
        options: MapOptions<'_>,
        task: fn(A) -> R,
        items: impl IntoIterator<Item = A>,
        take: impl FnMut(Result<R, TaskError>),
    ) -> Result<(), PoolError> {
        self.run(options, Code::of(task), items, take)
    }

    fn star_each<A: Payload, F: StarTask<A, Output: Payload>>(
        &self,
        options: MapOptions<'_>,
        task: F,
        items: impl IntoIterator<Item = A>,
        take: impl FnMut(Result<F::Output, TaskError>),
    ) -> Result<(), PoolError> {
        self.run(options, Code::of_star(task), items, take)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if self.core.is_ours() {
            self.terminate();
        } else {
            // A copy of the process whose pool it is: the threads are there.
            let threads = self
                .threads
                .get_mut()
                .unwrap_or_else(PoisonError::into_inner);
            threads.drain(..).for_each(mem::forget);
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("workers", &self.workers)
            .field("stats", &format_args!("{}", self.stats()))
            .finish_non_exhaustive()
    }
}
