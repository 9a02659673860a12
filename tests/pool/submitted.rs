//! Tasks that are submitted one by one.

use std::{collections::HashSet, thread, time::Duration};

use multiproc::{Executor, Queue, Task, TaskError, ThreadPool};

use crate::{
    common::{self, STUCK, in_time, wait_until},
    pools::{
        Gate, WORKERS, busy, double, everywhere, lone, one_busy, outcome, pass, pool, quietly,
        until_gone, value, with_executors, with_pools, workers,
    },
};

pub fn a_task_is_told_once_it_has_ended() {
    fn test(pool: &impl Executor) {
        let (gate, mut task) = one_busy(pool);
        assert!(!task.is_ready());
        assert!(task.try_get().unwrap().is_none());
        gate.open.set();
        wait_until(|| task.is_ready());
        assert!(task.try_get().unwrap().is_some());
        let again = task.try_get().unwrap_err();
        assert!(matches!(again, TaskError::OutcomeTaken), "{again}");
        assert_eq!(pool.submit(double, 4).unwrap().get().unwrap(), 8);
        // Nobody waits for this one; it is done all the same.
        drop(pool.submit(pass, gate.clone()).unwrap());
        gate.until_begun(2);
    }
    with_executors!(test);
}

pub fn a_task_is_waited_for_as_long_as_was_said() {
    fn test(pool: &impl Executor) {
        let (gate, mut tasks) = busy(pool);
        let mut task = tasks.pop().unwrap();
        let timeout = Duration::from_millis(30);
        let early = in_time(timeout, || task.get_timeout(timeout));
        assert!(early.unwrap().is_none());
        gate.open.set();
        assert!(task.get_timeout(Duration::MAX).unwrap().is_some());
    }
    with_executors!(test);
}

pub fn a_cancelled_task_never_runs() {
    fn test(pool: &impl Executor) {
        let (gate, tasks) = busy(pool);
        let later = Gate::new();
        later.open.set();
        let submit = |_| pool.submit(pass, later.clone()).unwrap();
        let queued: Vec<Task<()>> = (0..6).map(submit).collect();
        for task in queued.iter().step_by(2) {
            assert!(task.cancel());
            assert!(!task.cancel(), "it has ended");
            assert!(task.is_ready());
        }
        gate.open.set();
        tasks.into_iter().for_each(value);
        for (number, task) in queued.into_iter().enumerate() {
            let is_cancelled = matches!(outcome(task), Err(TaskError::Cancelled));
            assert_eq!(is_cancelled, number % 2 == 0);
        }
        assert_eq!(later.begun.get(), 3);
    }
    with_executors!(test);
}

pub fn a_task_far_back_in_a_busy_queue_can_be_cancelled() {
    with_pools(|pool| {
        let mut cancelled = 0;
        for round in 1..=10 {
            let submit = |x| pool.submit(double, x).unwrap();
            let tasks: Vec<Task<u64>> = (0..1000).map(submit).collect();
            // The workers take and take.
            if tasks.last().unwrap().cancel() {
                cancelled += 1;
            } else {
                // It had begun, and so had all before it.
                let ended: u64 = pool.stats().workers.iter().map(|worker| worker.ended).sum();
                let begun = ended + pool.workers() as u64;
                assert!(begun >= 1000 * round - cancelled, "{begun} in {round}");
            }
        }
        assert!(cancelled > 0);
        assert!(pool.wait_idle_timeout(STUCK));
    });
}

pub fn a_task_that_runs_or_has_ended_cannot_be_cancelled() {
    fn test(pool: &impl Executor) {
        let (gate, tasks) = busy(pool);
        assert!(tasks.iter().all(|task| !task.cancel()));
        gate.open.set();
        wait_until(|| tasks.iter().all(Task::is_ready));
        assert!(tasks.iter().all(|task| !task.cancel()));
        tasks.into_iter().for_each(value);
    }
    with_executors!(test);
}

pub fn more_tasks_than_the_ring_holds_wait_their_turn() {
    with_pools(|pool| {
        let (gate, tasks) = busy(pool);
        // 8 MB, where there is room for one.
        let echo = |(number, text): (u64, String)| (number, text.len());
        let text = "x".repeat(4000);
        let submit = |number| pool.submit(echo, (number, text.clone())).unwrap();
        let many: Vec<Task<(u64, usize)>> = (0..2000).map(submit).collect();
        let stats = pool.stats();
        assert_eq!((stats.queued, stats.running), (2000, pool.workers()));
        // In the ring, and behind it.
        for number in [0, 3, 1000, 1999] {
            assert!(many[number].cancel(), "{number}");
        }
        gate.open.set();
        tasks.into_iter().for_each(value);
        for (number, task) in many.into_iter().enumerate() {
            match outcome(task) {
                Ok(told) => assert_eq!(told, (number as u64, 4000)),
                Err(error) => assert!(error.is_cancelled() && number % 1000 % 999 % 3 == 0),
            }
        }
    });
}

/// Fault 22.
pub fn a_panic_is_told_with_message_and_place() {
    everywhere(|method| {
        let pool = lone(method);
        let before = workers(&pool);
        let task = pool
            .submit(|x: u32| -> u32 { panic!("no {x}") }, 5)
            .unwrap();
        let error = outcome(task).unwrap_err();
        let TaskError::Panicked(panic) = &error else {
            panic!("{error}");
        };
        assert_eq!(panic.message, "no 5");
        let location = panic.location.as_ref().unwrap();
        assert!(location.contains("submitted.rs"), "{location}");
        assert!(error.to_string().contains("no 5"), "{error}");
        assert!(!error.is_worker_death());
        assert_eq!(workers(&pool), before, "the worker goes on");
    });
}

/// Of threads, too.
pub fn a_panic_of_a_thread_is_told_with_its_message() {
    let told = |task: fn(u32)| {
        // A pool of its own each time: the thread goes on, but nobody else has to notice.
        let pool = ThreadPool::new(1).unwrap();
        let error = quietly(|| outcome(pool.submit(task, 5).unwrap()).unwrap_err());
        assert!(error.is_panic() && !error.is_worker_death(), "{error}");
        assert_eq!(value(pool.submit(double, 4).unwrap()), 8);
        let text = error.to_string();
        let TaskError::Panicked(panic) = error else {
            panic!("{text}");
        };
        assert!(text.contains(&panic.message), "{text}");
        panic.message
    };
    assert_eq!(told(|x| panic!("no {x}")), "no 5");
    assert_eq!(told(|_| panic!("none")), "none");
    assert_eq!(told(|x| std::panic::panic_any(x)), "(not a text)");
}

pub fn many_threads_use_one_pool() {
    with_pools(|pool| {
        thread::scope(|scope| {
            for thread in 0..6u64 {
                scope.spawn(move || {
                    for round in 0..30 {
                        let x = thread * 1000 + round;
                        assert_eq!(value(pool.submit(double, x).unwrap()), 2 * x);
                        let items = x..x + 20;
                        let doubled: Vec<u64> = items.clone().map(double).collect();
                        assert_eq!(pool.map(double, items.clone()).unwrap(), doubled);
                        let one_by_one = pool.imap(double, items);
                        assert_eq!(one_by_one.collect::<Result<Vec<_>, _>>().unwrap(), doubled);
                    }
                });
            }
        });
        assert!(pool.wait_idle_timeout(STUCK));
        assert_eq!(pool.stats().done, 6 * 30 * 41);
    });
}

pub fn what_a_pool_does_is_shown() {
    everywhere(|method| {
        let pool = pool(method);
        let (gate, tasks) = busy(&pool);
        let later: Vec<_> = (0..3).map(|_| pool.submit(pass, gate.clone())).collect();
        let stats = pool.stats();
        assert_eq!((stats.queued, stats.running, stats.done), (3, 2, 0));
        let numbers: HashSet<_> = stats.workers.iter().map(|worker| worker.task).collect();
        assert_eq!(numbers, [Some(1), Some(2)].into());
        let pids: HashSet<_> = stats.workers.iter().map(|worker| worker.pid).collect();
        assert!(pids.len() == 2 && !pids.contains(&None));
        assert!(stats.workers.iter().all(|worker| worker.memory.is_some()));
        gate.open.set();
        tasks.into_iter().for_each(value);
        later.into_iter().for_each(|task| value(task.unwrap()));
        let failed = pool
            .submit(|_: ()| -> () { panic!("on purpose") }, ())
            .unwrap();
        outcome(failed).unwrap_err();
        outcome(pool.submit(|_: ()| common::kill_self(), ()).unwrap()).unwrap_err();
        wait_until(|| pool.stats().restarts == 1);
        let stats = pool.stats();
        assert_eq!((stats.queued, stats.done, stats.failed), (0, 7, 2));
        wait_until(|| pool.stats().running == 0);
        let ended: u64 = pool.stats().workers.iter().map(|worker| worker.ended).sum();
        assert_eq!(ended, 6, "all but one, which died");
        let shown = format!("{stats}");
        assert!(shown.contains("7 done, 2 failed, 1 restarts"), "{shown}");
        assert!(format!("{pool:?}").contains("7 done"));
    });
}

pub fn a_task_has_a_pool_of_its_own() {
    fn nested((method, x): (String, u64)) -> u64 {
        let pool = crate::pools::pool(method.parse().unwrap());
        let doubled = pool.map(double, 0..x).unwrap();
        doubled.into_iter().sum()
    }
    everywhere(|method| {
        let pool = pool(method);
        let items = (10..14).map(|x| (method.to_string(), x));
        assert_eq!(pool.map(nested, items).unwrap(), [90, 110, 132, 156]);
        // And if it is killed, so are those.
        let told = Queue::new(1024).unwrap();
        let hang = |(method, told): (String, Queue<u32>)| {
            let inner = crate::pools::pool(method.parse().unwrap());
            let (_gate, _tasks) = busy(&inner);
            for pid in workers(&inner) {
                told.put(pid).unwrap();
            }
            common::kill_self();
        };
        let arguments = (method.to_string(), told.clone());
        let task = pool.submit(hang, arguments).unwrap();
        assert_eq!(outcome(task).unwrap_err().signal(), Some(libc::SIGKILL));
        let inner = [(); WORKERS].map(|()| told.get_timeout(STUCK).unwrap());
        until_gone(&inner);
    });
}
