//! The ring without locks.

use loom::{sync::Arc, thread};
use multiproc_core::{FOREVER, NOW, RingError, Sole};

use crate::{
    records,
    world::{Process, model, processes},
};

type Shared = records::Shared<Sole>;

#[test]
fn records_come_in_order_and_who_waits_for_one_is_woken() {
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
fn records_come_in_order_and_who_waits_for_room_is_woken() {
    model(2, || {
        let shared = Shared::new();
        let [producer, consumer] = processes();
        for number in 1..=3 {
            shared.put(&producer, number).unwrap();
        }
        let putting = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                for number in 4..=5 {
                    shared.put(&producer, number).unwrap();
                }
            })
        };
        for number in 1..=5 {
            assert_eq!(shared.get(&consumer, FOREVER), Ok(number));
        }
        putting.join().unwrap();
        assert!(shared.ring().is_empty());
    });
}

#[test]
fn a_producer_that_closes_is_told_to_who_waits_and_loses_nothing() {
    model(3, || {
        let shared = Shared::new();
        let [producer, consumer] = processes();
        let waiting = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let first = shared.get(&consumer, FOREVER);
                (first, shared.get(&consumer, FOREVER))
            })
        };
        shared.put(&producer, 7).unwrap();
        shared.ring().close(&producer, FOREVER).unwrap();
        let closed = Err(RingError::Closed);
        assert_eq!(waiting.join().unwrap(), (Ok(7), closed));
    });
}

#[test]
fn a_consumer_that_closes_is_told_to_who_puts_whatever_it_is_about() {
    model(3, || {
        let shared = Shared::new();
        let [producer, consumer] = processes();
        let putting = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                // More than there is room for: without the close this would never end.
                let ended = (1..=9).find_map(|n| shared.put(&producer, n).err());
                assert_eq!(ended, Some(RingError::Closed));
                assert!(shared.ring().is_closed(), "and it stays closed");
            })
        };
        let _ = shared.get(&consumer, NOW);
        shared.ring().close(&consumer, FOREVER).unwrap();
        putting.join().unwrap();
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
                    let put = |os: &Process| shared.put(os, 1).unwrap();
                    assert!(victim.killed_at(at, put));
                })
            };
            let before = shared.get(&consumer, NOW);
            dying.join().unwrap();
            let after = shared.get(&consumer, NOW);
            let got = [before, after].into_iter().filter(Result::is_ok).count();
            assert_eq!(got, usize::from(is_there));
        });
    }
}

/// Fault 13.
#[test]
fn who_waits_for_one_that_died_before_waking_it_finds_what_was_published() {
    model(3, || {
        let shared = Shared::new();
        let [victim, consumer] = processes();
        let waiting = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || assert_eq!(shared.get(&consumer, FOREVER), Ok(1)))
        };
        let put = |os: &Process| shared.put(os, 1).unwrap();
        assert!(victim.killed_at("ring: published", put));
        waiting.join().unwrap();
    });
}
