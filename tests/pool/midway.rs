//! What becomes of a map in the middle of which something happens.

use std::cell::Cell;

use multiproc::{Executor, MapOptions, OnWorkerDeath, Pool, PoolError, TaskError};

use crate::{
    common::wait_until,
    pools::{WORKERS, die, double, everywhere, outcome, with_pools},
};

/// Far more than are on their way to the workers at a time.
const ITEMS: u64 = 100_000;
const CHUNK: usize = 100;

/// The outcomes of a map that calls `then` with the first of them.
fn doubled(pool: &Pool, then: impl Fn()) -> Vec<Result<u64, TaskError>> {
    let mut outcomes = Vec::new();
    let options = MapOptions::new().chunk_size(CHUNK);
    let take = |outcome| {
        outcomes.push(outcome);
        if outcomes.len() == 1 {
            then();
        }
    };
    pool.each(options, double, 0..ITEMS, take).unwrap();
    assert_eq!(outcomes.len() as u64, ITEMS);
    outcomes
}

fn expect_all(outcomes: Vec<Result<u64, TaskError>>) {
    let values = outcomes.into_iter().map(Result::unwrap);
    assert!(values.eq((0..ITEMS).map(|item| 2 * item)));
}

/// Each is right, or failed as `expected`; the first is right, and the last is not.
fn expect_some(outcomes: Vec<Result<u64, TaskError>>, expected: fn(&TaskError) -> bool) {
    assert!(outcomes[0].is_ok() && outcomes[outcomes.len() - 1].is_err());
    for (item, outcome) in (0..).zip(outcomes) {
        match outcome {
            Ok(value) => assert_eq!(value, 2 * item),
            Err(error) => assert!(expected(&error), "{item}: {error}"),
        }
    }
}

pub fn closing_in_the_middle_of_a_map_lets_it_finish() {
    with_pools(|pool| {
        expect_all(doubled(pool, || pool.close()));
        assert!(matches!(pool.try_map(double, 0..3), Err(PoolError::Closed)));
        pool.join().unwrap();
    });
}

pub fn joining_in_the_middle_of_a_map_is_refused() {
    with_pools(|pool| {
        let join = || assert!(matches!(pool.join(), Err(PoolError::WouldDeadlock)));
        expect_all(doubled(pool, join));
        pool.join().unwrap();
    });
}

pub fn terminating_in_the_middle_of_a_map_ends_its_items() {
    with_pools(|pool| {
        let outcomes = doubled(pool, || pool.terminate());
        expect_some(outcomes, |error| matches!(error, TaskError::Terminated));
    });
}

pub fn breaking_in_the_middle_of_a_map_ends_its_items() {
    everywhere(|method| {
        let pool = Pool::builder()
            .workers(WORKERS)
            .method(method)
            .on_worker_death(OnWorkerDeath::Break)
            .build()
            .unwrap();
        let break_it = || {
            let dead = outcome(pool.submit(die, ()).unwrap());
            assert!(dead.is_err());
            wait_until(|| pool.submit(double, 1).is_err());
        };
        let outcomes = doubled(&pool, break_it);
        expect_some(outcomes, |error| matches!(error, TaskError::Broken { .. }));
    });
}

/// What it makes of the results of earlier ones it may have to wait for.
pub fn an_iterator_may_wait_for_the_chunks_before() {
    with_pools(|pool| {
        let before = pool.stats().done;
        let items = (0..2000u64).inspect(|item| {
            if item % CHUNK as u64 == 0 {
                wait_until(|| pool.stats().done - before >= *item);
            }
        });
        let options = MapOptions::new().chunk_size(CHUNK);
        let doubled = pool.map_with(options, double, items).unwrap();
        assert!(doubled.into_iter().eq((0..2000).map(|item| 2 * item)));
    });
}

/// An iterator that says it has more items than come.
struct Fewer(std::ops::Range<u64>);

impl Iterator for Fewer {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.end as usize + 3, Some(self.0.end as usize + 3))
    }
}

pub fn progress_ends_with_all_that_there_were() {
    with_pools(|pool| {
        let last = Cell::new((0, 0));
        let options =
            MapOptions::new().progress(|progress| last.set((progress.done, progress.total)));
        let doubled = pool.map_with(options, double, Fewer(0..7)).unwrap();
        assert_eq!(doubled, [0, 2, 4, 6, 8, 10, 12]);
        assert_eq!(last.get(), (7, 7));
    });
}
