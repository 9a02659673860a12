//! Reentrant mutexes, and mutexes around nothing.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use multiproc::{AtomicArray, Counter, LockError, Mutex, ReentrantMutex};

use crate::{
    common::wait_until,
    parties::{Method, PARTIES, Sleepers, die, meet, run, run_to_death, start},
};

const ROUNDS: u64 = 5000;
const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(20);

pub fn a_lock_is_taken_again_by_whoever_holds_it_and_excludes_others(method: Method) {
    fn add(mutex: &ReentrantMutex<u64>, depth: u64) {
        let guard = mutex.lock().unwrap();
        assert_eq!(guard.depth(), depth);
        guard.update(|n| n + 1);
    }
    fn count(mutex: ReentrantMutex<u64>) {
        for round in 0..ROUNDS {
            add(&mutex, 1);
            let guard = mutex.lock().unwrap();
            let before = guard.get();
            add(&mutex, 2);
            // Another handle to the same memory is the same lock.
            add(&mutex.clone(), 2);
            mutex.try_lock().unwrap().update(|n| n + 1);
            mutex.lock_timeout(SHORT).unwrap().update(|n| n + 1);
            assert_eq!(guard.get(), before + 4, "in round {round}");
        }
    }
    let mutex = ReentrantMutex::new(0).unwrap();
    run(method, count, vec![mutex.clone(); PARTIES]);
    assert_eq!(mutex.lock().unwrap().get(), 5 * PARTIES as u64 * ROUNDS);
    assert!(!mutex.is_locked());
}

pub fn guards_are_dropped_in_any_order_and_the_last_one_unlocks(method: Method) {
    fn hold_or_try((mutex, met, holds): (ReentrantMutex<u64>, Counter, bool)) {
        let mut met_before = 0;
        let mut meet_all = || {
            met_before += PARTIES;
            meet(&met, met_before);
        };
        if holds {
            let [first, second, third] = [(); 3].map(|()| mutex.lock().unwrap());
            for guard in [second, first] {
                drop(guard);
                meet_all();
                // The others have tried.
                meet_all();
            }
            assert_eq!(third.depth(), 1);
            third.set(7);
            drop(third);
            meet_all();
        } else {
            for _ in 0..2 {
                meet_all();
                let would_block = |error: LockError<_>| error.is_would_block();
                assert!(mutex.try_lock().map(drop).is_err_and(would_block));
                assert!(mutex.lock_timeout(SHORT).unwrap_err().is_timeout());
                meet_all();
            }
            meet_all();
            assert_eq!(mutex.lock_timeout(LONG).unwrap().get(), 7);
        }
    }
    let mutex = ReentrantMutex::new(0).unwrap();
    let met = Counter::new(0).unwrap();
    let party = |i| (mutex.clone(), met.clone(), i == 0);
    run(method, hold_or_try, (0..PARTIES).map(party));
}

/// Fault 1.
pub fn who_dies_deep_inside_poisons_until_that_is_cleared(method: Method) {
    fn change_and_die(mutex: ReentrantMutex<[u64; 2]>) {
        let outer = mutex.lock().unwrap();
        outer.set([1, 0]);
        let _inner = (mutex.lock().unwrap(), mutex.lock().unwrap());
        die();
    }
    let mutex = ReentrantMutex::new([0; 2]).unwrap();
    run_to_death(method, change_and_die, mutex.clone());
    let outer = mutex.lock().unwrap_err().into_guard().unwrap();
    assert_eq!((outer.get(), outer.depth()), ([1, 0], 1));
    assert!(mutex.poison().is_some());
    // Who holds it and locks it again is told, too.
    let inner = mutex.try_lock().unwrap_err().into_guard().unwrap();
    inner.set([0; 2]);
    inner.clear_poison();
    assert_eq!(mutex.lock().unwrap().depth(), 3);
    drop((outer, inner));
    assert_eq!((mutex.poison(), mutex.is_locked()), (None, false));
}

/// Fault 1.
pub fn those_who_wait_for_one_who_dies_deep_inside_are_all_told(method: Method) {
    type Shared = (ReentrantMutex<u64>, Counter, Sleepers);
    fn hold_and_die((mutex, held, sleepers): Shared) {
        let _guards = (mutex.lock().unwrap(), mutex.lock().unwrap());
        held.add(1);
        sleepers.all_asleep();
        die();
    }
    fn wait(((mutex, held, sleepers), i): (Shared, usize)) {
        wait_until(|| held.get() > 0);
        sleepers.enter(i);
        let guard = mutex.lock().unwrap_err().into_guard().unwrap();
        guard.update(|n| n + 1);
    }
    let shared: Shared = (
        ReentrantMutex::new(0).unwrap(),
        Counter::new(0).unwrap(),
        Sleepers::new(PARTIES - 1),
    );
    let waiter = |i| (shared.clone(), i);
    let waiters = start(method, wait, (0..PARTIES - 1).map(waiter));
    run_to_death(method, hold_and_die, shared.clone());
    waiters.join();
    let guard = shared.0.lock().unwrap_err().into_guard().unwrap();
    assert_eq!(guard.get(), PARTIES as u64 - 1);
}

pub fn mutexes_around_nothing_guard_what_lies_elsewhere(method: Method) {
    type Objects = (Mutex<()>, ReentrantMutex<()>, AtomicArray<u64>);
    fn count((mutex, reentrant, numbers): Objects) {
        // Not one addition: it takes the lock to make it one.
        let add = |i: usize| numbers[i].store(numbers[i].load(Relaxed) + 1, Relaxed);
        for _ in 0..ROUNDS {
            let guard = mutex.lock().unwrap();
            add(0);
            drop(guard);
            let _outer = reentrant.lock().unwrap();
            add(1);
            let _inner = reentrant.lock().unwrap();
            add(1);
        }
    }
    let objects: Objects = (
        Mutex::new(()).unwrap(),
        ReentrantMutex::new(()).unwrap(),
        AtomicArray::zeroed(2).unwrap(),
    );
    run(method, count, vec![objects.clone(); PARTIES]);
    let rounds = PARTIES as u64 * ROUNDS;
    assert_eq!(objects.2.to_vec(), [rounds, 2 * rounds]);
}
