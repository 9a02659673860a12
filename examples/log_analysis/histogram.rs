//! How often each latency occurred, to within three percent.

use std::iter;

use serde::{Deserialize, Serialize};

/// Each doubling of the latency is divided into 16 buckets, as in Gil Tene's HdrHistogram: a bucket's middle is less than
/// 1/32 away from all that lies in it.
const DIGITS: u32 = 4;

/// A histogram of microseconds. Two merge into exactly what one of all their values would be, in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Sparse", into = "Sparse")]
pub struct Histogram {
    /// The number of the first of `counts`: most buckets are never hit, and those that are lie together.
    first: usize,
    counts: Vec<u64>,
}

impl Histogram {
    #[inline]
    pub fn add(&mut self, micros: u32) {
        let bucket = bucket(micros);
        match self.counts.get_mut(bucket.wrapping_sub(self.first)) {
            Some(count) => *count += 1,
            None => *self.make_room(bucket, bucket) += 1,
        }
    }

    pub fn merge(&mut self, other: &Histogram) {
        if !other.counts.is_empty() {
            self.make_room(other.first, other.first + other.counts.len() - 1);
            let counts = &mut self.counts[other.first - self.first..];
            for (count, other) in iter::zip(counts, &other.counts) {
                *count += other;
            }
        }
    }

    /// Sees to it that the buckets from `low` to `high` are there, and gives the count of the former.
    #[cold]
    fn make_room(&mut self, low: usize, high: usize) -> &mut u64 {
        // Whole doublings: it grows a few times only.
        let (first, end) = (low >> DIGITS << DIGITS, ((high >> DIGITS) + 1) << DIGITS);
        if self.counts.is_empty() {
            self.first = first;
        }
        let missing = self.first.saturating_sub(first);
        self.first -= missing;
        let len = (self.counts.len() + missing).max(end - self.first);
        self.counts.reserve_exact(len - self.counts.len());
        self.counts.resize(len, 0);
        self.counts.rotate_right(missing);
        &mut self.counts[low - self.first]
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The latency in microseconds that this share of all, in percent, did not exceed.
    pub fn percentile(&self, percent: u64) -> u64 {
        let wanted = (u128::from(self.count()) * u128::from(percent)).div_ceil(100);
        let mut below = 0;
        let bucket = self.counts.iter().position(|count| {
            below += u128::from(*count);
            below >= wanted
        });
        bucket.map_or(0, |bucket| middle(self.first + bucket))
    }
}

/// The buckets that were hit, each by its distance from the one before, and their counts. This is how histograms travel.
#[derive(Serialize, Deserialize)]
struct Sparse(Vec<(usize, u64)>);

impl From<Histogram> for Sparse {
    fn from(histogram: Histogram) -> Sparse {
        let mut last = 0;
        let buckets = (histogram.first..).zip(histogram.counts);
        let hit = buckets.filter(|(_, count)| *count > 0);
        let pairs =
            hit.map(|(bucket, count)| (bucket - std::mem::replace(&mut last, bucket), count));
        Sparse(pairs.collect())
    }
}

impl From<Sparse> for Histogram {
    fn from(Sparse(pairs): Sparse) -> Histogram {
        let mut histogram = Histogram::default();
        let last = pairs.iter().map(|(distance, _)| distance).sum();
        if let Some((first, _)) = pairs.first() {
            histogram.make_room(*first, last);
        }
        let mut bucket = 0;
        for (distance, count) in pairs {
            bucket += distance;
            histogram.counts[bucket - histogram.first] = count;
        }
        histogram
    }
}

fn bucket(micros: u32) -> usize {
    let doublings = (micros | 1 << DIGITS).ilog2() - DIGITS;
    ((doublings << DIGITS) + (micros >> doublings)) as usize
}

fn middle(bucket: usize) -> u64 {
    // The first 2 × 16 are one microsecond wide.
    let doublings = (bucket >> DIGITS).saturating_sub(1);
    let start = (bucket as u64 - (doublings << DIGITS) as u64) << doublings;
    start + (1 << doublings) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(latencies: impl IntoIterator<Item = u32>) -> Histogram {
        let mut histogram = Histogram::default();
        latencies
            .into_iter()
            .for_each(|micros| histogram.add(micros));
        histogram
    }

    #[test]
    fn the_middle_of_a_bucket_is_near_all_that_lies_in_it() {
        let mut last = 0;
        for micros in
            (0..1 << 20).chain((20..32).flat_map(|bit| [(1 << bit) - 1, 1 << bit, 3 << (bit - 1)]))
        {
            let bucket = bucket(micros);
            assert!(bucket == last || bucket == last + 1 || micros >= 1 << 20);
            last = bucket;
            let distance = middle(bucket).abs_diff(micros.into());
            assert!(distance * 32 <= micros.into(), "{micros}: {distance}");
        }
        assert!(bucket(u32::MAX) < 480);
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_values() {
        let histogram = of(1..=20);
        let percentiles = [1, 5, 6, 50, 99, 100].map(|percent| histogram.percentile(percent));
        assert_eq!(percentiles, [1, 1, 2, 10, 20, 20]);
        assert_eq!(of([]).percentile(50), 0);
    }

    #[test]
    fn merged_or_sent_it_is_what_it_would_have_been_at_once() {
        let values = [7, 900_000, 3, 12_000, 0, u32::MAX, 12_000];
        for cut in 0..values.len() {
            let (left, right) = values.split_at(cut);
            let (mut left, right) = (of(left.iter().copied()), of(right.iter().copied()));
            left.merge(&right);
            assert_eq!(left, of(values));
            let bytes = serde_json::to_vec(&left).unwrap();
            assert_eq!(serde_json::from_slice::<Histogram>(&bytes).unwrap(), left);
        }
    }
}
