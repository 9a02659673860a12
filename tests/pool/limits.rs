//! What a pool sees to: deadlines, memory, how long a worker is used.

use std::{
    collections::HashSet,
    hint, thread,
    time::{Duration, Instant},
};

use multiproc::{
    Counter, Executor, MapOptions, OnWorkerDeath, Pool, PoolBuilder, PoolError, TaskError,
    ThreadPool,
};

use crate::{
    common::wait_until,
    pools::{
        WORKERS, double, everywhere, expect_all_but, idle, one_busy, outcome, pid, timed, value,
        workers,
    },
};

const DEADLINE: Duration = Duration::from_millis(300);
/// Far more than a worker has that does nothing, in bytes.
const LIMIT: u64 = 128 << 20;

/// Takes more memory than it may have.
fn hog(_: ()) {
    let memory = vec![1u8; LIMIT as usize + (32 << 20)];
    idle(());
    drop(memory);
}

/// Defect 10 of Python.
/// Fault 22.
pub fn a_task_that_takes_too_long_is_killed_alone() {
    everywhere(|method| {
        let pool = Pool::builder()
            .workers(WORKERS)
            .method(method)
            .task_deadline(DEADLINE)
            .build()
            .unwrap();
        let spin = |_: ()| {
            loop {
                hint::spin_loop();
            }
        };
        for task in [idle as fn(()), spin] {
            let before = workers(&pool);
            let submit = || outcome(pool.submit(task, ()).unwrap()).unwrap_err();
            let (error, took) = timed(submit);
            assert!(error.is_deadline() && error.is_worker_death(), "{error}");
            assert!(took >= DEADLINE, "after {took:?}");
            // The other one is who it was.
            wait_until(|| workers(&pool).len() == WORKERS);
            let after = workers(&pool);
            assert_eq!(before.iter().filter(|pid| after.contains(pid)).count(), 1);
            assert_eq!(value(pool.submit(double, 4).unwrap()), 8);
        }
        assert_eq!((pool.stats().restarts, pool.stats().failed), (2, 2));
    });
}

/// Fault 22.
pub fn of_a_chunk_only_the_item_that_takes_too_long_fails() {
    everywhere(|method| {
        let pool = Pool::builder()
            .workers(WORKERS)
            .method(method)
            .task_deadline(DEADLINE)
            .build()
            .unwrap();
        // All together take longer than one may.
        let task = |x: u64| {
            if x == 5 {
                idle(());
            }
            thread::sleep(DEADLINE / 6);
            x
        };
        let options = MapOptions::new().chunk_size(10);
        let outcomes = pool.try_map_with(options, task, 0..10).unwrap();
        assert!(outcomes[5].as_ref().unwrap_err().is_deadline());
        let late = |outcome: &Result<u64, TaskError>| match outcome {
            Ok(_) => false,
            Err(error) => error.is_deadline(),
        };
        // On a machine that is busy with other things a sleep may take longer than was said.
        let failed: Vec<usize> = (0..10).filter(|x| late(&outcomes[*x])).collect();
        assert!(failed.contains(&5) && failed.len() <= 3, "{failed:?}");
        expect_all_but(&outcomes, |index| index as u64, &failed);
    });
}

/// The last ones wait three times as long as they may take, and take a seventh of that.
pub fn a_deadline_does_not_count_the_time_in_the_queue() {
    const LONG: Duration = Duration::from_millis(1050);
    const TASKS: u32 = 40;
    let pool = Pool::builder()
        .workers(WORKERS)
        .task_deadline(LONG)
        .build()
        .unwrap();
    let task = |x: u32| {
        thread::sleep(LONG / 7);
        x
    };
    let begun = Instant::now();
    let tasks: Vec<_> = (0..TASKS).map(|x| pool.submit(task, x).unwrap()).collect();
    let outcomes: Vec<_> = tasks.into_iter().map(outcome).collect();
    let took = begun.elapsed();
    // On a machine that is busy with other things a sleep may take far longer than was said.
    let done = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert!(done >= TASKS as usize - 3, "{done}: {outcomes:?}");
    assert!(took > LONG * TASKS / 7 / WORKERS as u32);
}

pub fn a_task_that_takes_too_much_memory_is_killed_alone() {
    everywhere(|method| {
        let pool = Pool::builder()
            .workers(WORKERS)
            .method(method)
            .memory_limit(LIMIT)
            .build()
            .unwrap();
        let (gate, other) = one_busy(&pool);
        let task = pool.submit(hog, ()).unwrap();
        let error = outcome(task).unwrap_err();
        let TaskError::MemoryExceeded { limit, used } = error else {
            panic!("{error}");
        };
        assert!(limit == LIMIT && used > LIMIT);
        gate.open.set();
        value(other);
        assert_eq!(value(pool.submit(double, 4).unwrap()), 8);
    });
}

pub fn of_a_chunk_only_the_item_that_takes_too_much_memory_fails() {
    everywhere(|method| {
        let pool = Pool::builder()
            .workers(WORKERS)
            .method(method)
            .memory_limit(LIMIT)
            .build()
            .unwrap();
        let task = |x: u64| {
            if x == 5 {
                hog(());
            }
            x
        };
        let options = MapOptions::new().chunk_size(10);
        let outcomes = pool.try_map_with(options, task, 0..20).unwrap();
        expect_all_but(&outcomes, |index| index as u64, &[5]);
        let error = outcomes[5].as_ref().unwrap_err();
        assert!(matches!(error, TaskError::MemoryExceeded { .. }), "{error}");
        assert_eq!((pool.stats().done, pool.stats().failed), (20, 1));
    });
}

/// Whoever is killed for what he does is not killed by accident.
/// Fault 22.
pub fn a_task_killed_for_a_limit_is_not_begun_again_and_breaks_nothing() {
    fn hang(begun: Counter) {
        begun.add(1);
        idle(());
    }
    fn grow(begun: Counter) {
        begun.add(1);
        hog(());
    }
    let is_memory = |error: &TaskError| matches!(error, TaskError::MemoryExceeded { .. });
    type Limit = (
        fn(PoolBuilder) -> PoolBuilder,
        fn(Counter),
        fn(&TaskError) -> bool,
    );
    let limits: [Limit; 2] = [
        (
            |builder| builder.task_deadline(DEADLINE),
            hang,
            TaskError::is_deadline,
        ),
        (|builder| builder.memory_limit(LIMIT), grow, is_memory),
    ];
    everywhere(|method| {
        for policy in [OnWorkerDeath::Retry(2), OnWorkerDeath::Break] {
            for (limit, task, is_limit) in &limits {
                let builder = Pool::builder().workers(WORKERS).method(method);
                let pool = limit(builder.on_worker_death(policy)).build().unwrap();
                let begun = Counter::new(0).unwrap();
                let killed = pool.submit(*task, begun.clone()).unwrap();
                let error = outcome(killed).unwrap_err();
                assert!(is_limit(&error), "{policy:?}: {error}");
                assert_eq!(begun.get(), 1, "{policy:?}: {error}");
                // The place that it leaves is filled.
                wait_until(|| workers(&pool).len() == WORKERS);
                assert_eq!(pool.map(double, [4; 40]).unwrap(), [8; 40]);
                let stats = pool.stats();
                assert_eq!((stats.failed, stats.restarts), (1, 1), "{policy:?}");
                pool.join().unwrap();
            }
        }
    });
}

pub fn workers_are_replaced_after_so_many_tasks() {
    everywhere(|method| {
        let pool = Pool::builder()
            .workers(WORKERS)
            .method(method)
            .max_tasks_per_worker(3)
            .build()
            .unwrap();
        let tasks: Vec<_> = (0..30).map(|_| pool.submit(pid, ()).unwrap()).collect();
        let pids: Vec<u32> = tasks.into_iter().map(value).collect();
        let distinct: HashSet<u32> = pids.iter().copied().collect();
        for pid in &distinct {
            let count = pids.iter().filter(|other| *other == pid).count();
            assert!(count <= 3, "{count} by one");
        }
        assert!(distinct.len() >= 10);
        // A chunk is one task.
        let options = MapOptions::new().chunk_size(10);
        let outcomes = pool.try_map_with(options, pid, [(); 40]).unwrap();
        assert!(outcomes.iter().all(Result::is_ok));
        let stats = pool.stats();
        assert!(stats.restarts >= 9 && stats.failed == 0, "{stats}");
        pool.join().unwrap();
    });
}

pub fn options_that_make_no_sense_are_refused() {
    let workers = |workers| Pool::builder().workers(workers).build().map(drop);
    for count in [0, 1001, usize::MAX] {
        let error = workers(count).unwrap_err();
        let PoolError::Workers { asked, limit } = error else {
            panic!("{error}");
        };
        assert_eq!((asked, limit), (count, 1000));
    }
    assert!(matches!(Pool::new(0), Err(PoolError::Workers { .. })));
    assert!(matches!(
        ThreadPool::new(0),
        Err(PoolError::Workers { asked: 0, .. })
    ));
    for builder in [
        Pool::builder().max_tasks_per_worker(0),
        Pool::builder().task_deadline(Duration::ZERO),
        Pool::builder().memory_limit(0),
    ] {
        let error = builder.workers(1).build().unwrap_err();
        assert!(matches!(error, PoolError::Zero { .. }), "{error}");
        assert!(error.to_string().contains("more than zero"), "{error}");
    }
}
