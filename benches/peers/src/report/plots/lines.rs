//! A curve as lines, with the names of the parties beside them.

use std::error::Error;

use plotters::prelude::*;

use super::{FONT, GREY, OURS, PEERS, scale::Scale};
use crate::report::curve::{Curve, Series};

const SIZE: (u32, u32) = (900, 440);
/// The width that the names of the parties take.
const LEGEND: u32 = 250;

/// The picture.
pub fn of_curve(curve: &Curve) -> Result<String, Box<dyn Error>> {
    let points = || curve.series.iter().flat_map(|series| &series.points);
    let x = Scale::of(curve.x, points().map(|point| point[0]));
    let y = Scale::of(curve.y, points().map(|point| point[1]));

    let mut picture = String::new();
    let area = SVGBackend::with_string(&mut picture, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let (left, right) = area.split_horizontally(SIZE.0 - LEGEND);
    let mut chart = ChartBuilder::on(&left)
        .caption(format!("{}: {}", curve.name, curve.y.label), (FONT, 20))
        .margin(12)
        .x_label_area_size(50)
        .y_label_area_size(80)
        .build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(215, 215, 215))
        .label_style((FONT, 15))
        .axis_desc_style((FONT, 16))
        .x_desc(curve.x.label)
        .draw()?;
    let styles = styles(&curve.series);
    for (index, (series, style)) in curve.series.iter().zip(styles).enumerate() {
        let points = series.points.iter().map(|point| (point[0], point[1]));
        chart.draw_series(LineSeries::new(points, style).point_size(4))?;
        let height = 60 + 24 * index as i32;
        right.draw(&PathElement::new([(4, height), (32, height)], style))?;
        right.draw(&Circle::new((18, height), 4, style))?;
        let name = (40, height - 8);
        right.draw(&Text::new(series.name, name, (FONT, 15).into_font()))?;
    }
    area.present()?;
    drop((chart, left, right, area));
    Ok(picture)
}

/// Ours stand out, and limits stand back.
fn styles(series: &[Series]) -> impl Iterator<Item = ShapeStyle> {
    let (mut ours, mut peers) = (OURS.iter().cycle(), PEERS.iter().cycle());
    series
        .iter()
        .map(move |series| match series.name {
            name if name.starts_with("multiproc") => ours.next().unwrap_or(&BLACK).stroke_width(4),
            name if name.ends_with("(limit)") => GREY.stroke_width(2),
            _ => peers.next().unwrap_or(&BLACK).stroke_width(2),
        })
        .map(|style| ShapeStyle {
            filled: true,
            ..style
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::curve::Axis;

    #[test]
    fn the_picture_has_a_white_ground_the_units_and_all_names() {
        let mut curve = Curve::new("Payload", Axis::bytes("payload"), Axis::nanoseconds("time"));
        for (name, factor) in [("multiproc", 1.0), ("pipe", 9.0)] {
            curve.add(name, [16.0, 10.0 * factor]);
            curve.add(name, [65536.0, 1000.0 * factor]);
        }
        let picture = of_curve(&curve).unwrap();
        let texts = [
            "multiproc",
            "pipe",
            "Payload: time",
            "64 KiB",
            "1 µs",
            "#FFFFFF",
        ];
        assert!(texts.iter().all(|text| picture.contains(text)), "{picture}");
    }
}
