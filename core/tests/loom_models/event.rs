//! The word of an event.

use loom::{sync::Arc, thread};
use multiproc_core::{
    EventWord, FOREVER, Liveness, NOW, Os, Owner, Wait,
    atomic::{AtomicU64, Ordering, spin_loop},
};

use crate::world::{Plain, Process, model, processes};

/// A process that says when it is about to fall asleep.
#[derive(Clone, Copy)]
struct Announcing(Process, &'static AtomicU64);

impl Announcing {
    /// The process, and the number of its sleeps, which lives for ever; a model is run many times, but it is small.
    fn new(process: Process) -> Announcing {
        Announcing(process, Box::leak(Box::new(AtomicU64::new(0))))
    }

    /// Waits until it has marked the word.
    fn marked(self) {
        while self.1.load(Ordering::Acquire) == 0 {
            spin_loop();
        }
    }
}

// SAFETY: as `Process`.
unsafe impl Os for Announcing {
    fn me(&self) -> Owner {
        self.0.me()
    }

    fn thread(&self) -> u64 {
        self.0.thread()
    }

    fn liveness(&self, owner: Owner) -> Liveness {
        self.0.liveness(owner)
    }

    fn now(&self) -> u64 {
        self.0.now()
    }

    fn wait(&self, word: &AtomicU64, expected: u64, until: u64) -> Wait {
        self.0.wait(word, expected, until)
    }

    fn wake(&self, word: &AtomicU64, count: u32) -> u32 {
        self.0.wake(word, count)
    }

    fn panicking(&self) -> bool {
        self.0.panicking()
    }

    fn step(&self, at: &'static str) {
        if at == "event: about to sleep" {
            self.1.fetch_add(1, Ordering::Release);
        }
    }
}

/// An event, and what is done before it is set.
fn event(bits: u64) -> Arc<(EventWord, Plain)> {
    Arc::new((EventWord::from_bits(bits), Plain::new()))
}

#[test]
fn a_set_is_missed_by_nobody_who_waits() {
    model(4, || {
        let shared = event(0);
        let [setter, waiters @ ..] = processes::<3>();
        let threads = waiters.map(|os| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (event, before) = &*shared;
                assert!(event.wait(&os, FOREVER));
                assert_eq!(before.get(), 1);
            })
        });
        shared.1.add_one();
        shared.0.set(&setter);
        let _ = threads.map(|thread| thread.join().unwrap());
        assert!(shared.0.is_set() && shared.0.clear() && !shared.0.clear());
    });
}

/// An event in this state, set and cleared at once, while somebody waits.
fn set_for_a_moment(bits: u64) {
    model(4, move || {
        let shared = event(bits);
        let [setter, waiter] = processes();
        let waiter = Announcing::new(waiter);
        let waiting = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (event, before) = &*shared;
                assert!(event.wait(&waiter, FOREVER));
                assert_eq!(before.get(), 1);
            })
        };
        waiter.marked();
        shared.1.add_one();
        shared.0.set(&setter);
        assert!(shared.0.clear());
        waiting.join().unwrap();
        assert!(!shared.0.is_set());
    });
}

#[test]
fn who_waited_is_woken_though_it_is_cleared_at_once() {
    set_for_a_moment(0);
}

#[test]
fn the_generation_may_wrap_around() {
    // The last generation of all, and the last one of the half that is slept on.
    set_for_a_moment(u64::MAX & !3);
    set_for_a_moment(u64::from(u32::MAX) & !3);
}

/// Fault 19.
#[test]
fn a_waiter_that_dies_holds_nobody_up() {
    model(3, || {
        let shared = event(0);
        let [setter, victim, survivor] = processes::<3>();
        let dying = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                shared.0.wait(&victim, FOREVER);
                victim.die();
            })
        };
        let surviving = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || assert!(shared.0.wait(&survivor, FOREVER)))
        };
        shared.0.set(&setter);
        dying.join().unwrap();
        surviving.join().unwrap();
    });
}

/// Both sides of an event that stands for "there is work": who finds it set already must not leave its work behind.
#[test]
fn what_is_done_before_a_set_is_seen_after_the_clear_that_ends_it() {
    model(2, || {
        let shared = Arc::new((EventWord::new(), AtomicU64::new(0)));
        let workers = processes::<2>().map(|os| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (event, work) = &*shared;
                work.fetch_add(1, Ordering::Relaxed);
                event.set(&os);
            })
        });
        let (event, work) = &*shared;
        let mut done = 0;
        while done < 2 {
            if event.clear() {
                done = work.load(Ordering::Relaxed);
            } else {
                spin_loop();
            }
        }
        let _ = workers.map(|thread| thread.join().unwrap());
    });
}

#[test]
fn of_several_who_clear_it_one_is_told() {
    model(4, || {
        let shared = event(0);
        let [setter] = processes();
        shared.0.set(&setter);
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.0.clear())
        };
        let told = shared.0.clear();
        assert_ne!(told, other.join().unwrap());
    });
}

#[test]
fn a_wait_for_what_never_comes_ends_at_its_deadline() {
    model(3, || {
        let [os] = processes();
        let event = EventWord::new();
        assert!(!event.wait(&os, NOW));
        event.set(&os);
        assert!(event.wait(&os, NOW));
    });
}
