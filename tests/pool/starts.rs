//! How workers begin.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use multiproc::{Counter, Executor, Pool, PoolError, StartMethod, current};

use crate::{
    common::{kill_self, wait_until},
    pools::{WORKERS, die, double, everywhere, leave, outcome, timed, until_gone, value, workers},
};

static FACTOR: AtomicU64 = AtomicU64::new(0);

pub fn an_initializer_is_called_once_in_each_worker_before_its_tasks() {
    fn set((factor, calls): (u64, Counter)) {
        calls.add(1);
        assert_eq!(FACTOR.swap(factor, Ordering::Relaxed), 0, "called twice");
    }
    everywhere(|method| {
        let calls = Counter::new(0).unwrap();
        let pool = Pool::builder()
            .workers(WORKERS)
            .method(method)
            .initializer(set, (3, calls.clone()))
            .build()
            .unwrap();
        assert_eq!(calls.get(), WORKERS as u64);
        let times = |x: u64| x * FACTOR.load(Ordering::Relaxed);
        assert_eq!(
            pool.map(times, 0..50).unwrap(),
            (0..50).map(|x| 3 * x).collect::<Vec<_>>()
        );
        // Whoever comes in place of one that died, too.
        outcome(pool.submit(die, ()).unwrap()).unwrap_err();
        wait_until(|| calls.get() == WORKERS as u64 + 1);
        assert_eq!(pool.map(times, [5; 50]).unwrap(), [15; 50]);
    });
}

/// Defect 6 of Python: workers were started anew, 371 of them in two seconds.
pub fn an_initializer_that_fails_is_an_error_at_once() {
    fn fail((how, calls): (String, Counter)) {
        calls.add(1);
        match how.as_str() {
            "panics" => panic!("no such file"),
            "exits" => leave(3),
            "exits well" => leave(0),
            _ => kill_self(),
        }
    }
    everywhere(|method| {
        for (how, said) in [
            ("panics", "no such file"),
            ("exits", "3"),
            ("exits well", "0"),
            ("is killed", "SIGKILL"),
        ] {
            let calls = Counter::new(0).unwrap();
            let argument = (how.to_owned(), calls.clone());
            let builder = Pool::builder().workers(WORKERS).method(method);
            let build = || builder.initializer(fail, argument).build();
            let (built, took) = timed(build);
            let error = built.map(drop).unwrap_err();
            assert!(matches!(error, PoolError::NotReady(_)), "{error}");
            let text = error.to_string();
            assert!(text.contains(said), "{how}: {text}");
            assert_eq!(text.matches("before it was ready").count(), 1, "{text}");
            assert!(took < Duration::from_secs(10), "{how}: {took:?}");
            assert!(calls.get() <= WORKERS as u64, "{how}");
        }
    });
}

/// Lets the first workers begin, and no other.
fn first_only((calls, how): (Counter, u8)) {
    if calls.add(1) >= WORKERS as u64 {
        match how {
            0 => panic!("no more"),
            1 => leave(3),
            _ => kill_self(),
        }
    }
}

fn with_first_only(method: StartMethod, how: u8) -> (Pool, Counter) {
    let calls = Counter::new(0).unwrap();
    let builder = Pool::builder().workers(WORKERS).method(method);
    let builder = builder.initializer(first_only, (calls.clone(), how));
    (builder.build().unwrap(), calls)
}

pub fn an_initializer_that_fails_later_breaks_the_pool() {
    everywhere(|method| {
        for how in [0, 1] {
            let (pool, calls) = with_first_only(method, how);
            let pids = workers(&pool);
            assert_eq!(value(pool.submit(double, 4).unwrap()), 8);
            let hanging = pool.submit(crate::pools::idle, ()).unwrap();
            outcome(pool.submit(die, ()).unwrap()).unwrap_err();
            let error = outcome(hanging).unwrap_err();
            assert!(error.to_string().contains("before it was ready"), "{error}");
            wait_until(|| pool.submit(double, 4).is_err());
            assert!(pool.submit(double, 4).unwrap_err().why.is_broken());
            assert_eq!(calls.get(), WORKERS as u64 + 1);
            until_gone(&pids);
        }
    });
}

pub fn initializers_that_are_killed_later_are_not_started_for_ever() {
    let (pool, calls) = with_first_only(StartMethod::Fork, 2);
    let hanging = pool.submit(crate::pools::idle, ()).unwrap();
    outcome(pool.submit(die, ()).unwrap()).unwrap_err();
    outcome(hanging).unwrap_err();
    assert!(pool.submit(double, 4).unwrap_err().why.is_broken());
    assert!(calls.get() < 100, "{}", calls.get());
}

pub fn workers_are_named_and_are_daemons() {
    fn who(_: ()) -> (String, bool) {
        let current = current();
        (current.name().to_owned(), current.is_daemon())
    }
    everywhere(|method| {
        let builder = Pool::builder().workers(WORKERS).method(method);
        let pool = builder.name("painter").build().unwrap();
        for (name, is_daemon) in pool.map(who, [(); 30]).unwrap() {
            assert!(
                ["painter-1", "painter-2"].contains(&name.as_str()),
                "{name}"
            );
            assert!(is_daemon);
        }
    });
}
