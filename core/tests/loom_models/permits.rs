//! The permits of a semaphore.

use loom::{sync::Arc, thread, thread::JoinHandle};
use multiproc_core::{
    FOREVER, NOW, Permits, Refused,
    atomic::{AtomicU64, Ordering},
};

use crate::world::{Plain, Process, model, processes};

const MANY: u32 = u32::MAX;

/// A process that takes `count` permits, and gives them back.
fn taking(permits: &Arc<Permits>, os: Process, count: u32) -> JoinHandle<()> {
    let permits = Arc::clone(permits);
    thread::spawn(move || {
        let held = permits.take(&os, count, FOREVER).unwrap();
        assert!(permits.give_back(&os, held));
    })
}

fn join<const N: usize>(threads: [JoinHandle<()>; N]) {
    let _ = threads.map(|thread| thread.join().unwrap());
}

#[test]
fn one_permit_excludes() {
    model(4, || {
        let shared = Arc::new((Permits::new(1, MANY), Plain::new()));
        let threads = processes::<2>().map(|os| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (permits, count) = &*shared;
                let held = permits.take(&os, 1, FOREVER).unwrap();
                count.add_one();
                permits.give_back(&os, held);
            })
        });
        join(threads);
        assert_eq!(shared.1.get(), 2);
    });
}

#[test]
fn of_three_never_more_than_two_hold_two_permits() {
    model(2, || {
        let shared = Arc::new((Permits::new(2, MANY), AtomicU64::new(0)));
        let threads = processes::<3>().map(|os| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (permits, inside) = &*shared;
                let held = permits.take(&os, 1, FOREVER).unwrap();
                assert!(inside.fetch_add(1, Ordering::Relaxed) < 2);
                inside.fetch_sub(1, Ordering::Relaxed);
                permits.give_back(&os, held);
            })
        });
        join(threads);
    });
}

#[test]
fn a_sleeper_misses_no_permit() {
    model(5, || {
        let [holder, other] = processes();
        let permits = Arc::new(Permits::new(1, MANY));
        let held = permits.take(&holder, 1, FOREVER).unwrap();
        let waiting = taking(&permits, other, 1);
        permits.give_back(&holder, held);
        waiting.join().unwrap();
        assert_eq!(permits.free(&holder), Ok(1));
    });
}

#[test]
fn two_permits_in_quick_succession_wake_two_sleepers() {
    model(2, || {
        let [holder, others @ ..] = processes::<3>();
        let permits = Arc::new(Permits::new(2, MANY));
        let held = [(); 2].map(|()| permits.take(&holder, 1, FOREVER).unwrap());
        let waiting = others.map(|os| {
            let permits = Arc::clone(&permits);
            // They keep what they get: neither wakes the other.
            thread::spawn(move || {
                let _held = permits.take(&os, 1, FOREVER).unwrap();
            })
        });
        for held in held {
            permits.give_back(&holder, held);
        }
        join(waiting);
    });
}

#[test]
fn a_permit_goes_from_one_sleeper_to_the_next() {
    model(2, || {
        let [holder, others @ ..] = processes::<3>();
        let permits = Arc::new(Permits::new(2, MANY));
        let held = [(); 2].map(|()| permits.take(&holder, 1, FOREVER).unwrap());
        // Neither has a row yet when the other falls asleep, and that of the holder stays in use.
        let waiting = others.map(|os| taking(&permits, os, 1));
        permits.give_back(&holder, held[0]);
        join(waiting);
        assert_eq!(permits.free(&holder), Ok(1));
    });
}

#[test]
fn two_permits_of_two_processes_wake_two_sleepers() {
    model(2, || {
        let [first, second, others @ ..] = processes::<4>();
        let permits = Arc::new(Permits::new(2, MANY));
        let held = permits.take(&first, 1, FOREVER).unwrap();
        let waiting = others.map(|os| {
            let permits = Arc::clone(&permits);
            thread::spawn(move || {
                let _held = permits.take(&os, 1, FOREVER).unwrap();
            })
        });
        let passing = taking(&permits, second, 1);
        permits.give_back(&first, held);
        join(waiting);
        // There is none left for the one that passed unless it came before the others.
        permits.release(&first, 1).unwrap();
        passing.join().unwrap();
    });
}

/// One who wants two permits and one who wants one, and lets the other go on only when he has it.
fn greedy_and_modest(
    permits: &Arc<Permits>,
    [greedy, modest]: [Process; 2],
) -> [JoinHandle<()>; 2] {
    let waiting = taking(permits, greedy, 2);
    let permits = Arc::clone(permits);
    let needed = thread::spawn(move || {
        let held = permits.take(&modest, 1, FOREVER).unwrap();
        permits.release(&modest, 1).unwrap();
        permits.give_back(&modest, held);
    });
    [waiting, needed]
}

#[test]
fn one_permit_given_back_wakes_who_wants_one_beside_who_wants_two() {
    model(2, || {
        let [holder, others @ ..] = processes::<3>();
        let permits = Arc::new(Permits::new(1, MANY));
        let held = permits.take(&holder, 1, FOREVER).unwrap();
        let waiting = greedy_and_modest(&permits, others);
        permits.give_back(&holder, held);
        join(waiting);
    });
}

#[test]
fn one_permit_released_wakes_who_wants_one_beside_who_wants_two() {
    model(2, || {
        let [maker, others @ ..] = processes::<3>();
        let permits = Arc::new(Permits::new(0, MANY));
        let waiting = greedy_and_modest(&permits, others);
        permits.release(&maker, 1).unwrap();
        join(waiting);
    });
}

/// Fault 17.
#[test]
fn permits_of_the_dead_come_back() {
    model(4, || {
        let [victim, survivor] = processes();
        let permits = Arc::new(Permits::new(3, MANY));
        let dying = {
            let permits = Arc::clone(&permits);
            thread::spawn(move || {
                let held = permits.take(&victim, 2, FOREVER).unwrap();
                assert_eq!(held.count(), 2);
                victim.die();
            })
        };
        // Whichever comes first, the other waits: for the dead, or until this is given back.
        let held = permits.take(&survivor, 2, FOREVER).unwrap();
        assert!(permits.give_back(&survivor, held));
        dying.join().unwrap();
        assert_eq!(permits.free(&survivor), Ok(3));
    });
}

/// Fault 2. Fault 17.
#[test]
fn a_woken_taker_that_dies_strands_nobody() {
    model(2, || {
        let [holder, victim, survivor] = processes();
        let permits = Arc::new(Permits::new(1, MANY));
        let held = permits.take(&holder, 1, FOREVER).unwrap();
        let dying = {
            let permits = Arc::clone(&permits);
            thread::spawn(move || {
                let held = permits.take(&victim, 1, FOREVER).unwrap();
                assert_eq!(held.count(), 1);
                victim.die();
            })
        };
        let surviving = taking(&permits, survivor, 1);
        permits.give_back(&holder, held);
        join([dying, surviving]);
    });
}

/// Fault 17.
#[test]
fn who_is_killed_between_giving_back_and_waking_strands_nobody() {
    for at in [
        "permits: given back, nobody woken yet",
        "permits: turn changed, nobody woken yet",
        "permits: nobody is left, the marks are",
        "permits: marks removed from the rows",
        "permits: marks removed",
        "permits: turn changed, none of all woken yet",
    ] {
        model(3, move || {
            let [victim, others @ ..] = processes::<3>();
            let permits = Arc::new(Permits::new(1, MANY));
            let held = permits.take(&victim, 1, FOREVER).unwrap();
            let waiting = others.map(|os| taking(&permits, os, 1));
            let killed = victim.killed_at(at, |victim| {
                permits.give_back(victim, held);
            });
            if !killed {
                // Nobody sleeps yet, or nobody any more: time is to pass for them, too.
                victim.die();
            }
            join(waiting);
        });
    }
}

#[test]
fn who_is_killed_while_forgetting_has_forgotten() {
    model(3, || {
        let [victim, survivor] = processes();
        let permits = Permits::new(2, MANY);
        let held = permits.take(&victim, 1, FOREVER).unwrap();
        assert!(
            victim.killed_at("permits: forgotten, still held", |victim| {
                permits.forget(victim, held);
            })
        );
        assert_eq!((permits.total(), permits.free(&survivor)), (1, Ok(1)));
    });
}

#[test]
fn what_is_released_is_seen_by_who_takes_it() {
    model(5, || {
        let [maker, taker] = processes();
        let shared = Arc::new((Permits::new(0, MANY), Plain::new()));
        let taking = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (permits, made) = &*shared;
                let held = permits.take(&taker, 1, FOREVER).unwrap();
                assert_eq!(made.get(), 1);
                assert!(permits.forget(&taker, held));
            })
        };
        let (permits, made) = &*shared;
        made.add_one();
        permits.release(&maker, 1).unwrap();
        taking.join().unwrap();
        assert_eq!((permits.total(), permits.held()), (0, 0));
    });
}

#[test]
fn who_counts_beside_a_permit_that_is_forgotten_never_counts_too_many() {
    model(4, || {
        let [forgetful, other] = processes();
        let permits = Arc::new(Permits::new(2, MANY));
        let held = permits.take(&forgetful, 1, FOREVER).unwrap();
        let trying = {
            let permits = Arc::clone(&permits);
            thread::spawn(move || {
                // One is held, or there is but one.
                assert_eq!(
                    permits.take(&other, 2, NOW).err(),
                    Some(Refused::WouldBlock)
                );
            })
        };
        assert!(permits.forget(&forgetful, held));
        trying.join().unwrap();
        assert_eq!((permits.total(), permits.free(&forgetful)), (1, Ok(1)));
    });
}

#[test]
fn who_counts_too_few_beside_a_permit_that_is_forgotten_is_woken() {
    model(4, || {
        let [forgetful, other] = processes();
        let permits = Arc::new(Permits::new(2, MANY));
        let held = permits.take(&forgetful, 1, FOREVER).unwrap();
        let taking = taking(&permits, other, 1);
        assert!(permits.forget(&forgetful, held));
        taking.join().unwrap();
    });
}

#[test]
fn of_two_who_release_the_last_permit_one_is_refused() {
    model(4, || {
        let permits = Arc::new(Permits::new(1, 2));
        let threads = processes::<2>().map(|os| {
            let permits = Arc::clone(&permits);
            thread::spawn(move || permits.release(&os, 1).is_ok())
        });
        let done = threads.map(|thread| thread.join().unwrap());
        assert_eq!(done.iter().filter(|done| **done).count(), 1);
        assert_eq!(permits.total(), 2);
    });
}
