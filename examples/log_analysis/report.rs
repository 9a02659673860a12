//! What is printed of a summary: always the same for the same summary.

use std::{
    cmp::Reverse,
    fmt::{self, Display},
};

use comfy_table::{CellAlignment, Table, presets::UTF8_BORDERS_ONLY};
use indicatif::{DecimalBytes, HumanCount};

use crate::summary::{Summary, Traffic};

/// How many paths there are in a table, ...
const ROWS: usize = 10;
/// ... and how many characters of each.
const WIDTH: usize = 50;

pub struct Report<'a>(pub &'a Summary);

impl Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let summary = self.0;
        let (total, malformed) = (summary.total(), summary.malformed);
        let (requests, bytes) = (HumanCount(total.requests), DecimalBytes(total.bytes));
        writeln!(
            f,
            "{requests} requests, {bytes}, {} malformed lines\n",
            HumanCount(malformed)
        )?;
        writeln!(f, "The most frequent paths\n{}\n", self.most_frequent())?;
        // The 99th percentile of a few requests says nothing.
        let enough = total.requests / 10_000;
        writeln!(
            f,
            "The slowest paths with {} requests or more\n{}\n",
            HumanCount(enough),
            self.slowest(enough)
        )?;
        writeln!(f, "{}", self.statuses())
    }
}

impl Report<'_> {
    fn most_frequent(&self) -> Table {
        let mut paths: Vec<_> = self.0.paths.iter().collect();
        paths.sort_unstable_by_key(|(path, traffic)| (Reverse(traffic.volume.requests), *path));
        self.paths(&paths)
    }

    fn slowest(&self, enough: u64) -> Table {
        let paths = self.0.paths.iter();
        let paths = paths.filter(|(_, traffic)| traffic.volume.requests >= enough);
        let mut paths: Vec<_> = paths.collect();
        paths.sort_unstable_by_key(|(path, traffic)| {
            (Reverse(traffic.latency.percentile(99)), *path)
        });
        self.paths(&paths)
    }

    fn paths(&self, paths: &[(&[u8], &Traffic)]) -> Table {
        let mut table = table(["path", "requests", "bytes", "4xx", "5xx", "p50", "p99"]);
        for (path, traffic) in paths.iter().take(ROWS) {
            table.add_row(row(&shortened(path), traffic));
        }
        let other = self.0.paths.other();
        if other.volume.requests > 0 {
            table.add_row(row("(other)", other));
        }
        table
    }

    fn statuses(&self) -> Table {
        let mut table = table(["status", "requests", "bytes"]);
        for (status, volume) in &self.0.statuses {
            let (requests, bytes) = (HumanCount(volume.requests), DecimalBytes(volume.bytes));
            table.add_row([status.to_string(), requests.to_string(), bytes.to_string()]);
        }
        table
    }
}

/// In plain characters: a log is no friend of terminals.
fn shortened(path: &[u8]) -> String {
    let path = path.escape_ascii().to_string();
    match path.get(..WIDTH) {
        Some(start) if path.len() > WIDTH => format!("{start}…"),
        _ => path,
    }
}

fn row(path: &str, traffic: &Traffic) -> [String; 7] {
    let [p50, p99] = [50, 99].map(|percent| millis(traffic.latency.percentile(percent)));
    [
        path.to_string(),
        HumanCount(traffic.volume.requests).to_string(),
        DecimalBytes(traffic.volume.bytes).to_string(),
        HumanCount(traffic.client_errors).to_string(),
        HumanCount(traffic.server_errors).to_string(),
        p50,
        p99,
    ]
}

fn millis(micros: u64) -> String {
    format!("{}.{} ms", HumanCount(micros / 1000), micros % 1000 / 100)
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
