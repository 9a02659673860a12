//! What is made once: whoever dies at it, the next makes it, and all see the same.

use std::{cell::Cell, process, time::Duration};

use multiproc::{Once, OnceValue};

use crate::{
    engine::{
        End,
        Order::{First, Waits},
        Scenario, killed_everywhere, killed_while_recovering,
    },
    locks::Pair,
};

/// Everybody offers its own process id, twice.
struct OfOnceValue {
    value: OnceValue<Pair>,
    stolen: Cell<Option<Pair>>,
    /// Whether the victim fails to make it.
    fails: bool,
}

impl OfOnceValue {
    fn new(fails: bool) -> OfOnceValue {
        OfOnceValue {
            value: OnceValue::new().unwrap(),
            stolen: Cell::new(None),
            fails,
        }
    }
}

fn own() -> Pair {
    [process::id().into(); 2]
}

impl Scenario for OfOnceValue {
    type Told = Pair;

    fn work(&self, middle: impl FnOnce()) -> Pair {
        let init = || {
            middle();
            own()
        };
        *self.value.get_or_init(init).unwrap()
    }

    fn victim(&self, middle: impl FnOnce()) {
        let init = || {
            middle();
            if self.fails { Err(()) } else { Ok(own()) }
        };
        let _ = self.value.get_or_try_init(init);
    }

    fn other(&self, index: usize) -> Pair {
        if index == 0 {
            self.work(|| ())
        } else {
            // Comes to nothing before somebody has made it.
            let init = || Err::<Pair, ()>(());
            let made = self.value.get_or_try_init(init).ok();
            *made.unwrap_or_else(|| self.value.wait().unwrap())
        }
    }

    fn hold(&self, middle: impl FnOnce()) {
        let init = || {
            middle();
            Err::<Pair, ()>(())
        };
        assert!(self.value.get_or_try_init(init).is_err());
    }

    fn steal(&self, hold: impl FnOnce()) {
        let stolen = self.value.get_or_init_timeout(Duration::ZERO, own);
        self.stolen.set(stolen.ok().copied());
        hold();
    }

    /// One who waits alone for others to make it needs one who does.
    fn relieve(&self, _: bool) -> Vec<multiproc::Child<Pair>> {
        self.work(|| ());
        Vec::new()
    }

    fn check(&self, end: &End<Pair>) {
        let made = *self.value.get_or_init(own).unwrap();
        assert_eq!(made[0], made[1], "half made");
        let seen = end.told.iter().copied().chain(self.stolen.get());
        for seen in seen {
            assert_eq!(seen, made, "there are two: {end:?}");
        }
        assert!(self.value.set([0; 2]).unwrap_err().is_already_set());
    }
}

/// Fault 1. Fault 2.
pub fn a_kill_at_any_step_of_making_a_value_once_leaves_it_to_the_next() {
    killed_everywhere(
        &[First, Waits],
        |_| OfOnceValue::new(false),
        &[
            "lock: taken",
            "once: about to sleep",
            "once: awake",
            "once: about to publish",
            "once: published, nobody woken yet",
            "unlock: begun",
        ],
    );
}

/// Fault 1. Fault 2.
pub fn a_kill_at_any_step_of_failing_to_make_a_value_leaves_it_to_the_next() {
    killed_everywhere(
        &[First, Waits],
        |_| OfOnceValue::new(true),
        &[
            "once: given up, not counted yet",
            "once: counted, nobody woken yet",
        ],
    );
}

/// Fault 3.
pub fn a_killed_recovery_of_a_value_made_once() {
    killed_while_recovering(
        || OfOnceValue::new(false),
        &["lock: owner found dead", "once: about to publish"],
    );
}

struct OfOnce {
    once: Once,
    /// How often it was begun, as seen by this process alone.
    begun: Cell<u64>,
}

impl Scenario for OfOnce {
    /// Whether it was this one that did it.
    type Told = bool;

    const NOTED: &str = "once: published, nobody woken yet";

    fn work(&self, middle: impl FnOnce()) -> bool {
        let did = self.once.call_once(middle).unwrap();
        assert!(self.once.is_completed());
        did
    }

    fn relieve(&self, done: bool) -> Vec<multiproc::Child<bool>> {
        self.begun.set(done.into());
        Vec::new()
    }

    fn check(&self, end: &End<bool>) {
        let done = self.begun.get() + end.told.iter().map(|did| u64::from(*did)).sum::<u64>();
        let now = self.once.call_once(|| ()).unwrap();
        assert_eq!(done + u64::from(now), 1, "{end:?}");
    }
}

/// Fault 1. Fault 2.
pub fn a_kill_at_any_step_of_doing_something_once_leaves_it_to_the_next() {
    killed_everywhere(
        &[First],
        |_| OfOnce {
            once: Once::new().unwrap(),
            begun: Cell::new(0),
        },
        &["once: published, nobody woken yet"],
    );
}
