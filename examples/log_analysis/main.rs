//! Analyses the access log of a web server, ten million lines or those of a file of yours: a pool of processes takes it
//! chunk by chunk, and each process keeps to a few megabytes however long the log is. One process alone does the same for
//! comparison, and comes to the same result to the byte.
//!
//! ```text
//! cargo run --release --example log_analysis -- --file access.log --workers 4 --plot latency.svg
//! ```
//!
//! Read on in `analyse.rs` for what a worker does, `crew.rs` for how work is shared out, and `paths.rs` for why neither the
//! size of the chunks nor their order makes a difference. The rest is reading, counting and print.

mod analyse;
mod cli;
mod crew;
mod generate;
mod histogram;
mod hour;
mod line;
mod lines;
mod paths;
mod plot;
mod popular;
mod report;
#[cfg(test)]
mod scratch;
mod summary;

use std::{
    error::Error,
    fs,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use clap::Parser;
use indicatif::{BinaryBytes, DecimalBytes, HumanCount, ProgressBar, ProgressStyle};
use serde_json::json;

use crate::{analyse::Log, cli::Options, crew::Outcome, report::Report, summary::Summary};

fn main() -> ExitCode {
    // In a worker this call does not return: it runs the worker's task instead of the rest of `main`.
    multiproc::init();
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("log_analysis: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let path = options.log();
    if !path.try_exists()? {
        make_up(&path, options)?;
    }
    let log = Log::open(&path)?;
    // In this order: if the log is not in memory yet, it is the workers that wait for the disk.
    let chunk_size = options.chunk_size(log.bytes);
    let together = crew::together(&log, chunk_size, options.workers)?;
    let alone = crew::alone(&log, chunk_size)?;

    let (text, picture) = show(&together.summary)?;
    if show(&alone.summary)? != (text.clone(), picture.clone()) {
        return Err("one process came to another result than several".into());
    }
    fs::write(&options.plot, picture)
        .map_err(|error| format!("{}: {error}", options.plot.display()))?;
    let here = multiproc::current().memory()?.peak;
    let text = match options.json {
        true => format!("{}\n", json(options, &log, &together, &alone, here)),
        false => {
            let head = format!("{}, {}", path.display(), DecimalBytes(log.bytes));
            let comparison = comparison(&together, &alone, here);
            let plot = options.plot.display();
            format!("{head}\n{text}\n{comparison}\nlatencies by hour: {plot}\n")
        }
    };
    Ok(io::stdout().write_all(text.as_bytes())?)
}

fn make_up(path: &Path, options: &Options) -> Result<(), Box<dyn Error>> {
    let template = "making up {human_len} lines {wide_bar} {percent:>3} %, {eta} left";
    let style = ProgressStyle::with_template(template)?;
    let bar = ProgressBar::new(options.lines).with_style(style);
    generate::generate(path, options.lines, options.seed, &bar)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    bar.finish_and_clear();
    Ok(())
}

/// All that is shown of a summary.
fn show(summary: &Summary) -> Result<(String, String), Box<dyn Error>> {
    Ok((Report(summary).to_string(), plot::svg(summary)?))
}

fn comparison(together: &Outcome, alone: &Outcome, here: u64) -> String {
    let requests = alone.summary.total().requests as f64;
    let took = |outcome: &Outcome| {
        let rate = HumanCount((requests / outcome.seconds) as u64);
        let peaks = outcome.peaks.iter();
        let peaks: Vec<_> = peaks.map(|peak| BinaryBytes(*peak).to_string()).collect();
        let (seconds, peaks) = (outcome.seconds, peaks.join(", "));
        format!("{seconds:.2} s, {rate} requests/s, peak memory {peaks}")
    };
    format!(
        "1 process: {}\n{} workers: {}, and {} here\n{:.2} times as fast, same output: yes",
        took(alone),
        together.peaks.len(),
        took(together),
        BinaryBytes(here),
        alone.seconds / together.seconds,
    )
}

fn json(
    options: &Options,
    log: &Log,
    together: &Outcome,
    alone: &Outcome,
    here: u64,
) -> serde_json::Value {
    let summary = &together.summary;
    json!({
        "bytes": log.bytes,
        "requests": summary.total().requests,
        "malformed": summary.malformed,
        "workers": options.workers,
        "seconds": together.seconds,
        "peaks": together.peaks,
        "seconds_alone": alone.seconds,
        "peak_alone": alone.peaks[0],
        "peak_here": here,
        "speedup": alone.seconds / together.seconds,
    })
}
