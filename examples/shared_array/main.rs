//! Describes and standardises an array of numbers, ten million or those of a NumPy file, with several processes that
//! all work on the same memory.
//!
//! ```text
//! cargo run --release --example shared_array -- numbers.npy --workers 4 --out standardised.npy
//! ```
//!
//! Read on in `work.rs` for what a worker does, `crew.rs` for how workers are started and watched, and `figures.rs`
//! for the order of things. The rest is arithmetic, files and print.

mod cli;
mod crew;
mod figures;
mod moments;
mod npy;
mod order;
mod report;
mod work;

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
    time::Instant,
};

use clap::Parser;
use multiproc::Array;

use crate::{
    cli::Options,
    crew::Crew,
    figures::Figures,
    npy::{BadFile, NpyFile},
    report::Report,
    work::Job,
};

fn main() -> ExitCode {
    // In a worker this call does not return: it runs the worker's task instead of the rest of `main`.
    multiproc::init();
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shared_array: {error}");
            ExitCode::from(if error.is::<BadFile>() { 2 } else { 1 })
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let shape = match &options.file {
        Some(path) => NpyFile::open(path)?.shape,
        None => vec![options.generate],
    };
    let array = Array::zeroed(&shape)?;
    let (figures, seconds) = work_through(&array, options, options.workers)?;

    if let Some(path) = &options.out {
        let numbers = array.read(..).map_err(multiproc::Error::from)?;
        npy::write(path, &shape, &numbers)
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    // The same again with one worker alone, for comparison.
    let seconds_alone = match options.workers {
        1 => seconds,
        _ => work_through(&array, options, 1)?.1,
    };

    let report = Report {
        options,
        figures,
        seconds,
        seconds_alone,
    };
    let text = match options.json {
        true => format!("{}\n", report.json()),
        false => report.to_string(),
    };
    Ok(io::stdout().write_all(text.as_bytes())?)
}

/// Fills the array, and has it described and standardised. Gives the seconds that the latter took.
fn work_through(
    array: &Array<f64>,
    options: &Options,
    workers: u16,
) -> Result<(Figures, f64), Box<dyn Error>> {
    let crew = Crew::new(workers, options.method, figures::PASSES * array.len())?;
    let job = Job::new(array, options.file.as_deref())?;
    crew.run(&job, work::fill)?;
    let start = Instant::now();
    let figures = figures::standardise(job, &crew)?;
    Ok((figures, start.elapsed().as_secs_f64()))
}
