//! Workers that die.

use std::{collections::HashSet, thread, time::Duration};

use multiproc::{
    Counter, Executor, MapOptions, OnWorkerDeath, Pool, PoolError, StartMethod, TaskError, channel,
    one_way,
};

use crate::{
    common::{STUCK, kill_self, wait_until},
    maps::broken_in_the_middle,
    observe::signal,
    pools::{
        WORKERS, busy, children, die, double, everywhere, expect_all_but, leave, lone, one_busy,
        outcome, pool, some_busy, until_alone, until_gone, value, with_pools, workers,
    },
};

fn with_policy(method: StartMethod, policy: OnWorkerDeath) -> Pool {
    Pool::builder()
        .workers(WORKERS)
        .method(method)
        .on_worker_death(policy)
        .build()
        .unwrap()
}

/// Defect 5 of Python: the task is lost, and who waits for it waits for ever.
/// Fault 21.
pub fn a_task_that_kills_its_worker_is_told_by_what() {
    with_pools(|pool| {
        let before: HashSet<u32> = workers(pool).into_iter().collect();
        let error = outcome(pool.submit(die, ()).unwrap()).unwrap_err();
        assert_eq!(error.signal(), Some(libc::SIGKILL));
        let TaskError::WorkerDied { pid, .. } = error else {
            panic!("{error}");
        };
        assert!(before.contains(&pid));
        let abort = |_: ()| -> () { std::process::abort() };
        let error = outcome(pool.submit(abort, ()).unwrap()).unwrap_err();
        assert_eq!(error.signal(), Some(libc::SIGABRT));
        assert_eq!(value(pool.submit(double, 4).unwrap()), 8);
        wait_until(|| workers(pool).len() == WORKERS);
        assert_eq!(pool.stats().restarts, 2);
    });
}

/// Defect 8 of Python: the result is never ready.
/// Fault 22.
pub fn a_task_that_exits_is_told_with_which_code() {
    with_pools(|pool| {
        for code in [0, 1, 7] {
            let error = outcome(pool.submit(leave, code).unwrap()).unwrap_err();
            let TaskError::WorkerExited { code: told, .. } = error else {
                panic!("{error}");
            };
            assert_eq!(told, Some(code));
        }
        assert_eq!(value(pool.submit(double, 4).unwrap()), 8);
    });
}

/// Fault 21. Fault 22.
pub fn a_death_in_a_chunk_costs_the_item_alone() {
    with_pools(|pool| {
        let seventh = |(x, ran): (u64, Counter)| {
            ran.add(1);
            match x {
                7 => kill_self(),
                13 => std::process::exit(3),
                _ => {}
            }
            x
        };
        let plain = |x: u64| {
            match x {
                7 => kill_self(),
                13 => std::process::exit(3),
                _ => {}
            }
            x
        };
        for size in [1, 4, 8, 20] {
            let options = || MapOptions::new().chunk_size(size);
            let outcomes = pool.try_map_with(options(), plain, 0..20).unwrap();
            assert_eq!(outcomes.len(), 20);
            expect_all_but(&outcomes, |index| index as u64, &[7, 13]);
            assert_eq!(outcomes[7].as_ref().unwrap_err().signal(), Some(9));
            let ran = Counter::new(0).unwrap();
            let items = (0..20).map(|x| (x, ran.clone()));
            let outcomes = pool.try_map_with(options(), seventh, items).unwrap();
            expect_all_but(&outcomes, |index| index as u64, &[7, 13]);
            assert_eq!(ran.get(), 20, "none ran twice");
        }
    });
}

/// Fault 21.
pub fn many_deaths_at_once_cost_those_items_alone() {
    with_pools(|pool| {
        let every_fifth = |x: u64| {
            if x % 5 == 4 {
                kill_self();
            }
            "y".repeat(x as usize * 50)
        };
        let options = MapOptions::new().chunk_size(25);
        let outcomes = pool.try_map_with(options, every_fifth, 0..50).unwrap();
        let fifths: Vec<usize> = (4..50).step_by(5).collect();
        expect_all_but(&outcomes, |index| "y".repeat(index * 50), &fifths);
        let error = pool.map(every_fifth, 0..50).unwrap_err();
        assert_eq!(error.index(), Some(4));
    });
}

pub fn a_task_is_begun_again_as_often_as_it_may_be() {
    /// Dies the first times.
    fn die_times((count, times): (Counter, u64)) -> u64 {
        let begun = count.add(1) + 1;
        if begun <= times {
            kill_self();
        }
        begun
    }
    everywhere(|method| {
        let pool = with_policy(method, OnWorkerDeath::Retry(2));
        let count = || Counter::new(0).unwrap();
        for times in 0..=2 {
            let task = pool.submit(die_times, (count(), times)).unwrap();
            assert_eq!(value(task), times + 1);
        }
        let counted = count();
        let task = pool.submit(die_times, (counted.clone(), 9)).unwrap();
        let error = outcome(task).unwrap_err();
        assert_eq!((error.signal(), counted.get()), (Some(9), 3));
        // In a chunk it is the item alone that is begun again.
        let plain = |(slot, x): (u64, u64)| {
            // What was done at the first time is still there.
            let path = format!("/tmp/multiproc-pool-{slot}-{x}");
            let begun = std::fs::read_to_string(&path).map_or(0, |text| text.len());
            std::fs::write(&path, "x".repeat(begun + 1)).unwrap();
            if x == 5 && begun == 0 {
                kill_self();
            }
            begun as u64 + 1
        };
        let slot = u64::from(std::process::id());
        let options = MapOptions::new().chunk_size(10);
        let items = (0..10).map(|x| (slot, x));
        let outcomes = pool.try_map_with(options, plain, items).unwrap();
        for x in 0..10 {
            let _ = std::fs::remove_file(format!("/tmp/multiproc-pool-{slot}-{x}"));
        }
        expect_all_but(&outcomes, |index| if index == 5 { 2 } else { 1 }, &[]);
        assert_eq!(pool.stats().failed, 1);
    });
}

pub fn who_is_begun_again_has_all_its_arguments() {
    fn check((count, len, text): (Counter, usize, String)) -> usize {
        if count.add(1) < 2 {
            kill_self();
        }
        assert_eq!(text.len(), len);
        text.len()
    }
    everywhere(|method| {
        let pool = with_policy(method, OnWorkerDeath::Retry(2));
        for len in [0, 70_000, 5_000_000] {
            let count = Counter::new(0).unwrap();
            let text = "x".repeat(len);
            let task = pool.submit(check, (count, len, text)).unwrap();
            assert_eq!(value(task), len);
        }
    });
}

/// Fault 22.
pub fn a_panic_is_not_a_death() {
    everywhere(|method| {
        let pool = with_policy(method, OnWorkerDeath::Retry(3));
        let count = Counter::new(0).unwrap();
        let task = |count: Counter| {
            count.add(1);
            panic!("on purpose")
        };
        let error = outcome(pool.submit::<_, ()>(task, count.clone()).unwrap()).unwrap_err();
        assert!(error.is_panic() && !error.is_worker_death());
        assert_eq!((count.get(), pool.stats().restarts), (1, 0));
    });
}

pub fn the_first_death_breaks_a_pool_that_is_to_break() {
    everywhere(|method| {
        let pool = with_policy(method, OnWorkerDeath::Break);
        let (_gate, waiting) = one_busy(&pool);
        let pids = workers(&pool);
        let dying = pool.submit(die, ()).unwrap();
        let queued = pool.submit(double, 1);
        assert_eq!(outcome(dying).unwrap_err().signal(), Some(9));
        // Another may have been done, or refused.
        let queued = queued.ok().and_then(|queued| outcome(queued).err());
        for error in [outcome(waiting).unwrap_err()].into_iter().chain(queued) {
            let said = error.to_string();
            assert!(matches!(error, TaskError::Broken { .. }), "{said}");
            assert_eq!(said.matches("broke").count(), 1, "said twice: {said}");
        }
        wait_until(|| pool.submit(double, 1).is_err());
        let refused = pool.submit(double, 1).unwrap_err();
        assert!(refused.why.is_broken() && refused.arguments == 1);
        assert!(
            refused.to_string().contains("killed by SIGKILL"),
            "{refused}"
        );
        until_gone(&pids);
        let error = pool.join().unwrap_err();
        assert!(matches!(error, PoolError::Broken { .. }), "{error}");
        assert_eq!(error.to_string().matches("broken").count(), 1, "{error}");

        let outcomes = broken_in_the_middle(method);
        assert_eq!(outcomes.len(), 100);
        assert_eq!(outcomes[50].as_ref().unwrap_err().signal(), Some(9));
        let is_told = |outcome: &Result<u64, TaskError>| {
            matches!(outcome, Ok(_) | Err(TaskError::Broken { .. }))
        };
        assert_eq!(
            outcomes.iter().filter(|outcome| is_told(outcome)).count(),
            99
        );
    });
}

/// Fault 21.
pub fn workers_killed_between_tasks_cost_nothing() {
    everywhere(|method| {
        for policy in [OnWorkerDeath::FailTask, OnWorkerDeath::Break] {
            let pool = with_policy(method, policy);
            for round in 0..3 {
                let pids = workers(&pool);
                assert_eq!(pids.len(), WORKERS);
                pids.iter().for_each(|pid| signal(*pid, libc::SIGKILL));
                // Submitted while there is nobody to take it.
                let task = pool.submit(double, round).unwrap();
                assert_eq!(value(task), 2 * round);
                wait_until(|| {
                    let now = workers(&pool);
                    now.len() == WORKERS && now.iter().all(|pid| !pids.contains(pid))
                });
                // All are ready, and have nothing in hand: what dies before that is another matter.
                let (gate, tasks) = busy(&pool);
                gate.open.set();
                tasks.into_iter().for_each(value);
                wait_until(|| pool.stats().running == 0);
            }
            assert_eq!(pool.stats().failed, 0);
        }
    });
}

pub fn what_a_dead_worker_was_handed_is_closed() {
    everywhere(|method| {
        let pool = lone(method);
        for kills in [true, false] {
            let (sender, receiver) = one_way::<u64>().unwrap();
            let die_with = |(sender, kills): (multiproc::PipeSender<u64>, bool)| {
                sender.send(1).unwrap();
                if kills {
                    kill_self();
                } else {
                    std::process::exit(3);
                }
            };
            let task = pool.submit(die_with, (sender, kills)).unwrap();
            assert!(outcome(task).unwrap_err().is_worker_death());
            assert_eq!(receiver.recv_timeout(STUCK).unwrap(), Some(1));
            // Nothing is under way that could still be sent.
            assert_eq!(receiver.recv_timeout(STUCK).unwrap(), None);
            let (sender, receiver) = channel::<u64>(1024).unwrap();
            let die_with = |(sender, kills): (multiproc::Sender<u64>, bool)| {
                sender.send(1).unwrap();
                if kills {
                    kill_self();
                } else {
                    std::process::exit(3);
                }
            };
            let task = pool.submit(die_with, (sender, kills)).unwrap();
            assert!(outcome(task).unwrap_err().is_worker_death());
            assert_eq!(receiver.recv_timeout(STUCK).unwrap(), 1);
            let error = receiver.recv_timeout(STUCK).unwrap_err();
            assert!(!error.is_timeout(), "{error}");
        }
    });
}

/// By fork, workers come from one process, which cannot be started anew.
pub fn a_pool_whose_helper_is_killed_goes_on_while_it_has_workers() {
    for at_once in [false, true] {
        until_alone();
        let pool = pool(StartMethod::Fork);
        let pids = workers(&pool);
        // All of them are this process's own children.
        let mut others = children();
        others.retain(|pid| !pids.contains(pid));
        let [helper] = others[..] else {
            panic!("{others:?} beside {pids:?}")
        };
        signal(helper, libc::SIGKILL);
        until_gone(&[helper]);
        for x in 0..50 {
            assert_eq!(value(pool.submit(double, x).unwrap()), 2 * x);
        }
        assert_eq!(workers(&pool), pids);
        if !at_once {
            let error = outcome(pool.submit(die, ()).unwrap()).unwrap_err();
            assert_eq!(error.signal(), Some(libc::SIGKILL));
            // For longer than the last one is waited for below.
            for round in 0..4 {
                assert_eq!(pool.map(double, [round; 50]).unwrap(), [2 * round; 50]);
                thread::sleep(Duration::from_millis(500));
            }
            assert_eq!((workers(&pool).len(), pool.stats().restarts), (1, 0));
        }
        // When the last one is gone, that is told to all who wait.
        let (_gate, begun) = some_busy(&pool, workers(&pool).len());
        let queued = pool.submit(double, 4).unwrap();
        let last = workers(&pool);
        assert_eq!(last.len(), if at_once { WORKERS } else { 1 });
        last.iter().for_each(|pid| signal(*pid, libc::SIGKILL));
        for task in begun {
            assert_eq!(outcome(task).unwrap_err().signal(), Some(libc::SIGKILL));
        }
        let error = outcome(queued).unwrap_err();
        assert!(matches!(error, TaskError::Broken { .. }), "{error}");
        assert!(error.to_string().contains("could not be started"));
        let refused = pool.submit(double, 4).unwrap_err();
        assert!(refused.why.is_broken(), "{refused}");
        assert!(refused.to_string().contains("could not be started"));
        assert!(pool.wait_idle_timeout(STUCK));
        assert!(pool.join().unwrap_err().is_broken());
    }
}
