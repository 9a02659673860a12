//! What the workers do: each function here runs in child processes, each on a range of its own.

use std::{error::Error, ffi::OsString, ops::Range, path::Path};

use multiproc::{Array, AtomicArray, Counter};
use serde::{Deserialize, Serialize};

use crate::{
    moments::{Moments, Sum},
    npy::NpyFile,
    order::{Search, Tally},
};

/// Small enough for the nearest cache: a block is looked at more than once.
const BLOCK: usize = 4096;

/// The histogram's bins are this many standard deviations wide, ...
pub const BIN_WIDTH: f64 = 0.25;
/// ... as many as this, with the mean in the middle; the outer two take in all that is beyond.
pub const BINS: usize = 26;

/// What a worker is given. The first three are shared: they travel as handles, and all workers see the same memory.
/// Of the others each gets a copy.
#[derive(Clone, Serialize, Deserialize)]
pub struct Job {
    pub array: Array<f64>,
    /// Counts the elements done, for the progress bar.
    pub progress: Counter,
    /// Where the workers add up what they count for the search.
    pub tally: AtomicArray<u64>,
    pub search: Search,
    pub mean: f64,
    pub std: f64,
    /// The NumPy file that the numbers come from.
    pub file: Option<OsString>,
}

impl Job {
    pub fn new(array: &Array<f64>, file: Option<&Path>) -> Result<Job, multiproc::Error> {
        let search = Search::new();
        Ok(Job {
            array: array.clone(),
            progress: Counter::new(0)?,
            tally: AtomicArray::zeroed(search.tally_len())?,
            search,
            mean: 0.0,
            std: 0.0,
            file: file.map(Into::into),
        })
    }
}

/// What a worker gives back.
pub type Outcome<T> = Result<T, Failed>;

/// Why it could not: errors of all kinds cross the process boundary as text.
#[derive(Serialize, Deserialize)]
pub struct Failed(pub String);

impl<E: Error> From<E> for Failed {
    fn from(error: E) -> Failed {
        Failed(error.to_string())
    }
}

/// Fills the range, from the file or with numbers that are made up.
pub fn fill((job, range): (Job, Range<usize>)) -> Outcome<()> {
    let file = job.file.as_ref().map(NpyFile::open).transpose()?;
    // The claim makes this a plain `&mut [f64]`: nobody else, in any process, reads or writes it.
    let mut numbers = job.array.write(range.clone())?;
    for (block, start) in numbers.chunks_mut(BLOCK).zip(range.step_by(BLOCK)) {
        match &file {
            Some(file) => file.read(start, block)?,
            None => make_up(start as u64, block),
        }
        job.progress.add(block.len() as u64);
    }
    Ok(())
}

/// Waiting times with a mean of 20. Each depends on its index alone, so that the array is the same whoever fills which
/// part of it (SplitMix64).
fn make_up(start: u64, numbers: &mut [f64]) {
    for (number, index) in numbers.iter_mut().zip(start..) {
        let mut bits = (index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        let above_0_up_to_1 = ((bits >> 11) + 1) as f64 / (1u64 << 53) as f64;
        *number = -20.0 * above_0_up_to_1.ln();
    }
}

/// Takes the moments, and a round of the search.
pub fn look((job, range): (Job, Range<usize>)) -> Outcome<Moments> {
    let mut moments = Moments::NONE;
    read(&job, range, |block| {
        block.iter().for_each(|&x| moments.add(x))
    })?;
    Ok(moments)
}

/// Adds up the squared distances from the mean, and takes a round of the search.
pub fn spread((job, range): (Job, Range<usize>)) -> Outcome<Sum> {
    let mut squares = Sum::default();
    read(&job, range, |block| {
        let numbers = block.iter().filter(|x| !x.is_nan());
        numbers.for_each(|x| squares.add((x - job.mean).powi(2)));
    })?;
    Ok(squares)
}

/// A round of the search alone.
pub fn refine((job, range): (Job, Range<usize>)) -> Outcome<()> {
    read(&job, range, |_| ())
}

fn read(job: &Job, range: Range<usize>, mut each: impl FnMut(&[f64])) -> Outcome<()> {
    // Readers share: the claim only keeps writers out, until the guard is dropped.
    let numbers = job.array.read(range)?;
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
    let mut numbers = job.array.write(range)?;
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
