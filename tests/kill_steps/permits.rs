//! Semaphores: the permits of the dead come back, each exactly once.

use multiproc::{BoundedSemaphore, Child, Permit, Refused, Semaphore};

use crate::engine::{
    End,
    Order::{First, Last, Waits},
    Scenario, killed_everywhere, killed_while_recovering,
};

/// What both kinds of semaphores do.
trait AnySemaphore {
    fn new(permits: u32) -> Self;
    fn acquire(&self, count: u32) -> Result<Permit<'_>, Refused>;
    fn try_acquire(&self, count: u32) -> Result<Permit<'_>, Refused>;
    fn release(&self, count: u32);
    fn value(&self) -> u32;
}

macro_rules! any_semaphore {
    ($($type:ident)*) => {$(
        impl AnySemaphore for $type {
            fn new(permits: u32) -> $type {
                $type::new(permits).unwrap()
            }

            fn acquire(&self, count: u32) -> Result<Permit<'_>, Refused> {
                match count {
                    1 => self.acquire(),
                    _ => self.acquire_many(count),
                }
            }

            fn try_acquire(&self, count: u32) -> Result<Permit<'_>, Refused> {
                self.try_acquire_many(count)
            }

            fn release(&self, count: u32) {
                self.release(count).unwrap();
            }

            fn value(&self) -> u32 {
                self.value().unwrap()
            }
        }
    )*};
}

any_semaphore!(Semaphore BoundedSemaphore);

/// So many permits; the victim, each of the others, and who has them before take so many of them.
struct OfSemaphore<S> {
    semaphore: S,
    permits: u32,
    victim: u32,
    others: u32,
    holder: u32,
    /// Whether the victim uses its permits up.
    forgets: bool,
}

impl<S: AnySemaphore> OfSemaphore<S> {
    fn new(permits: u32, [victim, others, holder]: [u32; 3]) -> OfSemaphore<S> {
        OfSemaphore {
            semaphore: S::new(permits),
            permits,
            victim,
            others,
            holder,
            forgets: false,
        }
    }
}

impl<S: AnySemaphore> Scenario for OfSemaphore<S> {
    type Told = ();

    const NOTED: &str = "permits: forgotten, still held";

    fn work(&self, middle: impl FnOnce()) {
        let _permit = self.semaphore.acquire(self.others).unwrap();
        middle();
    }

    fn victim(&self, middle: impl FnOnce()) {
        let permit = self.semaphore.acquire(self.victim).unwrap();
        middle();
        if self.forgets {
            permit.forget();
        }
    }

    fn hold(&self, middle: impl FnOnce()) {
        let _permit = self.semaphore.acquire(self.holder).unwrap();
        middle();
    }

    fn steal(&self, hold: impl FnOnce()) {
        let _permit = self.semaphore.try_acquire(1);
        hold();
    }

    fn relieve(&self, forgotten: bool) -> Vec<Child<()>> {
        if forgotten {
            self.semaphore.release(self.victim);
        }
        Vec::new()
    }

    fn check(&self, _: &End<()>) {
        let all = self.semaphore.try_acquire(self.permits);
        assert!(all.is_ok(), "some are lost");
        assert_eq!(self.semaphore.value(), 0, "there are more than before");
        drop(all);
        assert_eq!(self.semaphore.value(), self.permits);
    }
}

fn taking_is_killed<S: AnySemaphore>(permits: u32, taken: [u32; 3], and_at: &[&[&str]]) {
    let always = [
        "tally: row made known",
        "tally: row has its owner",
        "permits: taken",
        "permits: about to let go of the table",
        "permits: about to sleep",
        "permits: awake",
        "permits: about to give back",
    ];
    killed_everywhere(
        &[First, Waits],
        |_| OfSemaphore::<S>::new(permits, taken),
        &[&always, &*and_at.concat()].concat(),
    );
}

/// Where one is killed who lets others go on, of whom each needs one permit.
const WAKES_SOME: &[&str] = &[
    "permits: given back, nobody woken yet",
    "permits: turn changed, nobody woken yet",
];

/// Where one is killed who lets others go on, of whom some need several permits, or fewer than there are.
const WAKES_ALL: &[&str] = &[
    "permits: given back, nobody woken yet",
    "permits: marks removed from the rows",
    "permits: marks removed",
    "permits: turn changed, none of all woken yet",
];

/// Fault 17.
pub fn a_kill_at_any_step_of_who_takes_a_permit_loses_none_and_doubles_none() {
    taking_is_killed::<Semaphore>(1, [1, 1, 1], &[WAKES_SOME]);
    taking_is_killed::<BoundedSemaphore>(2, [1, 1, 2], &[]);
}

/// Fault 17.
pub fn a_kill_at_any_step_of_who_takes_permits_loses_none_and_doubles_none() {
    taking_is_killed::<Semaphore>(2, [2, 1, 1], &[WAKES_SOME, WAKES_ALL]);
    taking_is_killed::<Semaphore>(2, [1, 2, 2], &[WAKES_ALL]);
    taking_is_killed::<Semaphore>(3, [2, 2, 2], &[WAKES_ALL]);
}

/// Fault 17.
pub fn a_kill_at_any_step_of_using_permits_up_loses_those_or_none() {
    for (permits, taken) in [(1, [1, 1, 1]), (2, [2, 1, 1])] {
        killed_everywhere(
            &[First, Waits],
            |_| OfSemaphore::<BoundedSemaphore> {
                forgets: true,
                ..OfSemaphore::new(permits, taken)
            },
            &[
                "permits: about to forget",
                "permits: forgotten, still held",
                "permits: forgotten, about to let go of the table",
            ],
        );
    }
}

/// Fault 3. Fault 17.
pub fn a_killed_recovery_of_permits() {
    killed_while_recovering(
        || OfSemaphore::<Semaphore>::new(2, [2, 1, 1]),
        &["tally: owner found dead", "tally: row of the dead freed"],
    );
}

/// All wait for somebody to release as many permits as they use up.
struct Release {
    semaphore: Semaphore,
    others: u32,
    /// Whether all want one permit, or the first all of them.
    many: bool,
}

impl Scenario for Release {
    type Told = ();

    const NOTED: &str = "permits: released, nobody woken yet";

    fn work(&self, _: impl FnOnce()) {
        self.semaphore.release(self.others).unwrap();
    }

    fn other(&self, _: usize) {
        let count = if self.many { self.others } else { 1 };
        let permit = self.semaphore.acquire_many(count).unwrap();
        if !self.many {
            permit.forget();
        }
    }

    fn relieve(&self, released: bool) -> Vec<Child<()>> {
        if !released {
            self.work(|| ());
        }
        Vec::new()
    }

    fn check(&self, _: &End<()>) {
        let left = if self.many { self.others } else { 0 };
        assert_eq!(self.semaphore.value(), Ok(left));
    }
}

/// Fault 17.
pub fn a_kill_at_any_step_of_releasing_permits_adds_all_or_none() {
    for many in [false, true] {
        killed_everywhere(
            &[Last],
            |others| Release {
                semaphore: Semaphore::new(0).unwrap(),
                others: others as u32,
                many,
            },
            &["permits: about to release", Release::NOTED],
        );
    }
}
