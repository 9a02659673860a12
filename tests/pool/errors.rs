//! Errors: that they say why, and leave nothing behind.

use std::time::Duration;

use multiproc::{Executor, ForkServer, MapError, PoolError, StartMethod, TaskError, ThreadPool};

use crate::{
    common::raw::limit_descriptors,
    pools::{children, descriptors, double, everywhere, lone, outcome, pool, until_alone, value},
};

/// Whatever the making of a pool has come to when there are no more descriptors.
pub fn a_pool_for_which_there_are_no_descriptors_is_an_error_that_says_so() {
    everywhere(|method| {
        // What is made once for this process is there already.
        drop(pool(StartMethod::Spawn));
        ForkServer::stop();
        let before = (descriptors(), children());
        // The one through which they are counted is not there.
        let first = before.0 as libc::rlim_t - 1;
        let mut starts = 0;
        for limit in first.. {
            assert!(limit < first + 200, "how many are enough?");
            let unlimited = limit_descriptors(limit);
            let built = multiproc::Pool::builder().workers(2).method(method).build();
            limit_descriptors(unlimited);
            let error = match built {
                Ok(pool) => {
                    assert_eq!(value(pool.submit(double, 4).unwrap()), 8);
                    break;
                }
                Err(error) => error,
            };
            let text = error.to_string();
            assert!(text.contains("os error 24"), "{limit}: {text}");
            starts += u32::from(matches!(error, PoolError::Start(_)));
            ForkServer::stop();
            until_alone();
            assert_eq!((descriptors(), children()), before, "{limit}: {text}");
        }
        assert!(starts > 0, "other descriptors were too many each time");
    });
}

pub fn each_error_is_an_error_of_this_library() {
    type Of<R> = Result<R, multiproc::Error>;
    fn task(pool: &impl Executor) -> Of<u64> {
        let fails = |_: u64| -> u64 { panic!("on purpose") };
        Ok(outcome(pool.submit(fails, 4)?)?)
    }
    fn map(pool: &impl Executor) -> Of<Vec<u64>> {
        Ok(pool.map(|x: u64| 9 / x, [0])?)
    }
    fn each(pool: &impl Executor) -> Of<usize> {
        Ok(pool.try_map(double, [1])?.len())
    }
    fn none(_: &impl Executor) -> Of<ThreadPool> {
        Ok(ThreadPool::new(0)?)
    }
    fn submit(pool: &impl Executor) -> Of<u64> {
        Ok(pool.submit(double, 4)?.get()?)
    }
    everywhere(|method| {
        let pool = lone(method);
        for (error, text) in [
            (task(&pool).unwrap_err(), "on purpose"),
            (map(&pool).unwrap_err(), "item 0: the task panicked"),
            (none(&pool).unwrap_err(), "not 0"),
        ] {
            assert!(error.to_string().contains(text), "{error}");
        }
        pool.close();
        for error in [
            submit(&pool).unwrap_err(),
            each(&pool).unwrap_err(),
            map(&pool).unwrap_err(),
        ] {
            assert_eq!(error.to_string(), "the pool is closed");
        }
    });
    // The text of each is that of what it was.
    let death = TaskError::DeadlineExceeded {
        deadline: Duration::from_secs(1),
    };
    let said = death.to_string();
    let failed = MapError::Task {
        index: 4,
        error: death.clone(),
    };
    let text = format!("item 4: {said}");
    assert_eq!(failed.to_string(), text);
    assert_eq!(multiproc::Error::from(failed).to_string(), text);
    assert_eq!(multiproc::Error::from(death).to_string(), said);
    assert!(MapError::from(PoolError::Closed).task_error().is_none());
}
