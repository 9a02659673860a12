//! Who is called when a task ends.

use std::sync::{Arc, Mutex, mpsc};

use multiproc::{Executor, Pool, StartMethod, TaskError};

use crate::{
    common::{STUCK, wait_until},
    pools::{
        Gate, busy, die, double, everywhere, idle, lone, outcome, pass, pool, quietly, threads,
        until_alone, until_gone, value, with_executors, with_pools, workers,
    },
};

pub fn who_asked_is_called_when_the_task_ends() {
    fn test(pool: &impl Executor) {
        let (told, outcomes) = mpsc::channel();
        let (gate, tasks) = busy(pool);
        for x in 0..3u64 {
            let told = told.clone();
            let task = pool.submit(double, x).unwrap();
            task.on_done(move |outcome| told.send(outcome).unwrap());
        }
        assert!(outcomes.try_recv().is_err());
        gate.open.set();
        let mut all: Vec<u64> = (0..3)
            .map(|_| outcomes.recv_timeout(STUCK).unwrap().unwrap())
            .collect();
        all.sort_unstable();
        assert_eq!(all, [0, 2, 4]);
        // At once, if it has ended.
        for task in tasks {
            wait_until(|| task.is_ready());
            let (told, outcomes) = mpsc::channel();
            task.on_done(move |outcome| told.send(outcome).unwrap());
            outcomes.try_recv().unwrap().unwrap();
        }
    }
    with_executors!(test);
}

pub fn who_is_called_may_submit() {
    everywhere(|method| {
        let pool = Arc::new(pool(method));
        let (told, outcomes) = mpsc::channel();
        fn again(pool: &Arc<Pool>, x: u64, told: mpsc::Sender<u64>) {
            let weak = Arc::downgrade(pool);
            pool.submit(double, x).unwrap().on_done(move |outcome| {
                let x = outcome.unwrap();
                match weak.upgrade() {
                    Some(pool) if x < 1 << 40 => again(&pool, x, told),
                    _ => told.send(x).unwrap(),
                }
            });
        }
        again(&pool, 1, told);
        assert_eq!(outcomes.recv_timeout(STUCK).unwrap(), 1 << 40);
    });
}

/// From several tasks at once: it does not matter which thread calls.
pub fn all_who_are_called_at_once_may_submit() {
    const CALLED: u64 = 40;
    fn test<E: Executor + Send + Sync + 'static>(pool: E) {
        let pool = Arc::new(pool);
        let (told, outcomes) = mpsc::channel();
        let (gate, tasks) = busy(&*pool);
        for x in 0..CALLED {
            let weak = Arc::downgrade(&pool);
            let told = told.clone();
            let task = pool.submit(double, x).unwrap();
            task.on_done(move |outcome| {
                let pool = weak.upgrade().unwrap();
                let x = outcome.unwrap();
                for x in [x, x + 1] {
                    let told = told.clone();
                    let task = pool.submit(double, x).unwrap();
                    task.on_done(move |outcome| told.send(outcome.unwrap()).unwrap());
                }
            });
        }
        gate.open.set();
        tasks.into_iter().for_each(value);
        let all = (0..2 * CALLED).map(|_| outcomes.recv_timeout(STUCK).unwrap());
        let mut all: Vec<u64> = all.collect();
        all.sort_unstable();
        let expected: Vec<u64> = (0..2 * CALLED).map(double).collect();
        assert_eq!(all, expected);
    }
    everywhere(|method| test(pool(method)));
    test(threads());
}

/// Who drops it is one of those threads, and waits for the others.
pub fn a_pool_of_threads_is_dropped_in_a_callback() {
    let pool = Arc::new(Mutex::new(Some(threads())));
    let (told, dropped) = mpsc::channel();
    let (gate, waiting) = (Gate::new(), Gate::new());
    let (second, queued) = {
        let guard = pool.lock().unwrap();
        let open = guard.as_ref().unwrap();
        let first = open.submit(pass, gate.clone()).unwrap();
        let last = Arc::clone(&pool);
        first.on_done(move |outcome| {
            outcome.unwrap();
            let gone = last.lock().unwrap().take();
            drop(gone);
            told.send(()).unwrap();
        });
        let second = open.submit(pass, waiting.clone()).unwrap();
        gate.until_begun(1);
        waiting.until_begun(1);
        (second, open.submit(double, 4).unwrap())
    };
    gate.open.set();
    wait_until(|| queued.is_ready());
    assert!(matches!(outcome(queued), Err(TaskError::Terminated)));
    assert!(dropped.try_recv().is_err(), "one of them is at work");
    waiting.open.set();
    value(second);
    dropped.recv_timeout(STUCK).expect("the drop is stuck");
    assert!(pool.lock().unwrap().is_none());
    until_alone();
}

pub fn a_callback_that_panics_harms_nobody() {
    with_pools(|pool| {
        quietly(|| {
            for x in 0..3 {
                let task = pool.submit(double, x).unwrap();
                task.on_done(|_| panic!("on purpose"));
            }
            assert!(pool.wait_idle_timeout(STUCK));
        });
        assert_eq!(value(pool.submit(double, 4).unwrap()), 8);
    });
}

/// Gives the last handle of a pool to the callback of a task, which drops it; `outcome` is how that task must end.
fn dropped_in_a_callback(
    method: StartMethod,
    task: fn(Gate),
    outcome: fn(Result<(), TaskError>) -> bool,
    cancel: bool,
) {
    let pool = Arc::new(Mutex::new(Some(pool(method))));
    let (told, dropped) = mpsc::channel();
    let gate = Gate::new();
    let waiting = Gate::new();
    let (pids, other, cancelled) = {
        let guard = pool.lock().unwrap();
        let open = guard.as_ref().unwrap();
        let other = open.submit(pass, waiting.clone()).unwrap();
        waiting.until_begun(1);
        let mut to_cancel = None;
        let first = open.submit(task, gate.clone()).unwrap();
        if cancel {
            gate.until_begun(1);
            drop(first);
            to_cancel = Some(open.submit(task, gate.clone()).unwrap());
        } else {
            let pool = Arc::clone(&pool);
            first.on_done(move |how| {
                assert!(outcome(how));
                let gone = pool.lock().unwrap().take();
                drop(gone);
                told.send(()).unwrap();
            });
        }
        (workers(open), other, to_cancel)
    };
    if let Some(task) = cancelled {
        assert!(task.cancel());
        let pool = Arc::clone(&pool);
        task.on_done(move |how| {
            assert!(outcome(how));
            drop(pool.lock().unwrap().take());
        });
    } else {
        gate.open.set();
        dropped.recv_timeout(STUCK).expect("the drop is stuck");
    }
    assert!(pool.lock().unwrap().is_none());
    let error = self::outcome(other).unwrap_err();
    assert!(matches!(error, TaskError::Terminated), "{error}");
    until_gone(&pids);
}

pub fn a_pool_is_dropped_in_a_callback() {
    everywhere(|method| dropped_in_a_callback(method, pass, |how| how.is_ok(), false));
}

/// It is another thread that finds out about this.
pub fn a_pool_is_dropped_in_the_callback_of_a_task_that_died() {
    fn wait_and_die(gate: Gate) {
        gate.pass();
        die(());
    }
    everywhere(|method| {
        let died = |how: Result<(), TaskError>| how.unwrap_err().is_worker_death();
        dropped_in_a_callback(method, wait_and_die, died, false);
    });
}

pub fn a_pool_is_dropped_in_the_callback_of_a_task_that_is_cancelled() {
    everywhere(|method| {
        let cancelled = |how: Result<(), TaskError>| how.unwrap_err().is_cancelled();
        dropped_in_a_callback(method, pass, cancelled, true);
        // And in that of one which ends because the pool does.
        let pool = lone(method);
        let (told, outcomes) = mpsc::channel();
        let task = pool.submit(idle, ()).unwrap();
        task.on_done(move |how| told.send(how.unwrap_err()).unwrap());
        drop(pool);
        let error = outcomes.try_recv().unwrap();
        assert!(matches!(error, TaskError::Terminated), "{error}");
    });
}
