//! `Condvar`: waiting for what another changes under a mutex.

use std::{hint::black_box, io};

use multiproc::{Condvar, Mutex};

use crate::{
    measure::work_per_call,
    pthread,
    report::{Report, beside::threads},
    rows::Outcome,
    sys::Place,
    turns::{Baton, round_trips},
};

/// `notify_one` without anybody who waits.
pub fn notify(report: &mut Report) -> Outcome {
    let name = "`Condvar::notify_one`, nobody waits";
    let Some(bench) = report.bench(name, Place::First) else {
        return Ok(());
    };
    const TIMES: u32 = 1_000_000;
    let ours = Condvar::new()?;
    let std = std::sync::Condvar::new();
    let posix = pthread::Condvar::new()?;
    bench
        .ours(|| work_per_call(TIMES, || black_box(&ours).notify_one()))
        .peer(threads("`std::sync::Condvar`"), || {
            work_per_call(TIMES, || black_box(&std).notify_one())
        })
        .peer("POSIX condition", || {
            work_per_call(TIMES, || black_box(posix).notify_one())
        })
        .run(report)
}

/// Whose turn it is, under a mutex, with one condition variable for both.
pub fn round_trip(report: &mut Report) -> Outcome {
    let ours = Turn {
        turn: Mutex::new(0)?,
        changed: Condvar::new()?,
    };
    let posix = PosixTurn::new()?;
    let posix = ("POSIX mutex, condition", &posix);
    let python = ("Python Condition", "condition");
    round_trips(report, "condvar", &ours, posix, Some(python))
}

struct Turn {
    turn: Mutex<u64>,
    changed: Condvar,
}

impl Baton for Turn {
    fn give(&self, to: usize) {
        *self.turn.lock().unwrap() = to as u64;
        self.changed.notify_one();
    }

    fn take(&self, me: usize) {
        let turn = self.turn.lock().unwrap();
        let not_mine = |turn: &mut u64| *turn != me as u64;
        drop(self.changed.wait_while(turn, not_mine).unwrap());
    }
}

/// The same by POSIX.
pub struct PosixTurn {
    turn: &'static pthread::Mutex<u64>,
    changed: &'static pthread::Condvar,
}

impl PosixTurn {
    /// The turn of 0.
    pub fn new() -> io::Result<PosixTurn> {
        Ok(PosixTurn {
            turn: pthread::Mutex::new()?,
            changed: pthread::Condvar::new()?,
        })
    }
}

impl Baton for PosixTurn {
    fn give(&self, to: usize) {
        *self.turn.lock() = to as u64;
        self.changed.notify_one();
    }

    fn take(&self, me: usize) {
        let turn = self.turn.lock();
        drop(self.changed.wait_while(turn, |turn| *turn != me as u64));
    }
}
