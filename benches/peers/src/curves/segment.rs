//! Larger and larger segments: made, opened, and passed on by a fork.

use std::{io, process};

use multiproc::{Array, Process};
use shared_memory::ShmemConf;

use crate::{
    crowd,
    measure::{self, is_quick, per_call},
    report::{Report, curve::Axis},
    rows::Outcome,
    sys::{Child, Mapping, PAGE, available_memory},
};

/// Each sixteen times as long as the one before.
const BYTES: [usize; 6] = [4 << 10, 64 << 10, 1 << 20, 16 << 20, 256 << 20, 4 << 30];
/// From here on once is enough.
const LONG: usize = 256 << 20;

/// What a repetition touches, if it is not one segment that is longer.
const TOUCHED: usize = 64 << 20;

/// The lengths that there is room for, with much to spare: several are held at a time.
fn lengths() -> io::Result<impl Iterator<Item = usize>> {
    let room = match is_quick() {
        true => 16 << 20,
        false => available_memory()? / 4,
    };
    Ok(BYTES.into_iter().filter(move |bytes| *bytes as u64 <= room))
}

/// How often in a repetition: the longer, the less often.
fn times(bytes: usize) -> u32 {
    measure::times((TOUCHED / bytes).clamp(1, 200) as u32)
}

/// Anonymous memory made, each page touched, and given back.
pub fn made(report: &mut Report) -> Outcome {
    let y = Axis::nanoseconds("made, touched, dropped");
    let name = "Segments made";
    let Some(mut sweep) = report.sweep(name, Axis::bytes("segment"), y) else {
        return Ok(());
    };
    for bytes in lengths()? {
        let times = times(bytes);
        sweep
            .at(bytes as f64)
            .once_if(bytes >= LONG)
            .party("multiproc Array", || {
                per_call(times, || {
                    let array = Array::<u8>::zeroed(bytes).unwrap();
                    touch(&mut array.lock().unwrap());
                })
            })
            .party("memfd and mmap (limit)", || {
                per_call(times, || Mapping::of_memfd(bytes).unwrap().touch_all())
            })
            .party("shared_memory", || {
                per_call(times, || {
                    let mut memory = ShmemConf::new().size(bytes).create().unwrap();
                    // SAFETY: nobody else knows of it.
                    touch(unsafe { memory.as_slice_mut() });
                })
            })
            .python("Python SharedMemory", "segment made")
            .run();
    }
    sweep.done()
}

fn touch(bytes: &mut [u8]) {
    bytes.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
}

/// Memory with a name that another process opens and closes, without a look at what is in it.
pub fn opened(report: &mut Report) -> Outcome {
    const TIMES: u32 = 100;
    let y = Axis::nanoseconds("opened by another process");
    let name = "Segments opened";
    let Some(mut sweep) = report.sweep(name, Axis::bytes("segment"), y) else {
        return Ok(());
    };
    let name = format!("multiproc-peers-{}", process::id());
    for bytes in lengths()? {
        let array = Array::<u8>::create(name.as_str(), bytes)?;
        let other = ShmemConf::new().size(bytes).create()?;
        let id = other.get_os_id();
        let times = measure::times(TIMES);
        let elsewhere = |open: &dyn Fn()| {
            let all = crowd::once(1, |_| (0..times).for_each(|_| open()))?;
            Ok(all / f64::from(times))
        };
        sweep
            .at(bytes as f64)
            .party("multiproc Array", || {
                elsewhere(&|| drop(Array::<u8>::open(name.as_str()).unwrap()))
            })
            .party("open and mmap (limit)", || {
                elsewhere(&|| drop(Mapping::of_shared(id, bytes).unwrap()))
            })
            .party("shared_memory", || {
                elsewhere(&|| drop(ShmemConf::new().os_id(id).open().unwrap()))
            })
            .python("Python SharedMemory", "segment opened")
            .run();
        drop(array);
    }
    sweep.done()
}

/// A process forked and joined while so much memory is there, all of it touched.
pub fn forked(report: &mut Report) -> Outcome {
    let y = Axis::nanoseconds("start and join");
    let name = "Forks";
    let Some(mut sweep) = report.sweep(name, Axis::bytes("memory held"), y) else {
        return Ok(());
    };
    for bytes in lengths()? {
        // A heap is copied page by page.
        let times = if bytes < LONG { 20 } else { 5 };
        let array = Array::<u8>::zeroed(bytes)?;
        touch(&mut array.lock().unwrap());
        sweep
            .at(bytes as f64)
            .once_if(bytes >= LONG)
            .party("multiproc Process::fork, an Array", || {
                per_call(times, || {
                    Process::fork(drop, array.clone()).unwrap().join().unwrap()
                })
            })
            .party("bare fork, the Array (limit)", || {
                per_call(times, bare_fork)
            })
            .python("Python fork, a SharedMemory", "segment forked")
            .run();
        drop(array);
        let mut private = vec![0u8; bytes];
        touch(&mut private);
        sweep
            .at(bytes as f64)
            .party("bare fork, a Vec", || per_call(times, bare_fork))
            .run();
    }
    sweep.done()
}

fn bare_fork() {
    Child::fork(|| ()).unwrap().wait().unwrap();
}
