//! Count, sum, minimum and maximum of numbers, and how those of two parts merge.

use serde::{Deserialize, Serialize};

/// A sum that keeps the rounding error of every addition and adds them up last (Knuth's exact
/// addition, as Neumaier uses it).
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
pub struct Sum {
    high: f64,
    low: f64,
}

impl Sum {
    #[inline]
    pub fn add(&mut self, x: f64) {
        let total = self.high + x;
        let arrived = total - self.high;
        self.low += (self.high - (total - arrived)) + (x - arrived);
        self.high = total;
    }

    pub fn merge(mut self, other: Sum) -> Sum {
        self.add(other.high);
        self.low += other.low;
        self
    }

    pub fn value(self) -> f64 {
        // Infinities make the errors NaN, and the plain sum right.
        self.high + if self.low.is_finite() { self.low } else { 0.0 }
    }
}

/// NaNs are left out.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Moments {
    pub count: usize,
    pub sum: Sum,
    pub min: f64,
    pub max: f64,
}

impl Moments {
    /// Of no numbers: `f64::min` and `f64::max` prefer any number to NaN.
    pub const NONE: Moments = Moments {
        count: 0,
        sum: Sum {
            high: 0.0,
            low: 0.0,
        },
        min: f64::NAN,
        max: f64::NAN,
    };

    #[inline]
    pub fn add(&mut self, x: f64) {
        if !x.is_nan() {
            self.count += 1;
            self.sum.add(x);
            self.min = self.min.min(x);
            self.max = self.max.max(x);
        }
    }

    pub fn merge(self, other: Moments) -> Moments {
        Moments {
            count: self.count + other.count,
            sum: self.sum.merge(other.sum),
            min: self.min.min(other.min),
            max: self.max.max(other.max),
        }
    }
}
