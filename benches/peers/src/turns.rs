//! Two processes that hand a turn to and fro, and how long it takes to come back.

use std::time::{Duration, Instant};

use crate::{
    futex::Futexes,
    measure::{Measured, times},
    pair::{Meeting, Pair},
    report::{Report, beside::limit},
    rows::Outcome,
};

/// How many times ours may take as long as the one of POSIX.
const AT_MOST: f64 = 1.2;
const DEADLINES: &str = "A sleep of ours has a deadline, since whatever wakes it may be killed first; that alone makes a \
    bare futex round trip 4.0 µs instead of 3.7, and POSIX's locks sleep without one. With a first deadline of 1 ms \
    instead of 5 it would be 9 µs: one that comes before the kernel's next tick reprograms the processor's timer each \
    time.";
/// Round trips that do not count.
const WARM_UP: u32 = 50;

/// A way in which two processes hand each other a turn. What is called here runs in the process that is meant, and
/// what it returns is done once a round.
pub trait Turns {
    /// Gives the turn away and waits to have it back.
    fn lead(&self) -> impl FnMut();
    /// Waits for the turn and gives it back.
    fn follow(&self) -> impl FnMut();
}

/// Something that can be given to either of two processes, 0 and 1.
pub trait Baton {
    /// Gives it to that one.
    fn give(&self, to: usize);
    /// Waits until it has been given to this one.
    fn take(&self, me: usize);
}

impl<B: Baton> Turns for B {
    fn lead(&self) -> impl FnMut() {
        || {
            self.give(1);
            self.take(0);
        }
    }

    fn follow(&self) -> impl FnMut() {
        || {
            self.take(1);
            self.give(0);
        }
    }
}

/// How many round trips are one repetition.
#[derive(Clone, Copy)]
pub struct Rounds(pub u32);

impl Rounds {
    /// Of two who sleep while they wait.
    fn asleep(pair: Pair) -> Rounds {
        match pair {
            Pair::Same => Rounds(1000),
            // Waking a processor that sleeps takes long.
            Pair::Cross => Rounds(300),
        }
    }

    /// One repetition by two processes, in nanoseconds for each round trip.
    pub fn processes(self, pair: Pair, turns: &impl Turns) -> Measured {
        let lead = |meeting: &mut Meeting| self.go(meeting, turns.lead());
        let follow = |meeting: &mut Meeting| _ = self.go(meeting, turns.follow());
        Ok(self.of(pair.processes(lead, follow)?))
    }

    /// One repetition by two threads.
    pub fn threads(self, pair: Pair, turns: &(impl Turns + Sync)) -> Measured {
        let lead = |meeting: &mut Meeting| self.go(meeting, turns.lead());
        let follow = |meeting: &mut Meeting| _ = self.go(meeting, turns.follow());
        Ok(self.of(pair.threads(lead, follow)?))
    }

    fn of(self, took: Duration) -> f64 {
        took.as_nanos() as f64 / f64::from(times(self.0))
    }

    fn go(self, meeting: &mut Meeting, mut turn: impl FnMut()) -> Duration {
        meeting.meet();
        for _ in 0..WARM_UP {
            turn();
        }
        let begun = Instant::now();
        for _ in 0..times(self.0) {
            turn();
        }
        let took = begun.elapsed();
        // Until then nobody takes down what the other may still use.
        meeting.meet();
        took
    }
}

/// One repetition of two processes that sleep while they wait, in nanoseconds for each round trip.
pub fn asleep(pair: Pair, turns: &impl Turns) -> Measured {
    Rounds::asleep(pair).processes(pair, turns)
}

/// The rows of a primitive by which processes wait for each other: ours beside that of POSIX, `same` and `cross`.
pub fn round_trips(
    report: &mut Report,
    name: &str,
    ours: &impl Turns,
    (posix_name, posix): (&'static str, &impl Turns),
    python: Option<(&'static str, &'static str)>,
) -> Outcome {
    let futexes = Futexes::new()?;
    for pair in [Pair::Same, Pair::Cross] {
        let name = format!("{name} round trip, {}", pair.name());
        let Some(bench) = report.bench(name, pair.place()) else {
            continue;
        };
        let mut bench = bench
            .ours(|| asleep(pair, ours))
            .peer(limit("bare futex"), || asleep(pair, &futexes))
            .target(posix_name, AT_MOST, || asleep(pair, posix));
        if let Pair::Same = pair {
            bench = bench.because(DEADLINES);
        }
        if let Some((name, row)) = python {
            bench = bench.python(name, row);
        }
        bench.run(report)?;
    }
    Ok(())
}
