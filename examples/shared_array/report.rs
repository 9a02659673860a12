//! What is printed in the end: a table and a histogram for people, or JSON for programs.

use std::fmt;

use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use multiproc::StartMethod;
use serde_json::{Value, json};

use crate::{
    figures::Figures,
    order::ROUNDS,
    work::{BIN_WIDTH, BINS},
};

pub struct Report {
    pub figures: Figures,
    /// How many the array has, with those that are NaN.
    pub elements: usize,
    pub workers: u16,
    pub method: StartMethod,
    pub seconds: f64,
    /// How long a single worker took for the same.
    pub seconds_alone: f64,
}

impl Report {
    fn speedup(&self) -> f64 {
        self.seconds_alone / self.seconds
    }

    fn nans(&self) -> usize {
        self.elements - self.figures.count
    }

    /// One object. Figures that are not finite, such as the mean of nothing, are `null`.
    pub fn json(&self) -> Value {
        let mut object = json!({
            "count": self.figures.count,
            "nans": self.nans(),
            "workers": self.workers,
            "method": self.method.to_string(),
            "seconds": self.seconds,
            "speedup": self.speedup(),
        });
        for &(name, figure) in &self.figures.named {
            object[name] = figure.into();
        }
        object
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures {
            count,
            mean,
            std,
            named,
            histogram,
        } = &self.figures;
        let mut table = Table::new();
        table.load_style(UTF8_BORDERS_ONLY);
        table.add_row(["count", &count.to_string()]);
        table.add_row(["nans", &self.nans().to_string()]);
        for &(name, figure) in named {
            table.add_row([name, &number(figure)]);
        }
        writeln!(f, "{table}\n")?;

        let highest = histogram.iter().copied().max().unwrap_or(0) as f64;
        for (bin, &height) in histogram
            .iter()
            .enumerate()
            .filter(|(_, height)| **height > 0)
        {
            let edge = mean + std * BIN_WIDTH * (bin as f64 - (BINS / 2) as f64);
            let label = if bin == 0 {
                "less".into()
            } else {
                format!("from {}", short(edge))
            };
            let (share, length) = (
                height as f64 / *count as f64,
                40.0 * height as f64 / highest,
            );
            writeln!(
                f,
                "{label:>20} {:5.1} % {}",
                100.0 * share,
                "█".repeat(length.ceil() as usize)
            )?;
        }

        let Report {
            workers,
            method,
            seconds,
            seconds_alone,
            ..
        } = self;
        // Each pass reads all numbers, and the last one writes them too.
        let rate = (8 * self.elements * (ROUNDS + 1)) as f64 / seconds / 1e9;
        writeln!(f, "\n1 worker ({method}): {seconds_alone:.3} s")?;
        let speedup = self.speedup();
        writeln!(
            f,
            "{workers} workers: {seconds:.3} s, {rate:.1} GB/s, {speedup:.2} times as fast"
        )
    }
}

/// All digits that tell a number from its neighbours, but no row of zeros.
fn number(x: f64) -> String {
    let plain = x == 0.0 || !x.is_finite() || (1e-5..1e16).contains(&x.abs());
    if plain {
        format!("{x}")
    } else {
        format!("{x:e}")
    }
}

/// Three digits, for orientation.
fn short(x: f64) -> String {
    format!("{x:.2e}")
        .parse()
        .map_or_else(|_| x.to_string(), number)
}
