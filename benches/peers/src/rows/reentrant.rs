//! `ReentrantMutex`: a lock that its holder takes again.

use std::hint::black_box;

use multiproc::ReentrantMutex;

use crate::{measure::work_per_call, pthread, report::Report, rows::Outcome, sys::Place};

const TIMES: u32 = 200_000;

/// Lock and unlock, without anybody else.
pub fn uncontended(report: &mut Report) -> Outcome {
    let Some(bench) = report.bench("reentrant lock, uncontended", Place::First) else {
        return Ok(());
    };
    let ours = ReentrantMutex::new(())?;
    let posix = pthread::Mutex::recursive()?;
    bench
        .ours(|| work_per_call(TIMES, || drop(black_box(&ours).lock().unwrap())))
        .peer("POSIX recursive", || {
            work_per_call(TIMES, || drop(black_box(posix).lock()))
        })
        .python("Python RLock", "rlock, uncontended")
        .run(report)
}

/// The same by who holds it already.
pub fn nested(report: &mut Report) -> Outcome {
    let Some(bench) = report.bench("reentrant lock, held already", Place::First) else {
        return Ok(());
    };
    let ours = ReentrantMutex::new(())?;
    let posix = pthread::Mutex::recursive()?;
    let _held = (ours.lock().unwrap(), posix.lock());
    bench
        .ours(|| work_per_call(TIMES, || drop(black_box(&ours).lock().unwrap())))
        .peer("POSIX recursive", || {
            work_per_call(TIMES, || drop(black_box(posix).lock()))
        })
        .python("Python RLock", "rlock, held")
        .run(report)
}
