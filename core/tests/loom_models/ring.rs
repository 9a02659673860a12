//! The ring.

use loom::{sync::Arc, thread};
use multiproc_core::{FOREVER, Locked, NOW, RingError};

use crate::{
    records,
    world::{Process, model, processes},
};

type Shared = records::Shared<Locked>;

#[test]
fn records_come_in_order_and_nobody_sleeps_for_ever() {
    model(2, || {
        let shared = Shared::new();
        let [producer, consumer] = processes();
        let putting = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                for number in 1..=3 {
                    shared.put(&producer, number).unwrap();
                }
            })
        };
        for number in 1..=3 {
            assert_eq!(shared.get(&consumer, FOREVER), Ok(number));
        }
        putting.join().unwrap();
        assert!(shared.ring().is_empty());
    });
}

#[test]
fn two_consumers_get_what_two_puts_have_woken_them_for() {
    model(2, || {
        let shared = Shared::new();
        let [producer, others @ ..] = processes::<3>();
        let threads = others.map(|os| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.get(&os, FOREVER).unwrap())
        });
        shared.put(&producer, 1).unwrap();
        shared.put(&producer, 2).unwrap();
        let mut got = threads.map(|thread| thread.join().unwrap());
        got.sort_unstable();
        assert_eq!(got, [1, 2]);
    });
}

#[test]
fn two_producers_get_the_room_that_one_consumer_makes() {
    model(2, || {
        let shared = Shared::new();
        let [consumer, others @ ..] = processes::<3>();
        for number in 1..=4 {
            if shared.ring().len() < 3 {
                shared.put(&consumer, number).unwrap();
            }
        }
        let threads = others.map(|os| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.put(&os, 9).unwrap())
        });
        for _ in 0..5 {
            shared.get(&consumer, FOREVER).unwrap();
        }
        let _ = threads.map(|thread| thread.join().unwrap());
        assert!(shared.ring().is_empty());
    });
}

/// Fault 13.
#[test]
fn what_the_dead_have_not_published_is_not_there_and_what_they_have_is() {
    for (at, is_there) in [
        ("ring: record reserved", false),
        ("ring: copy taken back", false),
        ("ring: copied", false),
        ("ring: published", true),
    ] {
        model(3, move || {
            let shared = Shared::new();
            let [victim, consumer] = processes();
            let dying = {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    assert!(victim.killed_at(at, |os| shared.put(os, 1).unwrap()));
                })
            };
            let before = shared.get(&consumer, NOW);
            dying.join().unwrap();
            let after = shared.get(&consumer, NOW);
            let got = [before, after].into_iter().filter(Result::is_ok).count();
            assert_eq!(got, usize::from(is_there));
            shared.put(&consumer, 2).unwrap();
            assert_eq!(shared.get(&consumer, FOREVER), Ok(2));
        });
    }
}

/// Fault 14.
#[test]
fn what_the_dead_have_not_consumed_goes_to_another() {
    for (at, is_there) in [("ring: about to consume", true), ("ring: consumed", false)] {
        model(3, move || {
            let shared = Shared::new();
            let [victim, other] = processes();
            shared.put(&other, 1).unwrap();
            let dying = {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let get = |os: &Process| assert_eq!(shared.get(os, FOREVER), Ok(1));
                    assert!(victim.killed_at(at, get));
                })
            };
            dying.join().unwrap();
            assert_eq!(shared.get(&other, NOW).is_ok(), is_there);
        });
    }
}

#[test]
fn a_close_is_told_to_who_waits_and_loses_nothing() {
    model(3, || {
        let shared = Shared::new();
        let [os, other] = processes();
        let waiting = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let first = shared.get(&os, FOREVER);
                (first, shared.get(&os, FOREVER))
            })
        };
        shared.put(&other, 7).unwrap();
        shared.ring().close(&other, FOREVER).unwrap();
        assert_eq!(shared.put(&other, 8), Err(RingError::Closed));
        let closed = Err(RingError::Closed);
        assert_eq!(waiting.join().unwrap(), (Ok(7), closed));
    });
}
