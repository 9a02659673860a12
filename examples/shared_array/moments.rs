//! Count, sums, minimum and maximum of numbers, and how those of two parts merge.

use std::array::from_fn;

use serde::{Deserialize, Serialize};

/// The numbers are dealt out to four lanes, each with figures of its own: that fills the vector
/// units, where a single sum would wait for each addition to end.
type Row = [f64; 4];

/// A sum that keeps the rounding error of every addition and adds them up last (Knuth's exact
/// addition, as Neumaier uses it).
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
pub struct Sum {
    high: Row,
    low: Row,
}

impl Sum {
    #[inline(always)]
    fn add(&mut self, row: Row) {
        for ((high, low), x) in self.high.iter_mut().zip(&mut self.low).zip(row) {
            let total = *high + x;
            let arrived = total - *high;
            *low += (*high - (total - arrived)) + (x - arrived);
            *high = total;
        }
    }

    fn merge(mut self, other: Sum) -> Sum {
        self.add(other.high);
        self.low = from_fn(|lane| self.low[lane] + other.low[lane]);
        self
    }

    pub fn value(self) -> f64 {
        let mut sum = Sum::default();
        self.high
            .into_iter()
            .for_each(|x| sum.add([x, 0.0, 0.0, 0.0]));
        let low = sum.low[0] + self.low.into_iter().sum::<f64>();
        // Infinities make the errors NaN, and the plain sum right.
        sum.high[0] + if low.is_finite() { low } else { 0.0 }
    }
}

/// NaNs are not counted, and otherwise as if they were not there.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Moments {
    pub count: usize,
    pub sum: Sum,
    /// The sum of the squared distances from some centre.
    pub squares: Sum,
    min: Row,
    max: Row,
}

impl Default for Moments {
    fn default() -> Moments {
        let (sum, squares) = (Sum::default(), Sum::default());
        Moments {
            count: 0,
            sum,
            squares,
            min: [f64::INFINITY; 4],
            max: [f64::NEG_INFINITY; 4],
        }
    }
}

impl Moments {
    pub fn add(&mut self, block: &[f64], centre: f64) {
        self.count += block.iter().filter(|x| !x.is_nan()).count();
        let (rows, rest) = block.as_chunks();
        // A copy, since it may live in registers.
        let mut moments = *self;
        rows.iter().for_each(|row| moments.add_row(*row, centre));
        moments.add_row(from_fn(|lane| *rest.get(lane).unwrap_or(&f64::NAN)), centre);
        *self = moments;
    }

    #[inline(always)]
    fn add_row(&mut self, row: Row, centre: f64) {
        let or_zero = |x: f64, term: f64| if x.is_nan() { 0.0 } else { term };
        self.sum.add(row.map(|x| or_zero(x, x)));
        self.squares
            .add(row.map(|x| or_zero(x, (x - centre) * (x - centre))));
        // Comparisons with NaN are false.
        for ((min, max), x) in self.min.iter_mut().zip(&mut self.max).zip(row) {
            *min = if x < *min { x } else { *min };
            *max = if x > *max { x } else { *max };
        }
    }

    pub fn merge(mut self, other: Moments) -> Moments {
        self.count += other.count;
        self.sum = self.sum.merge(other.sum);
        self.squares = self.squares.merge(other.squares);
        self.min = from_fn(|lane| self.min[lane].min(other.min[lane]));
        self.max = from_fn(|lane| self.max[lane].max(other.max[lane]));
        self
    }

    pub fn min(&self) -> f64 {
        self.min.into_iter().fold(f64::INFINITY, f64::min)
    }

    pub fn max(&self) -> f64 {
        self.max.into_iter().fold(f64::NEG_INFINITY, f64::max)
    }
}
