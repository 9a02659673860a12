//! Pictures, in SVG: legible on light and dark pages, since they bring a white ground.

mod lines;
mod scale;
mod summary;

use plotters::style::RGBColor;

pub use lines::of_curve;
pub use summary::summary;

/// Of ours.
const OURS: [RGBColor; 2] = [RGBColor(0, 90, 181), RGBColor(86, 170, 225)];
/// Of peers: apart from ours and from each other also for those who do not tell red from green.
const PEERS: [RGBColor; 6] = [
    RGBColor(213, 94, 0),
    RGBColor(0, 135, 95),
    RGBColor(190, 90, 155),
    RGBColor(200, 145, 0),
    RGBColor(140, 75, 35),
    RGBColor(90, 60, 160),
];
/// Of limits, and of what is even.
const GREY: RGBColor = RGBColor(140, 140, 140);
const FONT: &str = "sans-serif";
