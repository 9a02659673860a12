//! One piece of work, done by us and by peers in turns.

use std::error::Error;

use crate::{
    measure::{Measured, is_quick, median},
    python,
    report::{Report, beside::Beside, row::Row, unit::Unit},
    sys::{Place, pin},
};

/// Repetitions of parties that take milliseconds or less.
const REPETITIONS: usize = 31;
/// Repetitions of parties that take longer.
const FEW: usize = 7;

struct Party<'a> {
    /// Of ours, nobody.
    beside: Option<Beside>,
    target: Option<f64>,
    because: Option<&'static str>,
    repetitions: usize,
    /// Whether a first repetition does not count. Whoever starts anew each time cannot be warmed up.
    warms_up: bool,
    measure: Box<dyn FnMut() -> Measured + 'a>,
    samples: Vec<f64>,
}

/// One piece of work. The first party is ours.
pub struct Bench<'a> {
    name: String,
    theme: &'static str,
    unit: Unit,
    place: Place,
    parties: Vec<Party<'a>>,
}

impl<'a> Bench<'a> {
    /// One without a party. Until it runs, both processors may be used.
    pub fn new(name: String, theme: &'static str, place: Place) -> Bench<'a> {
        pin(Place::Both);
        Bench {
            name,
            theme,
            unit: Unit::Nanoseconds,
            place,
            parties: Vec::new(),
        }
    }

    /// What is counted, if it is no duration.
    pub fn in_unit(mut self, unit: Unit) -> Bench<'a> {
        self.unit = unit;
        self
    }

    fn party(
        mut self,
        beside: Option<Beside>,
        target: Option<f64>,
        measure: impl FnMut() -> Measured + 'a,
    ) -> Bench<'a> {
        self.parties.push(Party {
            beside,
            target,
            because: None,
            repetitions: REPETITIONS,
            warms_up: true,
            measure: Box::new(measure),
            samples: Vec::new(),
        });
        self
    }

    /// Our way. To be called first.
    pub fn ours(self, measure: impl FnMut() -> Measured + 'a) -> Bench<'a> {
        self.party(None, None, measure)
    }

    /// A peer's way.
    pub fn peer(
        self,
        beside: impl Into<Beside>,
        measure: impl FnMut() -> Measured + 'a,
    ) -> Bench<'a> {
        self.party(Some(beside.into()), None, measure)
    }

    /// A peer's way, and how many times what it takes ours may take.
    pub fn target(
        self,
        beside: impl Into<Beside>,
        at_most: f64,
        measure: impl FnMut() -> Measured + 'a,
    ) -> Bench<'a> {
        self.party(Some(beside.into()), Some(at_most), measure)
    }

    /// The same, if it is `aimed` at; else there is no target.
    pub fn target_if(
        self,
        aimed: bool,
        beside: impl Into<Beside>,
        at_most: f64,
        measure: impl FnMut() -> Measured + 'a,
    ) -> Bench<'a> {
        self.party(Some(beside.into()), aimed.then_some(at_most), measure)
    }

    /// A peer's way, if it `can`.
    pub fn peer_if(
        self,
        can: bool,
        beside: impl Into<Beside>,
        measure: impl FnMut() -> Measured + 'a,
    ) -> Bench<'a> {
        if can {
            self.peer(beside, measure)
        } else {
            self
        }
    }

    /// A figure that ours must not exceed.
    pub fn at_most(self, name: &'static str, figure: f64) -> Bench<'a> {
        self.target(Beside::Figure(name), 1.0, move || Ok(figure))
    }

    /// Why the target of the party before may be missed.
    pub fn because(mut self, why: &'static str) -> Bench<'a> {
        if let Some(party) = self.parties.last_mut() {
            party.because = Some(why);
        }
        self
    }

    /// Python's way, when there is a Python: a row of `peers.py`.
    pub fn python(mut self, name: &'static str, row: &'static str) -> Bench<'a> {
        if !python::is_there() {
            return self;
        }
        self = self.peer(name, move || Ok(python::measure(&[row])?));
        if let Some(party) = self.parties.last_mut() {
            party.repetitions = FEW;
            party.warms_up = false;
        }
        self
    }

    /// Repeats everything only a few times, because each takes long.
    pub fn few(mut self) -> Bench<'a> {
        for party in &mut self.parties {
            party.repetitions = party.repetitions.min(FEW);
        }
        self
    }

    /// Measures: a first repetition of each party that does not count, then all of them in turns. A peer that fails
    /// loses its row, and no other.
    pub fn run(mut self, report: &mut Report) -> Result<(), Box<dyn Error>> {
        pin(self.place);
        let most = if is_quick() { 1 } else { REPETITIONS };
        for repetition in 0..=most {
            let mut broken = Vec::new();
            for (index, party) in self.parties.iter_mut().enumerate() {
                let counts = repetition > 0;
                let skips = !counts && (!party.warms_up || is_quick());
                if repetition > party.repetitions || skips {
                    continue;
                }
                let Some(beside) = party.beside else {
                    report.now(&self.name);
                    let sample = (party.measure)()
                        .map_err(|error| format!("{}, ours: {error}", self.name))?;
                    party.samples.extend(counts.then_some(sample));
                    continue;
                };
                report.now(&format!("{}: {beside}", self.name));
                match (party.measure)() {
                    Ok(sample) => party.samples.extend(counts.then_some(sample)),
                    Err(error) => {
                        report.failed(format!("{}, {beside}: {error}", self.name));
                        broken.push(index);
                    }
                }
            }
            for index in broken.into_iter().rev() {
                self.parties.remove(index);
            }
        }
        self.rows().into_iter().for_each(|row| report.add(row));
        Ok(())
    }

    fn rows(mut self) -> Vec<Row> {
        let mut parties = self.parties.iter_mut();
        let ours = parties
            .next()
            .map_or(f64::NAN, |party| median(&mut party.samples));
        let row = |party: &mut Party| {
            let peer = median(&mut party.samples);
            let ratio = ours / peer;
            Some(Row {
                theme: self.theme,
                row: self.name.clone(),
                beside: party.beside?,
                unit: self.unit,
                ours,
                peer,
                ratio,
                target: party.target,
                holds: party.target.map(|most| ratio <= most),
                because: party.because,
            })
        };
        parties.filter_map(row).collect()
    }
}
