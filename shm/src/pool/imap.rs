//! Maps whose results are taken one by one, over items that may be endless.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    iter::Fuse,
    sync::mpsc,
};

use super::{
    error::{PoolError, SubmitError, TaskError},
    executor::{Executor, Payload},
    task::Task,
};

/// So many tasks for each worker are ahead of the results that were asked for.
const AHEAD: usize = 4;

/// The results of [`imap`](Executor::imap). Dropping it cancels what has not begun.
#[must_use = "iterators are lazy: nothing is submitted before a result is asked for"]
pub struct Imap<'p, E: ?Sized, A, R, I> {
    pool: &'p E,
    task: fn(A) -> R,
    items: Fuse<I>,
    window: usize,
    /// Whether the pool takes no more: then there is one error, and the end.
    is_over: bool,
    /// Those whose results were not asked for, in their order.
    ahead: VecDeque<Result<Task<R>, TaskError>>,
}

impl<'p, E: Executor + ?Sized, A: Payload, R: Payload, I: Iterator<Item = A>> Imap<'p, E, A, R, I> {
    pub(super) fn new(pool: &'p E, task: fn(A) -> R, items: I) -> Self {
        Imap {
            pool,
            task,
            items: items.fuse(),
            window: pool.workers() * AHEAD,
            is_over: false,
            ahead: VecDeque::new(),
        }
    }

    /// How many items are taken and not given as results, at most; by default four for each worker. At least one.
    pub fn window(mut self, items: usize) -> Self {
        self.window = items.max(1);
        self
    }
}

/// Why a task was not submitted, and whether others will be.
fn not_submitted<A>(error: SubmitError<A>) -> (TaskError, bool) {
    let is_over = !matches!(error.why, PoolError::NotEncoded { .. });
    let message = error.to_string().into();
    (TaskError::NotSubmitted { message }, is_over)
}

impl<E: Executor + ?Sized, A: Payload, R: Payload, I: Iterator<Item = A>> Iterator
    for Imap<'_, E, A, R, I>
{
    type Item = Result<R, TaskError>;

    fn next(&mut self) -> Option<Result<R, TaskError>> {
        while self.ahead.len() < self.window
            && !self.is_over
            && let Some(item) = self.items.next()
        {
            let submitted = self.pool.submit(self.task, item).map_err(|error| {
                let (error, is_over) = not_submitted(error);
                self.is_over = is_over;
                error
            });
            self.ahead.push_back(submitted);
        }
        Some(self.ahead.pop_front()?.and_then(Task::get))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let ahead = self.ahead.len();
        if self.is_over {
            return (ahead, Some(ahead));
        }
        let (least, most) = self.items.size_hint();
        (
            least.saturating_add(ahead),
            most.and_then(|most| most.checked_add(ahead)),
        )
    }
}

impl<E: ?Sized, A, R, I> Drop for Imap<'_, E, A, R, I> {
    fn drop(&mut self) {
        // From the last on: the first may be just about to begin.
        for task in self.ahead.iter().rev().flatten() {
            task.cancel();
        }
    }
}

impl<E: ?Sized, A, R, I> fmt::Debug for Imap<'_, E, A, R, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Imap")
            .field("window", &self.window)
            .field("ahead", &self.ahead.len())
            .finish_non_exhaustive()
    }
}

/// The results of [`imap_unordered`](Executor::imap_unordered). Dropping it cancels what has not begun.
#[must_use = "iterators are lazy: nothing is submitted before a result is asked for"]
pub struct ImapUnordered<'p, E: ?Sized, A, R, I> {
    pool: &'p E,
    task: fn(A) -> R,
    items: Fuse<I>,
    window: usize,
    /// Whether the pool takes no more: then there is one error, and the end.
    is_over: bool,
    /// Those that have not ended, as far as is known here, by number.
    running: HashMap<u64, Task<R>>,
    submitted: u64,
    results: mpsc::Receiver<(u64, Result<R, TaskError>)>,
    sender: mpsc::Sender<(u64, Result<R, TaskError>)>,
}

impl<'p, E: Executor + ?Sized, A: Payload, R: Payload, I: Iterator<Item = A>>
    ImapUnordered<'p, E, A, R, I>
{
    pub(super) fn new(pool: &'p E, task: fn(A) -> R, items: I) -> Self {
        let (sender, results) = mpsc::channel();
        ImapUnordered {
            pool,
            task,
            items: items.fuse(),
            window: pool.workers() * AHEAD,
            is_over: false,
            running: HashMap::new(),
            submitted: 0,
            results,
            sender,
        }
    }

    /// How many items are taken and not given as results, at most; by default four for each worker. At least one.
    pub fn window(mut self, items: usize) -> Self {
        self.window = items.max(1);
        self
    }

    fn submit(&mut self, item: A) -> Result<(), TaskError> {
        let task = self.pool.submit(self.task, item).map_err(|error| {
            let (error, is_over) = not_submitted(error);
            self.is_over = is_over;
            error
        })?;
        let (number, sender) = (self.submitted, self.sender.clone());
        self.submitted += 1;
        task.on_done(move |outcome| {
            // If nobody asks for results any more, nobody misses this one.
            let _ = sender.send((number, outcome));
        });
        self.running.insert(number, task);
        Ok(())
    }
}

impl<E: Executor + ?Sized, A: Payload, R: Payload, I: Iterator<Item = A>> Iterator
    for ImapUnordered<'_, E, A, R, I>
{
    type Item = Result<R, TaskError>;

    fn next(&mut self) -> Option<Result<R, TaskError>> {
        while self.running.len() < self.window
            && !self.is_over
            && let Some(item) = self.items.next()
        {
            if let Err(error) = self.submit(item) {
                return Some(Err(error));
            }
        }
        if self.running.is_empty() {
            return None;
        }
        let (number, outcome) = self.results.recv().ok()?;
        self.running.remove(&number);
        Some(outcome)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let running = self.running.len();
        if self.is_over {
            return (running, Some(running));
        }
        let (least, most) = self.items.size_hint();
        (
            least.saturating_add(running),
            most.and_then(|most| most.checked_add(running)),
        )
    }
}

impl<E: ?Sized, A, R, I> Drop for ImapUnordered<'_, E, A, R, I> {
    fn drop(&mut self) {
        for task in self.running.values() {
            task.cancel();
        }
    }
}

impl<E: ?Sized, A, R, I> fmt::Debug for ImapUnordered<'_, E, A, R, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImapUnordered")
            .field("window", &self.window)
            .field("running", &self.running.len())
            .finish_non_exhaustive()
    }
}
