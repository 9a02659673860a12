//! What is done once.

use loom::{sync::Arc, thread};
use multiproc_core::{FOREVER, NOW, OnceWords, Refused};

use crate::world::{Plain, Process, model, processes};

/// The words, and what is done: a number is made 1.
struct Shared {
    words: OnceWords,
    number: Plain,
}

impl Shared {
    fn new() -> Arc<Shared> {
        Arc::new(Shared {
            words: OnceWords::new(),
            number: Plain::new(),
        })
    }

    /// Does it, unless it is done; whether it did.
    fn call(&self, os: &Process) -> bool {
        let begun = self.words.begin(os, FOREVER).unwrap();
        if let Some(me) = begun {
            self.number.add_one();
            self.words.finish(os, me);
        }
        assert_eq!(self.number.get(), 1);
        begun.is_some()
    }

    fn wait(&self, os: &Process) {
        self.words.wait(os, FOREVER).unwrap();
        assert_eq!(self.number.get(), 1);
    }
}

#[test]
fn exactly_one_does_it_and_all_see_what_was_done() {
    model(2, || {
        let shared = Shared::new();
        let [waiter, callers @ ..] = processes::<3>();
        let waiting = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.wait(&waiter))
        };
        let threads = callers.map(|os| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.call(&os))
        });
        let did = threads.map(|thread| thread.join().unwrap());
        waiting.join().unwrap();
        assert_eq!(did.iter().filter(|did| **did).count(), 1);
    });
}

#[test]
fn who_only_looks_sees_all_or_nothing() {
    model(3, || {
        let shared = Shared::new();
        let [os] = processes();
        let looking = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                if shared.words.is_ready() {
                    assert_eq!(shared.number.get(), 1);
                }
            })
        };
        assert!(shared.call(&os));
        looking.join().unwrap();
    });
}

#[test]
fn who_gives_up_leaves_it_to_another_and_no_wake_up_is_lost() {
    model(3, || {
        let shared = Shared::new();
        let [quitter, waiter, caller] = processes::<3>();
        let me = shared.words.begin(&quitter, FOREVER).unwrap().unwrap();
        let calling = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.call(&caller))
        };
        let waiting = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.wait(&waiter))
        };
        shared.words.give_up(&quitter, me);
        assert!(calling.join().unwrap());
        waiting.join().unwrap();
    });
}

#[test]
fn one_gives_up_after_the_other_and_the_third_does_it() {
    model(3, || {
        let shared = Shared::new();
        let [first, second, third] = processes::<3>();
        let me = shared.words.begin(&first, FOREVER).unwrap().unwrap();
        let giving_up = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                if let Some(me) = shared.words.begin(&second, FOREVER).unwrap() {
                    shared.words.give_up(&second, me);
                }
            })
        };
        let calling = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.call(&third))
        };
        shared.words.give_up(&first, me);
        giving_up.join().unwrap();
        assert!(calling.join().unwrap());
    });
}

/// Begins, unless it is done, and is killed at the step `at`: on its way to finish or to give up, which it may do first.
fn begin_and_die(shared: &Shared, victim: Process, at: &'static str) {
    victim.killed_at(at, |os| {
        if let Some(me) = shared.words.begin(os, FOREVER).unwrap() {
            match at {
                "once: about to publish" => shared.words.finish(os, me),
                _ => shared.words.give_up(os, me),
            }
        }
    });
}

const UNFINISHED: [&str; 5] = [
    "lock: taken",
    "once: about to publish",
    "unlock: begun",
    "once: given up, not counted yet",
    "once: counted, nobody woken yet",
];

/// Fault 1.
#[test]
fn what_the_dead_did_not_finish_is_done_by_exactly_one_other() {
    for at in UNFINISHED {
        model(2, move || {
            let shared = Shared::new();
            let [victim, others @ ..] = processes::<3>();
            let threads = others.map(|os| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.call(&os))
            });
            begin_and_die(&shared, victim, at);
            let did = threads.map(|thread| thread.join().unwrap());
            assert_eq!(did.iter().filter(|did| **did).count(), 1);
        });
    }
}

/// Fault 2.
#[test]
fn who_waits_while_one_dies_and_another_does_it_is_woken() {
    for at in UNFINISHED {
        model(2, move || {
            let shared = Shared::new();
            let [victim, waiter, caller] = processes::<3>();
            let waiting = {
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.wait(&waiter))
            };
            let calling = {
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.call(&caller))
            };
            begin_and_die(&shared, victim, at);
            assert!(calling.join().unwrap());
            waiting.join().unwrap();
        });
    }
}

#[test]
fn what_was_published_stays_done_though_its_maker_dies_before_it_wakes_anybody() {
    for at in [
        "once: published, nobody woken yet",
        "unlock: thread cleared",
    ] {
        model(3, move || {
            let shared = Shared::new();
            let [victim, waiter, other] = processes::<3>();
            let me = shared.words.begin(&victim, FOREVER).unwrap().unwrap();
            let calling = {
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.call(&other))
            };
            let waiting = {
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.wait(&waiter))
            };
            assert!(victim.killed_at(at, |os| {
                shared.number.add_one();
                shared.words.finish(os, me);
            }));
            assert!(!calling.join().unwrap());
            waiting.join().unwrap();
        });
    }
}

#[test]
fn who_is_at_it_is_not_let_wait_for_itself_and_others_time_out() {
    model(3, || {
        let [os, other] = processes::<2>();
        let words = OnceWords::new();
        let me = words.begin(&os, FOREVER).unwrap().unwrap();
        assert_eq!(words.begin(&os, FOREVER), Err(Refused::WouldDeadlock));
        assert_eq!(words.begin(&other, NOW), Err(Refused::WouldBlock));
        assert_eq!(words.wait(&other, NOW), Err(Refused::WouldBlock));
        // Another cannot speak for it.
        words.finish(&other, me);
        words.give_up(&other, me);
        assert!(!words.is_ready());
        words.finish(&os, me);
        assert_eq!(words.begin(&other, NOW), Ok(None));
    });
}
