//! Processes that do nothing: start and join.

use std::{env, error::Error};

use multiproc::{ForkServer, Process, StartMethod};

use crate::{
    EXIT_AT_ONCE,
    report::{Report, per_call},
    sys::{Child, Place},
};

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
        .target("fork and waitpid (limit)", 1.3, || {
            per_call(TIMES, || Child::fork(|| ()).unwrap().wait().unwrap())
        })
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
        .target("fork and waitpid (limit)", 3.0, || {
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
        .target("posix_spawn and waitpid (limit)", 1.3, || {
            per_call(TIMES, || {
                Child::exec_self(&program, EXIT_AT_ONCE)
                    .unwrap()
                    .wait()
                    .unwrap();
            })
        })
        .python("Python spawn", "spawn")
        .run(report)
}

fn nothing(_: ()) {}
