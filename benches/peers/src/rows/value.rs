//! `Value`: snapshots and transactions.

use std::{
    error::Error,
    hint::black_box,
    io,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use multiproc::{Mutex, Process, Value};

use crate::{
    gate::gate,
    measure::{times, work_per_call},
    report::{
        Report,
        beside::{limit, own},
    },
    rows::{Outcome, condvar::PosixTurn},
    sys::{Mapping, Place, evictions},
    turns::{Baton, round_trips},
};

const ABSOLUTE: &str = "An absolute figure: it is kept where the row below, one bare load, takes 0.4 ns, and missed on slower days.";

/// `get`.
pub fn get(report: &mut Report) -> Result<(), Box<dyn Error>> {
    let Some(bench) = report.bench("`Value<f64>::get`", Place::First) else {
        return Ok(());
    };
    const TIMES: u32 = 2_000_000;
    let ours = Value::new(0.0)?;
    let words = Mapping::new(4096)?.leak_words();
    bench
        .ours(|| work_per_call(TIMES, || _ = black_box(black_box(&ours).get())))
        .at_most("3 ns", 3.0)
        .because(ABSOLUTE)
        .peer(limit("one load"), || {
            work_per_call(TIMES, || {
                _ = black_box(black_box(words)[0].load(Ordering::Relaxed))
            })
        })
        .python("Python Value.value", "value get")
        .run(report)
}

/// `update`.
pub fn update(report: &mut Report) -> Result<(), Box<dyn Error>> {
    let Some(bench) = report.bench("`Value<f64>::update`", Place::First) else {
        return Ok(());
    };
    const TIMES: u32 = 200_000;
    let ours = Value::new(0.0)?;
    let lock = Mutex::new(0.0)?;
    bench
        .ours(|| work_per_call(TIMES, || black_box(&ours).update(|v| *v += 1.0).unwrap()))
        .target(own("`Mutex<f64>`"), 1.3, || {
            work_per_call(TIMES, || *black_box(&lock).lock().unwrap() += 1.0)
        })
        .python("Python with Value.get_lock()", "value update")
        .run(report)
}

/// `get` while another process never stops writing.
pub fn get_beside_a_busy_writer(report: &mut Report) -> Result<(), Box<dyn Error>> {
    let name = "`Value<[u8; 1024]>::get`, worst of 1 M";
    let Some(bench) = report.bench(name, Place::First) else {
        return Ok(());
    };
    let ours = Value::new([0u8; 1024])?;
    bench
        .ours(|| {
            Ok(gate().beside(
                || Process::fork(write_on_and_on, ours.clone()).map_err(io::Error::other),
                |gate| {
                    gate.go()?;
                    let worst = worst_of(times(1_000_000), || {
                        _ = black_box(ours.get());
                    })?;
                    gate.stop()?;
                    Ok(worst.as_nanos() as f64)
                },
                |child| child.join().map_err(io::Error::other),
            )?)
        })
        .at_most("1 ms", 1e6)
        .few()
        .run(report)
}

fn write_on_and_on(value: Value<[u8; 1024]>) {
    gate().follow(|| {
        value
            .update(|bytes| bytes[0] = bytes[0].wrapping_add(1))
            .unwrap()
    });
}

/// Whose turn it is, as a value that both wait for.
pub fn round_trip(report: &mut Report) -> Outcome {
    let posix = PosixTurn::new()?;
    let posix = ("POSIX mutex, condition", &posix);
    round_trips(report, "`Value`", &Value::new(0)?, posix, None)
}

impl Baton for Value<u64> {
    fn give(&self, to: usize) {
        self.set(to as u64).unwrap();
    }

    fn take(&self, me: usize) {
        self.wait_while(|turn| *turn != me as u64).unwrap();
    }
}

/// The longest of so many calls. Those during which somebody else was given the processor are made again: they say
/// nothing about the library, which would give it up by itself if it had to wait.
fn worst_of(times: u32, mut operation: impl FnMut()) -> io::Result<Duration> {
    const AT_ONCE: u32 = 1000;
    let mut worst = Duration::ZERO;
    let mut done = 0;
    while done < times {
        let evictions = evictions()?;
        let mut worst_of_these = Duration::ZERO;
        for _ in 0..AT_ONCE {
            let begun = Instant::now();
            operation();
            worst_of_these = worst_of_these.max(begun.elapsed());
        }
        if self::evictions()? == evictions {
            worst = worst.max(worst_of_these);
            done += AT_ONCE;
        }
    }
    Ok(worst)
}
