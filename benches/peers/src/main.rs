//! Measures multiproc beside its peers, in one run on one machine.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml [-- [--quick] [--json] [--write] [filter]]
//! ```
//!
//! The repetitions of all parties of a row are interleaved, and every party is given as the median of its own, so that
//! whatever else the machine does hits all of them alike. What is compared is only ever the ratio.

mod bare_ring;
mod bench;
mod cli;
mod crowd;
mod curves;
mod flow;
mod footprint;
mod futex;
mod gate;
mod handed;
mod iceoryx;
mod measure;
mod message_queue;
mod pair;
mod progress;
mod pthread;
mod python;
mod report;
mod rows;
mod sockets;
mod sweep;
mod sys;
mod turns;

use std::{env, process::ExitCode};

use clap::Parser;

use cli::Cli;
use report::Report;

/// The argument with which this program ends before it has done anything: what executing it costs at least.
const EXIT_AT_ONCE: &str = "--exit-at-once";

fn main() -> ExitCode {
    if env::args_os().nth(1).is_some_and(|arg| arg == EXIT_AT_ONCE) {
        return ExitCode::SUCCESS;
    }
    multiproc::init();
    procspawn::init();

    let cli = Cli::parse();
    if cli.quick {
        measure::be_quick();
    }
    let _cleared = iceoryx::clear_at_end();

    let rows = rows::THEMES.iter().map(|theme| theme.rows.len());
    let mut report = Report::new(&cli, rows.sum::<usize>() + curves::ALL.len());
    for theme in rows::THEMES {
        report.begin_theme(theme.title);
        theme.rows.iter().for_each(|row| step(&mut report, *row));
    }
    for curve in curves::ALL {
        step(&mut report, *curve);
    }
    match report.finish(&cli) {
        // A target that is missed is a result and no failure.
        Ok(results) if results.failures.is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn step(report: &mut Report, measure: rows::Measure) {
    if let Err(error) = measure(report) {
        report.failed(error.to_string());
    }
    report.step_done();
}
