//! Rings that are joined.

use loom::{sync::Arc, thread};
use multiproc_core::{
    FOREVER, JoinableRing, Joined, Ring, RingWords, Unfinished, atomic::AtomicU64,
};

use crate::world::{Process, model, processes};

struct Shared {
    words: RingWords,
    unfinished: Unfinished,
    data: Vec<AtomicU64>,
}

const RECORDS: u32 = (1 << 30) - 1;

impl Shared {
    /// Almost at the wrap of the number of records.
    fn new() -> Arc<Shared> {
        Arc::new(Shared {
            words: RingWords::new(0, RECORDS),
            unfinished: Unfinished::new(RECORDS),
            data: (0..8).map(|_| AtomicU64::new(0)).collect(),
        })
    }

    fn of(&self, os: Process) -> JoinableRing<'_, u8, Process> {
        // SAFETY: all over these.
        unsafe { JoinableRing::over(Ring::new(&self.words, &self.data), &self.unfinished, os) }
    }

    /// Takes a record, of no bytes since the data are loom's own, and is done with it.
    fn work(&self, os: Process) {
        let ring = self.of(os);
        let ((), in_hand) = ring.get(FOREVER, |_| ()).unwrap();
        ring.done(in_hand);
    }
}

const NONE_LOST: Option<Joined> = Some(Joined { lost: 0 });

#[test]
fn who_joins_is_woken_when_the_last_is_done() {
    model(2, || {
        let shared = Shared::new();
        let [putter, one, other] = processes();
        for _ in 0..2 {
            shared.of(putter).put(&[], FOREVER).unwrap();
        }
        let workers = [one, other].map(|os| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.work(os))
        });
        assert_eq!(shared.of(putter).join(FOREVER), Ok(NONE_LOST));
        let _ = workers.map(|thread| thread.join().unwrap());
        assert_eq!(shared.of(putter).unfinished(), 0);
    });
}

#[test]
fn all_who_join_are_woken() {
    model(2, || {
        let shared = Shared::new();
        let [putter, joiner, worker] = processes();
        shared.of(putter).put(&[], FOREVER).unwrap();
        let joining = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.of(joiner).join(FOREVER))
        };
        let working = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.work(worker))
        };
        assert_eq!(shared.of(putter).join(FOREVER), Ok(NONE_LOST));
        assert_eq!(joining.join().unwrap(), Ok(NONE_LOST));
        working.join().unwrap();
    });
}

/// Fault 14.
#[test]
fn what_died_in_hand_is_told_and_what_was_done_is_not() {
    for (at, lost) in [
        ("joinable: in hand", None),
        ("ring: about to consume", None),
        ("ring: consumed", Some(1)),
        ("joinable: about to be done", Some(1)),
        ("joinable: done, still in hand", Some(0)),
    ] {
        model(2, move || {
            let shared = Shared::new();
            let [victim, other] = processes();
            shared.of(other).put(&[], FOREVER).unwrap();
            let dying = {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    assert!(victim.killed_at(at, |os| shared.work(*os)));
                })
            };
            let Some(lost) = lost else {
                // The record goes to another.
                dying.join().unwrap();
                shared.work(other);
                assert_eq!(shared.of(other).join(FOREVER), Ok(NONE_LOST));
                return;
            };
            assert_eq!(shared.of(other).join(FOREVER), Ok(Some(Joined { lost })));
            dying.join().unwrap();
            assert_eq!(shared.of(other).unfinished(), 0);
        });
    }
}
