//! Waiting for a value to change.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use multiproc::{AtomicArray, Counter, Value};

use crate::{
    common::wait_until,
    parties::{Method, PARTIES, die, meet, run, run_to_death, start},
};

const ROUNDS: u64 = 500;
const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(20);

pub fn parties_take_turns_by_a_value(method: Method) {
    fn take_turns((value, own): (Value<u64>, u64)) {
        let parties = PARTIES as u64;
        for round in 0..ROUNDS {
            let turn = value.wait_while(|turn| turn % parties != own).unwrap();
            assert_eq!(turn, round * parties + own);
            value.update(|turn| *turn += 1).unwrap();
        }
    }
    let value = Value::new(0).unwrap();
    let party = |own| (value.clone(), own);
    run(method, take_turns, (0..PARTIES as u64).map(party));
    assert_eq!(value.get(), PARTIES as u64 * ROUNDS);
}

pub fn nobody_misses_the_last_of_many_changes(method: Method) {
    type Party = (Value<[u64; 8]>, Counter, usize);
    const CHANGES: u64 = 50;
    fn change_or_wait((value, met, i): Party) {
        for round in 1..=ROUNDS / 10 {
            meet(&met, round as usize * PARTIES);
            if i < 2 {
                for _ in 0..CHANGES {
                    value
                        .update(|numbers| *numbers = numbers.map(|n| n + 1))
                        .unwrap();
                }
                continue;
            }
            let last = round * 2 * CHANGES;
            let numbers = value.wait_while(|numbers| {
                assert_eq!(*numbers, [numbers[0]; 8], "torn");
                numbers[0] < last
            });
            let numbers = numbers.unwrap();
            assert_eq!(numbers[0], last);
        }
    }
    let (value, met) = (Value::new([0; 8]).unwrap(), Counter::new(0).unwrap());
    let party = |i| (value.clone(), met.clone(), i);
    run(method, change_or_wait, (0..PARTIES).map(party));
}

pub fn a_wait_for_a_change_ends_at_its_deadline(method: Method) {
    fn wait((value, met): (Value<u64>, Counter)) {
        let (seen, result) = value.wait_timeout_while(SHORT, |n| *n == 0).unwrap();
        assert_eq!((seen, result.timed_out()), (0, true));
        meet(&met, PARTIES + 1);
        let (seen, result) = value.wait_timeout_while(LONG, |n| *n == 0).unwrap();
        assert_eq!((seen, result.timed_out()), (7, false));
        let (seen, result) = value
            .wait_timeout_while(Duration::ZERO, |n| *n == 0)
            .unwrap();
        assert_eq!((seen, result.timed_out()), (7, false));
    }
    let (value, met) = (Value::new(0).unwrap(), Counter::new(0).unwrap());
    let waiters = start(method, wait, vec![(value.clone(), met.clone()); PARTIES]);
    meet(&met, PARTIES + 1);
    value.set(7).unwrap();
    waiters.join();
}

pub fn who_waits_for_a_value_needs_no_lock_and_sees_nothing_before_it_is_published(method: Method) {
    type Party = (Value<u64>, AtomicArray<u64>);
    fn wait((value, seen): Party) -> u64 {
        let count = |n: &u64| {
            seen[0].fetch_add(1, Relaxed);
            *n == 0
        };
        value.wait_while(count).unwrap()
    }
    let (value, seen) = (Value::new(0).unwrap(), AtomicArray::zeroed(1).unwrap());
    let waiters = start(method, wait, vec![(value.clone(), seen.clone()); PARTIES]);
    let mut guard = value.lock().unwrap();
    *guard = 7;
    // Each has looked, and those who have slept have looked again, while the lock is held.
    let before = seen[0].load(Relaxed);
    wait_until(|| seen[0].load(Relaxed) >= before + 2 * PARTIES as u64);
    assert_eq!(value.get(), 0);
    drop(guard);
    assert_eq!(waiters.join(), [7; PARTIES]);
}

/// Fault 11.
pub fn the_death_of_who_changes_a_value_holds_up_nobody_who_waits(method: Method) {
    fn change_and_die(value: Value<u64>) {
        value.set(1).unwrap();
        let mut guard = value.lock().unwrap();
        *guard = 99;
        die();
    }
    fn wait(value: Value<u64>) -> [u64; 2] {
        [0, 1].map(|old| value.wait_while(|n| *n == old).unwrap())
    }
    let value = Value::new(0).unwrap();
    let waiters = start(method, wait, vec![value.clone(); PARTIES]);
    run_to_death(method, change_and_die, value.clone());
    // Who died has not published 99.
    assert_eq!(value.wait_while(|n| *n == 0), Ok(1));
    value.set(2).unwrap();
    let seen = waiters.join();
    assert!(
        seen.iter().all(|seen| [[1, 2], [2, 2]].contains(seen)),
        "{seen:?}"
    );
}
