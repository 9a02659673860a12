//! How a pool ends.

use std::{ptr, thread, time::Duration};

use multiproc::{Child, Counter, Executor, Pool, PoolError, Process, StartMethod, Task, TaskError};

use crate::{
    common::{STUCK, in_time, kill_self, wait_until},
    observe::{go_on, stop},
    pools::{
        Gate, WORKERS, busy, children, descriptors, double, everywhere, idle, outcome, pid, pool,
        threads, timed, until_gone, value, workers,
    },
};

/// More than any of these may take that does not wait for tasks.
const PROMPT: Duration = Duration::from_secs(10);

pub fn who_closes_a_pool_has_its_tasks_done_and_can_give_it_no_more() {
    everywhere(|method| {
        let pool = pool(method);
        let pids = workers(&pool);
        let (gate, tasks) = busy(&pool);
        let later: Vec<Task<u64>> = (0..100).map(|x| pool.submit(double, x).unwrap()).collect();
        pool.close();
        pool.close();
        assert!(pool.submit(double, 1).is_err());
        gate.open.set();
        tasks.into_iter().for_each(value);
        for (x, task) in (0..).zip(later) {
            assert_eq!(value(task), 2 * x);
        }
        // Without being joined.
        until_gone(&pids);
    });
}

pub fn arguments_come_back_from_a_pool_that_takes_no_more() {
    fn test(pool: &impl Executor) {
        let refused = pool.submit(|text: String| text, "mine".to_owned());
        let refused = refused.unwrap_err();
        assert_eq!(refused.arguments, "mine");
        assert!(refused.why.is_closed() && !refused.why.is_broken());
        let error = pool.try_map(double, 0..3).unwrap_err();
        assert!(matches!(error, PoolError::Closed));
    }
    everywhere(|method| {
        let pool = pool(method);
        pool.close();
        test(&pool);
    });
    let pool = threads();
    pool.close();
    test(&pool);
}

pub fn who_joins_waits_for_all_that_was_submitted() {
    fn add(count: Counter) {
        count.add(1);
    }
    everywhere(|method| {
        let pool = pool(method);
        let pids = workers(&pool);
        let count = Counter::new(0).unwrap();
        for _ in 0..200 {
            drop(pool.submit(add, count.clone()).unwrap());
        }
        pool.join().unwrap();
        assert_eq!(count.get(), 200);
        assert!(pids.iter().all(|pid| crate::pools::is_gone(*pid)));
    });
    let count = Counter::new(0).unwrap();
    let pool = threads();
    for _ in 0..200 {
        drop(pool.submit(add, count.clone()).unwrap());
    }
    pool.join().unwrap();
    assert_eq!(count.get(), 200);
}

/// Defect 9 of Python: it deadlocks.
pub fn terminating_a_pool_does_not_wait_for_its_tasks() {
    everywhere(|method| {
        let pool = pool(method);
        let pids = workers(&pool);
        let sleep = |_: u64| thread::sleep(Duration::from_secs(3600));
        let tasks: Vec<Task<()>> = (0..10_000)
            .map(|x| pool.submit(sleep, x).unwrap())
            .collect();
        let ((), took) = timed(|| pool.terminate());
        eprintln!("{method}: 10,000 queued tasks were terminated in {took:?}");
        assert!(took < PROMPT, "{took:?}");
        for mut task in tasks {
            let error = task.try_get().unwrap_err();
            assert!(matches!(error, TaskError::Terminated), "{error}");
        }
        assert!(pids.iter().all(|pid| crate::pools::is_gone(*pid)));
    });
}

pub fn workers_that_ignore_the_request_to_end_are_killed() {
    fn ignore(gate: Gate) {
        // SAFETY: installs no handler.
        unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
        gate.begun.add(1);
        idle(());
    }
    everywhere(|method| {
        let builder = Pool::builder().workers(WORKERS).method(method);
        let grace = Duration::from_millis(300);
        let pool = builder.grace(grace).build().unwrap();
        let pids = workers(&pool);
        let gate = Gate::new();
        let tasks: Vec<_> = (0..WORKERS)
            .map(|_| pool.submit(ignore, gate.clone()))
            .collect();
        gate.until_begun(WORKERS as u64);
        let ((), took) = timed(|| pool.terminate());
        assert!(took >= grace && took < PROMPT, "{took:?}");
        assert!(pids.iter().all(|pid| crate::pools::is_gone(*pid)));
        drop(tasks);
    });
}

pub fn dropping_a_pool_ends_its_tasks_and_workers() {
    everywhere(|method| {
        let pool = pool(method);
        let pids = workers(&pool);
        let (_gate, tasks) = busy(&pool);
        let queued = pool.submit(double, 1).unwrap();
        let ((), took) = timed(|| drop(pool));
        assert!(took < PROMPT, "{took:?}");
        assert!(pids.iter().all(|pid| crate::pools::is_gone(*pid)));
        for task in tasks {
            assert!(matches!(outcome(task), Err(TaskError::Terminated)));
        }
        assert!(!queued.cancel());
        assert!(matches!(outcome(queued), Err(TaskError::Terminated)));
    });
    // A pool of threads waits for those that run.
    let pool = threads();
    let (gate, tasks) = busy(&pool);
    let queued = pool.submit(double, 1).unwrap();
    thread::scope(|scope| {
        let dropping = scope.spawn(|| drop(pool));
        wait_until(|| queued.is_ready());
        gate.open.set();
        dropping.join().unwrap();
    });
    tasks.into_iter().for_each(value);
    assert!(matches!(outcome(queued), Err(TaskError::Terminated)));
}

pub fn a_pool_ends_though_a_worker_is_stopped() {
    everywhere(|method| {
        for in_a_task in [true, false] {
            let pool = pool(method);
            let pids = workers(&pool);
            let tasks = in_a_task.then(|| busy(&pool));
            stop(pids[0]);
            let ((), took) = timed(|| drop(pool));
            assert!(took < PROMPT, "{took:?}");
            assert!(pids.iter().all(|pid| crate::pools::is_gone(*pid)));
            drop(tasks);
        }
        // Beside one that is stopped the others go on.
        let pool = pool(method);
        let pids = workers(&pool);
        stop(pids[1]);
        let tasks: Vec<Task<u64>> = (0..50).map(|x| pool.submit(double, x).unwrap()).collect();
        // It may have been given one already, which it keeps.
        wait_until(|| tasks.iter().filter(|task| task.is_ready()).count() >= 49);
        go_on(pids[1]);
        let values: Vec<u64> = tasks.into_iter().map(value).collect();
        assert_eq!(values, (0..50).map(double).collect::<Vec<_>>());
    });
}

pub fn waiting_until_idle_ends_in_time() {
    everywhere(|method| {
        let pool = pool(method);
        assert!(pool.wait_idle_timeout(Duration::ZERO));
        let (gate, tasks) = busy(&pool);
        let timeout = Duration::from_millis(30);
        assert!(!in_time(timeout, || pool.wait_idle_timeout(timeout)));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| pool.wait_idle_timeout(Duration::MAX));
            gate.open.set();
            assert!(waiting.join().unwrap());
        });
        assert!(tasks.iter().all(Task::is_ready));
        // Whoever waits finds all of them told.
        for round in 0..200 {
            let task = pool.submit(double, round).unwrap();
            assert!(pool.wait_idle_timeout(STUCK) && task.is_ready());
        }
        // What is cancelled, and what dies, is over, too.
        let (gate, tasks) = busy(&pool);
        let queued = pool.submit(double, 1).unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| pool.wait_idle_timeout(STUCK));
            assert!(queued.cancel());
            for pid in workers(&pool) {
                crate::observe::signal(pid, libc::SIGKILL);
            }
            assert!(waiting.join().unwrap());
        });
        assert!(tasks.into_iter().all(|task| outcome(task).is_err()));
        drop(gate);
    });
}

/// Fault 23.
pub fn workers_end_when_the_process_whose_pool_it_is_is_killed() {
    fn work((method, told): (String, multiproc::Queue<u32>)) {
        let method: StartMethod = method.parse().unwrap();
        let pool = pool(method);
        let (_gate, _tasks) = busy(&pool);
        for pid in workers(&pool) {
            told.put(pid).unwrap();
        }
        idle(());
    }
    everywhere(|method| {
        let told = multiproc::Queue::new(1024).unwrap();
        let child: Child<()> = Process::spawn(work, (method.to_string(), told.clone())).unwrap();
        let pids: Vec<u32> = (0..WORKERS)
            .map(|_| told.get_timeout(STUCK).unwrap())
            .collect();
        child.kill().unwrap();
        assert!(child.join().unwrap_err().is_killed());
        until_gone(&pids);
    });
}

/// Runs `body` in a copy of this process, which has threads.
fn in_a_copy<R: serde::Serialize + serde::de::DeserializeOwned>(body: impl FnOnce() -> R) -> R {
    // SAFETY: what the copy does needs nothing of other threads, which hold nothing at this moment: all is quiet.
    let mut copy = unsafe { Process::fork_closure(body) }.unwrap();
    copy.join_timeout(STUCK)
        .unwrap()
        .expect("the copy is stuck")
}

/// Fault 43.
pub fn a_copy_that_drops_a_pool_changes_nothing() {
    everywhere(|method| {
        let pool = pool(method);
        let (gate, tasks) = busy(&pool);
        let queued = pool.submit(double, 4).unwrap();
        let pids = workers(&pool);
        for how in 0..3 {
            in_a_copy(|| {
                // SAFETY: the copy drops what it has of it; in this process it stays.
                let copy = unsafe { ptr::read(&pool) };
                match how {
                    0 => drop(copy),
                    1 => copy.terminate(),
                    _ => drop(copy.join()),
                }
            });
        }
        assert_eq!(workers(&pool), pids);
        gate.open.set();
        tasks.into_iter().for_each(value);
        assert_eq!(value(queued), 8);
        assert_eq!(pool.map(double, 0..10).unwrap().len(), 10);
        assert_eq!((pool.stats().restarts, pool.stats().failed), (0, 0));
    });
}

pub fn a_copy_cannot_use_a_pool() {
    everywhere(|method| {
        let pool = pool(method);
        let (gate, tasks) = busy(&pool);
        let queued = pool.submit(double, 4).unwrap();
        let refused = in_a_copy(|| {
            let not_the_owner = |why: &PoolError| matches!(why, PoolError::NotTheOwner);
            let submitted = pool.submit(double, 1).unwrap_err();
            let mapped = pool.try_map(double, 0..3).unwrap_err();
            pool.close();
            let cancelled = queued.cancel();
            not_the_owner(&submitted.why) && not_the_owner(&mapped) && !cancelled
        });
        assert!(refused);
        gate.open.set();
        tasks.into_iter().for_each(value);
        assert_eq!(value(queued), 8);
        assert_eq!(value(pool.submit(double, 5).unwrap()), 10, "it is open");
    });
}

pub fn a_pool_outlives_the_thread_that_made_it() {
    // By fork a pool cannot be made beside other threads.
    for method in [StartMethod::Spawn, StartMethod::ForkServer] {
        let pool = thread::spawn(move || pool(method)).join().unwrap();
        let before = workers(&pool);
        for _ in 0..20 {
            assert!(before.contains(&value(pool.submit(pid, ()).unwrap())));
        }
        assert_eq!(pool.stats().restarts, 0);
    }
}

pub fn a_pool_leaves_nothing_behind() {
    fn work(method: StartMethod) {
        let pool = pool(method);
        pool.map(double, 0..100).unwrap();
        outcome(pool.submit(|_: ()| kill_self(), ()).unwrap()).unwrap_err();
        let echo = |text: String| text;
        value(pool.submit(echo, "x".repeat(100_000)).unwrap());
        let counter = Counter::new(1).unwrap();
        assert_eq!(
            value(pool.submit(|counter: Counter| counter, counter).unwrap()).get(),
            1
        );
        let panics = |_: ()| -> () { panic!("on purpose") };
        outcome(pool.submit(panics, ()).unwrap()).unwrap_err();
        let (_gate, tasks) = busy(&pool);
        let queued = Counter::new(1).unwrap();
        let task = pool.submit(|counter: Counter| counter, queued).unwrap();
        drop(pool);
        drop((tasks, task));
    }
    everywhere(|method| {
        // What is made once for this process, like the server, stays.
        work(method);
        let before = (descriptors(), children().len());
        for _ in 0..3 {
            work(method);
        }
        wait_until(|| children().len() <= before.1);
        assert_eq!((descriptors(), children().len()), before);
    });
}
