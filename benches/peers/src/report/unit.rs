//! Quantities, and how they are written.

use serde::Serialize;

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A duration: less is better.
    Nanoseconds,
    /// Memory: less is better.
    Bytes,
    /// A number of things: fewer is better.
    Count,
    /// A throughput: more is better.
    BytesPerSecond,
}

impl Unit {
    /// A figure with its unit, three digits or so.
    pub fn write(self, figure: f64) -> String {
        if !figure.is_finite() {
            return "?".into();
        }
        match self {
            Unit::Nanoseconds => scaled(figure, 1e3, &["ns", "µs", "ms", "s"]),
            Unit::Bytes => scaled(figure, 1024.0, &["B", "KiB", "MiB", "GiB"]),
            Unit::Count => format!("{figure:.0}"),
            Unit::BytesPerSecond => scaled(figure, 1e3, &["B/s", "kB/s", "MB/s", "GB/s", "TB/s"]),
        }
    }

    /// A mark on an axis: a figure without digits that say nothing.
    pub fn mark(self, figure: f64) -> String {
        let written = self.write(figure);
        match written.split_once(' ') {
            Some((number, unit)) if number.contains('.') => {
                let number = number.trim_end_matches('0').trim_end_matches('.');
                format!("{number} {unit}")
            }
            _ => written,
        }
    }
}

fn scaled(figure: f64, step: f64, units: &[&str]) -> String {
    let (mut figure, mut unit) = (figure, 0);
    // What would be rounded up to a whole step is the next unit's.
    while figure.abs() >= step - 0.5 && unit + 1 < units.len() {
        figure /= step;
        unit += 1;
    }
    let digits = match figure.abs() {
        _ if unit == 0 && units[0] == "B" => 0,
        // Likewise for digits.
        f if f < 9.995 => 2,
        f if f < 99.95 => 1,
        _ => 0,
    };
    format!("{figure:.digits$} {}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::Unit::*;

    #[test]
    fn durations_have_three_digits_and_the_unit_that_fits() {
        assert_eq!(Nanoseconds.write(0.42), "0.42 ns");
        assert_eq!(Nanoseconds.write(24.91), "24.9 ns");
        assert_eq!(Nanoseconds.write(9.999), "10.0 ns");
        assert_eq!(Nanoseconds.write(999.4), "999 ns");
        assert_eq!(Nanoseconds.write(999.6), "1.00 µs");
        assert_eq!(Nanoseconds.write(258_830.0), "259 µs");
        assert_eq!(Nanoseconds.write(3.19e9), "3.19 s");
    }

    #[test]
    fn bytes_are_whole_and_their_multiples_binary() {
        assert_eq!(Bytes.write(8.0), "8 B");
        assert_eq!(Bytes.write(4096.0), "4.00 KiB");
        assert_eq!(Bytes.write(0.0), "0 B");
    }

    #[test]
    fn marks_leave_zeros_away() {
        assert_eq!(Bytes.mark(4096.0), "4 KiB");
        assert_eq!(Nanoseconds.mark(100.0), "100 ns");
        assert_eq!(Nanoseconds.mark(10.0), "10 ns");
        assert_eq!(BytesPerSecond.mark(1e9), "1 GB/s");
        assert_eq!(Count.mark(8.0), "8");
    }

    #[test]
    fn what_was_not_measured_is_a_question_mark() {
        assert_eq!(Nanoseconds.write(f64::NAN), "?");
    }
}
