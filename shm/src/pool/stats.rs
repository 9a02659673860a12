//! What a pool is doing, for people to look at.

use std::fmt;

use crate::MemoryUse;

/// How far a map has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// How many items have ended, well or not.
    pub done: u64,
    /// How many there are.
    pub total: u64,
}

/// What a pool has done and is doing, at one moment.
///
/// `queued`, `done` and `failed` count items: a task that was submitted by itself is one, and so is each item of a map. What
/// workers have in hand and have ended are tasks, as in
/// [`max_tasks_per_worker`](crate::PoolBuilder::max_tasks_per_worker): a chunk of a map is one, however many items it has.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// How many items have not ended, without one for each worker that is at work. The others of a chunk that a worker has
    /// in hand are among them.
    pub queued: u64,
    /// How many workers are at work.
    pub running: usize,
    /// How many items have ended, the failed ones among them.
    pub done: u64,
    /// How many items have ended without a return value. Those that were cancelled are among them, and those that a pool
    /// that ended left undone; those whose return value could not be decoded are not.
    pub failed: u64,
    /// How many workers were started in place of others.
    pub restarts: u64,
    /// The workers.
    pub workers: Vec<WorkerStats>,
}

/// What a worker is doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkerStats {
    /// Its process id; `None` while there is none, between two of them.
    pub pid: Option<u32>,
    /// The number of the task that it has in hand, counted from 1 in the order of submission. All items of a chunk are one
    /// task.
    pub task: Option<u64>,
    /// How many tasks it and those before it in its place have ended. All items of a chunk are one task; one that a worker
    /// died over is not counted.
    pub ended: u64,
    /// How much memory it has, if the system tells.
    pub memory: Option<MemoryUse>,
}

impl fmt::Display for Stats {
    /// In one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} queued, {} of {} workers at work, {} done, {} failed, {} restarts",
            self.queued,
            self.running,
            self.workers.len(),
            self.done,
            self.failed,
            self.restarts
        )
    }
}

/// A worker as the pool knows it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Member {
    pub(super) pid: Option<u32>,
    /// Whether it has said that it takes tasks.
    pub(super) is_ready: bool,
}
