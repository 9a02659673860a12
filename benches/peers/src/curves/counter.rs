//! Counters that more and more processes add to at once.

use std::sync::atomic::{AtomicU64, Ordering};

use multiproc::{Counter, ShardedCounter};

use crate::{
    crowd,
    curves::processes,
    report::{Report, curve::Axis},
    rows::Outcome,
    sys::Mapping,
};

/// Adds one, on and on.
pub fn add(report: &mut Report) -> Outcome {
    let y = Axis::nanoseconds("time for each increment");
    let Some(mut sweep) = report.sweep("Counters", Axis::count("processes"), y) else {
        return Ok(());
    };
    let (counter, sharded) = (Counter::new(0)?, ShardedCounter::new()?);
    let words = Mapping::new(4096)?.leak_words();
    for processes in processes() {
        sweep
            .at(processes as f64)
            .party("multiproc ShardedCounter", || {
                crowd::processes(processes, |_| || sharded.add(1))
            })
            .party("multiproc Counter", || {
                crowd::processes(processes, |_| || _ = counter.add(1))
            })
            .party("an AtomicU64 each (limit)", || {
                crowd::processes(processes, |i| move || add_to(&words[i * 16]))
            })
            .party("one AtomicU64 (limit)", || {
                crowd::processes(processes, |_| || add_to(&words[256]))
            })
            .run();
    }
    sweep.done()
}

fn add_to(word: &AtomicU64) {
    word.fetch_add(1, Ordering::Relaxed);
}
