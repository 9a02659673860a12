//! What one repetition of one party says, and how much of it is done.

use std::{
    error::Error,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

use crate::sys::thread_time;

/// What one repetition of one party says: nanoseconds per operation, or whatever else its row counts in.
pub type Measured = Result<f64, Box<dyn Error>>;

/// What a smoke run divides by.
const QUICK: u32 = 50;

static IS_QUICK: AtomicBool = AtomicBool::new(false);

/// From now on everything is done a few times only: enough to see that it works, too little for a figure.
pub fn be_quick() {
    IS_QUICK.store(true, Relaxed);
}

/// Whether this is a smoke run.
pub fn is_quick() -> bool {
    IS_QUICK.load(Relaxed)
}

/// As many times, or as few as a smoke run does instead, at least once.
pub fn times(times: u32) -> u32 {
    match is_quick() {
        true => (times / QUICK).max(1),
        false => times,
    }
}

/// As long, or as short as a smoke run takes instead.
pub fn span(span: Duration) -> Duration {
    span / if is_quick() { 10 } else { 1 }
}

/// Nanoseconds for each of so many calls.
#[inline(always)]
pub fn per_call(calls: u32, operation: impl FnMut()) -> Measured {
    let calls = times(calls);
    let begun = Instant::now();
    repeat(calls, operation);
    Ok(begun.elapsed().as_nanos() as f64 / f64::from(calls))
}

/// Nanoseconds of processor time for each of so many calls that never wait: others who want the processor, too, do
/// not count.
#[inline(always)]
pub fn work_per_call(calls: u32, operation: impl FnMut()) -> Measured {
    let calls = times(calls);
    let begun = thread_time()?;
    repeat(calls, operation);
    Ok((thread_time()? - begun).as_nanos() as f64 / f64::from(calls))
}

#[inline(always)]
fn repeat(times: u32, mut operation: impl FnMut()) {
    for _ in 0..times {
        operation();
    }
}

/// The middle one; of none, not a number.
pub fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_of_the_sorted() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [5.0]), 5.0);
        assert!(median(&mut []).is_nan());
    }
}
