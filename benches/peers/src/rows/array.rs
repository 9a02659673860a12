//! `Array`: claims, and work on the data in place.

use std::{error::Error, hint::black_box, io, time::Instant};

use multiproc::{Array, Mutex, Process};

use crate::{
    measure::{Measured, work_per_call},
    report::{
        Report,
        beside::{limit, own},
    },
    sys::{Child, Mapping, Place, pin},
};

/// A claim of a range and its release.
pub fn claim(report: &mut Report) -> Result<(), Box<dyn Error>> {
    let Some(bench) = report.bench("`Array::write`, claim and release", Place::First) else {
        return Ok(());
    };
    const TIMES: u32 = 100_000;
    let ours = Array::<f64>::zeroed(1024)?;
    let lock = Mutex::new(0.0)?;
    bench
        .ours(|| {
            work_per_call(TIMES, || {
                black_box(&ours).write(100..200).unwrap()[0] += 1.0
            })
        })
        .target(own("`Mutex<f64>`"), 4.0, || {
            work_per_call(TIMES, || *black_box(&lock).lock().unwrap() += 1.0)
        })
        .run(report)
}

const LENGTH: usize = 10_000_000;

/// Both halves of a large array doubled by a child each: start, work and join.
pub fn double(report: &mut Report) -> Result<(), Box<dyn Error>> {
    let Some(bench) = report.bench("10 M f64 doubled by 2 children", Place::Both) else {
        return Ok(());
    };
    let ours = Array::from_slice(&vec![1.0f64; LENGTH])?;
    let plain = Mapping::new(LENGTH * size_of::<f64>())?;
    // SAFETY: nobody else has it yet.
    unsafe { plain.floats(0..LENGTH) }.fill(1.0);
    bench
        .ours(|| {
            both_halves(
                |half| Process::fork(double_ours, (ours.clone(), half)).map_err(io::Error::other),
                |child| child.join().map_err(io::Error::other),
            )
        })
        .target(limit("bare fork, plain mapping"), 1.1, || {
            both_halves(
                |half| {
                    Child::fork(|| {
                        let from = half * LENGTH / 2;
                        // SAFETY: the other process takes the other half.
                        let numbers = unsafe { plain.floats(from..from + LENGTH / 2) };
                        double_slice(half, numbers);
                    })
                },
                Child::wait,
            )
        })
        .python("Python Array, a loop", "array double")
        .few()
        .run(report)
}

fn both_halves<P>(
    start: impl Fn(usize) -> io::Result<P>,
    join: impl Fn(P) -> io::Result<()>,
) -> Measured {
    let begun = Instant::now();
    let children = [start(0)?, start(1)?];
    for child in children {
        join(child)?;
    }
    Ok(begun.elapsed().as_nanos() as f64)
}

fn double_ours((array, half): (Array<f64>, usize)) {
    let from = half * LENGTH / 2;
    let mut numbers = array.write(from..from + LENGTH / 2).unwrap();
    double_slice(half, &mut numbers);
}

fn double_slice(half: usize, numbers: &mut [f64]) {
    pin([Place::First, Place::Second][half]);
    for number in numbers {
        *number *= 2.0;
    }
}
