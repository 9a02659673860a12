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
use multiproc::{Array, ClaimError, StartMethod};

use crate::{
    cli::Options,
    crew::Crew,
    figures::Figures,
    npy::{BadFile, NpyFile},
    order::ROUNDS,
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
    let mut file = options.file.as_deref().map(NpyFile::open).transpose()?;
    let shape = file
        .as_ref()
        .map_or(vec![options.generate], |file| file.shape().to_vec());
    let array = Array::zeroed(&shape)?;

    let (figures, seconds) = work_through(&array, file.as_mut(), options.method, options.workers)?;
    if let Some(path) = &options.out {
        let numbers = array.read(..).map_err(ClaimError::without_guard)?;
        npy::write(path, &shape, &numbers)
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    // The same again with one worker alone, for comparison.
    let (_, seconds_alone) = work_through(&array, file.as_mut(), options.method, 1)?;

    let &Options {
        workers,
        method,
        json,
        ..
    } = options;
    let report = Report {
        elements: array.len(),
        figures,
        workers,
        method,
        seconds,
        seconds_alone,
    };
    let text = if json {
        format!("{}\n", report.json())
    } else {
        report.to_string()
    };
    Ok(io::stdout().write_all(text.as_bytes())?)
}

/// Fills the array, from the file or with made-up numbers, and has it described and standardised.
/// Gives the seconds that the latter took.
fn work_through(
    array: &Array<f64>,
    file: Option<&mut NpyFile>,
    method: StartMethod,
    workers: u16,
) -> Result<(Figures, f64), Box<dyn Error>> {
    let job = Job::new(array)?;
    let passes = ROUNDS + usize::from(file.is_none());
    let crew = Crew::new(workers, method, passes * array.len())?;
    match file {
        Some(file) => file.read(&mut array.write(..).map_err(ClaimError::without_guard)?)?,
        None => drop(crew.run(&job, work::generate)?),
    }
    let start = Instant::now();
    let figures = figures::standardise(job, &crew)?;
    Ok((figures, start.elapsed().as_secs_f64()))
}
