//! The table of holders.

use loom::{sync::Arc, thread};
use multiproc_core::{
    Claim, FOREVER, Holders, NOW, Owner, Refused, Rule,
    atomic::{AtomicU64, Ordering},
};

use crate::world::{Plain, model, processes};

/// Claims conflict as ranges do; the deaths of their holders are counted.
struct CountDeaths(AtomicU64);

impl Rule for CountDeaths {
    fn conflict(&self, a: &Claim, b: &Claim) -> bool {
        a.conflicts(b)
    }

    fn died(&self, _: &Claim, _: Owner) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn claim(exclusive: bool, start: u64, end: u64) -> Claim {
    Claim {
        exclusive,
        start,
        end,
    }
}

/// A table, its rule, and what its claims protect.
fn table() -> Arc<(Holders, CountDeaths, Plain)> {
    Arc::new((Holders::new(), CountDeaths(AtomicU64::new(0)), Plain::new()))
}

#[test]
fn overlapping_claims_exclude_and_lose_no_wake_up() {
    model(3, || {
        let shared = table();
        let mut wants = [claim(true, 0, 6), claim(true, 5, 9)].into_iter();
        let threads = processes::<2>().map(|os| {
            let (shared, want) = (Arc::clone(&shared), wants.next().unwrap());
            thread::spawn(move || {
                let (table, rule, overlap) = &*shared;
                let held = table.acquire(&os, want, rule, FOREVER).unwrap();
                overlap.add_one();
                table.release(&os, held);
            })
        });
        let _ = threads.map(|thread| thread.join().unwrap());
        assert_eq!(shared.2.get(), 2);
        assert_eq!(shared.1.0.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn a_writer_gets_its_turn_after_a_reader() {
    model(3, || {
        let shared = table();
        let [reader, writer] = processes();
        let reading = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (table, rule, overlap) = &*shared;
                let held = table
                    .acquire(&reader, claim(false, 0, 9), rule, FOREVER)
                    .unwrap();
                let seen = (overlap.get(), overlap.get());
                table.release(&reader, held);
                assert_eq!(seen.0, seen.1);
            })
        };
        let (table, rule, overlap) = &*shared;
        let held = table
            .acquire(&writer, claim(true, 3, 4), rule, FOREVER)
            .unwrap();
        overlap.add_one();
        table.release(&writer, held);
        reading.join().unwrap();
    });
}

/// Fault 12.
#[test]
fn the_claim_of_the_dead_is_noted_before_the_next_is_granted() {
    model(3, || {
        let shared = table();
        let [victim, survivor] = processes();
        let dying = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let held = shared
                    .0
                    .acquire(&victim, claim(true, 0, 5), &shared.1, FOREVER);
                assert_eq!(held.unwrap().owner(), victim.me);
                victim.die();
            })
        };
        dying.join().unwrap();
        let (table, rule, _) = &*shared;
        let held = table
            .acquire(&survivor, claim(true, 4, 9), rule, FOREVER)
            .unwrap();
        assert_eq!(rule.0.load(Ordering::Relaxed), 1);
        table.release(&survivor, held);
    });
}

#[test]
fn the_claim_of_one_who_gave_it_back_and_ended_is_not_taken_for_that_of_the_dead() {
    model(3, || {
        let shared = table();
        let [first, second] = processes();
        let ending = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (table, rule, _) = &*shared;
                let held = table.acquire(&first, claim(true, 0, 5), rule, FOREVER);
                table.release(&first, held.unwrap());
                first.die();
            })
        };
        let (table, rule, _) = &*shared;
        // Asks at once whether those in the way live.
        match table.acquire(&second, claim(true, 4, 9), rule, NOW) {
            Ok(held) => assert!(table.release(&second, held)),
            Err(why) => assert_eq!(why, Refused::WouldBlock),
        }
        ending.join().unwrap();
        assert_eq!(
            rule.0.load(Ordering::Relaxed),
            0,
            "nobody died with a claim"
        );
    });
}
