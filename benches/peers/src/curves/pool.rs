//! A map by more and more workers.

use std::{
    io,
    time::{Duration, Instant},
};

use multiproc::{Executor, Pool, ThreadPool};
use rayon::prelude::*;

use crate::{
    curves::processes,
    measure::{self, Measured},
    report::{Report, curve::Axis},
    rows::Outcome,
    sys::thread_time,
};

const ITEMS: u32 = 2000;
/// The processor time that an item takes.
const WORK: Duration = Duration::from_micros(20);

/// Items that take 20 µs each.
pub fn map(report: &mut Report) -> Outcome {
    let y = Axis::nanoseconds("time for each item");
    let Some(mut sweep) = report.sweep("Pool map", Axis::count("workers"), y) else {
        return Ok(());
    };
    for workers in processes() {
        let ours = Pool::new(workers)?;
        let threads = ThreadPool::new(workers)?;
        let builder = rayon::ThreadPoolBuilder::new().num_threads(workers);
        let rayon = builder.build()?;
        sweep
            .at(workers as f64)
            .party("multiproc", || per_item(|items| Ok(ours.map(work, items)?)))
            .party("our ThreadPool (threads)", || {
                per_item(|items| Ok(threads.map(work, items)?))
            })
            .party("rayon (threads)", || {
                let map = |items: std::ops::Range<u64>| items.into_par_iter().map(work).collect();
                per_item(|items| Ok(rayon.install(|| map(items))))
            })
            .python("Python Pool", "pool map, 20 µs")
            .run();
    }
    sweep.done()
}

fn work(item: u64) -> u64 {
    let begun = thread_time().unwrap();
    while thread_time().unwrap() - begun < WORK {}
    item + 1
}

fn per_item(
    map: impl FnOnce(std::ops::Range<u64>) -> Result<Vec<u64>, Box<dyn std::error::Error>>,
) -> Measured {
    let items = measure::times(ITEMS).into();
    let begun = Instant::now();
    let values = map(0..items)?;
    let took = begun.elapsed();
    if !values.into_iter().eq(1..=items) {
        return Err(io::Error::other("the map is wrong").into());
    }
    Ok(took.as_nanos() as f64 / items as f64)
}
