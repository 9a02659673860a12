//! Barriers: whoever dies there, the others are told or let through.

use std::cell::Cell;

use multiproc::{Barrier, BarrierError, BreakCause, Child};

use crate::{
    common::forked,
    engine::{
        End,
        Order::{First, Last},
        Scenario, asleep_at, killed_everywhere,
    },
};

/// All meet at a barrier.
struct Meeting {
    barrier: Barrier,
    /// Whether one more comes last.
    has_last: bool,
    /// The thief went through in place of the victim.
    replaced: Cell<bool>,
}

impl Meeting {
    fn new(parties: usize, has_last: bool) -> Meeting {
        Meeting {
            barrier: Barrier::new(parties).unwrap(),
            has_last,
            replaced: Cell::new(false),
        }
    }
}

impl Scenario for Meeting {
    /// `Err`: who died.
    type Told = Result<(), u32>;

    const NOTED: &str = "barrier: arrived";

    fn work(&self, middle: impl FnOnce()) -> Self::Told {
        match self.barrier.wait_with(middle) {
            Ok(_) => Ok(()),
            Err(BarrierError::Broken(BreakCause::PartyDied { pid })) => Err(pid),
            Err(other) => panic!("{other}"),
        }
    }

    fn let_go(&self) -> Vec<Child<Self::Told>> {
        let last = self.has_last.then(|| asleep_at(|| self.work(|| ())));
        last.into_iter().collect()
    }

    fn steal(&self, hold: impl FnOnce()) {
        self.replaced.set(self.barrier.try_wait().is_ok());
        hold();
    }

    fn relieve(&self, arrived: bool) -> Vec<Child<Self::Told>> {
        let in_its_place = !arrived && !self.replaced.get();
        let child = in_its_place.then(|| forked(|| self.work(|| ())));
        child.into_iter().collect()
    }

    fn check(&self, end: &End<Self::Told>) {
        let broken = end.told.iter().any(|told| told.is_err());
        for told in &end.told {
            match told {
                Ok(()) => assert!(!broken, "some were let through: {end:?}"),
                Err(pid) => assert!(end.dead.contains(pid), "{pid} has not died"),
            }
        }
        assert_eq!(self.barrier.is_broken(), broken);
        self.barrier.reset();
        let meet = || self.barrier.wait().is_ok();
        let parties: Vec<_> = (0..self.barrier.parties()).map(|_| forked(meet)).collect();
        assert!(parties.into_iter().all(|party| party.join().unwrap()));
        assert_eq!(self.barrier.waiting(), 0);
    }
}

/// Fault 18.
pub fn a_kill_at_any_step_of_who_waits_at_a_barrier_is_told_to_all_or_to_nobody() {
    killed_everywhere(
        &[First],
        |others| Meeting::new(others + 2, true),
        &[
            "lock: taken",
            "barrier: owner written",
            "barrier: arrived",
            "barrier: let go of the list",
            "barrier: about to sleep",
            "barrier: awake",
        ],
    );
}

/// Fault 18.
pub fn a_kill_at_any_step_of_the_last_at_a_barrier_is_told_to_all_or_to_nobody() {
    killed_everywhere(
        &[Last],
        |others| Meeting::new(others + 1, false),
        &[
            "lock: taken",
            "barrier: owner written",
            "barrier: arrived",
            "barrier: let go of the list",
            "barrier: about to release",
            "barrier: state changed, nobody woken yet",
        ],
    );
}

/// Somebody ends the waiting of all others.
struct Ending {
    barrier: Barrier,
    end: fn(&Barrier),
    cause: BreakCause,
}

impl Scenario for Ending {
    type Told = ();

    const NOTED: &str = "barrier: state changed, nobody woken yet";

    fn work(&self, _: impl FnOnce()) {
        (self.end)(&self.barrier);
    }

    fn other(&self, _: usize) {
        let error = self.barrier.wait().unwrap_err();
        assert_eq!(error, BarrierError::Broken(self.cause));
    }

    fn relieve(&self, done: bool) -> Vec<Child<()>> {
        if !done {
            self.work(|| ());
        }
        Vec::new()
    }

    fn check(&self, _: &End<()>) {
        assert_eq!(self.barrier.waiting(), 0);
        assert_eq!(self.barrier.is_broken(), self.cause == BreakCause::Aborted);
    }
}

/// Fault 18.
pub fn a_kill_at_any_step_of_aborting_or_resetting_a_barrier_sticks_nobody() {
    let ends: [(fn(&Barrier), _); 2] = [
        (Barrier::abort, BreakCause::Aborted),
        (Barrier::reset, BreakCause::Reset),
    ];
    for (end, cause) in ends {
        killed_everywhere(
            &[Last],
            |others| Ending {
                barrier: Barrier::new(others + 1).unwrap(),
                end,
                cause,
            },
            &[Ending::NOTED],
        );
    }
}
