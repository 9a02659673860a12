//! The latencies of each hour, as a picture.

use std::error::Error;

use plotters::prelude::*;

use crate::{histogram::Histogram, hour::Hour, summary::Summary};

const PERCENTILES: [(u64, RGBColor); 3] = [
    (50, RGBColor(44, 123, 182)),
    (90, RGBColor(230, 140, 30)),
    (99, RGBColor(200, 40, 40)),
];

/// Draws the median, the 90th and the 99th percentile, in SVG.
pub fn svg(summary: &Summary) -> Result<String, Box<dyn Error>> {
    let hours = &summary.hours;
    let first = hours.keys().next().map_or(0, |hour| hour.0);
    let last = hours.keys().next_back().map_or(0, |hour| hour.0);
    // Nothing is at 0 on a logarithmic scale.
    let millis = |latency: &Histogram, percent| latency.percentile(percent).max(1) as f64 / 1000.0;
    let lowest = hours.values().map(|latency| millis(latency, 50));
    let highest = hours.values().map(|latency| millis(latency, 99));
    // With room for the legend.
    let scale = lowest.fold(1.0, f64::min) / 2.0..highest.fold(1.0, f64::max) * 5.0;

    let mut picture = String::new();
    let area = SVGBackend::with_string(&mut picture, (960, 480)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("Latency by hour", ("sans-serif", 20))
        .margin(15)
        .x_label_area_size(30)
        .y_label_area_size(60)
        .build_cartesian_2d(first..last.max(first + 1), scale.log_scale())?;
    chart
        .configure_mesh()
        .x_labels(8)
        .x_label_formatter(&|hour| Hour(*hour).to_string())
        .y_label_formatter(&|millis| format!("{millis} ms"))
        .draw()?;
    for (percent, colour) in PERCENTILES {
        let style = colour.filled().stroke_width(2);
        let points = hours
            .iter()
            .map(|(hour, latency)| (hour.0, millis(latency, percent)));
        let line = LineSeries::new(points, style).point_size(2);
        let legend = move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style);
        chart
            .draw_series(line)?
            .label(format!("p{percent}"))
            .legend(legend);
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .border_style(BLACK)
        .draw()?;
    area.present()?;
    drop((chart, area));
    Ok(picture)
}
