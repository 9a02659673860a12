//! `Event`: a flag to wait for.

use std::{hint::black_box, sync::atomic::Ordering};

use multiproc::Event;

use crate::{
    measure::work_per_call,
    pthread,
    report::{Report, beside::limit},
    rows::Outcome,
    sys::{Mapping, Place},
    turns::{Baton, round_trips},
};

const POSIX: &str = "POSIX mutex, condition, flag";

/// Set and cleared, without anybody who waits.
pub fn set(report: &mut Report) -> Outcome {
    let Some(bench) = report.bench("event set, clear, nobody waits", Place::First) else {
        return Ok(());
    };
    const TIMES: u32 = 200_000;
    let ours = Event::new()?;
    let posix = pthread::Event::new()?;
    let words = Mapping::new(4096)?.leak_words();
    bench
        .ours(|| {
            work_per_call(TIMES, || {
                black_box(&ours).set();
                black_box(&ours).clear();
            })
        })
        .peer(limit("two atomics"), || {
            work_per_call(TIMES, || {
                let word = &black_box(words)[0];
                word.fetch_or(1, Ordering::Release);
                word.fetch_and(!1, Ordering::Relaxed);
            })
        })
        .peer(POSIX, || {
            work_per_call(TIMES, || {
                black_box(&posix).set();
                black_box(&posix).clear();
            })
        })
        .python("Python Event", "event set")
        .run(report)
}

/// `is_set`.
pub fn is_set(report: &mut Report) -> Outcome {
    let Some(bench) = report.bench("`Event::is_set`", Place::First) else {
        return Ok(());
    };
    const TIMES: u32 = 1_000_000;
    let ours = Event::new()?;
    let posix = pthread::Event::new()?;
    let words = Mapping::new(4096)?.leak_words();
    bench
        .ours(|| work_per_call(TIMES, || _ = black_box(black_box(&ours).is_set())))
        .peer(limit("one load"), || {
            work_per_call(TIMES, || {
                _ = black_box(black_box(words)[0].load(Ordering::Acquire))
            })
        })
        .peer(POSIX, || {
            work_per_call(TIMES, || _ = black_box(black_box(&posix).is_set()))
        })
        .python("Python Event", "event is set")
        .run(report)
}

/// Each sets the event of the other, waits for its own and clears it.
pub fn round_trip(report: &mut Report) -> Outcome {
    let ours = [Event::new()?, Event::new()?];
    let posix = [pthread::Event::new()?, pthread::Event::new()?];
    let python = ("Python Event", "event");
    round_trips(report, "event", &ours, (POSIX, &posix), Some(python))
}

impl Baton for [Event; 2] {
    fn give(&self, to: usize) {
        self[to].set();
    }

    fn take(&self, me: usize) {
        self[me].wait();
        self[me].clear();
    }
}

impl Baton for [pthread::Event; 2] {
    fn give(&self, to: usize) {
        self[to].set();
    }

    fn take(&self, me: usize) {
        self[me].wait();
        self[me].clear();
    }
}
