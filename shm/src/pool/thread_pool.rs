//! A pool of threads, behind the same trait as the pool of processes.

use std::{
    any::Any,
    collections::VecDeque,
    fmt, io, mem,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use multiproc_core::Owner;

use super::{
    error::{PoolError, SubmitError, TaskError, TaskPanic},
    executor::{Executor, Payload, rules},
    options::MapOptions,
    quiet,
    star::StarTask,
    stats::Progress,
    task::{Slot, Task},
    threads::{self, PoolId},
};
use crate::sys;

/// Threads of this process that run the tasks handed to them, through the methods of [`Executor`]: for comparing, and for
/// debugging what else would run in other processes.
///
/// Nothing is encoded, and a task that crashes takes this process with it. Dropping it waits for the tasks that have begun,
/// unless it is one of them, or its callback, that drops it; the others end as [`TaskError::Terminated`].
pub struct ThreadPool {
    shared: Arc<Shared>,
    workers: usize,
    /// The process that it was made in.
    owner: Owner,
    id: PoolId,
    /// Until somebody has waited for their end.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// A task that was not begun, with its number.
struct Work {
    number: u64,
    /// Runs it, or tells that it never will be run.
    run: Box<dyn FnOnce(Result<(), TaskError>) + Send>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    more: Condvar,
}

#[derive(Default)]
struct Queue {
    work: VecDeque<Work>,
    last: u64,
    is_closed: bool,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        loop {
            let mut queue = self.queue();
            let work = loop {
                if let Some(work) = queue.work.pop_front() {
                    break work;
                }
                if queue.is_closed {
                    return;
                }
                let woken = self.more.wait(queue);
                queue = woken.unwrap_or_else(PoisonError::into_inner);
            };
            drop(queue);
            quiet::run(|| (work.run)(Ok(())));
        }
    }

    /// Closes it; gives what will never be begun, if `now`.
    fn close(&self, now: bool) -> VecDeque<Work> {
        let mut queue = self.queue();
        queue.is_closed = true;
        self.more.notify_all();
        if now {
            std::mem::take(&mut queue.work)
        } else {
            VecDeque::new()
        }
    }
}

impl ThreadPool {
    /// A pool of so many threads.
    ///
    /// # Errors
    ///
    /// [`PoolError`] for none, and when the system refuses.
    pub fn new(threads: usize) -> Result<ThreadPool, PoolError> {
        if threads == 0 {
            return Err(PoolError::Workers {
                asked: threads,
                limit: multiproc_core::MAX_WORKERS,
            });
        }
        let id = PoolId::new();
        let shared: Arc<Shared> = Arc::default();
        let start = |number| {
            let shared = Arc::clone(&shared);
            threads::start(id, format!("worker-{number}"), move || shared.work())
        };
        let started: io::Result<Vec<_>> = (1..=threads).map(start).collect();
        let handles = started.map_err(|why| {
            shared.close(true);
            PoolError::Io {
                what: "starting a thread",
                why,
            }
        })?;
        Ok(ThreadPool {
            shared,
            workers: threads,
            owner: sys::identity::me(),
            id,
            threads: Mutex::new(handles),
        })
    }

    fn join_threads(&self) {
        if threads::is_of(self.id) {
            return;
        }
        let threads = mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // Tasks do not let panics out.
            let _ = thread.join();
        }
    }

    fn begin<A: Send + 'static, R: Send + 'static>(
        &self,
        task: impl FnOnce(A) -> R + Send + 'static,
        arguments: A,
    ) -> Result<Task<R>, SubmitError<A>> {
        let mut queue = self.shared.queue();
        if queue.is_closed {
            let why = PoolError::Closed;
            return Err(SubmitError { arguments, why });
        }
        let slot = Slot::new();
        let outcome = Arc::clone(&slot);
        let run = move |go: Result<(), TaskError>| {
            outcome.end(go.and_then(|()| {
                let run = AssertUnwindSafe(|| task(arguments));
                panic::catch_unwind(run).map_err(|payload| {
                    let error = panicked(&*payload);
                    // Dropping what it panicked with may panic again.
                    mem::forget(payload);
                    error
                })
            }));
        };
        queue.last += 1;
        let number = queue.last;
        queue.work.push_back(Work {
            number,
            run: Box::new(run),
        });
        drop(queue);
        self.shared.more.notify_one();
        let shared = Arc::downgrade(&self.shared);
        Ok(Task::new(slot, self.id, move || {
            let Some(shared) = shared.upgrade() else {
                return false;
            };
            let mut queue = shared.queue();
            let found = queue.work.iter().position(|work| work.number == number);
            let work = found.and_then(|at| queue.work.remove(at));
            drop(queue);
            let is_cancelled = work.is_some();
            if let Some(work) = work {
                (work.run)(Err(TaskError::Cancelled));
            }
            is_cancelled
        }))
    }

    /// Runs the task for each item; gives the outcomes to `take`, in their order.
    fn run<A: Send + 'static, R: Send + 'static>(
        &self,
        mut options: MapOptions<'_>,
        task: impl Fn(A) -> R + Copy + Send + 'static,
        items: impl IntoIterator<Item = A>,
        mut take: impl FnMut(Result<R, TaskError>),
    ) -> Result<(), PoolError> {
        let tasks: Vec<Task<R>> = items
            .into_iter()
            .map(|item| self.begin(task, item).map_err(|error| error.why))
            .collect::<Result<_, _>>()?;
        let total = tasks.len() as u64;
        for (task, done) in tasks.into_iter().zip(1..) {
            take(task.get());
            if let Some(progress) = &mut options.progress {
                progress(Progress { done, total });
            }
        }
        Ok(())
    }
}

fn panicked(payload: &(dyn Any + Send)) -> TaskError {
    let message = payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned());
    TaskError::Panicked(Box::new(TaskPanic {
        message: message.unwrap_or_else(|| "(not a text)".to_owned()),
        location: None,
        backtrace: None,
    }))
}

impl rules::Executor for ThreadPool {}

impl Executor for ThreadPool {
    fn workers(&self) -> usize {
        self.workers
    }

    fn close(&self) {
        self.shared.close(false);
    }

    fn join(&self) -> Result<(), PoolError> {
        self.close();
        self.join_threads();
        Ok(())
    }

    fn terminate(&self) {
        for work in self.shared.close(true) {
            (work.run)(Err(TaskError::Terminated));
        }
        self.join_threads();
    }

    fn submit<A: Payload, R: Payload>(
        &self,
        task: fn(A) -> R,
        arguments: A,
    ) -> Result<Task<R>, SubmitError<A>> {
        self.begin(task, arguments)
    }

    fn each<A: Payload, R: Payload>(
        &self,
        options: MapOptions<'_>,
        task: fn(A) -> R,
        items: impl IntoIterator<Item = A>,
        take: impl FnMut(Result<R, TaskError>),
    ) -> Result<(), PoolError> {
        self.run(options, task, items, take)
    }

    fn star_each<A: Payload, F: StarTask<A, Output: Payload>>(
        &self,
        options: MapOptions<'_>,
        _: F,
        items: impl IntoIterator<Item = A>,
        take: impl FnMut(Result<F::Output, TaskError>),
    ) -> Result<(), PoolError> {
        // SAFETY: there is a value of `F`: the one that is not looked at.
        let task = |arguments| unsafe { F::call(arguments) };
        self.run(options, task, items, take)
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        if self.owner == sys::identity::me() {
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

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPool")
            .field("threads", &self.workers)
            .field("queued", &self.shared.queue().work.len())
            .finish_non_exhaustive()
    }
}
