//! Axes, on which equal steps may be equal factors.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use crate::report::{curve::Axis, unit::Unit};

/// An axis that shows some figures.
pub struct Scale {
    axis: Axis,
    from: f64,
    to: f64,
    marks: Vec<f64>,
}

impl Scale {
    /// One that shows all of these; on a logarithmic one there is nothing at 0.
    pub fn of(axis: Axis, figures: impl Iterator<Item = f64>) -> Scale {
        let shown = |figure: &f64| figure.is_finite() && (*figure > 0.0 || !axis.logarithmic);
        let mut figures: Vec<f64> = figures.filter(shown).collect();
        figures.sort_by(f64::total_cmp);
        figures.dedup();
        let (from, to) = match *figures {
            [] => (1.0, 10.0),
            [from, .., to] => (from, to),
            [only] => (only, only),
        };
        let mut scale = Scale {
            axis,
            from,
            to,
            marks: Vec::new(),
        };
        // A little room at both ends.
        let (from, to) = (scale.place(from), scale.place(to));
        let room = ((to - from) * 0.05).max(0.05);
        scale.from = scale.figure(from - room);
        scale.to = scale.figure(to + room);
        scale.marks = match axis.unit {
            // What is measured at a few places is marked at each.
            Unit::Bytes | Unit::Count => figures,
            _ => scale.round_figures(),
        };
        scale
    }

    fn place(&self, figure: f64) -> f64 {
        match self.axis.logarithmic {
            true => figure.max(f64::MIN_POSITIVE).log10(),
            false => figure,
        }
    }

    fn figure(&self, place: f64) -> f64 {
        match self.axis.logarithmic {
            true => 10f64.powf(place),
            false => place,
        }
    }

    /// Each tenfold, and more between them while that leaves room.
    fn round_figures(&self) -> Vec<f64> {
        let steps: &[f64] = match self.place(self.to) - self.place(self.from) {
            decades if decades < 0.6 => &[1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0],
            decades if decades < 1.2 => &[1.0, 2.0, 3.0, 5.0, 7.0],
            decades if decades < 2.5 => &[1.0, 2.0, 5.0],
            _ => &[1.0],
        };
        let decades = (-3..=13).map(|exponent| 10f64.powi(exponent));
        let figures = decades.flat_map(|decade| steps.iter().map(move |step| step * decade));
        figures
            .filter(|figure| self.range().contains(figure))
            .collect()
    }
}

impl Ranged for Scale {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, figure: &f64, (start, end): (i32, i32)) -> i32 {
        let [from, to, at] = [self.from, self.to, *figure].map(|figure| self.place(figure));
        start + (f64::from(end - start) * (at - from) / (to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.marks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.from..self.to
    }
}

impl ValueFormatter<f64> for Scale {
    fn format_ext(&self, figure: &f64) -> String {
        self.axis.unit.mark(*figure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: Axis, figures: [f64; 2]) -> Vec<String> {
        let scale = Scale::of(axis, figures.into_iter());
        scale
            .marks
            .iter()
            .map(|mark| scale.format_ext(mark))
            .collect()
    }

    #[test]
    fn a_logarithmic_axis_is_marked_at_powers_in_its_unit() {
        let axis = Axis::nanoseconds("time");
        let expected = ["10 ns", "100 ns", "1 µs", "10 µs", "100 µs"];
        assert_eq!(labels(axis, [8.0, 150_000.0]), expected);
        assert_eq!(
            labels(axis, [8.0, 400.0]),
            ["10 ns", "20 ns", "50 ns", "100 ns", "200 ns"]
        );
    }

    #[test]
    fn places_are_marked_where_something_was_measured() {
        assert_eq!(
            labels(Axis::bytes("payload"), [512.0, 4096.0]),
            ["512 B", "4 KiB"]
        );
        assert_eq!(labels(Axis::count("processes"), [1.0, 4.0]), ["1", "4"]);
    }

    #[test]
    fn equal_factors_are_equal_steps() {
        let scale = Scale::of(Axis::nanoseconds("time"), [1.0, 10_000.0].into_iter());
        let [a, b, c] = [1.0, 100.0, 10_000.0].map(|figure| scale.map(&figure, (0, 1000)));
        assert!(((b - a) - (c - b)).abs() <= 1, "{a} {b} {c}");
    }

    #[test]
    fn without_figures_there_is_still_an_axis() {
        let scale = Scale::of(Axis::nanoseconds("time"), [f64::NAN].into_iter());
        assert!(scale.from < scale.to);
    }
}
