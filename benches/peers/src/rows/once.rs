//! `OnceValue`: a value that is there.

use std::{
    hint::black_box,
    sync::{OnceLock, atomic::Ordering},
};

use multiproc::OnceValue;

use crate::{
    measure::work_per_call,
    report::{
        Report,
        beside::{limit, threads},
    },
    rows::Outcome,
    sys::{Mapping, Place},
};

/// `get`.
pub fn get(report: &mut Report) -> Outcome {
    let Some(bench) = report.bench("`OnceValue<u64>::get`", Place::First) else {
        return Ok(());
    };
    const TIMES: u32 = 2_000_000;
    let ours = OnceValue::new()?;
    ours.set(1u64)?;
    let std = OnceLock::from(1u64);
    let words = Mapping::new(4096)?.leak_words();
    bench
        .ours(|| work_per_call(TIMES, || _ = black_box(black_box(&ours).get())))
        .peer(limit("one load"), || {
            work_per_call(TIMES, || {
                _ = black_box(black_box(words)[0].load(Ordering::Acquire))
            })
        })
        .peer(threads("`std::sync::OnceLock`"), || {
            work_per_call(TIMES, || _ = black_box(black_box(&std).get()))
        })
        .run(report)
}
