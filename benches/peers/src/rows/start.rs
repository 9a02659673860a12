//! Processes that do nothing: start and join.

use std::{env, error::Error};

use multiproc::{ForkServer, Process, StartMethod};

use crate::{
    EXIT_AT_ONCE,
    measure::per_call,
    report::{Report, beside::limit},
    sys::{Child, Place},
};

const ANSWERS: &str = "A child runs a task and answers, a bare child ends at once. Of what is between them, about half \
    is pages: ten that child or parent write first and the other keeps as they were, and five stretches of code that \
    the child comes to first, 3 µs each on slower days. The descriptor of the process takes 10 µs; that and the least \
    that child, list of children and answer write is at 1.21. It is a fixed sum: beside a larger process, whose bare \
    fork takes longer, the ratio is smaller.";

/// By `fork`.
pub fn fork(report: &mut Report) -> Result<(), Box<dyn Error>> {
    let Some(bench) = report.bench("start and join, fork", Place::First) else {
        return Ok(());
    };
    const TIMES: u32 = 50;
    bench
        .ours(|| {
            per_call(TIMES, || {
                Process::fork(nothing, ()).unwrap().join().unwrap()
            })
        })
        .target(limit("fork and waitpid"), 1.3, || {
            per_call(TIMES, || Child::fork(|| ()).unwrap().wait().unwrap())
        })
        .because(ANSWERS)
        .python("Python fork", "fork")
        .run(report)
}

/// By a fork server, which is started before, as Python's is.
pub fn forkserver(report: &mut Report) -> Result<(), Box<dyn Error>> {
    let Some(bench) = report.bench("start and join, forkserver", Place::First) else {
        return Ok(());
    };
    const TIMES: u32 = 50;
    let builder = Process::builder().method(StartMethod::ForkServer);
    let result = bench
        .ours(|| {
            ForkServer::start().unwrap();
            per_call(TIMES, || {
                builder.start(nothing, ()).unwrap().join().unwrap()
            })
        })
        .target(limit("fork and waitpid"), 3.0, || {
            per_call(TIMES, || Child::fork(|| ()).unwrap().wait().unwrap())
        })
        .python("Python forkserver", "forkserver")
        .run(report);
    ForkServer::stop();
    result
}

/// By executing this program anew.
pub fn spawn(report: &mut Report) -> Result<(), Box<dyn Error>> {
    let Some(bench) = report.bench("start and join, spawn", Place::First) else {
        return Ok(());
    };
    const TIMES: u32 = 10;
    let program = env::current_exe()?;
    bench
        .ours(|| {
            per_call(TIMES, || {
                Process::spawn(nothing, ()).unwrap().join().unwrap()
            })
        })
        .target(limit("posix_spawn and waitpid"), 1.3, || {
            per_call(TIMES, || {
                Child::exec_self(&program, EXIT_AT_ONCE)
                    .unwrap()
                    .wait()
                    .unwrap();
            })
        })
        .peer("procspawn", || {
            per_call(TIMES, || procspawn::spawn((), nothing).join().unwrap())
        })
        .python("Python spawn", "spawn")
        .run(report)
}

fn nothing(_: ()) {}
