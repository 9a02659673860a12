//! `Pool`: two workers that run tasks which do next to nothing.

use std::{error::Error, hint::black_box, time::Instant};

use multiproc::{Executor, ForkServer, MapOptions, Pool, StartMethod, ThreadPool};
use rayon::prelude::*;

use crate::{
    measure::{Measured, per_call},
    report::{
        Report,
        beside::{own, threads},
    },
    rows::Outcome,
    sys::Place,
};

const WORKERS: usize = 2;
const ONE_CALLER: &str = "An absolute figure, on the border where there are two processors: whoever calls it, the workers \
    and the thread that takes what they tell need 25 ns of processor time for an item, all together, on days when two bare \
    atomics take 24 ns instead of 9. The rest is waiting for a processor: mostly the kernel wakes the workers on the one \
    on which the caller is busy, while the other idles.";
/// The items of a map.
const ITEMS: u64 = 100_000;

/// Made, asked once and dropped.
pub fn made(report: &mut Report) -> Outcome {
    for (method, python) in [
        (StartMethod::Fork, "pool made, fork"),
        (StartMethod::ForkServer, "pool made, forkserver"),
        (StartMethod::Spawn, "pool made, spawn"),
    ] {
        let name = format!("`Pool` made, used, dropped, {method}");
        let Some(bench) = report.bench(name, Place::Both) else {
            continue;
        };
        const TIMES: u32 = 5;
        if method == StartMethod::ForkServer {
            ForkServer::start()?;
        }
        let mut bench = bench.ours(|| {
            per_call(TIMES, || {
                let builder = Pool::builder().workers(WORKERS).method(method);
                ask(&builder.build().unwrap());
            })
        });
        if method == StartMethod::Spawn {
            bench = bench.peer("procspawn", || {
                per_call(TIMES, || {
                    let pool = procspawn::Pool::new(WORKERS).unwrap();
                    assert_eq!(ask_procspawn(&pool), 2);
                    pool.shutdown();
                })
            });
        }
        let result = bench.python("Python Pool", python).run(report);
        ForkServer::stop();
        result?;
    }
    Ok(())
}

/// One task at a time, and what it returns.
pub fn submit(report: &mut Report) -> Outcome {
    let Some(bench) = report.bench("`Pool::submit`, `Task::get`", Place::Both) else {
        return Ok(());
    };
    const TIMES: u32 = 500;
    let ours = Pool::new(WORKERS)?;
    let our_threads = ThreadPool::new(WORKERS)?;
    let other = procspawn::Pool::new(WORKERS)?;
    bench
        .ours(|| per_call(TIMES, || ask(&ours)))
        .peer("procspawn", || {
            per_call(TIMES, || assert_eq!(ask_procspawn(&other), 2))
        })
        .peer(own("`ThreadPool`"), || {
            per_call(TIMES, || ask(&our_threads))
        })
        .python("Python Pool.apply", "pool apply")
        .run(report)
}

/// Every item a task of its own.
pub fn map_one_by_one(report: &mut Report) -> Outcome {
    let Some(bench) = report.bench("`Pool::map`, chunks of 1, per item", Place::Both) else {
        return Ok(());
    };
    let ours = Pool::new(WORKERS)?;
    let our_threads = ThreadPool::new(WORKERS)?;
    let rayon = Rayon::new()?;
    bench
        .ours(|| {
            per_item(|| Ok(ours.map_with(MapOptions::new().chunk_size(1), add_one, 0..ITEMS)?))
        })
        .at_most("1 M items/s", 1000.0)
        .peer(own("`ThreadPool`"), || {
            per_item(|| Ok(our_threads.map(add_one, 0..ITEMS)?))
        })
        .peer(threads("rayon, `with_max_len(1)`"), || {
            per_item(|| Ok(rayon.map(1)))
        })
        .python("Python Pool.map", "pool map, chunks of 1")
        .python("Python ProcessPoolExecutor.map", "executor map")
        .few()
        .run(report)
}

/// As many items a task as by default.
pub fn map(report: &mut Report) -> Outcome {
    let Some(bench) = report.bench("`Pool::map`, per item", Place::Both) else {
        return Ok(());
    };
    let ours = Pool::new(WORKERS)?;
    let rayon = Rayon::new()?;
    bench
        .ours(|| per_item(|| Ok(ours.map(add_one, 0..ITEMS)?)))
        .at_most("50 M items/s", 20.0)
        .because(ONE_CALLER)
        .peer(threads("rayon"), || per_item(|| Ok(rayon.map(usize::MAX))))
        .python("Python Pool.map", "pool map")
        .run(report)
}

fn add_one(x: u64) -> u64 {
    x + 1
}

fn ask(pool: &impl Executor) {
    let task = pool.submit(add_one, 1).unwrap();
    assert_eq!(task.get().unwrap(), 2);
}

fn ask_procspawn(pool: &procspawn::Pool) -> u64 {
    pool.spawn(1, add_one).join().unwrap()
}

/// Nanoseconds for each item of a map of `0..ITEMS`, which is looked through afterwards.
fn per_item(map: impl FnOnce() -> Result<Vec<u64>, Box<dyn Error>>) -> Measured {
    let begun = Instant::now();
    let values = map()?;
    let took = begun.elapsed();
    if !values.into_iter().eq(1..=ITEMS) {
        return Err("the map is wrong".into());
    }
    Ok(took.as_nanos() as f64 / ITEMS as f64)
}

/// Threads that take items from each other, as rayon has them.
struct Rayon {
    threads: rayon::ThreadPool,
    items: Vec<u64>,
}

impl Rayon {
    fn new() -> Result<Rayon, rayon::ThreadPoolBuildError> {
        Ok(Rayon {
            threads: rayon::ThreadPoolBuilder::new()
                .num_threads(WORKERS)
                .build()?,
            items: (0..ITEMS).collect(),
        })
    }

    /// At most so many items at once, and each by a call.
    fn map(&self, at_once: usize) -> Vec<u64> {
        let task: fn(u64) -> u64 = black_box(add_one);
        self.threads.install(|| {
            let items = self.items.par_iter().with_max_len(at_once);
            items.map(|item| task(*item)).collect()
        })
    }
}
