//! Types whose own code panics, in whichever process and thread it runs; and whatever else a pool must not take ill.

use std::{
    panic::{self, AssertUnwindSafe},
    thread,
    time::Duration,
};

use multiproc::{Array, Executor, MapOptions, Pool, TaskError, ThreadPool};
use serde::{Deserialize, Serialize};

use crate::{
    common::{STUCK, wait_until},
    pools::{WORKERS, double, everywhere, lone, outcome, value, with_executors, with_pools},
};

/// Panics when it is dropped, if it is a seven.
#[derive(Serialize, Deserialize)]
struct Mine(u64);

impl Drop for Mine {
    fn drop(&mut self) {
        assert!(self.0 != 7 || thread::panicking(), "a seven is dropped");
    }
}

pub fn a_result_whose_drop_panics_has_ended_once() {
    with_pools(|pool| {
        for size in [1, 3, 100] {
            let options = MapOptions::new().chunk_size(size);
            let mut values = Vec::new();
            let take = |outcome: Result<Mine, TaskError>| {
                let mine = outcome.unwrap();
                values.push(mine.0);
                std::mem::forget(mine);
            };
            pool.each(options, |x: u64| Mine(x % 10), 0..40, take)
                .unwrap();
            assert!(
                values.iter().copied().eq((0..40).map(|x| x % 10)),
                "{values:?}"
            );
            assert_eq!(pool.map(double, 0..3).unwrap(), [0, 2, 4]);
        }
        let stats = pool.stats();
        assert_eq!((stats.queued, stats.failed), (0, 0), "{stats}");
    });
}

pub fn what_nobody_asks_for_may_panic_when_it_is_dropped() {
    fn test(pool: &impl Executor) {
        for _ in 0..3 {
            let task = pool.submit(|x: u64| Mine(x), 7).unwrap();
            // If it has ended already, it is here that the outcome is dropped.
            let _ = panic::catch_unwind(AssertUnwindSafe(|| drop(task)));
            // What is told after that is told.
            assert_eq!(value(pool.submit(double, 2).unwrap()), 4);
        }
    }
    with_executors!(test);
}

/// What a panic may bring along.
struct Payload;

impl Drop for Payload {
    fn drop(&mut self) {
        panic!("the payload of a panic is dropped");
    }
}

pub fn a_payload_that_panics_when_it_is_dropped_ends_nothing_but_its_task() {
    fn test(pool: &impl Executor) {
        let task = pool.submit(|_: ()| -> () { panic::panic_any(Payload) }, ());
        assert!(outcome(task.unwrap()).unwrap_err().is_panic());
        assert_eq!(value(pool.submit(double, 2).unwrap()), 4);
        let task = pool.submit(double, 3).unwrap();
        task.on_done(|_| panic::panic_any(Payload));
        assert_eq!(value(pool.submit(double, 4).unwrap()), 8);
    }
    with_executors!(test);
}

pub fn outcomes_may_fill_the_outbox_to_the_byte_and_be_followed_by_nothing() {
    everywhere(|method| {
        let pool = lone(method);
        // Results of 1 to 40 bytes, so that each place at the end of the outbox is met, and of none.
        for len in 1..=40u64 {
            let task = |(x, len): (u64, u64)| (x % 2 == 0).then(|| vec![7u8; len as usize]);
            let options = MapOptions::new().chunk_size(600);
            let items = (0..6000).map(|x| (x, len));
            let outcomes = pool.map_with(options, task, items).unwrap();
            let bytes = |x: u64| x.is_multiple_of(2).then(|| vec![7u8; len as usize]);
            assert!(outcomes.into_iter().eq((0..6000).map(bytes)), "{len}");
            // Nothing at all, behind almost a whole outbox of something.
            let task = |(x, len): (u64, u64)| {
                if x < 12 {
                    Ok(vec![x as u8; 5450 + len as usize])
                } else {
                    Err(())
                }
            };
            let options = MapOptions::new().chunk_size(600);
            let outcomes = pool
                .map_with(options, task, (0..40).map(|x| (x, len)))
                .unwrap();
            assert_eq!(
                outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
                12
            );
            let units = pool.map_with(
                MapOptions::new().chunk_size(20_000),
                |_: ()| (),
                vec![(); 20_000],
            );
            assert_eq!(units.unwrap().len(), 20_000);
        }
    });
}

pub fn a_grace_and_a_deadline_may_be_longer_than_the_clock_can_say() {
    everywhere(|method| {
        let pool = Pool::builder()
            .workers(WORKERS)
            .method(method)
            .grace(Duration::MAX)
            .task_deadline(Duration::from_secs(1 << 55))
            .build()
            .unwrap();
        let sleep = |millis: u64| thread::sleep(Duration::from_millis(millis));
        assert_eq!(pool.map(sleep, [20; 4]).unwrap().len(), 4);
        pool.terminate();
    });
}

pub fn a_map_over_shared_objects_holds_no_more_descriptors_than_it_may() {
    with_pools(|pool| {
        let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let before = open();
        let array = Array::<u64>::zeroed(3000).unwrap();
        let one_at_a_time = MapOptions::new().chunk_size(1).progress(|_| {
            assert!(open() < before + 600, "{} are open", open());
        });
        pool.for_each_chunk(one_at_a_time, &array, |first, chunk: &mut [u64]| {
            chunk[0] = first as u64;
        })
        .unwrap();
        assert!(array.to_vec().unwrap().into_iter().eq(0..3000));
        drop(array);
        wait_until(|| open() <= before + 4);
    });
}

pub fn a_pool_of_threads_is_dropped_in_a_copy_of_its_process() {
    let pool = ThreadPool::new(WORKERS).unwrap();
    assert_eq!(pool.map(double, 0..3).unwrap(), [0, 2, 4]);
    // SAFETY: the copy drops a pool and ends: of other threads it needs nothing.
    let mut copy = unsafe { multiproc::Process::fork_closure(|| drop(pool)) }.unwrap();
    assert!(copy.join_timeout(STUCK).unwrap().is_some());
}
