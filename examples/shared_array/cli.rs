//! What can be asked for on the command line.

use std::{path::PathBuf, thread};

use clap::{Parser, value_parser};
use multiproc::StartMethod;

/// Describes and standardises an array of numbers in shared memory, several processes at once
#[derive(Parser)]
pub struct Options {
    /// A NumPy file of real numbers in C order; without one, numbers are made up
    pub file: Option<PathBuf>,

    /// How many numbers to make up
    #[arg(
        long,
        value_name = "N",
        default_value_t = 10_000_000,
        conflicts_with = "file"
    )]
    pub generate: usize,

    /// How many processes work at once; by default one for each processor
    #[arg(long, value_name = "N", default_value_t = processors(), value_parser = value_parser!(u16).range(1..))]
    pub workers: u16,

    /// How they are started: spawn (the program anew), fork (a copy of this process) or forkserver (of a clean one)
    #[arg(long, default_value_t)]
    pub method: StartMethod,

    /// Write the standardised array to a NumPy file
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,

    /// Print one JSON object instead of the table
    #[arg(long)]
    pub json: bool,
}

fn processors() -> u16 {
    let available = thread::available_parallelism().map_or(1, usize::from);
    available.try_into().unwrap_or(u16::MAX)
}
