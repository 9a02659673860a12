//! How a pool is to work.

use std::time::Duration;

/// What happens to the task that a worker had in hand when it died.
///
/// A task that is killed for its [deadline](crate::PoolBuilder::task_deadline) or for its
/// [memory](crate::PoolBuilder::memory_limit) fails, whatever this says: it is not begun again, and breaks nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnWorkerDeath {
    /// It fails, and the pool goes on with another worker.
    #[default]
    FailTask,
    /// It is begun again, up to so often; then it fails. For tasks that may be half done and begun anew.
    Retry(u32),
    /// It fails, and so does everything else: the pool is broken.
    Break,
}

impl OnWorkerDeath {
    pub(super) fn retries(self) -> u32 {
        match self {
            OnWorkerDeath::Retry(times) => times,
            OnWorkerDeath::FailTask | OnWorkerDeath::Break => 0,
        }
    }
}

/// What a pool sees to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    pub(super) on_death: OnWorkerDeath,
    /// How long an item may take.
    pub(super) deadline: Option<Duration>,
    /// How many bytes of memory a worker may have.
    pub(super) memory: Option<u64>,
    /// How long workers have to end once they are asked to.
    pub(super) grace: Duration,
}

/// Options for a [map](crate::Executor::try_map_with).
///
/// ```
/// # multiproc::init();
/// use multiproc::{Executor, MapOptions, Pool};
///
/// let pool = Pool::new(2)?;
/// let options = MapOptions::new()
///     .chunk_size(25)
///     .progress(|progress| println!("{} of {}", progress.done, progress.total));
/// let squares = pool.try_map_with(options, |x: u64| x * x, 0..100)?;
/// assert_eq!(*squares[9].as_ref().unwrap(), 81);
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Default)]
#[must_use = "options do nothing by themselves"]
pub struct MapOptions<'a> {
    pub(super) chunk_size: Option<usize>,
    pub(super) progress: Option<Box<dyn FnMut(super::stats::Progress) + 'a>>,
}

impl<'a> MapOptions<'a> {
    /// The defaults: four chunks for each worker, and nobody is told how far it is.
    pub fn new() -> MapOptions<'a> {
        MapOptions::default()
    }

    /// How many items go to a worker at once, at most; more than sixteen kilobytes of encoded arguments never do. At least
    /// one.
    ///
    /// Large chunks cost less for each item; small ones spread work better that takes longer for some items than for
    /// others.
    pub fn chunk_size(mut self, items: usize) -> MapOptions<'a> {
        self.chunk_size = Some(items.max(1));
        self
    }

    /// Calls `progress` now and then, and when all is done, from the thread that waits for the map. It fits a progress bar:
    /// `|progress| bar.set_position(progress.done)`.
    pub fn progress(mut self, progress: impl FnMut(super::stats::Progress) + 'a) -> MapOptions<'a> {
        self.progress = Some(Box::new(progress));
        self
    }
}

impl std::fmt::Debug for MapOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MapOptions")
            .field("chunk_size", &self.chunk_size)
            .finish_non_exhaustive()
    }
}
