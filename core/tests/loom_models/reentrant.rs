//! The reentrant lock.

use loom::{sync::Arc, thread};
use multiproc_core::{FOREVER, NOW, Owner, ReentrantLock, Refused};

use crate::world::{Plain, model, processes};

#[test]
fn a_reentrant_lock_excludes_until_it_was_left_as_often_as_entered() {
    model(4, || {
        let shared = Arc::new((ReentrantLock::new(), Plain::new()));
        let threads = processes::<2>().map(|os| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (lock, count) = &*shared;
                let outer = lock.enter(&os, FOREVER).unwrap();
                count.add_one();
                let inner = lock.enter(&os, NOW).unwrap();
                assert_eq!((lock.depth(&os), inner.me), (2, outer.me));
                lock.leave(&os, outer.me);
                count.add_one();
                lock.leave(&os, inner.me);
                assert_eq!(lock.depth(&os), 0);
            })
        });
        let _ = threads.map(|thread| thread.join().unwrap());
        assert_eq!(shared.1.get(), 4);
    });
}

/// Fault 1.
#[test]
fn who_takes_over_from_the_dead_is_told_and_begins_to_count_anew() {
    for at in [
        "lock: taken",
        "reentrant: about to count",
        "reentrant: about to leave",
        "unlock: begun",
        "unlock: thread cleared",
    ] {
        model(3, move || {
            let lock = Arc::new(ReentrantLock::new());
            let [victim, others @ ..] = processes::<3>();
            // As far as it comes: never to the last time it leaves.
            let killed = victim.killed_at(at, |os| {
                for _ in 0..2 {
                    let _ = lock.enter(os, FOREVER).unwrap();
                }
                lock.leave(os, os.me);
                lock.leave(os, os.me);
            });
            assert!(killed);
            let threads = others.map(|os| {
                let lock = Arc::clone(&lock);
                thread::spawn(move || {
                    let died = lock.enter(&os, FOREVER).unwrap().died;
                    assert_eq!(lock.depth(&os), 1);
                    lock.leave(&os, os.me);
                    died
                })
            });
            let mut told = threads.map(|thread| thread.join().unwrap());
            told.sort_unstable_by_key(|died| died.to_bits());
            assert_eq!(told, [Owner::NONE, victim.me]);
        });
    }
}

#[test]
fn who_comes_while_another_is_deep_inside_waits_and_is_woken_once() {
    model(4, || {
        let shared = Arc::new((ReentrantLock::new(), Plain::new()));
        let [holder, other] = processes::<2>();
        let outer = shared.0.enter(&holder, FOREVER).unwrap();
        let waiting = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let taken = shared.0.enter(&other, FOREVER).unwrap();
                assert_eq!(shared.1.get(), 2);
                shared.0.leave(&other, taken.me);
            })
        };
        let inner = shared.0.enter(&holder, FOREVER).unwrap();
        shared.1.add_one();
        shared.0.leave(&holder, inner.me);
        assert_eq!(
            shared.0.enter(&other, NOW).unwrap_err(),
            Refused::WouldBlock,
            "still held"
        );
        shared.1.add_one();
        shared.0.leave(&holder, outer.me);
        waiting.join().unwrap();
    });
}
