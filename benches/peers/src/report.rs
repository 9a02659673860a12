//! The report: what was measured, as it comes in and as a whole.

pub mod beside;
pub mod curve;
pub mod machine;
pub mod markdown;
pub mod plots;
pub mod row;
pub mod table;
pub mod unit;

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{bench::Bench, cli::Cli, progress::Progress, python, sweep::Sweep, sys::Place};

use curve::{Axis, Curve};
use machine::Machine;
use row::Row;

/// Everything that one run says.
#[derive(Serialize)]
pub struct Results {
    pub machine: Machine,
    /// Whether it was a smoke run, whose figures say nothing.
    pub quick: bool,
    pub rows: Vec<Row>,
    pub curves: Vec<Curve>,
    /// What could not be measured, and why.
    pub failures: Vec<String>,
}

/// A run, as far as it has come.
pub struct Report {
    filter: String,
    prints: bool,
    progress: Progress,
    theme: &'static str,
    results: Results,
}

impl Report {
    /// Begins one, of so many steps.
    pub fn new(cli: &Cli, steps: usize) -> Report {
        if !python::is_there() {
            eprintln!("skipped: what stands beside Python, because there is no python3");
        }
        let report = Report {
            filter: plain(&cli.filter),
            prints: !cli.json,
            progress: Progress::new(steps),
            theme: "",
            results: Results {
                machine: Machine::this(),
                quick: cli.quick,
                rows: Vec::new(),
                curves: Vec::new(),
                failures: Vec::new(),
            },
        };
        if report.prints {
            println!("{}", table::heading());
        }
        report
    }

    /// From now on rows belong under this heading.
    pub fn begin_theme(&mut self, theme: &'static str) {
        self.theme = theme;
    }

    /// One more step is done.
    pub fn step_done(&self) {
        self.progress.step_done();
    }

    /// Begins a row of this name, unless it was not asked for. Until it runs, the first two processors may be used.
    pub fn bench<'a>(&mut self, name: impl Into<String>, place: Place) -> Option<Bench<'a>> {
        let name = name.into();
        self.asked_for(&name)
            .then(|| Bench::new(name, self.theme, place))
    }

    /// Begins a curve of this name, unless it was not asked for.
    pub fn sweep(&mut self, name: &'static str, x: Axis, y: Axis) -> Option<Sweep<'_>> {
        self.asked_for(name)
            .then(|| Sweep::new(self, Curve::new(name, x, y)))
    }

    fn asked_for(&self, name: &str) -> bool {
        let asked_for = plain(name).contains(&self.filter);
        if asked_for {
            self.progress.now(name);
        }
        asked_for
    }

    /// What is measured at this moment.
    pub fn now(&self, what: &str) {
        self.progress.now(what);
    }

    /// Something that could not be measured.
    pub fn failed(&mut self, why: impl Into<String>) {
        let why = why.into();
        self.progress.above(|| eprintln!("failed: {why}"));
        self.results.failures.push(why);
    }

    /// A row that was measured.
    pub fn add(&mut self, row: Row) {
        self.print(|| table::line(&row));
        self.results.rows.push(row);
    }

    /// A curve that was measured.
    pub fn add_curve(&mut self, curve: Curve) {
        self.print(|| table::of_curve(&curve));
        self.results.curves.push(curve);
    }

    fn print(&self, text: impl FnOnce() -> String) {
        if self.prints {
            self.progress.above(|| println!("{}", text()));
        }
    }

    /// Ends the report, and prints or writes what is asked for.
    pub fn finish(self, cli: &Cli) -> Result<Results, Box<dyn Error>> {
        self.progress.finish();
        if cli.json {
            println!("{}", serde_json::to_string_pretty(&self.results)?);
        }
        if let Some(directory) = &cli.write {
            let directory = directory.clone().unwrap_or_else(docs);
            write(&self.results, &directory)?;
        }
        Ok(self.results)
    }
}

/// A name as it is compared with what somebody asks for.
fn plain(name: &str) -> String {
    name.replace('`', "").to_lowercase()
}

/// The documents of this checkout.
fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// Writes `benchmarks.md` and its pictures.
fn write(results: &Results, directory: &Path) -> Result<(), Box<dyn Error>> {
    let plots = directory.join("plots");
    fs::create_dir_all(&plots)?;
    let text = markdown::document(results)?;
    fs::write(plots.join("summary.svg"), plots::summary(&results.rows)?)?;
    for curve in &results.curves {
        let picture = plots.join(curve.file_name()).with_extension("svg");
        fs::write(picture, plots::of_curve(curve)?)?;
    }
    let document = directory.join("benchmarks.md");
    fs::write(&document, text)?;
    eprintln!("written: {}", document.display());
    for row in &results.rows {
        if row.misses() && row.because.is_none() {
            let Row { row, beside, .. } = row;
            eprintln!("not explained: {row}, beside {beside}, misses its target");
        }
    }
    Ok(())
}
