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
    is twelve more pages that child and parent copy (2 µs each, more on slower days); the rest is the socket that \
    carries the answer, the descriptor of the process, and the count of threads. It is a fixed sum: beside a process \
    with 8 MiB of heap, whose bare fork takes longer, the ratio is 1.16, with 64 MiB 1.03. A bare fork with the same \
    system calls is at 1.36.";

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
