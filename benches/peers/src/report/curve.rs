//! One curve: what several parties take, over the size of the work or the number who do it.

use serde::Serialize;

use super::unit::Unit;

/// What a curve runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Axis {
    /// What it says.
    pub label: &'static str,
    pub unit: Unit,
    /// Whether equal steps are equal factors.
    pub logarithmic: bool,
}

impl Axis {
    /// A number of somebody.
    pub const fn count(label: &'static str) -> Axis {
        Axis {
            label,
            unit: Unit::Count,
            logarithmic: false,
        }
    }

    /// A number of bytes, in equal factors.
    pub const fn bytes(label: &'static str) -> Axis {
        Axis {
            label,
            unit: Unit::Bytes,
            logarithmic: true,
        }
    }

    /// A duration, in equal factors.
    pub const fn nanoseconds(label: &'static str) -> Axis {
        Axis {
            label,
            unit: Unit::Nanoseconds,
            logarithmic: true,
        }
    }

    /// A throughput, in equal factors.
    pub const fn bytes_per_second(label: &'static str) -> Axis {
        Axis {
            label,
            unit: Unit::BytesPerSecond,
            logarithmic: true,
        }
    }
}

/// Several parties over one axis.
#[derive(Clone, Debug, Serialize)]
pub struct Curve {
    pub name: &'static str,
    pub x: Axis,
    /// What is measured.
    pub y: Axis,
    pub series: Vec<Series>,
}

/// One party.
#[derive(Clone, Debug, Serialize)]
pub struct Series {
    pub name: &'static str,
    pub points: Vec<[f64; 2]>,
}

impl Curve {
    /// One without a party.
    pub fn new(name: &'static str, x: Axis, y: Axis) -> Curve {
        Curve {
            name,
            x,
            y,
            series: Vec::new(),
        }
    }

    /// The name of its picture, without the extension.
    pub fn file_name(&self) -> String {
        self.name.to_lowercase().replace([' ', ','], "-")
    }

    /// Adds a point to the party of this name.
    pub fn add(&mut self, party: &'static str, point: [f64; 2]) {
        match self.series.iter_mut().find(|series| series.name == party) {
            Some(series) => series.points.push(point),
            None => self.series.push(Series {
                name: party,
                points: vec![point],
            }),
        }
    }

    /// Where anybody has a point, in rising order.
    pub fn xs(&self) -> Vec<f64> {
        let points = self.series.iter().flat_map(|series| &series.points);
        let mut xs: Vec<f64> = points.map(|point| point[0]).collect();
        xs.sort_by(f64::total_cmp);
        xs.dedup();
        xs
    }

    /// What a party has there.
    pub fn at(series: &Series, x: f64) -> Option<f64> {
        let point = series.points.iter().find(|point| point[0] == x)?;
        Some(point[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parties_may_have_points_at_some_places_only() {
        let axis = Axis::bytes("payload");
        let mut curve = Curve::new("A curve", axis, axis);
        curve.add("ours", [1.0, 5.0]);
        curve.add("other", [2.0, 6.0]);
        curve.add("ours", [2.0, 7.0]);
        assert_eq!(curve.xs(), [1.0, 2.0]);
        assert_eq!(Curve::at(&curve.series[0], 2.0), Some(7.0));
        assert_eq!(Curve::at(&curve.series[1], 1.0), None);
        assert_eq!(curve.file_name(), "a-curve");
    }
}
