//! `Semaphore`: permits taken and given.

use std::hint::black_box;

use multiproc::Semaphore;

use crate::{
    measure::work_per_call,
    pthread,
    report::Report,
    rows::Outcome,
    sys::Place,
    turns::{Baton, round_trips},
};

/// A permit taken and given back, without anybody else.
pub fn uncontended(report: &mut Report) -> Outcome {
    let name = "semaphore acquire, drop, uncontended";
    let Some(bench) = report.bench(name, Place::First) else {
        return Ok(());
    };
    const TIMES: u32 = 200_000;
    let ours = Semaphore::new(1)?;
    let posix = pthread::Semaphore::new(1)?;
    bench
        .ours(|| work_per_call(TIMES, || drop(black_box(&ours).acquire().unwrap())))
        .peer("POSIX semaphore", || {
            work_per_call(TIMES, || {
                black_box(posix).acquire();
                black_box(posix).release();
            })
        })
        .python("Python Semaphore", "semaphore, uncontended")
        .run(report)
}

/// Each gives the other a permit and takes one for good.
pub fn round_trip(report: &mut Report) -> Outcome {
    let ours = [Semaphore::new(0)?, Semaphore::new(0)?];
    let posix = [pthread::Semaphore::new(0)?, pthread::Semaphore::new(0)?];
    let posix = ("POSIX semaphores", &posix);
    let python = ("Python Semaphore", "semaphore");
    round_trips(report, "semaphore", &ours, posix, Some(python))
}

impl Baton for [Semaphore; 2] {
    fn give(&self, to: usize) {
        self[to].release(1).unwrap();
    }

    fn take(&self, me: usize) {
        self[me].acquire().unwrap().forget();
    }
}

impl Baton for [&pthread::Semaphore; 2] {
    fn give(&self, to: usize) {
        self[to].release();
    }

    fn take(&self, me: usize) {
        self[me].acquire();
    }
}
