//! A task that was submitted: a handle to its outcome.

use std::{
    cell::Cell,
    fmt, mem,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde::de::DeserializeOwned;

use super::{
    error::TaskError,
    job::{Apart, Job, Run},
    outcome::{self, Kind, Outcomes},
};
use crate::{handle, packet::codec};

/// A task of a pool, whose return value is an `R`.
///
/// Dropping it changes nothing: the task goes on, and nobody learns how it ended.
#[must_use = "nobody learns how the task ended; drop it if that is what is wanted"]
pub struct Task<R> {
    slot: Arc<Slot<R>>,
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
    let _ = panic::catch_unwind(AssertUnwindSafe(|| callback(outcome)));
}

impl<R> Task<R> {
    pub(super) fn new(
        slot: Arc<Slot<R>>,
        cancel: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Task<R> {
        Task {
            slot,
            cancel: Box::new(cancel),
        }
    }

    /// Waits until the task has ended; gives what it returned.
    ///
    /// # Errors
    ///
    /// [`TaskError`] when it did not return.
    pub fn get(self) -> Result<R, TaskError> {
        match self.wait(None) {
            Some(outcome) => outcome,
            // Not reached: a task whose outcome was handed out is gone, and without a limit of time the end is waited for.
            None => Err(TaskError::Terminated),
        }
    }

    /// Waits for at most `timeout`; gives the task back when it has not ended by then.
    ///
    /// ```
    /// # multiproc::init();
    /// use multiproc::{Executor, Pool};
    /// use std::time::Duration;
    ///
    /// let pool = Pool::new(1)?;
    /// let mut task = pool.submit(|x: u64| x + 1, 41)?;
    /// let answer = loop {
    ///     match task.get_timeout(Duration::from_millis(100)) {
    ///         Ok(outcome) => break outcome?,
    ///         Err(later) => task = later,
    ///     }
    /// };
    /// assert_eq!(answer, 42);
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The task, when it has not ended.
    pub fn get_timeout(self, timeout: Duration) -> Result<Result<R, TaskError>, Task<R>> {
        // A moment that the clock cannot name never comes.
        let until = Instant::now().checked_add(timeout);
        self.wait(until).ok_or(self)
    }

    /// As [`get`](Self::get), if the task has ended.
    ///
    /// # Errors
    ///
    /// The task, when it has not ended.
    pub fn try_get(self) -> Result<Result<R, TaskError>, Task<R>> {
        self.get_timeout(Duration::ZERO)
    }

    fn wait(&self, until: Option<Instant>) -> Option<Result<R, TaskError>> {
        let mut state = self.slot.state();
        loop {
            if matches!(&*state, State::Ended(_)) {
                match mem::replace(&mut *state, State::Taken) {
                    State::Ended(outcome) => return Some(outcome),
                    _ => return None,
                }
            }
            state = match until {
                None => {
                    let woken = self.slot.ended.wait(state);
                    woken.unwrap_or_else(PoisonError::into_inner)
                }
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return None;
                    }
                    let woken = self.slot.ended.wait_timeout(state, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Whether the task has ended.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(&*self.slot.state(), State::Ended(_))
    }

    /// Sees to it that the task never begins: then it ends as [`TaskError::Cancelled`]. `false` when it has begun, or ended.
    pub fn cancel(&self) -> bool {
        (self.cancel)()
    }

    /// Calls `callback` with the outcome once the task has ended, from a thread of the pool, or at once if it has ended.
    ///
    /// It should be done soon: while it runs, the pool learns of nothing else. It may submit tasks, but must not wait for
    /// one.
    pub fn on_done(self, callback: impl FnOnce(Result<R, TaskError>) + Send + 'static) {
        self.watch(callback);
    }

    /// As [`on_done`](Self::on_done). The outcome goes there and nowhere else.
    pub(super) fn watch(&self, callback: impl FnOnce(Result<R, TaskError>) + Send + 'static) {
        let mut state = self.slot.state();
        match mem::replace(&mut *state, State::Taken) {
            State::Ended(outcome) => {
                drop(state);
                call(Box::new(callback), outcome);
            }
            _ => *state = State::Watched(Box::new(callback)),
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

impl<R: DeserializeOwned + Send> Job for Slot<R> {
    fn ended(&self, runs: &mut dyn Iterator<Item = Run<'_>>) {
        let mut outcomes = runs.flat_map(|run| Outcomes(run.outcomes));
        if let Some((kind, told)) = outcomes.next() {
            self.end(value(kind, told, Vec::new()));
        }
    }

    fn ended_apart(&self, _: u64, how: Apart) {
        self.end(apart(how));
    }
}

/// What an outcome means.
pub(super) fn value<R: DeserializeOwned>(
    kind: Kind,
    told: &[u8],
    descriptors: Vec<std::os::fd::OwnedFd>,
) -> Result<R, TaskError> {
    if kind != Kind::Returned {
        return Err(outcome::error(kind, told));
    }
    let decode = || {
        if descriptors.is_empty() {
            codec::decode_plain(told)
        } else {
            codec::decode(told, descriptors)
        }
    };
    // A panic of the type's own code is an error of this one value.
    let decoded = panic::catch_unwind(AssertUnwindSafe(decode));
    let decoded = decoded.unwrap_or_else(|_| Err("its decoding panicked".to_owned()));
    decoded.map_err(|message| TaskError::Decode {
        message: message.into(),
    })
}

/// What outcomes mean that came without descriptors.
pub(super) fn each_value<R: DeserializeOwned>(
    outcomes: &[u8],
    mut take: impl FnMut(Result<R, TaskError>),
) {
    let mut rest = Outcomes(outcomes);
    let is_taking = Cell::new(false);
    while !rest.0.is_empty() {
        // One net for all of them. A panic of the type's own code is caught at the one that it was at.
        let caught = panic::catch_unwind(AssertUnwindSafe(|| {
            handle::outside(|| {
                let mut ahead = rest;
                while let Some((kind, told)) = ahead.next() {
                    let outcome = match kind {
                        Kind::Returned => decode(told),
                        _ => Err(outcome::error(kind, told)),
                    };
                    rest = ahead;
                    is_taking.set(true);
                    take(outcome);
                    is_taking.set(false);
                }
            });
        }));
        match caught {
            Ok(()) => return,
            // The caller's own.
            Err(payload) if is_taking.get() => panic::resume_unwind(payload),
            Err(_) => {
                rest.next();
                take(Err(TaskError::Decode {
                    message: "its decoding panicked".into(),
                }));
            }
        }
    }
}

#[inline]
fn decode<R: DeserializeOwned>(told: &[u8]) -> Result<R, TaskError> {
    codec::decode_alone(told).map_err(|message| TaskError::Decode {
        message: message.into(),
    })
}

/// What an outcome means that is not told among others.
pub(super) fn apart<R: DeserializeOwned>(how: Apart) -> Result<R, TaskError> {
    match how {
        Apart::Failed(error) => Err(error),
        Apart::Carried {
            kind,
            told,
            descriptors,
        } => value(kind, &told, descriptors),
    }
}
