//! A map over the items of an iterator, from the first to the last.
//!
//! Items are packed into tasks, which are handed over as the workers get on, and the outcomes are given meanwhile. Once a map
//! has begun each of its items ends: a pool that is closed then still takes them, and if it ends before, so do they.

use std::sync::{Arc, MutexGuard};

use super::{
    code::Code,
    collect::{Collect, Taker},
    core::Core,
    error::{PoolError, TaskError},
    executor::Payload,
    job::{Apart, Job},
    ledger::Ledger,
    pack::{self, Filled, Packer},
    threads::{InMap, PoolId},
};
use crate::handle;

/// Tasks of so many items are small: so many of them are submitted at once, since whoever sleeps must be woken for each. No
/// worker is to wait for large ones.
const RUN: usize = 64;
/// How many tasks are submitted and have not ended, at most: large ones for each worker, and small ones. More would only take
/// memory, which is then no longer in any cache.
const AHEAD: usize = 16;
const SMALL_AHEAD: usize = 64 * RUN;

/// What a map has of its pool. The pool does not end before it, unless it is terminated or breaks.
struct Begun<'p> {
    core: &'p Core,
    _here: InMap,
}

impl<'p> Begun<'p> {
    fn new(core: &'p Core, pool: PoolId) -> Result<Begun<'p>, PoolError> {
        core.open_ledger()?.maps += 1;
        let _here = InMap::of(pool);
        Ok(Begun { core, _here })
    }

    /// The ledger; or what the items end with that are not in it.
    fn ledger(&self) -> Result<MutexGuard<'p, Ledger>, TaskError> {
        let ledger = self.core.ledger();
        match ledger.end() {
            None => Ok(ledger),
            Some(error) => Err(error),
        }
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        let mut ledger = self.core.ledger();
        ledger.maps -= 1;
        self.core.look_if_idle(&ledger);
    }
}

pub(super) struct Mapping<'p, A, R, F, P> {
    pool: Begun<'p>,
    code: Code,
    job: Arc<dyn Job>,
    packer: Packer<A>,
    taker: Taker<R, F, P>,
    has_large_tasks: bool,
    /// How many tasks, and how many items, may have been submitted and not ended.
    ahead: u64,
    window: u64,
    /// How many items were submitted, or ended without that.
    passed: u64,
}

impl<'p, A: Payload, R: Payload, F, P> Mapping<'p, A, R, F, P>
where
    F: FnMut(Result<R, TaskError>),
    P: FnMut(u64, bool),
{
    /// Of chunks of so many items; gives the outcomes to `take` in their order, and tells `progress`, if that is wanted, how many
    /// have ended.
    pub(super) fn new(
        (core, pool): (&'p Core, PoolId),
        code: Code,
        (workers, chunk): (usize, usize),
        take: F,
        progress: (bool, P),
    ) -> Result<Self, PoolError> {
        let (is_watched, progress) = progress;
        let collect = Collect::new(is_watched);
        let has_large_tasks = chunk > RUN;
        let ahead = if has_large_tasks {
            AHEAD * workers
        } else {
            SMALL_AHEAD.max(AHEAD * workers)
        };
        Ok(Mapping {
            pool: Begun::new(core, pool)?,
            code,
            job: collect.clone(),
            packer: Packer::new(code, chunk),
            taker: Taker::new(collect, take, progress),
            has_large_tasks,
            ahead: ahead as u64,
            window: u64::MAX,
            passed: 0,
        })
    }

    /// Runs all items.
    pub(super) fn run(mut self, mut items: impl Iterator<Item = A>) {
        // No message that the caller is just making has anything to do with this.
        let handed_over = handle::outside(|| self.hand_over(&mut items));
        if let Err(error) = handed_over {
            for _ in 0..self.packer.drain() {
                self.end_one(&error);
            }
            items.for_each(|_| self.end_one(&error));
        }
        // Nothing more is submitted.
        drop((self.pool, self.job));
        self.taker.take_all(self.passed);
    }

    /// Submits all items; or what those end with that are not submitted.
    fn hand_over(&mut self, items: &mut impl Iterator<Item = A>) -> Result<(), TaskError> {
        loop {
            match self.packer.fill(items) {
                Filled::Ready if !self.is_due() => continue,
                Filled::Ready => self.submit()?,
                Filled::Apart(item) => {
                    let submitted = self.submit().and_then(|()| self.submit_apart(&item));
                    if let Err(error) = submitted {
                        self.end_one(&error);
                        return Err(error);
                    }
                }
                Filled::Over => break,
            }
            self.taker.take_some();
            if self.passed - self.taker.ended() > self.window {
                self.taker.take_until(self.passed - self.window / 2);
            }
        }
        self.packer.finish();
        self.submit()
    }

    fn is_due(&self) -> bool {
        self.has_large_tasks || self.packer.ready() >= RUN || self.packer.is_full()
    }

    /// Submits what is packed.
    fn submit(&mut self) -> Result<(), TaskError> {
        let tasks = self.packer.ready() as u64;
        if tasks == 0 {
            return Ok(());
        }
        let mut ledger = self.pool.ledger()?;
        let (before, rings) = (self.passed, &self.pool.core.shared);
        let (job, passed) = (&self.job, &mut self.passed);
        self.packer
            .take(|packed| ledger.add_packed(job, passed, packed, &rings.tasks));
        drop(ledger);
        self.window = (self.passed - before).div_ceil(tasks) * self.ahead;
        Ok(())
    }

    /// Submits an item by itself.
    fn submit_apart(&mut self, item: &A) -> Result<(), TaskError> {
        match pack::one(self.code, item) {
            Ok(body) => {
                self.pool.core.wait_for_room();
                let ledger = self.pool.ledger()?;
                self.pool.core.enter(ledger, &self.job, self.passed, body);
                self.passed += 1;
            }
            Err(message) => {
                let message = message.into();
                self.end_one(&TaskError::NotSubmitted { message });
            }
        }
        Ok(())
    }

    /// The next item ends without having been submitted.
    fn end_one(&mut self, error: &TaskError) {
        let how = Apart::Failed(error.clone());
        self.job.ended_apart(self.passed, how);
        self.passed += 1;
        self.taker.take_some();
    }
}
