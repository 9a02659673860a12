//! The two ways to go through a log: by one process alone, and by several at once.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use multiproc::{Counter, Executor, Pool, Process};

use crate::{
    analyse::{self, Log},
    summary::Summary,
};

pub struct Outcome {
    pub summary: Summary,
    pub seconds: f64,
    /// The most memory that each process had, in bytes.
    pub peaks: Vec<u64>,
}

/// Has the log analysed by `workers` processes at once, chunk by chunk.
pub fn together(log: &Log, chunk_size: u64, workers: u16) -> Result<Outcome, Box<dyn Error>> {
    let chunks = log.chunks(chunk_size);
    let bar = bar(chunks.len(), format!("{workers} workers"))?;
    let begun = Instant::now();
    let pool = Pool::new(workers.into())?;
    let mut summary = Summary::default();
    // In whatever order they come, and never many at once.
    for part in pool.imap_unordered(analyse::analyse, chunks) {
        summary.merge(part??);
        bar.inc(1);
    }
    summary.paths.settle();
    let seconds = begun.elapsed().as_secs_f64();
    bar.finish_and_clear();
    let peaks = pool
        .stats()
        .workers
        .iter()
        .filter_map(|worker| worker.memory)
        .map(|memory| memory.peak)
        .collect();
    Ok(Outcome {
        summary,
        seconds,
        peaks,
    })
}

/// Has the same done by one process, which merges nothing: it counts on from chunk to chunk.
pub fn alone(log: &Log, chunk_size: u64) -> Result<Outcome, Box<dyn Error>> {
    let bar = bar(log.chunks(chunk_size).len(), "1 process".into())?;
    let begun = Instant::now();
    let done = Counter::new(0)?;
    // A process of its own, so that its memory can be told from that of this one.
    let mut child = Process::builder()
        .name("alone")
        .daemon(true)
        .start(go_through, (log.clone(), chunk_size, done.clone()))?;
    let (summary, peak) = loop {
        match child.join_timeout(Duration::from_millis(100))? {
            Some(outcome) => break outcome?,
            None => bar.set_position(done.get()),
        }
    };
    let seconds = begun.elapsed().as_secs_f64();
    bar.finish_and_clear();
    Ok(Outcome {
        summary,
        seconds,
        peaks: vec![peak],
    })
}

fn go_through((log, chunk_size, done): (Log, u64, Counter)) -> Result<(Summary, u64), String> {
    let mut summary = Summary::default();
    for chunk in log.chunks(chunk_size) {
        analyse::add(&mut summary, &chunk)?;
        done.add(1);
    }
    summary.paths.settle();
    let memory = multiproc::current().memory();
    let peak = memory.map_err(|error| error.to_string())?.peak;
    Ok((summary, peak))
}

/// Drawn on the standard error, and only if that is a terminal.
fn bar(chunks: usize, who: String) -> Result<ProgressBar, Box<dyn Error>> {
    let style = ProgressStyle::with_template("{prefix:10} {wide_bar} {percent:>3} %, {eta} left")?;
    let bar = ProgressBar::new(chunks as u64).with_style(style);
    Ok(bar.with_prefix(who))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;
    use crate::{report::Report, scratch::Scratch};

    multiproc::init_in_tests!();

    #[test]
    fn several_processes_come_to_the_result_of_one_in_little_memory() {
        let mut text = String::new();
        for number in 0..30_000u64 {
            // Every path another one, and latencies of all sizes.
            let (path, micros) = ("x".repeat(300), number * number % 1_000_000);
            writeln!(
                text,
                r#"::1 - - [28/Nov/2026:15:00:00 +0000] "GET /{number}{path}" 200 7 "-" "-" 0.{micros:06}"#,
            )
            .unwrap();
        }
        let scratch = Scratch::holding(text);
        let log = Log::open(scratch.path()).unwrap();
        let alone = alone(&log, 1 << 20).unwrap();
        let together = together(&log, 1 << 20, 3).unwrap();
        let [one, several] = [&alone, &together].map(|way| Report(&way.summary).to_string());
        assert_eq!(one, several);
        assert!(one.contains("30,000 requests"), "{one}");
        assert_eq!(together.peaks.len(), 3);
        for peak in together.peaks.iter().chain(&alone.peaks) {
            assert!((1..64 << 20).contains(peak), "{peak}");
        }
    }

    #[test]
    fn a_log_that_is_gone_is_an_error_that_names_it() {
        let scratch = Scratch::holding("x\n");
        let log = Log::open(scratch.path()).unwrap();
        drop(scratch);
        for error in [alone(&log, 1).err(), together(&log, 1, 2).err()] {
            let error = error.expect("there is nothing to read").to_string();
            assert!(error.contains("log-analysis-"), "{error}");
            assert!(error.contains("No such file"), "{error}");
        }
    }
}
