//! What the workers do: each function here runs in child processes, each on a range of its own.

use std::{fmt::Display, ops::Range};

use multiproc::{Array, AtomicArray, Counter};
use serde::{Deserialize, Serialize};

use crate::{
    moments::Moments,
    order::{Search, Tally},
};

/// Small enough for the nearest cache: a block is looked at more than once.
const BLOCK: usize = 4096;

/// The histogram's bins are this many standard deviations wide, ...
pub const BIN_WIDTH: f64 = 0.25;
/// ... as many as this, with the mean in the middle; the outer two take in all that is beyond.
pub const BINS: usize = 26;

/// What all workers are given. What is shared travels as a handle: they see the same memory.
#[derive(Clone, Serialize, Deserialize)]
pub struct Job {
    pub array: Array<f64>,
    /// Counts the elements done, for the progress bar.
    pub progress: Counter,
    pub search: Search,
    /// Where the workers add up what they count for the search.
    pub tally: AtomicArray<u64>,
    pub mean: f64,
    pub std: f64,
}

/// What a worker gives back. Errors cross the process boundary as text.
pub type Outcome<T> = Result<T, String>;

/// Makes numbers up: waiting times with a mean of 20. Each depends on its index alone, so that the
/// array is the same whoever makes which part of it.
pub fn generate((job, range): (Job, Range<usize>)) -> Outcome<()> {
    let mut numbers = job.array.write(range.clone()).map_err(text)?;
    for (block, start) in numbers.chunks_mut(BLOCK).zip(range.step_by(BLOCK)) {
        for (number, index) in block.iter_mut().zip(start as u64..) {
            *number = -20.0 * uniform(index).ln();
        }
        job.progress.add(block.len() as u64);
    }
    Ok(())
}

/// The number at `index` in a fixed random sequence, above 0 and at most 1 (SplitMix64).
fn uniform(index: u64) -> f64 {
    let mut bits = (index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    ((bits >> 11) + 1) as f64 / (1u64 << 53) as f64
}

/// Takes the moments about `job.mean`, and a round of the search.
pub fn look((job, range): (Job, Range<usize>)) -> Outcome<Moments> {
    let mut moments = Moments::default();
    read(&job, range, |block| moments.add(block, job.mean))?;
    Ok(moments)
}

/// A round of the search alone.
pub fn refine((job, range): (Job, Range<usize>)) -> Outcome<()> {
    read(&job, range, |_| ())
}

fn read(job: &Job, range: Range<usize>, mut each: impl FnMut(&[f64])) -> Outcome<()> {
    // Readers share: the claim only keeps writers out, until the guard is dropped.
    let numbers = job.array.read(range).map_err(text)?;
    let mut tally = Tally::new(&job.search);
    for block in numbers.chunks(BLOCK) {
        each(block);
        tally.add(block);
        job.progress.add(block.len() as u64);
    }
    tally.publish(&job.tally);
    Ok(())
}

/// The last round of the search, after which every number is replaced by its distance from the
/// mean in standard deviations; gives the histogram of those. Without a deviation they become NaN.
pub fn standardise((job, range): (Job, Range<usize>)) -> Outcome<Vec<u64>> {
    // The claim makes this a plain `&mut [f64]`: nobody else, in any process, reads or writes it.
    let mut numbers = job.array.write(range).map_err(text)?;
    let mut tally = Tally::new(&job.search);
    let mut histogram = vec![0; BINS];
    for block in numbers.chunks_mut(BLOCK) {
        tally.add(block);
        for x in block.iter_mut() {
            *x = (*x - job.mean) / job.std;
            if !x.is_nan() {
                let bin = *x / BIN_WIDTH + (BINS / 2) as f64;
                histogram[bin.clamp(0.0, (BINS - 1) as f64) as usize] += 1;
            }
        }
        job.progress.add(block.len() as u64);
    }
    tally.publish(&job.tally);
    Ok(histogram)
}

fn text(error: impl Display) -> String {
    error.to_string()
}
