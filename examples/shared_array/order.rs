//! Exact order statistics of numbers that no process has all of, without sorting or copying them.
//!
//! The bits of an `f64`, lightly changed, are an integer that sorts as the number does. Each of four
//! rounds finds 16 more bits of every number sought: the workers tally which digit comes next among
//! the elements that begin like it, and the parent walks along the tally to the rank it wants.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};

pub const ROUNDS: usize = 4;
const DIGITS: usize = 1 << 16;

/// The integer that sorts as `x` does; NaN sorts last.
#[inline(always)]
fn key(x: f64) -> u64 {
    let bits = x.to_bits();
    let negative = (bits as i64 >> 63) as u64;
    if x.is_nan() {
        u64::MAX
    } else {
        bits ^ (negative | 1 << 63)
    }
}

fn number(key: u64) -> f64 {
    let negative = (!key as i64 >> 63) as u64;
    f64::from_bits(key ^ (negative | 1 << 63))
}

/// What is known of the numbers sought.
#[derive(Clone, Serialize, Deserialize)]
pub struct Search {
    /// How many leading bits of their keys.
    known: u32,
    /// Those bits, and the rank among the elements that begin with them, of each number.
    targets: Vec<(u64, u64)>,
    /// The different leading bits among the targets, in rising order.
    prefixes: Vec<u64>,
}

impl Search {
    /// A search whose first round can be tallied before it has ranks.
    pub fn new() -> Search {
        Search {
            known: 0,
            targets: Vec::new(),
            prefixes: vec![0],
        }
    }

    /// Looks for the elements with these ranks in the sorted whole.
    pub fn aim(&mut self, ranks: impl Iterator<Item = u64>) {
        self.targets = ranks.map(|rank| (0, rank)).collect();
    }

    pub fn tally_len(&self) -> usize {
        self.prefixes.len() * DIGITS
    }

    /// Takes in what all workers counted in this round.
    pub fn narrow(&mut self, tally: &[AtomicU64]) {
        for (prefix, rank) in &mut self.targets {
            let slot = self.prefixes.partition_point(|other| other < prefix);
            let mut digit = 0;
            for count in &tally[slot * DIGITS..][..DIGITS - 1] {
                // Relaxed: the workers were joined, and that orders everything.
                let count = count.load(Relaxed);
                if *rank < count {
                    break;
                }
                *rank -= count;
                digit += 1;
            }
            *prefix = *prefix << 16 | digit;
        }
        self.known += 16;
        self.prefixes = self.targets.iter().map(|(prefix, _)| *prefix).collect();
        self.prefixes.sort_unstable();
        self.prefixes.dedup();
    }

    /// The numbers with the ranks given, in that order, once all rounds are over.
    pub fn found(&self) -> impl Iterator<Item = f64> {
        self.targets.iter().map(|(key, _)| number(*key))
    }
}

/// How often each digit follows each prefix, in what one worker has seen.
pub struct Tally<'a> {
    search: &'a Search,
    counts: Vec<u64>,
}

impl<'a> Tally<'a> {
    pub fn new(search: &'a Search) -> Tally<'a> {
        Tally {
            search,
            counts: vec![0; search.tally_len()],
        }
    }

    pub fn add(&mut self, block: &[f64]) {
        let known = self.search.known;
        for key in block.iter().map(|&x| key(x)) {
            let prefix = key.unbounded_shr(64 - known);
            if let Some(slot) = self
                .search
                .prefixes
                .iter()
                .position(|&other| other == prefix)
            {
                let digit = key << known >> 48;
                self.counts[slot * DIGITS + digit as usize] += 1;
            }
        }
    }

    /// Adds the counts to those of the other workers.
    pub fn publish(self, tally: &[AtomicU64]) {
        for (all, count) in tally.iter().zip(self.counts) {
            // Most are 0.
            if count > 0 {
                all.fetch_add(count, Relaxed);
            }
        }
    }
}
