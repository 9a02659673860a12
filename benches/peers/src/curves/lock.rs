//! One lock that more and more processes want at once.

use std::sync::Mutex;

use crate::{
    crowd,
    curves::processes,
    pthread,
    report::{Report, curve::Axis},
    rows::Outcome,
};

/// Lock, add one, unlock, on and on.
pub fn contended(report: &mut Report) -> Outcome {
    let y = Axis::nanoseconds("time for each increment");
    let Some(mut sweep) = report.sweep("Contended lock", Axis::count("processes"), y) else {
        return Ok(());
    };
    let ours = multiproc::Mutex::new(0u64)?;
    let robust = pthread::Mutex::robust()?;
    let shared = pthread::Mutex::new()?;
    let std = Mutex::new(0u64);
    for processes in processes() {
        sweep
            .at(processes as f64)
            .party("multiproc", || {
                crowd::processes(processes, |_| || *ours.lock().unwrap() += 1)
            })
            .party("glibc pshared", || {
                crowd::processes(processes, |_| || *shared.lock() += 1)
            })
            .party("glibc pshared robust", || {
                crowd::processes(processes, |_| || *robust.lock() += 1)
            })
            .party("std (threads)", || {
                crowd::threads(processes, |_| || *std.lock().unwrap() += 1)
            })
            .run();
    }
    sweep.done()
}
