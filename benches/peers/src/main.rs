//! Measures multiproc beside its peers, in one run on one machine.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml [-- [--json] [filter]]
//! ```
//!
//! The repetitions of all parties of a row are interleaved, and every party is given as the median of its own, so that
//! whatever else the machine does hits all of them alike. What is compared is only ever the ratio.

mod bare_ring;
mod flow;
mod futex;
mod gate;
mod iceoryx;
mod pair;
mod pthread;
mod python;
mod report;
mod rows;
mod sockets;
mod sys;
mod turns;

use std::{env, process::ExitCode};

use report::Report;

/// The argument with which this program ends before it has done anything: what executing it costs at least.
const EXIT_AT_ONCE: &str = "--exit-at-once";

fn main() -> ExitCode {
    if env::args_os().nth(1).is_some_and(|arg| arg == EXIT_AT_ONCE) {
        return ExitCode::SUCCESS;
    }
    multiproc::init();

    let mut json = false;
    let mut filter = String::new();
    for arg in env::args().skip(1) {
        match arg.as_str() {
            "--json" => json = true,
            other if other.starts_with('-') => {
                eprintln!("usage: multiproc-peers [--json] [filter]");
                return ExitCode::FAILURE;
            }
            other => filter = other.to_owned(),
        }
    }

    let mut report = Report::new(filter, json);
    for measure in rows::ALL {
        if let Err(error) = measure(&mut report) {
            report.failed(&error.to_string());
        }
    }
    report.finish()
}
