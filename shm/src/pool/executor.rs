//! What pools of processes and pools of threads have in common.

use serde::{Serialize, de::DeserializeOwned};

use super::{
    error::{MapError, PoolError, SubmitError, TaskError},
    imap::{Imap, ImapUnordered},
    options::MapOptions,
    star::StarTask,
    task::Task,
};

pub(crate) mod rules {
    /// Not to be named outside: there are no other executors.
    pub trait Executor {}
}

/// What goes to a task and comes from it: any owned type that serde knows.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot go to a task, or come from it",
    note = "owned serde types can: derive `Serialize` and `Deserialize`, `String` and not `&str`, `Result<T, String>` for \
            errors"
)]
pub trait Payload: Serialize + DeserializeOwned + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Send + 'static> Payload for T {}

/// Workers that run tasks: a [`Pool`](crate::Pool) of processes, or a [`ThreadPool`](crate::ThreadPool).
///
/// A task is a function, or a closure that captures nothing, of one argument: a tuple for several. Its argument and its return
/// value are owned serde types (`String` and not `&str`); shared objects among them are shared.
///
/// ```
/// # multiproc::init();
/// use multiproc::{Executor, MapError, Pool, ThreadPool};
///
/// fn total(words: &impl Executor) -> Result<usize, MapError> {
///     let lengths = words.map(|word: String| word.len(), ["many".to_owned(), "hands".to_owned()])?;
///     Ok(lengths.iter().sum())
/// }
///
/// assert_eq!(total(&Pool::new(2)?)?, 9);
/// assert_eq!(total(&ThreadPool::new(2)?)?, 9);
/// # Ok::<(), multiproc::Error>(())
/// ```
pub trait Executor: rules::Executor {
    /// How many workers there are.
    fn workers(&self) -> usize;

    /// Takes no more tasks; those that it has are done. The workers end then.
    fn close(&self);

    /// Takes no more tasks, and waits until those that it has are done and all workers have ended. In a callback of the
    /// pool it does not wait.
    ///
    /// # Errors
    ///
    /// [`PoolError::Broken`] when the pool broke.
    fn join(&self) -> Result<(), PoolError>;

    /// Ends the pool now: tasks that have not ended fail as [`TaskError::Terminated`]. A thread at a task cannot be stopped,
    /// and is waited for; a process is asked to end, and killed if it does not.
    fn terminate(&self);

    /// Hands a task to the workers. This never waits for one of them.
    ///
    /// # Errors
    ///
    /// [`SubmitError`] gives the arguments back: the pool is closed or broken, or they cannot be encoded.
    fn submit<A: Payload, R: Payload>(
        &self,
        task: fn(A) -> R,
        arguments: A,
    ) -> Result<Task<R>, SubmitError<A>>;

    /// Runs the task for each item and waits for all; meanwhile gives how each ended to `take`, in their order.
    ///
    /// The other maps are made of this one and [`star_each`](Self::star_each).
    ///
    /// # Errors
    ///
    /// [`PoolError`] when the pool is closed or broken.
    fn each<A: Payload, R: Payload>(
        &self,
        options: MapOptions<'_>,
        task: fn(A) -> R,
        items: impl IntoIterator<Item = A>,
        take: impl FnMut(Result<R, TaskError>),
    ) -> Result<(), PoolError>;

    /// As [`each`](Self::each), for a task of several arguments; items are tuples of these.
    ///
    /// # Errors
    ///
    /// [`PoolError`] when the pool is closed or broken.
    fn star_each<A: Payload, F: StarTask<A, Output: Payload>>(
        &self,
        options: MapOptions<'_>,
        task: F,
        items: impl IntoIterator<Item = A>,
        take: impl FnMut(Result<F::Output, TaskError>),
    ) -> Result<(), PoolError>;

    /// Runs the task for each item and waits for all; gives what they returned, in their order.
    ///
    /// # Errors
    ///
    /// [`MapError`] with the first item that failed, once all have ended; or when the pool is closed or broken.
    fn map<A: Payload, R: Payload>(
        &self,
        task: fn(A) -> R,
        items: impl IntoIterator<Item = A>,
    ) -> Result<Vec<R>, MapError> {
        self.map_with(MapOptions::new(), task, items)
    }

    /// As [`map`](Self::map), with options.
    ///
    /// # Errors
    ///
    /// As [`map`](Self::map).
    fn map_with<A: Payload, R: Payload>(
        &self,
        options: MapOptions<'_>,
        task: fn(A) -> R,
        items: impl IntoIterator<Item = A>,
    ) -> Result<Vec<R>, MapError> {
        let items = items.into_iter();
        let mut values = Values::of(&items);
        self.each(options, task, items, |outcome| values.push(outcome))?;
        values.all()
    }

    /// Runs the task for each item and waits for all; gives how each ended, in their order.
    ///
    /// # Errors
    ///
    /// [`PoolError`] when the pool is closed or broken.
    fn try_map<A: Payload, R: Payload>(
        &self,
        task: fn(A) -> R,
        items: impl IntoIterator<Item = A>,
    ) -> Result<Vec<Result<R, TaskError>>, PoolError> {
        self.try_map_with(MapOptions::new(), task, items)
    }

    /// As [`try_map`](Self::try_map), with options.
    ///
    /// # Errors
    ///
    /// As [`try_map`](Self::try_map).
    fn try_map_with<A: Payload, R: Payload>(
        &self,
        options: MapOptions<'_>,
        task: fn(A) -> R,
        items: impl IntoIterator<Item = A>,
    ) -> Result<Vec<Result<R, TaskError>>, PoolError> {
        let mut outcomes = Vec::new();
        self.each(options, task, items, |outcome| outcomes.push(outcome))?;
        Ok(outcomes)
    }

    /// As [`map`](Self::map), for a task of several arguments; items are tuples of these.
    ///
    /// ```
    /// # multiproc::init();
    /// use multiproc::{Executor, Pool};
    ///
    /// let pool = Pool::new(2)?;
    /// let powers = pool.starmap(|base: u64, exponent: u32| base.pow(exponent), [(2, 5), (3, 2)])?;
    /// assert_eq!(powers, [32, 9]);
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`map`](Self::map).
    fn starmap<A: Payload, F: StarTask<A, Output: Payload>>(
        &self,
        task: F,
        items: impl IntoIterator<Item = A>,
    ) -> Result<Vec<F::Output>, MapError> {
        let items = items.into_iter();
        let mut values = Values::of(&items);
        self.star_each(MapOptions::new(), task, items, |outcome| {
            values.push(outcome)
        })?;
        values.all()
    }

    /// As [`try_map`](Self::try_map), for a task of several arguments; items are tuples of these.
    ///
    /// # Errors
    ///
    /// As [`try_map`](Self::try_map).
    fn try_starmap<A: Payload, F: StarTask<A, Output: Payload>>(
        &self,
        task: F,
        items: impl IntoIterator<Item = A>,
    ) -> Result<Vec<Result<F::Output, TaskError>>, PoolError> {
        let mut outcomes = Vec::new();
        let take = |outcome| outcomes.push(outcome);
        self.star_each(MapOptions::new(), task, items, take)?;
        Ok(outcomes)
    }

    /// Runs the task for each item; gives how each ended, in their order, as soon as it and all before it have.
    ///
    /// Items are taken from the iterator as results are asked for, some ahead: it may be endless.
    ///
    /// ```
    /// # multiproc::init();
    /// use multiproc::{Executor, Pool};
    ///
    /// let pool = Pool::new(2)?;
    /// let first: Vec<u64> = pool
    ///     .imap(|x: u64| x * x, 1..)
    ///     .take_while(|square| matches!(square, Ok(square) if *square < 20))
    ///     .collect::<Result<_, _>>()?;
    /// assert_eq!(first, [1, 4, 9, 16]);
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    fn imap<A: Payload, R: Payload, I: IntoIterator<Item = A>>(
        &self,
        task: fn(A) -> R,
        items: I,
    ) -> Imap<'_, Self, A, R, I::IntoIter> {
        Imap::new(self, task, items.into_iter())
    }

    /// As [`imap`](Self::imap), in the order in which they end.
    fn imap_unordered<A: Payload, R: Payload, I: IntoIterator<Item = A>>(
        &self,
        task: fn(A) -> R,
        items: I,
    ) -> ImapUnordered<'_, Self, A, R, I::IntoIter> {
        ImapUnordered::new(self, task, items.into_iter())
    }
}

/// What all returned, or the first that did not.
pub(super) struct Values<R> {
    values: Vec<R>,
    first: Option<MapError>,
}

impl<R> Values<R> {
    /// So many are made room for before any has come: 64 MiB of them.
    const AT_ONCE: usize = (64 << 20) / (size_of::<R>() + 1);

    /// Of about so many.
    pub(super) fn of(items: &impl Iterator) -> Values<R> {
        Values {
            values: Vec::with_capacity(items.size_hint().0.min(Values::<R>::AT_ONCE)),
            first: None,
        }
    }

    /// The next one has ended so.
    #[inline]
    pub(super) fn push(&mut self, outcome: Result<R, TaskError>) {
        match outcome {
            Ok(value) => self.values.push(value),
            Err(error) => self.fail(error),
        }
    }

    #[cold]
    fn fail(&mut self, error: TaskError) {
        if self.first.is_none() {
            // All before it are there.
            let index = self.values.len();
            self.first = Some(MapError::Task { index, error });
        }
    }

    /// All have ended.
    pub(super) fn all(self) -> Result<Vec<R>, MapError> {
        self.first.map_or(Ok(self.values), Err)
    }
}
