//! Condition variables.

use std::time::{Duration, Instant};

use multiproc::{Cause, Condvar, Counter, LockError, Mutex};

use crate::{
    common::wait_until,
    parties::{Method, PARTIES, Sleepers, die, kill, meet, run, run_to_death, start, victim},
};

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(20);

/// A number under a lock, and how it is told that it has changed.
type Watched = (Mutex<u64>, Condvar);

fn watched() -> Watched {
    (Mutex::new(0).unwrap(), Condvar::new().unwrap())
}

pub fn a_bounded_buffer_hands_everything_over_once(method: Method) {
    const ROOM: usize = 3;
    const ITEMS: u64 = 3_000;
    /// How many there are, and the items.
    type Buffer = Mutex<[u64; 1 + ROOM]>;
    fn produce_or_consume((buffer, changed, i): (Buffer, [Condvar; 2], u64)) -> Vec<u64> {
        let [filled, emptied] = changed;
        let put = |item| {
            let guard = buffer.lock().unwrap();
            let is_full = |buffer: &mut [u64; 1 + ROOM]| buffer[0] == ROOM as u64;
            let mut guard = emptied.wait_while(guard, is_full).unwrap();
            guard[0] += 1;
            let last = guard[0] as usize;
            guard[last] = item;
            drop(guard);
            filled.notify_one();
        };
        let take = |_| {
            let guard = buffer.lock().unwrap();
            let is_empty = |buffer: &mut [u64; 1 + ROOM]| buffer[0] == 0;
            let mut guard = filled.wait_while(guard, is_empty).unwrap();
            let last = guard[0] as usize;
            guard[0] -= 1;
            // With the lock held as good as without.
            emptied.notify_one();
            guard[last]
        };
        if i % 2 == 0 {
            (i * ITEMS..(i + 1) * ITEMS).for_each(put);
            return Vec::new();
        }
        (0..ITEMS).map(take).collect()
    }
    let buffer = Mutex::new([0; 1 + ROOM]).unwrap();
    let changed = [Condvar::new().unwrap(), Condvar::new().unwrap()];
    let party = |i| (buffer.clone(), changed.clone(), i);
    let mut taken = run(method, produce_or_consume, (0..PARTIES as u64).map(party)).concat();
    taken.sort_unstable();
    let producers = (0..PARTIES as u64).step_by(2);
    let all: Vec<u64> = producers.flat_map(|i| i * ITEMS..(i + 1) * ITEMS).collect();
    assert_eq!(taken, all);
}

fn wait_for_one(((number, changed), sleepers, i): (Watched, Sleepers, usize)) {
    let guard = number.lock().unwrap();
    sleepers.enter(i);
    drop(changed.wait_while(guard, |number| *number == 0).unwrap());
}

pub fn all_who_wait_are_woken_by_one_notification(method: Method) {
    for notify in [Condvar::notify_all, |changed: &Condvar| {
        changed.notify_n(PARTIES as u32)
    }] {
        let (shared, sleepers) = (watched(), Sleepers::new(PARTIES));
        let party = |i| (shared.clone(), sleepers.clone(), i);
        let parties = start(method, wait_for_one, (0..PARTIES).map(party));
        sleepers.all_asleep();
        *shared.0.lock().unwrap() = 1;
        notify(&shared.1);
        parties.join();
    }
}

pub fn each_notification_of_one_lets_one_through(method: Method) {
    fn take((number, changed): Watched) {
        for _ in 0..1_000 {
            let guard = number.lock().unwrap();
            *changed.wait_while(guard, |number| *number == 0).unwrap() -= 1;
        }
    }
    let (number, changed) = watched();
    let parties = start(
        method,
        take,
        vec![(number.clone(), changed.clone()); PARTIES],
    );
    for _ in 0..1_000 * PARTIES {
        *number.lock().unwrap() += 1;
        changed.notify_one();
    }
    parties.join();
    assert_eq!(*number.lock().unwrap(), 0);
}

pub fn a_wait_with_a_timeout_unlocks_meanwhile_and_ends_in_time(method: Method) {
    fn wait_or_lock(((number, changed), met, waits): (Watched, Counter, bool)) {
        if !waits {
            wait_until(|| met.get() == 1);
            *number.lock_timeout(LONG).unwrap() = 1;
            changed.notify_all();
            return;
        }
        let start = Instant::now();
        let guard = number.lock().unwrap();
        let (guard, how) = changed.wait_timeout_while(guard, SHORT, |_| true).unwrap();
        assert!(how.timed_out() && start.elapsed() >= SHORT);
        // Only now anybody else may lock, and not before this one waits.
        meet(&met, 1);
        let is_zero = |number: &mut u64| *number == 0;
        let (guard, how) = changed.wait_timeout_while(guard, LONG, is_zero).unwrap();
        assert!(!how.timed_out() && *guard == 1 && start.elapsed() < LONG);
        // What has come about already is not waited for.
        let (guard, how) = changed.wait_timeout_while(guard, LONG, is_zero).unwrap();
        assert!(!how.timed_out());
        let (guard, how) = changed.wait_timeout(guard, Duration::ZERO).unwrap();
        assert!(how.timed_out() && *guard == 1 && number.is_locked());
    }
    let (shared, met) = (watched(), Counter::new(0).unwrap());
    let party = |waits| (shared.clone(), met.clone(), waits);
    run(method, wait_or_lock, [true, false].map(party));
}

/// Fault 19.
pub fn a_waiter_that_is_killed_holds_up_neither_notifiers_nor_waiters(method: Method) {
    for notify in [Condvar::notify_all, |changed: &Condvar| {
        (0..PARTIES).for_each(|_| changed.notify_one());
    }] {
        let (shared, sleepers) = (watched(), Sleepers::new(PARTIES));
        let party = |i| (shared.clone(), sleepers.clone(), i);
        // The victim sleeps longest: it would be the first to be woken.
        let victim = victim(method, wait_for_one, party(0));
        if victim.is_some() {
            sleepers.asleep(0);
        }
        let parties = start(method, wait_for_one, (1..PARTIES).map(party));
        for i in 1..PARTIES {
            sleepers.asleep(i);
        }
        kill(victim);
        *shared.0.lock().unwrap() = 1;
        notify(&shared.1);
        parties.join();
    }
}

pub fn who_waits_is_told_that_who_changed_it_did_not_finish(method: Method) {
    fn wait(((number, changed), sleepers, i): (Watched, Sleepers, usize)) -> (u64, bool) {
        let guard = number.lock().unwrap();
        sleepers.enter(i);
        let error = changed
            .wait_while(guard, |number| *number == 0)
            .unwrap_err();
        let LockError::Poisoned(poisoned) = error else {
            panic!("{error}");
        };
        let by_death = matches!(poisoned.cause(), Cause::OwnerDied { .. });
        (**poisoned.get_ref(), by_death)
    }
    fn change_and_die((number, changed): Watched) {
        let mut guard = number.lock().unwrap();
        *guard = 7;
        changed.notify_all();
        die();
    }
    let (shared, sleepers) = (watched(), Sleepers::new(PARTIES));
    let party = |i| (shared.clone(), sleepers.clone(), i);
    let parties = start(method, wait, (0..PARTIES).map(party));
    sleepers.all_asleep();
    run_to_death(method, change_and_die, shared.clone());
    let told = (7, method != Method::Threads);
    assert_eq!(parties.join(), [told; PARTIES]);
}
