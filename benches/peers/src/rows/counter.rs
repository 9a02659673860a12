//! Counters that two processes add to at once.

use std::{
    error::Error,
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use multiproc::{Counter, Process, ShardedCounter};

use crate::{
    gate::gate,
    report::{Report, beside::limit},
    sys::{Mapping, Place},
};

/// One word for both.
pub fn counter(report: &mut Report) -> Result<(), Box<dyn Error>> {
    let Some(bench) = report.bench("`Counter::add`, two processes", Place::First) else {
        return Ok(());
    };
    let ours = Counter::new(0)?;
    let words = Mapping::new(4096)?.leak_words();
    bench
        .ours(|| {
            Ok(gate().beside(
                || Process::fork(hammer, ours.clone()).map_err(io::Error::other),
                |gate| gate.lead(|| _ = ours.add(1)),
                |child| child.join().map_err(io::Error::other),
            )?)
        })
        .target(limit("`AtomicU64::fetch_add`"), 1.05, || {
            Ok(gate().beside_fork(|| add(&words[0]), || add(&words[0]))?)
        })
        .run(report)
}

/// One word for each.
pub fn sharded(report: &mut Report) -> Result<(), Box<dyn Error>> {
    let Some(bench) = report.bench("`ShardedCounter::add`, two processes", Place::First) else {
        return Ok(());
    };
    let ours = ShardedCounter::new()?;
    let words = Mapping::new(4096)?.leak_words();
    bench
        .ours(|| {
            Ok(gate().beside(
                || Process::fork(hammer_sharded, ours.clone()).map_err(io::Error::other),
                |gate| gate.lead(|| ours.add(1)),
                |child| child.join().map_err(io::Error::other),
            )?)
        })
        .target(limit("an `AtomicU64` each"), 1.05, || {
            Ok(gate().beside_fork(|| add(&words[0]), || add(&words[64]))?)
        })
        .run(report)
}

fn hammer(counter: Counter) {
    gate().follow(|| _ = counter.add(1));
}

fn hammer_sharded(counter: ShardedCounter) {
    gate().follow(|| counter.add(1));
}

fn add(word: &AtomicU64) {
    word.fetch_add(1, Ordering::Relaxed);
}
