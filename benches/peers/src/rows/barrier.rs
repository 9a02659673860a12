//! `Barrier`: two parties that wait for each other.

use multiproc::Barrier;

use crate::{
    pthread,
    report::Report,
    rows::Outcome,
    turns::{Turns, round_trips},
};

/// Two generations, so that each party is once the one that waits and once the one that is waited for.
pub fn round_trip(report: &mut Report) -> Outcome {
    let python = ("Python Barrier", "barrier");
    let posix = pthread::Barrier::new(2)?;
    let posix = ("POSIX barrier", posix);
    round_trips(report, "barrier", &Barrier::new(2)?, posix, Some(python))
}

impl Turns for Barrier {
    fn lead(&self) -> impl FnMut() {
        || {
            self.wait().unwrap();
            self.wait().unwrap();
        }
    }

    fn follow(&self) -> impl FnMut() {
        self.lead()
    }
}

impl Turns for pthread::Barrier {
    fn lead(&self) -> impl FnMut() {
        || {
            self.wait();
            self.wait();
        }
    }

    fn follow(&self) -> impl FnMut() {
        self.lead()
    }
}
