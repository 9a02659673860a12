//! What a pool sees to: deadlines, memory, how long a worker is used.

use std::{collections::HashSet, hint, thread, time::Duration};

use multiproc::{Executor, MapOptions, Pool, PoolError, TaskError, ThreadPool};

use crate::{
    common::wait_until,
    pools::{
        WORKERS, double, everywhere, expect_all_but, idle, outcome, pid, timed, value, workers,
    },
};

const DEADLINE: Duration = Duration::from_millis(300);

/// Defect 10 of Python.
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
            let task = pool.submit(task, ()).unwrap();
            let (error, took) = timed(|| outcome(task).unwrap_err());
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

pub fn a_deadline_does_not_count_the_time_in_the_queue() {
    let pool = Pool::builder()
        .workers(1)
        .task_deadline(DEADLINE)
        .build()
        .unwrap();
    let tasks: Vec<_> = (0..10)
        .map(|x| {
            let task = |x: u64| {
                thread::sleep(DEADLINE / 10);
                x
            };
            pool.submit(task, x).unwrap()
        })
        .collect();
    let ended = tasks.into_iter().filter(|_| true).map(outcome);
    assert!(ended.filter(Result::is_ok).count() >= 8);
}

pub fn a_task_that_takes_too_much_memory_is_killed_alone() {
    const LIMIT: u64 = 256 << 20;
    everywhere(|method| {
        let pool = Pool::builder()
            .workers(WORKERS)
            .method(method)
            .memory_limit(LIMIT)
            .build()
            .unwrap();
        let (gate, tasks) = {
            let gate = crate::pools::Gate::new();
            let task = pool.submit(crate::pools::pass, gate.clone()).unwrap();
            gate.until_begun(1);
            (gate, task)
        };
        let hog = |bytes: usize| {
            let memory = vec![1u8; bytes];
            idle(());
            drop(memory);
        };
        let task = pool.submit(hog, 300 << 20).unwrap();
        let error = outcome(task).unwrap_err();
        let TaskError::MemoryExceeded { limit, used } = error else {
            panic!("{error}");
        };
        assert!(limit == LIMIT && used > LIMIT);
        gate.open.set();
        value(tasks);
        assert_eq!(value(pool.submit(double, 4).unwrap()), 8);
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
