//! `RwLock`: readers and writers.

use std::hint::black_box;

use multiproc::RwLock;

use crate::{
    measure::work_per_call,
    pthread,
    report::{Report, beside::threads},
    rows::Outcome,
    sys::Place,
    turns::{Turns, round_trips},
};

const TIMES: u32 = 100_000;

/// A reader without anybody else.
pub fn read(report: &mut Report) -> Outcome {
    let Some(bench) = report.bench("rwlock read, uncontended", Place::First) else {
        return Ok(());
    };
    let ours = RwLock::new(0u64)?;
    let std = std::sync::RwLock::new(0u64);
    let posix = pthread::RwLock::new()?;
    bench
        .ours(|| work_per_call(TIMES, || drop(black_box(&ours).read().unwrap())))
        .peer(threads("`std::sync::RwLock`"), || {
            work_per_call(TIMES, || drop(black_box(&std).read().unwrap()))
        })
        .peer("POSIX rwlock", || {
            work_per_call(TIMES, || drop(black_box(posix).read()))
        })
        .run(report)
}

/// A writer without anybody else.
pub fn write(report: &mut Report) -> Outcome {
    let Some(bench) = report.bench("rwlock write, uncontended", Place::First) else {
        return Ok(());
    };
    let ours = RwLock::new(0u64)?;
    let std = std::sync::RwLock::new(0u64);
    let posix = pthread::RwLock::new()?;
    bench
        .ours(|| work_per_call(TIMES, || drop(black_box(&ours).write().unwrap())))
        .peer(threads("`std::sync::RwLock`"), || {
            work_per_call(TIMES, || drop(black_box(&std).write().unwrap()))
        })
        .peer("POSIX rwlock", || {
            work_per_call(TIMES, || drop(black_box(posix).write()))
        })
        .run(report)
}

/// A writer and a reader that wait for each other's locks.
pub fn round_trip(report: &mut Report) -> Outcome {
    let ours = [RwLock::new(0)?, RwLock::new(0)?, RwLock::new(0)?];
    let posix = [
        pthread::RwLock::new()?,
        pthread::RwLock::new()?,
        pthread::RwLock::new()?,
    ];
    let posix = ("POSIX rwlocks", &posix);
    round_trips(report, "rwlock", &ours, posix, None)
}

trait ReadWrite {
    type Reading<'a>
    where
        Self: 'a;
    type Writing<'a>
    where
        Self: 'a;

    fn reading(&self) -> Self::Reading<'_>;
    fn writing(&self) -> Self::Writing<'_>;
}

/// In each round, the lock that changes from the writer to the reader; the one after it changes back.
fn order() -> impl Iterator<Item = usize> {
    [0, 2, 1].into_iter().cycle()
}

/// Of three locks the writer begins with two and the reader with one. Each round the writer gives up the lock that the
/// reader waits for, and waits for the one that the reader has; the reader takes the former, and gives up the latter.
/// So neither gets ahead of the other, nor can take back what it gave up before the other has had it.
impl<L: ReadWrite> Turns for [L; 3] {
    fn lead(&self) -> impl FnMut() {
        let mut held = [Some(self[0].writing()), None, Some(self[2].writing())];
        let mut order = order();
        move || {
            let gives = order.next().unwrap();
            let takes = (gives + 1) % 3;
            held[gives] = None;
            held[takes] = Some(self[takes].writing());
        }
    }

    fn follow(&self) -> impl FnMut() {
        let mut held = [None, Some(self[1].reading()), None];
        let mut order = order();
        move || {
            let takes = order.next().unwrap();
            let gives = (takes + 1) % 3;
            held[takes] = Some(self[takes].reading());
            held[gives] = None;
        }
    }
}

impl ReadWrite for RwLock<u64> {
    type Reading<'a> = multiproc::RwLockReadGuard<'a, u64>;
    type Writing<'a> = multiproc::RwLockWriteGuard<'a, u64>;

    fn reading(&self) -> Self::Reading<'_> {
        self.read().unwrap()
    }

    fn writing(&self) -> Self::Writing<'_> {
        self.write().unwrap()
    }
}

impl ReadWrite for &'static pthread::RwLock {
    type Reading<'a> = pthread::Held<'a>;
    type Writing<'a> = pthread::Held<'a>;

    fn reading(&self) -> Self::Reading<'_> {
        self.read()
    }

    fn writing(&self) -> Self::Writing<'_> {
        self.write()
    }
}
