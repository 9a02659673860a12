//! A curve while it is measured: at each place, the same parties in turns.

use std::error::Error;

use crate::{
    measure::{Measured, is_quick, median},
    python,
    report::{Report, curve::Curve},
    sys::{Place, pin},
};

/// How often each party is measured at each place, besides a first time that does not count.
const REPETITIONS: usize = 3;

/// A curve of which some places are measured.
pub struct Sweep<'r> {
    report: &'r mut Report,
    curve: Curve,
}

impl<'r> Sweep<'r> {
    /// One of which nothing is measured.
    pub fn new(report: &'r mut Report, curve: Curve) -> Sweep<'r> {
        Sweep { report, curve }
    }

    /// Goes to a place, where all processors may be used.
    pub fn at<'a>(&mut self, x: f64) -> Point<'_, 'r, 'a> {
        pin(Place::All);
        Point {
            sweep: self,
            x,
            repetitions: REPETITIONS,
            parties: Vec::new(),
        }
    }

    /// All places are measured.
    pub fn done(self) -> Result<(), Box<dyn Error>> {
        self.report.add_curve(self.curve);
        Ok(())
    }
}

type Party<'a> = (&'static str, Box<dyn FnMut() -> Measured + 'a>);

/// A place on a curve.
pub struct Point<'s, 'r, 'a> {
    sweep: &'s mut Sweep<'r>,
    x: f64,
    repetitions: usize,
    parties: Vec<Party<'a>>,
}

impl<'a> Point<'_, '_, 'a> {
    /// A party; the one that is called `multiproc`, or `our` something, is ours.
    pub fn party(mut self, name: &'static str, measure: impl FnMut() -> Measured + 'a) -> Self {
        self.parties.push((name, Box::new(measure)));
        self
    }

    /// A party that has its point here only if `there`.
    pub fn party_if(
        self,
        there: bool,
        name: &'static str,
        measure: impl FnMut() -> Measured + 'a,
    ) -> Self {
        match there {
            true => self.party(name, measure),
            false => self,
        }
    }

    /// Python, when there is one: a row of `peers.py` and the place.
    pub fn python(self, name: &'static str, row: &'static str) -> Self {
        let x = self.x;
        self.party_if(python::is_there(), name, move || {
            Ok(python::measure(&[row, &format!("{x:.0}")])?)
        })
    }

    /// Measures once, because it takes long.
    pub fn once_if(mut self, long: bool) -> Self {
        if long {
            self.repetitions = 1;
        }
        self
    }

    /// Measures all parties in turns. One that fails has no point here.
    pub fn run(mut self) {
        let repetitions = if is_quick() { 1 } else { self.repetitions };
        let Sweep { report, curve } = self.sweep;
        let mut samples = vec![Vec::new(); self.parties.len()];
        // With a single repetition there is none that does not count.
        for repetition in usize::from(repetitions == 1)..=repetitions {
            for ((name, measure), samples) in self.parties.iter_mut().zip(&mut samples) {
                let at = format!("{}, {}: {name}", curve.name, curve.x.unit.mark(self.x));
                report.now(&at);
                match measure() {
                    Ok(sample) if repetition > 0 => samples.push(sample),
                    Ok(_) => {}
                    Err(error) => report.failed(format!("{at}: {error}")),
                }
            }
        }
        for ((name, _), mut samples) in self.parties.into_iter().zip(samples) {
            if !samples.is_empty() {
                curve.add(name, [self.x, median(&mut samples)]);
            }
        }
    }
}
