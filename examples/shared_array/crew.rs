//! Child processes that share out the work on an array among themselves.

use std::{error::Error, ops::Range, thread, time::Duration};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use multiproc::{Child, Process, StartMethod};
use serde::{Serialize, de::DeserializeOwned};

use crate::work::{Failed, Job, Outcome};

pub struct Crew {
    workers: usize,
    method: StartMethod,
    /// Drawn on the standard error, and only if that is a terminal.
    bar: ProgressBar,
}

struct Worker<R> {
    range: Range<usize>,
    child: Child<Outcome<R>>,
    result: Option<R>,
}

impl Crew {
    /// A crew that will handle `elements` elements in all, over all that it runs.
    pub fn new(workers: u16, method: StartMethod, elements: usize) -> Result<Crew, Box<dyn Error>> {
        let style = ProgressStyle::with_template("workers: {prefix} {wide_bar} {percent:>3} %")?;
        let bar = ProgressBar::new(elements as u64).with_style(style);
        Ok(Crew {
            workers: workers.into(),
            method,
            bar: bar.with_prefix(workers.to_string()),
        })
    }

    /// Runs `task` in a child for each part of the array; what they return comes in the same order.
    ///
    /// When one of them fails, so does this, at once: dropping the other children kills them.
    pub fn run<R: Serialize + DeserializeOwned>(
        &self,
        job: &Job,
        task: fn((Job, Range<usize>)) -> Outcome<R>,
    ) -> Result<Vec<R>, Box<dyn Error>> {
        let mut team = Vec::new();
        for (number, range) in job.array.split(self.workers).enumerate() {
            let child = Process::builder()
                .name(format!("worker {number}"))
                .method(self.method)
                .daemon(true)
                .start(task, (job.clone(), range.clone()))?;
            let result = None;
            team.push(Worker {
                range,
                child,
                result,
            });
        }
        // All are asked in turn and none is waited for: the first to fail is the first to be heard.
        while team.iter().any(|worker| worker.result.is_none()) {
            thread::sleep(Duration::from_millis(1));
            team.iter_mut().try_for_each(Worker::poll)?;
            self.bar.set_position(job.progress.get());
        }
        let results = team.into_iter().filter_map(|worker| worker.result);
        Ok(results.collect())
    }
}

impl<R: DeserializeOwned> Worker<R> {
    fn poll(&mut self) -> Result<(), String> {
        if self.result.is_some() {
            return Ok(());
        }
        let outcome = self.child.try_join().map_err(Failed::from);
        self.result = outcome.and_then(Option::transpose).map_err(|Failed(why)| {
            let Range { start, end } = self.range;
            let [start, end] = [start, end].map(|at| HumanCount(at as u64));
            format!("{why} while it worked on elements {start}..{end}")
        })?;
        Ok(())
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
