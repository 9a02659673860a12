//! What can be asked for on the command line.

use std::{env, path::PathBuf, thread};

use clap::{Parser, value_parser};

/// Analyses the access log of a web server with several processes at once, and with one for comparison
#[derive(Parser)]
pub struct Options {
    /// The log; made up if it is not there. By default one in the directory for temporary files, which is kept for the next
    /// time
    #[arg(long)]
    pub file: Option<PathBuf>,

    /// How many lines to make up
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    pub lines: u64,

    /// Another number makes up other lines
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// How many processes work at once; by default one for each processor
    #[arg(long, value_name = "N", default_value_t = processors(), value_parser = value_parser!(u16).range(1..))]
    pub workers: u16,

    /// How much of the log a worker is given at a time; by default a twentieth of its share, from 1 to 32 MiB
    #[arg(long, value_name = "BYTES", value_parser = value_parser!(u64).range(1..))]
    pub chunk_size: Option<u64>,

    /// Where to plot the latencies of each hour
    #[arg(long, value_name = "FILE", default_value = "log_analysis.svg")]
    pub plot: PathBuf,

    /// Print one JSON object instead of the tables
    #[arg(long)]
    pub json: bool,
}

impl Options {
    pub fn log(&self) -> PathBuf {
        let Options { lines, seed, .. } = self;
        let made_up = || env::temp_dir().join(format!("log_analysis-{lines}-{seed}.log"));
        self.file.clone().unwrap_or_else(made_up)
    }

    /// For a log of so many bytes. Many chunks share out the work evenly, few leave little to merge.
    pub fn chunk_size(&self, bytes: u64) -> u64 {
        let twentieth = bytes.div_ceil(u64::from(self.workers) * 20);
        self.chunk_size
            .unwrap_or(twentieth.clamp(1 << 20, 32 << 20))
    }
}

fn processors() -> u16 {
    let available = thread::available_parallelism().map_or(1, usize::from);
    available.try_into().unwrap_or(u16::MAX)
}
