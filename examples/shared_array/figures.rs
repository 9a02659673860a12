//! The figures of an array, found in as many passes over it as the search has rounds.

use std::error::Error;

use multiproc::AtomicArray;

use crate::{
    crew::Crew,
    moments::{Moments, Sum},
    order::ROUNDS,
    work::{self, BINS, Job},
};

/// How often the workers go over the array: to fill it, and once for each round of the search.
pub const PASSES: usize = 1 + ROUNDS;

const QUANTILES: [(&str, f64); 5] = [
    ("q01", 0.01),
    ("q25", 0.25),
    ("q50", 0.5),
    ("q75", 0.75),
    ("q99", 0.99),
];

/// What there is to say about some numbers.
pub struct Figures {
    /// How many there are that are not NaN. The others are left out everywhere, as by NumPy's
    /// `nanmean` and its like.
    pub count: usize,
    pub nans: usize,
    pub mean: f64,
    /// The standard deviation of the population.
    pub std: f64,
    /// All of them, by name.
    pub named: Vec<(&'static str, f64)>,
    /// How many lie in each bin: see [`work::BIN_WIDTH`].
    pub histogram: Vec<u64>,
}

/// Finds the figures of `job.array`, and standardises it in place: `(x - mean) / std`.
pub fn standardise(mut job: Job, crew: &Crew) -> Result<Figures, Box<dyn Error>> {
    let parts = crew.run(&job, work::look)?;
    let all = parts.into_iter().fold(Moments::NONE, Moments::merge);
    let (count, sum) = (all.count, all.sum.value());
    job.mean = sum / count as f64;
    // A quantile lies between two neighbours of the sorted numbers, as a rule.
    let last = count.saturating_sub(1);
    let places = QUANTILES.map(|(_, quantile)| quantile * last as f64);
    let neighbours = |place: &f64| [*place as u64, last.min(*place as usize + 1) as u64];
    job.search.aim(places.iter().flat_map(neighbours));
    job.next_round()?;

    let parts = crew.run(&job, work::spread)?;
    let squares = parts.into_iter().fold(Sum::default(), Sum::merge);
    job.std = (squares.value() / count as f64).sqrt();
    job.next_round()?;

    for _ in 2..ROUNDS - 1 {
        crew.run(&job, work::refine)?;
        job.next_round()?;
    }

    let parts = crew.run(&job, work::standardise)?;
    let histogram = (0..BINS)
        .map(|bin| parts.iter().map(|part| part[bin]).sum())
        .collect();
    job.search.narrow(&job.tally);

    let (mean, std) = (job.mean, job.std);
    let mut named = vec![("sum", sum), ("mean", mean), ("std", std)];
    named.extend([("min", all.min), ("max", all.max)]);
    let found: Vec<f64> = job.search.found().collect();
    for (((name, _), place), pair) in QUANTILES.iter().zip(places).zip(found.chunks(2)) {
        named.push((name, between(pair[0], pair[1], place.fract())));
    }
    Ok(Figures {
        count,
        nans: job.array.len() - count,
        mean,
        std,
        named,
        histogram,
    })
}

impl Job {
    fn next_round(&mut self) -> Result<(), multiproc::Error> {
        self.search.narrow(&self.tally);
        self.tally = AtomicArray::zeroed(self.search.tally_len())?;
        Ok(())
    }
}

/// NumPy's default, "linear", in its order of operations.
fn between(low: f64, high: f64, fraction: f64) -> f64 {
    match high - low {
        _ if low == high => low, // two infinities, say
        step if fraction < 0.5 => low + step * fraction,
        step => high - step * (1.0 - fraction),
    }
}
