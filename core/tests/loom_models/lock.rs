//! The lock word.

use loom::{sync::Arc, thread};
use multiproc_core::{FOREVER, Lock, Refused};

use crate::world::{Plain, model, processes};

#[test]
fn a_lock_excludes_and_loses_no_wake_up() {
    model(4, || {
        let shared = Arc::new((Lock::new(), Plain::new()));
        let threads = processes::<2>().map(|os| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (lock, count) = &*shared;
                for _ in 0..2 {
                    let taken = lock.lock(&os, FOREVER).unwrap();
                    count.add_one();
                    lock.unlock(&os, taken.me);
                }
            })
        });
        let _ = threads.map(|thread| thread.join().unwrap());
        assert_eq!(shared.1.get(), 4);
    });
}

#[test]
fn three_at_a_lock_all_get_it() {
    model(3, || {
        let shared = Arc::new((Lock::new(), Plain::new()));
        let threads = processes::<3>().map(|os| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (lock, count) = &*shared;
                let taken = lock.lock(&os, FOREVER).unwrap();
                count.add_one();
                lock.unlock(&os, taken.me);
            })
        });
        let _ = threads.map(|thread| thread.join().unwrap());
        assert_eq!(shared.1.get(), 3);
    });
}

/// Fault 1.
#[test]
fn the_death_of_an_owner_is_told_to_exactly_one() {
    model(3, || {
        let lock = Arc::new(Lock::new());
        let [victim, others @ ..] = processes::<3>();
        let taken = lock.lock(&victim, FOREVER).unwrap();
        assert_eq!(taken.me, victim.me);
        let threads = others.map(|os| {
            let lock = Arc::clone(&lock);
            thread::spawn(move || {
                let taken = lock.lock(&os, FOREVER).unwrap();
                lock.unlock(&os, taken.me);
                taken.died == victim.me
            })
        });
        victim.die();
        let told = threads.map(|thread| thread.join().unwrap());
        assert_eq!(told.iter().filter(|told| **told).count(), 1);
    });
}

/// Fault 2.
#[test]
fn a_woken_waiter_that_dies_strands_nobody() {
    model(3, || {
        let lock = Arc::new(Lock::new());
        let [holder, victim, survivor] = processes::<3>();
        let taken = lock.lock(&holder, FOREVER).unwrap();
        let dying = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || {
                let taken = lock.lock(&victim, FOREVER).unwrap();
                assert!(taken.died.is_none());
                victim.die();
            })
        };
        let surviving = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || {
                let taken = lock.lock(&survivor, FOREVER).unwrap();
                lock.unlock(&survivor, taken.me);
            })
        };
        lock.unlock(&holder, taken.me);
        dying.join().unwrap();
        surviving.join().unwrap();
    });
}

/// Fault 41.
#[test]
fn who_holds_a_lock_is_not_let_wait_for_it() {
    model(3, || {
        let [os] = processes();
        let lock = Lock::new();
        let taken = lock.lock(&os, FOREVER).unwrap();
        assert_eq!(lock.lock(&os, FOREVER).unwrap_err(), Refused::WouldDeadlock);
        lock.unlock(&os, taken.me);
    });
}
