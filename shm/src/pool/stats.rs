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
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// How many tasks wait to be begun. An item of a map counts as a task.
    pub queued: u64,
    /// How many workers are at work.
    pub running: usize,
    /// How many tasks have ended, the failed ones among them.
    pub done: u64,
    /// How many have failed.
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
    /// The number of the task that it has in hand, counted from 1 in the order of submission. All items of a chunk are one.
    pub task: Option<u64>,
    /// How many tasks it and those before it in its place have ended. All items of a chunk are one.
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
