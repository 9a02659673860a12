//! What is printed in the end: a table and a histogram for people, or JSON for programs.

use std::fmt;

use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use indicatif::HumanFloatCount;
use serde_json::{Value, json};

use crate::{
    cli::Options,
    figures::{Figures, PASSES},
    work::{BIN_WIDTH, BINS},
};

pub struct Report<'a> {
    pub options: &'a Options,
    pub figures: Figures,
    pub seconds: f64,
    /// How long a single worker took for the same.
    pub seconds_alone: f64,
}

impl Report<'_> {
    fn speedup(&self) -> f64 {
        self.seconds_alone / self.seconds
    }

    /// One object. Figures that are not finite, such as the mean of nothing, are `null`.
    pub fn json(&self) -> Value {
        let mut object = json!({
            "count": self.figures.count,
            "nans": self.figures.nans,
            "workers": self.options.workers,
            "method": self.options.method.to_string(),
            "seconds": self.seconds,
            "speedup": self.speedup(),
        });
        for &(name, figure) in &self.figures.named {
            object[name] = figure.into();
        }
        object
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", table(&self.figures))?;
        // Without a deviation there is nothing to draw.
        if self.figures.histogram.iter().any(|height| *height > 0) {
            write_histogram(&self.figures, f)?;
        }
        let Options {
            workers, method, ..
        } = self.options;
        // Each pass but the first, which is not timed, reads all numbers, and the last one writes them too.
        let gigabytes = 8e-9 * ((self.figures.count + self.figures.nans) * PASSES) as f64;
        let took = |seconds: f64| format!("{seconds:.3} s, {:.2} GB/s", gigabytes / seconds);
        writeln!(f, "1 worker ({method}): {}", took(self.seconds_alone))?;
        if *workers > 1 {
            let (took, speedup) = (took(self.seconds), self.speedup());
            writeln!(
                f,
                "{workers} workers ({method}): {took}, {speedup:.2} times as fast"
            )?;
        }
        Ok(())
    }
}

fn table(figures: &Figures) -> Table {
    let counts = [("count", figures.count), ("nans", figures.nans)];
    let counts = counts.map(|(name, count)| (name, grouped(count as f64, 0)));
    let figures = figures.named.iter();
    let figures = figures.map(|&(name, figure)| (name, exact(figure)));
    let (names, texts): (Vec<_>, Vec<_>) = counts.into_iter().chain(figures).unzip();

    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    for (name, text) in names.into_iter().zip(aligned(&texts)) {
        table.add_row([name, &text]);
    }
    table
}

fn write_histogram(figures: &Figures, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let width = figures.std * BIN_WIDTH;
    let edge = |bin| {
        let steps = bin as f64 - (BINS / 2) as f64;
        grouped(figures.mean + width * steps, decimals(width, 2))
    };
    let mut edges: Vec<_> = (0..=BINS).map(edge).collect();
    (edges[0], edges[BINS]) = ("-∞".into(), "∞".into());
    let edges = aligned(&edges);
    let highest = figures.histogram.iter().copied().max().unwrap_or(0);
    for (bin, &height) in figures.histogram.iter().enumerate() {
        if height > 0 {
            let (from, to) = (&edges[bin], &edges[bin + 1]);
            let percent = 100.0 * height as f64 / figures.count as f64;
            let bar = bar(height as f64 / highest as f64);
            writeln!(f, "{from} to {to} {percent:6.2} % {bar}")?;
        }
    }
    writeln!(f)
}

/// All digits that tell this number from its neighbours, those before the point in groups.
fn exact(figure: f64) -> String {
    let digits = format!("{figure:?}");
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
    if !figure.is_finite() || figure.abs() >= 1e15 || digits.contains('e') {
        return digits;
    }
    let sign = if whole.starts_with('-') { "-" } else { "" };
    let whole = grouped(figure.abs().trunc(), 0);
    match fraction {
        "0" => format!("{sign}{whole}"),
        fraction => format!("{sign}{whole}.{fraction}"),
    }
}

/// The same texts, as wide as each other, with their decimal points in one column.
fn aligned(texts: &[String]) -> Vec<String> {
    let integer = |text: &String| text.chars().take_while(|c| *c != '.').count();
    let before = texts.iter().map(integer).max().unwrap_or(0);
    let indent = |text: &String| " ".repeat(before - integer(text)) + text;
    let texts: Vec<_> = texts.iter().map(indent).collect();
    let len = |text: &String| text.chars().count();
    let width = texts.iter().map(len).max().unwrap_or(0);
    let padded = texts.iter().map(|text| format!("{text:width$}"));
    padded.collect()
}

/// How many decimals show `digits` digits of a number as large as `scale`.
fn decimals(scale: f64, digits: i32) -> i32 {
    match scale.log10() {
        log if log.is_finite() => digits - 1 - log.floor() as i32,
        _ => digits,
    }
}

/// `1,234.5`, or `1.2345e20` where that is shorter.
fn grouped(x: f64, decimals: i32) -> String {
    if x.is_finite() && x != 0.0 && (x.abs() >= 1e15 || decimals > 9) {
        return format!("{x:.4e}");
    }
    format!("{:.*}", decimals.max(0) as usize, HumanFloatCount(x))
}

/// 40 characters at most, drawn to an eighth of one.
fn bar(share: f64) -> String {
    let eighths = (share * 320.0).ceil() as usize;
    "█".repeat(eighths / 8) + ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8]
}
