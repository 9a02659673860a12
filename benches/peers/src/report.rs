//! Rows: ours, a peer, the ratio, the target and whether it holds.

use std::{error::Error, process::ExitCode, time::Instant};

use serde::Serialize;

use crate::{
    python,
    sys::{Place, pin, thread_time},
};

/// What one repetition of one party says: nanoseconds per operation.
pub type Measured = Result<f64, Box<dyn Error>>;

/// Repetitions of parties that take milliseconds or less.
const REPETITIONS: usize = 31;
/// Repetitions of parties that take longer.
const FEW: usize = 7;

/// Nanoseconds for each of `times` calls.
#[inline(always)]
pub fn per_call(times: u32, operation: impl FnMut()) -> Measured {
    let begun = Instant::now();
    repeat(times, operation);
    Ok(begun.elapsed().as_nanos() as f64 / f64::from(times))
}

/// Nanoseconds of processor time for each of `times` calls that never wait: others who want the processor, too, do
/// not count.
#[inline(always)]
pub fn work_per_call(times: u32, operation: impl FnMut()) -> Measured {
    let begun = thread_time()?;
    repeat(times, operation);
    Ok((thread_time()? - begun).as_nanos() as f64 / f64::from(times))
}

#[inline(always)]
fn repeat(times: u32, mut operation: impl FnMut()) {
    for _ in 0..times {
        operation();
    }
}

#[derive(Serialize)]
struct Row {
    row: String,
    beside: &'static str,
    ours_ns: f64,
    peer_ns: f64,
    ratio: f64,
    #[serde(rename = "ratio_at_most")]
    target: Option<f64>,
    holds: Option<bool>,
}

/// All rows so far.
pub struct Report {
    filter: String,
    json: bool,
    python: bool,
    rows: Vec<Row>,
    failures: usize,
}

impl Report {
    /// A report of the rows whose name contains `filter`.
    pub fn new(filter: String, json: bool) -> Report {
        let python = python::is_there();
        if !python {
            eprintln!("skipped: the rows beside Python, because there is no python3");
        }
        if !json {
            print_line(["row", "beside", "ours", "peer", "ratio", "target", "holds"]);
        }
        Report {
            filter,
            json,
            python,
            rows: Vec::new(),
            failures: 0,
        }
    }

    /// Begins a row of this name, unless it was not asked for. Until it runs, all processors may be used.
    pub fn bench<'a>(&mut self, name: impl Into<String>, place: Place) -> Option<Bench<'a>> {
        let name = name.into();
        if !name.contains(&self.filter) {
            return None;
        }
        pin(Place::Both);
        Some(Bench {
            name,
            place,
            parties: Vec::new(),
        })
    }

    /// A row that could not be measured.
    pub fn failed(&mut self, why: &str) {
        self.failures += 1;
        eprintln!("failed: {why}");
    }

    fn add(&mut self, row: Row) {
        if !self.json {
            print_line([
                &row.row,
                row.beside,
                &duration(row.ours_ns),
                &duration(row.peer_ns),
                &format!("{:.3}", row.ratio),
                &row.target.map_or("-".into(), |most| format!("<= {most}")),
                row.holds
                    .map_or("-", |holds| if holds { "yes" } else { "NO" }),
            ]);
        }
        self.rows.push(row);
    }

    /// Ends the report. A target that is missed is a result and no failure.
    pub fn finish(self) -> ExitCode {
        if self.json {
            match serde_json::to_string_pretty(&self.rows) {
                Ok(rows) => println!("{rows}"),
                Err(error) => eprintln!("failed: {error}"),
            }
        }
        if self.failures > 0 {
            return ExitCode::FAILURE;
        }
        ExitCode::SUCCESS
    }
}

struct Party<'a> {
    name: &'static str,
    target: Option<f64>,
    repetitions: usize,
    measure: Box<dyn FnMut() -> Measured + 'a>,
    samples: Vec<f64>,
}

/// One piece of work, done by us and by peers. The first party is ours.
pub struct Bench<'a> {
    name: String,
    place: Place,
    parties: Vec<Party<'a>>,
}

impl<'a> Bench<'a> {
    fn party(
        mut self,
        name: &'static str,
        target: Option<f64>,
        measure: impl FnMut() -> Measured + 'a,
    ) -> Bench<'a> {
        self.parties.push(Party {
            name,
            target,
            repetitions: REPETITIONS,
            measure: Box::new(measure),
            samples: Vec::new(),
        });
        self
    }

    /// Our way. To be called first.
    pub fn ours(self, measure: impl FnMut() -> Measured + 'a) -> Bench<'a> {
        self.party("multiproc", None, measure)
    }

    /// A peer's way.
    pub fn peer(self, name: &'static str, measure: impl FnMut() -> Measured + 'a) -> Bench<'a> {
        self.party(name, None, measure)
    }

    /// A peer's way, and how many times its duration ours may take.
    pub fn target(
        self,
        name: &'static str,
        at_most: f64,
        measure: impl FnMut() -> Measured + 'a,
    ) -> Bench<'a> {
        self.party(name, Some(at_most), measure)
    }

    /// A duration in nanoseconds that ours must not exceed.
    pub fn limit(self, name: &'static str, nanoseconds: f64) -> Bench<'a> {
        self.party(name, Some(1.0), move || Ok(nanoseconds))
    }

    /// Python's way: a row of `peers.py`.
    pub fn python(mut self, name: &'static str, row: &'static str) -> Bench<'a> {
        self = self.party(name, None, move || Ok(python::measure(row)?));
        if let Some(party) = self.parties.last_mut() {
            party.repetitions = FEW;
        }
        self
    }

    /// Repeats everything only a few times, because each takes long.
    pub fn few(mut self) -> Bench<'a> {
        for party in &mut self.parties {
            party.repetitions = FEW;
        }
        self
    }

    /// Measures: a first repetition of each party that does not count, then all of them in turns.
    pub fn run(mut self, report: &mut Report) -> Result<(), Box<dyn Error>> {
        if !report.python {
            self.parties
                .retain(|party| !party.name.starts_with("Python"));
        }
        pin(self.place);
        for repetition in 0..=REPETITIONS {
            for party in &mut self.parties {
                if repetition > party.repetitions {
                    continue;
                }
                let sample = (party.measure)()
                    .map_err(|error| format!("{}, {}: {error}", self.name, party.name))?;
                if repetition > 0 {
                    party.samples.push(sample);
                }
            }
        }
        let mut medians = self
            .parties
            .iter_mut()
            .map(|party| median(&mut party.samples));
        let ours_ns = medians.next().unwrap_or(f64::NAN);
        let peers: Vec<f64> = medians.collect();
        for (party, peer_ns) in self.parties.iter().skip(1).zip(peers) {
            let ratio = ours_ns / peer_ns;
            report.add(Row {
                row: self.name.clone(),
                beside: party.name,
                ours_ns,
                peer_ns,
                ratio,
                target: party.target,
                holds: party.target.map(|most| ratio <= most),
            });
        }
        Ok(())
    }
}

fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}

fn duration(nanoseconds: f64) -> String {
    match nanoseconds {
        n if n < 1e3 => format!("{n:.2} ns"),
        n if n < 1e6 => format!("{:.2} µs", n / 1e3),
        n => format!("{:.2} ms", n / 1e6),
    }
}

fn print_line(columns: [&str; 7]) {
    let [row, beside, ours, peer, ratio, target, holds] = columns;
    println!("{row:36} {beside:34} {ours:>10} {peer:>10} {ratio:>8} {target:>8}  {holds}");
}
