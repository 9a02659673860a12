//! Two parties at work for one repetition: in a process each, or as two threads of one.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    thread,
    time::Duration,
};

use crate::sys::{Child, Mapping, Place, can_cross, die_in, pin};

/// How long two parties may take for one repetition. Whoever is not done then is ended, which makes the row an error.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the two parties run.
#[derive(Clone, Copy)]
pub enum Pair {
    /// Both on one processor.
    Same,
    /// On one processor each.
    Cross,
}

impl Pair {
    /// As the rows name it.
    pub fn name(self) -> &'static str {
        match self {
            Pair::Same => "same",
            Pair::Cross => "cross",
        }
    }

    /// Where both may run.
    pub fn place(self) -> Place {
        match self {
            Pair::Same => Place::First,
            Pair::Cross => Place::Both,
        }
    }

    fn follower(self) -> Place {
        match self {
            Pair::Same => Place::First,
            Pair::Cross => Place::Second,
        }
    }

    /// Runs both in processes of their own; what the leader says.
    pub fn processes(
        self,
        lead: impl FnOnce(&mut Meeting) -> Duration,
        follow: impl FnOnce(&mut Meeting),
    ) -> io::Result<Duration> {
        self.measure(|places, met, took| {
            let follower = Child::fork(|| {
                enter(places[1]);
                follow(&mut Meeting::at(met));
            })?;
            let leader = Child::fork(|| {
                enter(places[0]);
                took(lead(&mut Meeting::at(met)));
            });
            let ends = [leader.and_then(Child::wait), follower.wait()];
            ends.into_iter().collect()
        })
    }

    /// Runs both as threads of a process of their own; what the leader says.
    pub fn threads(
        self,
        lead: impl FnOnce(&mut Meeting) -> Duration,
        follow: impl FnOnce(&mut Meeting) + Send,
    ) -> io::Result<Duration> {
        self.measure(|places, met, took| {
            Child::fork(|| {
                enter(places[0]);
                thread::scope(|threads| {
                    threads.spawn(|| {
                        pin(places[1]);
                        follow(&mut Meeting::at(met));
                    });
                    took(lead(&mut Meeting::at(met)));
                });
            })?
            .wait()
        })
    }

    fn measure(
        self,
        run: impl FnOnce([Place; 2], &AtomicU64, &dyn Fn(Duration)) -> io::Result<()>,
    ) -> io::Result<Duration> {
        let places = [Place::First, self.follower()];
        if places[1] == Place::Second && !can_cross() {
            return Err(io::Error::other("this row needs two processors"));
        }
        let page = Mapping::new(4096)?;
        let [met, took] = [&page.words()[0], &page.words()[64]];
        run(places, met, &|time| {
            took.store(time.as_nanos() as u64, SeqCst)
        })?;
        Ok(Duration::from_nanos(took.load(SeqCst)))
    }
}

fn enter(place: Place) {
    die_in(PATIENCE);
    pin(place);
}

/// Where the two wait for each other.
pub struct Meeting<'a> {
    arrivals: &'a AtomicU64,
    expected: u64,
}

impl Meeting<'_> {
    fn at(arrivals: &AtomicU64) -> Meeting<'_> {
        Meeting {
            arrivals,
            expected: 0,
        }
    }

    /// Waits until both have come here as often as this one.
    pub fn meet(&mut self) {
        self.expected += 2;
        self.arrivals.fetch_add(1, SeqCst);
        while self.arrivals.load(SeqCst) < self.expected {
            thread::yield_now();
        }
    }
}
