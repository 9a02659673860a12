//! Queues that are joined: whoever waits for all to be done is told exactly what was lost with the dead.

use multiproc::{Child, JoinQueueError, JoinableQueue, Raw};

use crate::{
    common::{STUCK, forked, kill_self},
    engine::{
        End,
        Order::{self, First, Last},
        Scenario, Steps, killed_everywhere, killed_in_each_run,
    },
    records::{Log, Record, number, record},
    ways::taken,
};

type Jobs = JoinableQueue<Record, Raw>;

/// How many jobs there are.
const ALL: u64 = 6;

// What the victim writes down.
const TAKEN: u64 = 1;
const ABOUT_TO_BE_DONE: u64 = 2;
const DONE: u64 = 3;
const GIVEN_UP: u64 = 4;

/// What one has done, or was told when all came to be done.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
enum Told {
    /// So many jobs.
    Did(u64),
    /// So many were lost.
    Joined(u32),
}

fn join(jobs: &Jobs) -> Told {
    Told::Joined(match jobs.join_timeout(STUCK) {
        Ok(()) => 0,
        Err(JoinQueueError::Lost(count)) => count,
        Err(why) => panic!("{why}"),
    })
}

fn do_all(jobs: &Jobs) -> Told {
    let mut count = 0;
    for job in jobs {
        number(*job);
        count += 1;
    }
    Told::Did(count)
}

/// How many jobs those did who came to an end.
fn done_by(told: &[Told]) -> u64 {
    let done = told.iter().map(|told| match told {
        Told::Did(count) => *count,
        Told::Joined(_) => 0,
    });
    done.sum()
}

fn lost_to(told: &[Told]) -> impl Iterator<Item = u32> {
    told.iter().filter_map(|told| match told {
        Told::Did(_) => None,
        Told::Joined(lost) => Some(*lost),
    })
}

/// The victim takes jobs: one is done, one given up, one done. The others do the rest, or wait for all to be done.
struct Taking {
    jobs: Jobs,
    others_join: bool,
    /// Whether the others wait for the end before the victim comes.
    before: bool,
    log: Log,
}

impl Taking {
    fn new(others_join: bool, order: Order) -> Taking {
        let jobs = Jobs::raw(4096).unwrap();
        // Of those who come first, some sleep until there are more.
        let at_once = if order == First { 1 } else { ALL };
        (0..at_once).for_each(|which| jobs.put(record(0, which)).unwrap());
        Taking {
            jobs,
            others_join,
            before: order == Last,
            log: Log::new(),
        }
    }

    fn take(&self) -> Option<multiproc::Item<'_, Record, Raw>> {
        let job = taken(self.jobs.get())?;
        self.log.add(TAKEN);
        Some(job)
    }

    /// How many the victim did, when it died at this step.
    fn done_by_victim(&self, at: Option<&str>) -> u64 {
        let log = self.log.read();
        let count = |what| log.iter().filter(|entry| **entry == what).count() as u64;
        let is_counted =
            log.last() == Some(&ABOUT_TO_BE_DONE) && at != Some("joinable: about to be done");
        count(DONE) + u64::from(is_counted)
    }
}

impl Scenario for Taking {
    type Told = Told;

    fn work(&self, _: impl FnOnce()) -> Told {
        do_all(&self.jobs)
    }

    fn victim(&self, middle: impl FnOnce()) {
        let Some(job) = self.take() else { return };
        middle();
        self.log.add(ABOUT_TO_BE_DONE);
        drop(job);
        self.log.add(DONE);
        let Some(job) = self.take() else { return };
        job.give_up();
        self.log.add(GIVEN_UP);
        let Some(job) = self.take() else { return };
        self.log.add(ABOUT_TO_BE_DONE);
        drop(job);
        self.log.add(DONE);
    }

    fn other(&self, _: usize) -> Told {
        if self.others_join {
            join(&self.jobs)
        } else {
            do_all(&self.jobs)
        }
    }

    fn let_go(&self) -> Vec<Child<Told>> {
        let put_the_rest = move || {
            if !self.before {
                (1..ALL).for_each(|which| self.jobs.put(record(0, which)).unwrap());
            }
            self.jobs.close().unwrap();
            Told::Did(0)
        };
        vec![forked(put_the_rest), forked(|| do_all(&self.jobs))]
    }

    fn relieve(&self, _: bool) -> Vec<Child<Told>> {
        vec![forked(|| join(&self.jobs))]
    }

    fn check(&self, end: &End<Told>) {
        assert_eq!(join(&self.jobs), Told::Joined(0), "told again");
        assert_eq!((self.jobs.unfinished(), self.jobs.len()), (0, 0));
        let lost = self.jobs.lost();
        let done = done_by(&end.told) + self.done_by_victim(end.at);
        assert_eq!(done + u64::from(lost), ALL, "{lost} lost: {end:?}");
        let is_told = |told: u32| {
            if self.before {
                told == lost
            } else {
                told <= lost
            }
        };
        // The last to join came when some may have been told already.
        let (_last, early) = end.told.split_last().unwrap();
        assert!(lost_to(early).all(is_told), "of {lost}: {end:?}");
    }
}

/// Fault 14.
pub fn a_kill_at_any_step_of_who_takes_jobs_is_told_to_who_joins_exactly() {
    let mut steps = Steps::default();
    for (others_join, order) in [(true, Last), (true, First), (false, First)] {
        steps.add(killed_in_each_run(&[order], |_| {
            Taking::new(others_join, order)
        }));
    }
    steps.expect(&[
        "joinable: in hand",
        "ring: about to consume",
        "ring: consumed",
        "joinable: about to be done",
        "joinable: done, still in hand",
        "joinable: given up, nobody woken yet",
        "joinable: all done, nobody woken yet",
        "joinable: mark removed, nobody woken yet",
    ]);
}

/// The victim waits for jobs to be done, and so do the others. One was lost before.
struct Joining(Jobs);

impl Joining {
    fn new() -> Joining {
        let jobs = Jobs::raw(4096).unwrap();
        (0..ALL).for_each(|which| jobs.put(record(0, which)).unwrap());
        jobs.close().unwrap();
        let dying = forked(|| {
            let _job = jobs.get();
            kill_self();
        });
        assert!(dying.join().unwrap_err().is_killed());
        Joining(jobs)
    }
}

impl Scenario for Joining {
    type Told = Told;

    fn work(&self, _: impl FnOnce()) -> Told {
        join(&self.0)
    }

    fn let_go(&self) -> Vec<Child<Told>> {
        vec![forked(|| do_all(&self.0))]
    }

    fn check(&self, end: &End<Told>) {
        assert!(lost_to(&[join(&self.0)]).all(|told| told <= 1));
        assert_eq!(self.0.lost(), 1, "{end:?}");
        assert_eq!(done_by(&end.told), ALL - 1);
        assert!(lost_to(&end.told).all(|told| told <= 1), "{end:?}");
    }
}

/// Fault 3. Fault 14.
pub fn a_kill_at_any_step_of_who_joins_hides_no_loss_and_doubles_none() {
    killed_everywhere(
        &[First, Last],
        |_| Joining::new(),
        &[
            "tally: owner found dead",
            "tally: row of the dead freed",
            "joinable: lost found",
            "joinable: about to sleep",
            "joinable: awake",
        ],
    );
}
