//! A task that was submitted: a handle to its outcome.

use std::{
    fmt, mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    error::TaskError,
    executor::Payload,
    job::{Apart, Job, Run},
    quiet,
    returned::{apart, damaged, value},
    threads::{self, PoolId},
};
use crate::deadline;

/// A task of a pool, whose return value is an `R`.
///
/// Dropping it changes nothing: the task goes on, and nobody learns how it ended.
#[must_use = "nobody learns how the task ended; drop it if that is what is wanted"]
pub struct Task<R> {
    slot: Arc<Slot<R>>,
    pool: PoolId,
    cancel: Canceller,
}

/// Cancels a task; whether it never begins.
type Canceller = Box<dyn Fn() -> bool + Send + Sync>;

/// Where the outcome goes.
pub(super) struct Slot<R> {
    state: Mutex<State<R>>,
    ended: Condvar,
}

type Callback<R> = Box<dyn FnOnce(Result<R, TaskError>) + Send>;

enum State<R> {
    Running,
    /// And this is called when it ends.
    Watched(Callback<R>),
    Ended(Result<R, TaskError>),
    /// The outcome was handed out.
    Taken,
}

impl<R> Slot<R> {
    pub(super) fn new() -> Arc<Slot<R>> {
        Arc::new(Slot {
            state: Mutex::new(State::Running),
            ended: Condvar::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the task has ended, if it has.
    #[cfg(feature = "__fuzz")]
    pub(super) fn outcome(&self) -> Option<Result<R, TaskError>>
    where
        R: Clone,
    {
        match &*self.state() {
            State::Ended(outcome) => Some(outcome.clone()),
            _ => None,
        }
    }

    /// The task has ended. What comes second is not how.
    pub(super) fn end(&self, outcome: Result<R, TaskError>) {
        let mut state = self.state();
        match mem::replace(&mut *state, State::Taken) {
            State::Running => {
                *state = State::Ended(outcome);
                drop(state);
                self.ended.notify_all();
            }
            State::Watched(callback) => {
                drop(state);
                call(callback, outcome);
            }
            ended => *state = ended,
        }
    }
}

/// A panic of a callback is its own affair; the hook has printed it.
fn call<R>(callback: Callback<R>, outcome: Result<R, TaskError>) {
    quiet::run(|| callback(outcome));
}

impl<R> Task<R> {
    pub(super) fn new(
        slot: Arc<Slot<R>>,
        pool: PoolId,
        cancel: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Task<R> {
        Task {
            slot,
            pool,
            cancel: Box::new(cancel),
        }
    }

    /// Waits until the task has ended; gives what it returned.
    ///
    /// # Errors
    ///
    /// [`TaskError`] when it did not return; [`TaskError::WouldDeadlock`] in a callback of the pool whose task it is, which
    /// learns of nothing meanwhile, and [`TaskError::OutcomeTaken`] when the outcome was, or will be, given elsewhere.
    pub fn get(self) -> Result<R, TaskError> {
        match self.wait(None)? {
            Some(value) => Ok(value),
            // Not reached: without a limit of time the end is waited for.
            None => Err(TaskError::OutcomeTaken),
        }
    }

    /// Waits for at most `timeout`; `None` when the task has not ended by then.
    ///
    /// ```
    /// # multiproc::init();
    /// use multiproc::{Executor, Pool};
    /// use std::time::Duration;
    ///
    /// let pool = Pool::new(1)?;
    /// let mut task = pool.submit(|x: u64| x + 1, 41)?;
    /// let answer = loop {
    ///     match task.get_timeout(Duration::from_millis(100))? {
    ///         Some(answer) => break answer,
    ///         None => println!("still waiting"),
    ///     }
    /// };
    /// assert_eq!(answer, 42);
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn get_timeout(&mut self, timeout: Duration) -> Result<Option<R>, TaskError> {
        self.wait(deadline::moment(timeout))
    }

    /// What the task returned, or `None` when it has not ended.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn try_get(&mut self) -> Result<Option<R>, TaskError> {
        self.get_timeout(Duration::ZERO)
    }

    fn wait(&self, until: Option<Instant>) -> Result<Option<R>, TaskError> {
        let mut state = self.slot.state();
        loop {
            match &*state {
                State::Ended(_) => match mem::replace(&mut *state, State::Taken) {
                    State::Ended(outcome) => return outcome.map(Some),
                    _ => return Err(TaskError::OutcomeTaken),
                },
                State::Watched(_) | State::Taken => return Err(TaskError::OutcomeTaken),
                State::Running => {}
            }
            state = match until {
                None if threads::is_of(self.pool) => return Err(TaskError::WouldDeadlock),
                None => {
                    let woken = self.slot.ended.wait(state);
                    woken.unwrap_or_else(PoisonError::into_inner)
                }
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Ok(None);
                    }
                    let woken = self.slot.ended.wait_timeout(state, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Whether the task has ended, and its outcome is here.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(&*self.slot.state(), State::Ended(_))
    }

    /// Sees to it that the task never begins: then it ends as [`TaskError::Cancelled`]. `false` when it has begun, or ended.
    pub fn cancel(&self) -> bool {
        (self.cancel)()
    }

    /// Calls `callback` with the outcome once the task has ended, or at once if it has ended. The outcome goes there and
    /// nowhere else.
    ///
    /// It is called by whichever thread finds out how the task ended: one of the pool's, or one that cancels, submits,
    /// terminates or drops. It should be done soon: a pool of processes learns of nothing else meanwhile. It may submit tasks,
    /// but must not wait for one. If it panics, that is printed, and nothing else happens.
    ///
    /// ```
    /// # multiproc::init();
    /// use multiproc::{Executor, Pool};
    /// use std::sync::mpsc;
    ///
    /// let pool = Pool::new(2)?;
    /// let (sender, ended) = mpsc::channel(); // whichever ends first
    /// for n in [3, 5] {
    ///     let sender = sender.clone();
    ///     let task = pool.submit(|n: u64| n * n, n)?;
    ///     task.on_done(move |outcome| sender.send((n, outcome)).unwrap());
    /// }
    /// drop(sender);
    /// for (n, outcome) in ended {
    ///     assert_eq!(outcome?, n * n);
    /// }
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn on_done(&self, callback: impl FnOnce(Result<R, TaskError>) + Send + 'static) {
        let mut state = self.slot.state();
        match mem::replace(&mut *state, State::Taken) {
            State::Ended(outcome) => {
                drop(state);
                call(Box::new(callback), outcome);
            }
            State::Running => *state = State::Watched(Box::new(callback)),
            before => {
                *state = before;
                drop(state);
                call(Box::new(callback), Err(TaskError::OutcomeTaken));
            }
        }
    }
}

impl<R> fmt::Debug for Task<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("is_ready", &self.is_ready())
            .finish_non_exhaustive()
    }
}

impl<R: Payload> Job for Slot<R> {
    fn ended(&self, runs: &mut dyn Iterator<Item = Run<'_>>) {
        for run in runs {
            let outcome = match { run.outcomes }.next() {
                Some((kind, told)) => value(kind, told, Vec::new()),
                None => Err(damaged()),
            };
            self.end(outcome);
        }
    }

    fn ended_apart(&self, _: u64, how: Apart) {
        self.end(apart(how));
    }
}
