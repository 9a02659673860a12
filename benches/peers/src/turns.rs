//! Two processes that hand a turn to and fro, and how long it takes to come back.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use crate::{
    futex::Futexes,
    report::{Measured, Report},
    rows::Outcome,
    sys::{Child, Mapping, Place, can_cross, die_in, pin},
};

/// How many times ours may take as long as the one of POSIX.
const AT_MOST: f64 = 1.2;
/// Round trips that do not count.
const WARM_UP: u32 = 50;
/// How long two processes may take for one repetition. Whoever is not done then is ended, which makes the row an error.
const PATIENCE: Duration = Duration::from_secs(10);

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

/// Where the two processes run.
#[derive(Clone, Copy)]
enum Pair {
    /// Both on one processor.
    Same,
    /// On one processor each.
    Cross,
}

impl Pair {
    fn name(self) -> &'static str {
        match self {
            Pair::Same => "same",
            Pair::Cross => "cross",
        }
    }

    /// Where both may run.
    fn place(self) -> Place {
        match self {
            Pair::Same => Place::First,
            Pair::Cross => Place::Both,
        }
    }

    /// Where the follower runs, and how many round trips are one repetition.
    fn follower(self) -> (Place, u32) {
        match self {
            Pair::Same => (Place::First, 1000),
            // Waking a processor that sleeps takes long.
            Pair::Cross => (Place::Second, 300),
        }
    }

    /// One repetition, in nanoseconds for each round trip.
    fn measure(self, turns: &impl Turns) -> Measured {
        let (place, rounds) = self.follower();
        if place == Place::Second && !can_cross() {
            return Err("this row needs two processors".into());
        }
        let page = Mapping::new(4096)?;
        let [ready, took] = [&page.words()[0], &page.words()[64]];
        let follower = Child::fork(|| {
            enter(place);
            go_round(ready, rounds, turns.follow());
        })?;
        let leader = Child::fork(|| {
            enter(Place::First);
            let time = go_round(ready, rounds, turns.lead());
            took.store(time.as_nanos() as u64, SeqCst);
        });
        let ends = [leader.and_then(Child::wait), follower.wait()];
        ends.into_iter().collect::<io::Result<()>>()?;
        Ok(took.load(SeqCst) as f64 / f64::from(rounds))
    }
}

fn enter(place: Place) {
    die_in(PATIENCE);
    pin(place);
}

/// Does `turn` so many times once both are `ready`, and says how long that took.
fn go_round(ready: &AtomicU64, rounds: u32, mut turn: impl FnMut()) -> Duration {
    ready.fetch_add(1, SeqCst);
    while ready.load(SeqCst) != 2 {
        thread::yield_now();
    }
    for _ in 0..WARM_UP {
        turn();
    }
    let begun = Instant::now();
    for _ in 0..rounds {
        turn();
    }
    begun.elapsed()
}

/// The rows of a primitive by which processes wait for each other: ours beside that of POSIX, `same` and `cross`.
pub fn round_trips(
    report: &mut Report,
    name: &str,
    ours: &impl Turns,
    (posix_name, posix): (&'static str, &impl Turns),
    python: Option<(&'static str, &'static str)>,
) -> Outcome {
    let limit = Futexes::new()?;
    for pair in [Pair::Same, Pair::Cross] {
        let name = format!("{name} round trip, {}", pair.name());
        let Some(bench) = report.bench(name, pair.place()) else {
            continue;
        };
        let mut bench = bench
            .ours(|| pair.measure(ours))
            .peer("bare futex (limit)", || pair.measure(&limit))
            .target(posix_name, AT_MOST, || pair.measure(posix));
        if let Some((name, row)) = python {
            bench = bench.python(name, row);
        }
        bench.run(report)?;
    }
    Ok(())
}
