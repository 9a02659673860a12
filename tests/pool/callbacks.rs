//! Who is called when a task ends.

use std::sync::{Arc, Mutex, mpsc};

use multiproc::{Executor, Pool, StartMethod, Task, TaskError};

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

/// Who drops it is one of those threads. The others end what they have begun.
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

/// Gives the last handle of a pool to the callback of a task, which drops it: the task that `submit` gives, which ends when
/// `end` is called, so that `is_so` of its outcome.
fn dropped_in_a_callback(
    method: StartMethod,
    submit: fn(&Pool, &Gate) -> Task<()>,
    end: fn(&Task<()>, &Gate),
    is_so: fn(&Result<(), TaskError>) -> bool,
) {
    let pool = Arc::new(Mutex::new(Some(pool(method))));
    let (told, dropped) = mpsc::channel();
    let (gate, waiting) = (Gate::new(), Gate::new());
    let (pids, other, task) = {
        let guard = pool.lock().unwrap();
        let open = guard.as_ref().unwrap();
        let other = open.submit(pass, waiting.clone()).unwrap();
        waiting.until_begun(1);
        (workers(open), other, submit(open, &gate))
    };
    let last = Arc::clone(&pool);
    task.on_done(move |how| {
        let gone = last.lock().unwrap().take();
        drop(gone.expect("it is called once"));
        told.send(how).unwrap();
    });
    assert!(pool.lock().unwrap().is_some(), "it is called too early");
    end(&task, &gate);
    let how = dropped.recv_timeout(STUCK).expect("the drop is stuck");
    assert!(is_so(&how), "{how:?}");
    assert!(pool.lock().unwrap().is_none());
    let error = outcome(other).unwrap_err();
    assert!(matches!(error, TaskError::Terminated), "{error}");
    until_gone(&pids);
}

fn open(_: &Task<()>, gate: &Gate) {
    gate.open.set();
}

pub fn a_pool_is_dropped_in_a_callback() {
    everywhere(|method| {
        let submit = |pool: &Pool, gate: &Gate| pool.submit(pass, gate.clone()).unwrap();
        dropped_in_a_callback(method, submit, open, Result::is_ok);
    });
}

/// It is another thread that finds out about this.
pub fn a_pool_is_dropped_in_the_callback_of_a_task_that_died() {
    fn wait_and_die(gate: Gate) {
        gate.pass();
        die(());
    }
    fn died(how: &Result<(), TaskError>) -> bool {
        how.as_ref().is_err_and(TaskError::is_worker_death)
    }
    everywhere(|method| {
        let submit = |pool: &Pool, gate: &Gate| pool.submit(wait_and_die, gate.clone()).unwrap();
        dropped_in_a_callback(method, submit, open, died);
    });
}

/// It is the thread that cancels, or drops, which calls.
pub fn a_pool_is_dropped_in_the_callback_of_a_task_that_is_cancelled() {
    fn cancelled(how: &Result<(), TaskError>) -> bool {
        how.as_ref().is_err_and(TaskError::is_cancelled)
    }
    /// Behind one that holds up the last worker.
    fn submit(pool: &Pool, gate: &Gate) -> Task<()> {
        drop(pool.submit(pass, gate.clone()).unwrap());
        gate.until_begun(1);
        pool.submit(pass, gate.clone()).unwrap()
    }
    everywhere(|method| {
        let cancel = |task: &Task<()>, _: &Gate| assert!(task.cancel());
        dropped_in_a_callback(method, submit, cancel, cancelled);
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
