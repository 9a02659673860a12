//! One array, in which more and more processes write at once, each in a range of its own.

use std::{ops::Range, sync::atomic::Ordering};

use multiproc::{Array, Mutex};

use crate::{
    crowd,
    curves::{MOST_PROCESSES, processes},
    pthread,
    report::{Report, curve::Axis},
    rows::Outcome,
    sys::Mapping,
};

const LENGTH: usize = 8_000_000;

/// A large array doubled once, each process its part.
pub fn writers(report: &mut Report) -> Outcome {
    let y = Axis::bytes_per_second("elements doubled in place");
    let Some(mut sweep) = report.sweep("Disjoint writers", Axis::count("processes"), y) else {
        return Ok(());
    };
    let ours = Array::from_slice(&vec![1.0f64; LENGTH])?;
    let plain = Mapping::new(LENGTH * size_of::<f64>())?;
    for word in plain.words() {
        word.store(1.0f64.to_bits(), Ordering::Relaxed);
    }
    for processes in processes() {
        let throughput = |nanoseconds: f64| (LENGTH * size_of::<f64>()) as f64 * 1e9 / nanoseconds;
        let part = |i| LENGTH * i / processes..LENGTH * (i + 1) / processes;
        sweep
            .at(processes as f64)
            .party("multiproc", || {
                let work = |i| double(&mut ours.write(part(i)).unwrap());
                Ok(throughput(crowd::once(processes, work)?))
            })
            .party("plain mapping (limit)", || {
                let work = |i| double_part(&plain, part(i));
                Ok(throughput(crowd::once(processes, work)?))
            })
            .party("one lock around all", || {
                let lock = Mutex::new(())?;
                let work = |i| {
                    let _held = lock.lock().unwrap();
                    double_part(&plain, part(i));
                };
                Ok(throughput(crowd::once(processes, work)?))
            })
            .run();
    }
    sweep.done()
}

fn double(numbers: &mut [f64]) {
    for number in numbers {
        *number *= 2.0;
    }
}

fn double_part(plain: &Mapping, part: Range<usize>) {
    // SAFETY: each process does a part of its own.
    double(unsafe { plain.floats(part) });
}

/// How many elements a process claims at a time.
const CLAIM: usize = 64;

/// Short claims, on and on: what finding out costs that nobody is in the way.
pub fn claims(report: &mut Report) -> Outcome {
    let y = Axis::nanoseconds("time for each claim");
    let Some(mut sweep) = report.sweep("Short claims", Axis::count("processes"), y) else {
        return Ok(());
    };
    let ours = Array::<f64>::zeroed(MOST_PROCESSES * CLAIM)?;
    let plain = Mapping::new(MOST_PROCESSES * CLAIM * size_of::<f64>())?;
    let lock = Mutex::new(())?;
    let robust = pthread::Mutex::robust()?;
    for processes in processes() {
        let part = |i| i * CLAIM..(i + 1) * CLAIM;
        sweep
            .at(processes as f64)
            .party("multiproc, claims", || {
                let ours = &ours;
                crowd::processes(processes, |i| {
                    move || double(&mut ours.write(part(i)).unwrap())
                })
            })
            .party("multiproc, one lock", || {
                let (lock, plain) = (&lock, &plain);
                crowd::processes(processes, |i| {
                    move || {
                        let _held = lock.lock().unwrap();
                        double_part(plain, part(i));
                    }
                })
            })
            .party("glibc pshared robust, one lock", || {
                let plain = &plain;
                crowd::processes(processes, |i| {
                    move || {
                        let _held = robust.lock();
                        double_part(plain, part(i));
                    }
                })
            })
            .run();
    }
    sweep.done()
}
