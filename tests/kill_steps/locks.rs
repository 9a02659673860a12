//! What one process at a time may change: a mutex, a value, a range of an array.

use std::fmt::Debug;

use multiproc::{Array, Cause, Mutex, Value};

use crate::{
    common::{forked, kill_self},
    engine::{
        End,
        Order::{First, Waits},
        Scenario, killed_at_each_step, killed_everywhere, killed_while_recovering,
    },
};

/// Two numbers, to each of which everybody adds one.
pub type Pair = [u64; 2];

/// Each of a pair counts those who are done, and the dead if they got that far.
pub fn assert_pair<T: Debug>(pair: Pair, end: &End<T>) {
    for count in pair {
        assert!(end.counts().contains(&count), "{pair:?} after {end:?}");
    }
}

/// As [`assert_pair`], where the death of who was at it is told by `cause`.
pub fn assert_told<T: Debug>(pair: Pair, cause: Option<Cause>, end: &End<T>) {
    assert_pair(pair, end);
    // Half-done work is always told.
    assert!(pair[0] == pair[1] || cause.is_some(), "{pair:?} untold");
    assert!(!end.inside || cause.is_some(), "untold");
    match cause {
        Some(Cause::OwnerDied { pid }) => assert!(end.dead.contains(&pid), "{pid} has not died"),
        Some(Cause::Panicked) => panic!("nobody panicked"),
        None => {}
    }
}

struct OfMutex(Mutex<Pair>);

impl OfMutex {
    fn new() -> OfMutex {
        OfMutex(Mutex::new([0; 2]).unwrap())
    }
}

impl Scenario for OfMutex {
    type Told = ();

    fn work(&self, middle: impl FnOnce()) {
        let mut guard = self.0.lock().or_else(|error| error.into_guard()).unwrap();
        guard[0] += 1;
        middle();
        guard[1] += 1;
    }

    fn steal(&self, hold: impl FnOnce()) {
        let _guard = self.0.try_lock();
        hold();
    }

    fn check(&self, end: &End<()>) {
        let pair = *self.0.lock().or_else(|error| error.into_guard()).unwrap();
        assert_told(pair, self.0.poison(), end);
    }
}

struct OfValue(Value<Pair>);

impl OfValue {
    fn new() -> OfValue {
        OfValue(Value::new([0; 2]).unwrap())
    }
}

impl Scenario for OfValue {
    type Told = ();

    fn work(&self, middle: impl FnOnce()) {
        let mut guard = self.0.lock().unwrap();
        guard[0] += 1;
        middle();
        guard[1] += 1;
    }

    fn steal(&self, hold: impl FnOnce()) {
        let _guard = self.0.try_lock();
        hold();
    }

    fn check(&self, end: &End<()>) {
        let pair = self.0.get();
        assert_eq!(pair[0], pair[1], "torn");
        assert_pair(pair, end);
        self.0.update(|pair| pair[0] += 1).unwrap();
    }
}

const CLAIMED: std::ops::Range<usize> = 3..7;

struct OfArray(Array<u64>);

impl OfArray {
    fn new() -> OfArray {
        OfArray(Array::zeroed(10).unwrap())
    }
}

impl Scenario for OfArray {
    type Told = ();

    fn work(&self, middle: impl FnOnce()) {
        let guard = self.0.write(CLAIMED);
        let mut guard = guard.or_else(|error| error.into_guard()).unwrap();
        guard[0] += 1;
        middle();
        guard[3] += 1;
    }

    fn steal(&self, hold: impl FnOnce()) {
        let _guard = self.0.try_write(5..8);
        hold();
    }

    fn check(&self, end: &End<()>) {
        let whole = self.0.write(..);
        let guard = whole.or_else(|error| error.into_guard()).unwrap();
        let poisoned = guard.poisoned();
        let cause = poisoned.iter().next().map(|one| one.cause);
        assert_told([guard[3], guard[6]], cause, end);
        for one in poisoned.iter() {
            assert_eq!(one.range, CLAIMED, "not what was claimed");
        }
        drop(guard);
        assert!(
            self.0.try_write(0..3).is_ok(),
            "disjoint claims never notice"
        );
    }
}

/// Fault 1. Fault 2.
pub fn a_kill_at_any_step_of_a_mutex_sticks_nobody_and_is_told() {
    killed_everywhere(
        &[First, Waits],
        |_| OfMutex::new(),
        &[
            "lock: taken",
            "lock: about to sleep",
            "lock: awake",
            "lock: taken after a wait",
            "unlock: begun",
            "unlock: thread cleared",
            "unlock: freed, nobody woken yet",
        ],
    );
}

/// Fault 2. Fault 11.
pub fn a_kill_at_any_step_of_a_value_leaves_the_old_or_the_new_one() {
    killed_everywhere(
        &[First, Waits],
        |_| OfValue::new(),
        &[
            "lock: taken",
            "value: a word of the hidden slot written",
            "value: published",
            "unlock: freed, nobody woken yet",
        ],
    );
}

/// Fault 2. Fault 12.
pub fn a_kill_at_any_step_of_a_claim_poisons_its_range_and_no_other() {
    killed_everywhere(
        &[First, Waits],
        |_| OfArray::new(),
        &[
            "claim: row written",
            "claim: row marked used",
            "claim: row published",
            "claim: about to let go of the table",
            "claim: awake",
            "claim: granted",
            "claim: about to release",
            "claim: freed, nobody woken yet",
        ],
    );
}

/// Fault 3.
pub fn a_killed_recovery_of_a_mutex() {
    killed_while_recovering(
        OfMutex::new,
        &["lock: owner found dead", "lock: taken after a wait"],
    );
}

/// Fault 3.
pub fn a_killed_recovery_of_a_value() {
    killed_while_recovering(
        OfValue::new,
        &["lock: owner found dead", "lock: taken after a wait"],
    );
}

/// Fault 3.
pub fn a_killed_recovery_of_a_claim() {
    killed_while_recovering(
        OfArray::new,
        &[
            "claim: owner found dead",
            "poison: range written",
            "poison: published",
            "claim: death noted",
        ],
    );
}

/// Seventeen dead writers, for whom there are sixteen entries: whoever merges two of them is killed at each step of
/// that. Fault 42.
pub fn a_kill_while_poison_is_merged_loses_none() {
    let ranges: Vec<_> = (0..17).map(|i| i * 10..i * 10 + 3 + i % 3).collect();
    let (last, noted) = ranges.split_last().unwrap();
    let poisoned_by_the_dead = || {
        let array = Array::<u64>::zeroed(200).unwrap();
        for range in &ranges {
            let dying = forked(|| {
                let _claimed = array.write(range.clone());
                kill_self();
            });
            assert!(dying.join().unwrap_err().is_killed());
        }
        for range in noted {
            assert!(array.try_read(range.clone()).unwrap_err().is_poisoned());
        }
        array
    };
    let merge = |array: &Array<u64>| {
        assert!(array.try_read(last.clone()).unwrap_err().is_poisoned());
    };
    let check = |array: &Array<u64>| {
        merge(array);
        let poisoned = array.poisoned().unwrap();
        for range in &ranges {
            let covers = |other: &std::ops::Range<usize>| {
                other.start <= range.start && range.end <= other.end
            };
            assert!(
                poisoned.iter().any(|one| covers(&one.range)),
                "{range:?} is lost: {poisoned:?}"
            );
        }
    };
    killed_at_each_step(
        poisoned_by_the_dead,
        merge,
        check,
        &[
            "poison: start of merged entry lowered",
            "poison: end of merged entry raised",
        ],
    );
}
