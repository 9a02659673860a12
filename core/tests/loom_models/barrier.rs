//! The barrier.

use loom::{sync::Arc, thread};
use multiproc_core::{
    BarrierError, BreakCause, FOREVER, NOW, Rendezvous, RendezvousWords,
    atomic::{AtomicU64, Ordering},
};

use crate::world::{Plain, Process, model, processes};

/// A barrier and a number that is written before it and read behind it.
struct Shared {
    words: RendezvousWords,
    owners: Vec<AtomicU64>,
    number: Plain,
    late: AtomicU64,
}

impl Shared {
    fn new(parties: usize, generation: u32) -> Arc<Shared> {
        Arc::new(Shared {
            words: RendezvousWords::new(generation),
            owners: (0..parties).map(|_| AtomicU64::new(0)).collect(),
            number: Plain::new(),
            late: AtomicU64::new(0),
        })
    }

    fn barrier(&self) -> Rendezvous<'_> {
        Rendezvous {
            words: &self.words,
            owners: &self.owners,
        }
    }

    fn wait(&self, os: &Process) -> Result<usize, BarrierError> {
        self.barrier().wait(os, FOREVER, || ())
    }
}

#[test]
fn nobody_leaves_before_all_have_come_and_all_are_woken() {
    model(3, || {
        let shared = Shared::new(2, 0);
        let threads = processes::<2>().map(|os| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let action = || shared.number.add_one();
                let place = shared.barrier().wait(&os, FOREVER, action).unwrap();
                assert_eq!(shared.number.get(), 1, "the action ran once, and before");
                place
            })
        });
        let mut places = threads.map(|thread| thread.join().unwrap());
        places.sort_unstable();
        assert_eq!(places, [0, 1]);
    });
}

#[test]
fn a_barrier_is_used_again_at_once_also_when_its_generations_wrap() {
    for generation in [0, u32::MAX] {
        model(3, move || {
            let shared = Shared::new(2, generation);
            let threads = processes::<2>().map(|os| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    for _ in 0..2 {
                        shared.wait(&os).unwrap();
                    }
                })
            });
            let _ = threads.map(|thread| thread.join().unwrap());
            assert_eq!(shared.barrier().waiting(), 0);
        });
    }
}

#[test]
fn one_too_many_waits_for_the_next_generation() {
    model(2, || {
        let shared = Shared::new(2, 0);
        let threads = processes::<3>().map(|os| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                shared.wait(&os).unwrap();
                // Whoever is let through first is the fourth party.
                if shared.late.fetch_add(1, Ordering::Relaxed) == 0 {
                    shared.wait(&os).unwrap();
                }
            })
        });
        let _ = threads.map(|thread| thread.join().unwrap());
        assert_eq!(shared.barrier().waiting(), 0);
    });
}

/// A party is killed at the step `at` of its wait, beside one that is there to notice.
fn a_death_breaks_it_at(at: &'static str) {
    model(3, move || {
        let shared = Shared::new(3, 0);
        let [victim, other] = processes();
        let dying = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let wait = |os: &Process| assert!(shared.wait(os).is_err());
                assert!(victim.killed_at(at, wait));
            })
        };
        let told = shared.wait(&other).unwrap_err();
        let pid = victim.me.pid();
        assert_eq!(told, BarrierError::Broken(BreakCause::PartyDied { pid }));
        dying.join().unwrap();
        assert_eq!(shared.wait(&other), Err(told));
        shared.barrier().reset(&other);
        assert!(!shared.barrier().is_broken());
    });
}

/// Fault 18.
#[test]
fn the_death_of_a_party_breaks_it() {
    a_death_breaks_it_at("barrier: arrived");
    a_death_breaks_it_at("barrier: about to sleep");
}

/// Fault 18.
#[test]
fn the_death_of_the_last_party_breaks_it_unless_it_has_released_them() {
    for (at, is_released) in [
        ("barrier: about to release", false),
        ("barrier: state changed, nobody woken yet", true),
    ] {
        model(3, move || {
            let shared = Shared::new(2, 0);
            let [victim, other] = processes();
            let waiting = {
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.wait(&other))
            };
            let wait = |os: &Process| assert_eq!(shared.wait(os), Ok(0));
            let was_last = victim.killed_at(at, wait);
            let told = waiting.join().unwrap();
            if was_last {
                assert_eq!(told.is_ok(), is_released, "{told:?}");
            }
        });
    }
}

/// What one who waits is told by `change`, made by another; and that each of the results in `possible` is found.
fn told_of(possible: &[Result<usize, BarrierError>], change: fn(&Rendezvous<'_>, &Process)) {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let found = std::sync::Arc::clone(&seen);
    model(3, move || {
        let shared = Shared::new(2, 0);
        let [os, other] = processes();
        let waiting = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.wait(&os))
        };
        change(&shared.barrier(), &other);
        // Whoever came after the change waits for a second party.
        let joined = shared.barrier().wait(&other, NOW, || ());
        if joined.is_err() {
            shared.barrier().abort(&other);
        }
        found.lock().unwrap().push(waiting.join().unwrap());
    });
    let seen = seen.lock().unwrap();
    for told in seen.iter() {
        assert!(possible.contains(told), "{told:?}");
    }
    for result in possible {
        assert!(seen.contains(result), "never {result:?}");
    }
}

#[test]
fn whoever_waits_is_told_of_a_reset() {
    let broken = |cause| Err(BarrierError::Broken(cause));
    told_of(
        &[
            broken(BreakCause::Reset),
            broken(BreakCause::Aborted),
            Ok(0),
        ],
        |barrier, os| barrier.reset(os),
    );
}

#[test]
fn a_reset_that_follows_a_release_is_told_to_nobody_who_was_released() {
    model(3, || {
        let shared = Shared::new(2, 0);
        let threads = processes::<2>().map(|os| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let place = shared.wait(&os).unwrap();
                if place == 1 {
                    shared.barrier().reset(&os);
                    shared.barrier().abort(&os);
                    shared.barrier().reset(&os);
                }
            })
        });
        let _ = threads.map(|thread| thread.join().unwrap());
    });
}
