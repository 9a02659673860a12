//! Reader-writer locks.

use std::time::Duration;

use multiproc::{Counter, RwLock, RwLockWriteGuard};

use crate::{
    common::wait_until,
    parties::{Method, PARTIES, die, meet, run, run_to_death, start},
};

const ROUNDS: u64 = 3000;
const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(20);

/// Large enough to be seen half-written.
type Numbers = [u64; 40];

/// Waits until a test has come to this `moment`.
fn wait_for(now: &Counter, moment: u64) {
    wait_until(|| now.get() >= moment);
}

pub fn writers_exclude_each_other_and_readers_see_no_half_a_write(method: Method) {
    fn write_or_read((lock, i): (RwLock<Numbers>, usize)) {
        for _ in 0..ROUNDS {
            if i % 2 == 0 {
                lock.write().unwrap().iter_mut().for_each(|n| *n += 1);
            } else {
                let numbers = lock.read().unwrap();
                assert_eq!(*numbers, [numbers[0]; 40], "half a write");
            }
        }
    }
    let lock = RwLock::new([0; 40]).unwrap();
    let party = |i| (lock.clone(), i);
    run(method, write_or_read, (0..PARTIES).map(party));
    let expected = PARTIES as u64 / 2 * ROUNDS;
    assert_eq!(*lock.read().unwrap(), [expected; 40]);
    assert!(!lock.is_locked());
}

pub fn readers_have_it_at_the_same_time(method: Method) {
    fn read((lock, met): (RwLock<u64>, Counter)) -> u64 {
        let guard = lock.read().unwrap();
        // All have it at this moment.
        meet(&met, PARTIES);
        assert!(lock.readers() > 0 && lock.is_locked());
        assert!(lock.try_write().is_err());
        meet(&met, 2 * PARTIES);
        *guard
    }
    let (lock, met) = (RwLock::new(7).unwrap(), Counter::new(0).unwrap());
    let seen = run(method, read, vec![(lock.clone(), met); PARTIES]);
    assert_eq!(seen, [7; PARTIES]);
    assert_eq!((lock.readers(), lock.is_locked()), (0, false));
}

pub fn who_comes_after_a_waiting_writer_waits_behind_it(method: Method) {
    type Party = (RwLock<u64>, Counter);
    fn write((lock, now): Party) {
        wait_for(&now, 1);
        *lock.write().unwrap() = 1;
    }
    fn read((lock, now): Party) -> u64 {
        wait_for(&now, 2);
        assert!(lock.try_read().unwrap_err().is_would_block());
        assert!(lock.read_timeout(SHORT).unwrap_err().is_timeout());
        now.add(1);
        *lock.read().unwrap()
    }
    let shared: Party = (RwLock::new(0).unwrap(), Counter::new(0).unwrap());
    let writer = start(method, write, [shared.clone()]);
    let readers = start(method, read, vec![shared.clone(); 2]);
    let (lock, now) = &shared;
    let guard = lock.read().unwrap();
    now.add(1);
    wait_until(|| lock.waiting() == 1);
    // Who reads already reads again: the writer waits for him anyway.
    assert_eq!((*lock.read().unwrap(), *lock.try_read().unwrap()), (0, 0));
    now.add(1);
    wait_for(now, 4);
    wait_until(|| lock.waiting() == 3);
    assert_eq!(*guard, 0);
    drop(guard);
    writer.join();
    assert_eq!(readers.join(), [1; 2]);
}

/// Fault 41.
pub fn a_thread_does_not_wait_for_itself(method: Method) {
    fn ask_again(lock: RwLock<u64>) {
        let reading = lock.read().unwrap();
        assert!(lock.write().unwrap_err().is_deadlock());
        assert!(lock.try_write().unwrap_err().is_deadlock());
        drop(reading);
        let writing = lock.write().unwrap();
        assert!(lock.read().unwrap_err().is_deadlock());
        assert!(lock.write_timeout(LONG).unwrap_err().is_deadlock());
        let reading = RwLockWriteGuard::downgrade(writing);
        assert!(lock.write().unwrap_err().is_deadlock());
        assert_eq!(*reading, *lock.read().unwrap());
    }
    run(method, ask_again, [RwLock::new(7).unwrap()]);
}

pub fn a_writer_becomes_a_reader_and_those_who_wait_to_read_get_in_at_once(method: Method) {
    type Party = (RwLock<u64>, Counter);
    fn write((lock, now): Party) -> u64 {
        wait_for(&now, 1);
        std::mem::replace(&mut *lock.write().unwrap(), 8)
    }
    fn read((lock, now): Party) -> u64 {
        wait_for(&now, 2);
        let guard = lock.read().unwrap();
        wait_for(&now, 4);
        *guard
    }
    fn come_late((lock, now): Party) -> u64 {
        wait_for(&now, 3);
        assert!(lock.try_read().unwrap_err().is_would_block());
        now.add(1);
        *lock.read().unwrap()
    }
    let shared: Party = (RwLock::new(0).unwrap(), Counter::new(0).unwrap());
    let writer = start(method, write, [shared.clone()]);
    let readers = start(method, read, vec![shared.clone(); 2]);
    let late = start(method, come_late, [shared.clone()]);
    let (lock, now) = &shared;
    let mut guard = lock.write().unwrap();
    *guard = 7;
    // The writer stands in line before the readers.
    now.add(1);
    wait_until(|| lock.waiting() == 1);
    now.add(1);
    wait_until(|| lock.waiting() == 3);
    let guard = RwLockWriteGuard::downgrade(guard);
    wait_until(|| lock.readers() == 3);
    assert_eq!(lock.waiting(), 1);
    now.add(1);
    wait_for(now, 4);
    assert_eq!(*guard, 7);
    drop(guard);
    assert_eq!(readers.join(), [7; 2]);
    assert_eq!(writer.join(), [7]);
    assert_eq!(late.join(), [8]);
}

pub fn nobody_misses_a_writer_who_becomes_a_reader_over_and_over(method: Method) {
    fn write_or_read((lock, i): (RwLock<Numbers>, usize)) {
        for _ in 0..ROUNDS {
            if i % 2 == 0 {
                let mut numbers = lock.write().unwrap();
                numbers.iter_mut().for_each(|n| *n += 1);
                let written = *numbers;
                let numbers = RwLockWriteGuard::downgrade(numbers);
                assert_eq!(*numbers, written, "another writer was in between");
            } else {
                let numbers = lock.read().unwrap();
                assert_eq!(*numbers, [numbers[0]; 40], "half a write");
            }
        }
    }
    let lock = RwLock::new([0; 40]).unwrap();
    let party = |i| (lock.clone(), i);
    run(method, write_or_read, (0..PARTIES).map(party));
    let expected = PARTIES as u64 / 2 * ROUNDS;
    assert_eq!(*lock.read().unwrap(), [expected; 40]);
}

/// Fault 20.
pub fn a_reader_who_dies_leaves_nothing_behind(method: Method) {
    fn read_and_die(lock: RwLock<u64>) {
        let _guards = (lock.read().unwrap(), lock.read().unwrap());
        die();
    }
    fn downgrade_and_die(lock: RwLock<u64>) {
        let mut guard = lock.write().unwrap();
        *guard += 1;
        let _guard = RwLockWriteGuard::downgrade(guard);
        die();
    }
    let lock = RwLock::new(7).unwrap();
    for body in [read_and_die, downgrade_and_die] {
        run_to_death(method, body, lock.clone());
        *lock.write_timeout(LONG).unwrap() += 1;
    }
    assert_eq!((*lock.read().unwrap(), lock.poison()), (10, None));
}

/// Fault 20.
pub fn a_writer_who_dies_poisons_until_that_is_cleared(method: Method) {
    fn change_and_die(lock: RwLock<u64>) {
        *lock.write().unwrap() += 1;
        let mut guard = lock.write().unwrap();
        *guard = 99;
        die();
    }
    let lock = RwLock::new(7).unwrap();
    run_to_death(method, change_and_die, lock.clone());
    for _ in 0..2 {
        let guard = lock.read().unwrap_err().into_guard().unwrap();
        assert_eq!(*guard, 99);
        // Readers who are told share, too.
        let error = lock.try_read().unwrap_err();
        assert!(error.is_poisoned() && lock.poison().is_some());
    }
    let mut guard = lock.write().unwrap_err().into_guard().unwrap();
    *guard = 8;
    guard.clear_poison();
    let guard = RwLockWriteGuard::downgrade(guard);
    assert_eq!((*guard, lock.poison()), (8, None));
    drop(guard);
    assert_eq!(*lock.read().unwrap(), 8);
}

/// Fault 20.
pub fn those_who_wait_for_a_writer_who_dies_are_all_told(method: Method) {
    type Party = (RwLock<u64>, Counter, usize);
    fn write_and_die((lock, now, _): Party) {
        let mut guard = lock.write().unwrap();
        now.add(1);
        wait_until(|| lock.waiting() == PARTIES);
        *guard = 99;
        die();
    }
    fn wait((lock, now, i): Party) -> bool {
        wait_for(&now, 1);
        if i % 2 == 0 {
            lock.read().is_err_and(|error| error.is_poisoned())
        } else {
            lock.write().is_err_and(|error| error.is_poisoned())
        }
    }
    let (lock, now) = (RwLock::new(7).unwrap(), Counter::new(0).unwrap());
    let party = |i| (lock.clone(), now.clone(), i);
    let waiters = start(method, wait, (0..PARTIES).map(party));
    run_to_death(method, write_and_die, party(0));
    assert_eq!(waiters.join(), [true; PARTIES]);
}

pub fn a_lock_can_be_tried_and_waited_for(method: Method) {
    fn hold_or_try((lock, held, tried, holds): (RwLock<u64>, Counter, Counter, bool)) {
        if holds {
            let mut guard = lock.try_write().unwrap();
            meet(&held, PARTIES);
            meet(&tried, PARTIES);
            *guard += 1;
            return;
        }
        meet(&held, PARTIES);
        assert!(lock.try_read().unwrap_err().is_would_block());
        assert!(lock.try_write().unwrap_err().is_would_block());
        assert!(lock.read_timeout(SHORT).unwrap_err().is_timeout());
        assert!(lock.write_timeout(SHORT).unwrap_err().is_timeout());
        meet(&tried, PARTIES);
        assert!(*lock.read_timeout(LONG).unwrap() > 0);
        *lock.write_timeout(LONG).unwrap() += 1;
    }
    let lock = RwLock::new(0).unwrap();
    let (held, tried) = (Counter::new(0).unwrap(), Counter::new(0).unwrap());
    let party = |i| (lock.clone(), held.clone(), tried.clone(), i == 0);
    run(method, hold_or_try, (0..PARTIES).map(party));
    assert_eq!(*lock.read().unwrap(), PARTIES as u64);
}
