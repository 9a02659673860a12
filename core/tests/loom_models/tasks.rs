//! Rings of tasks.

use std::num::NonZeroU64;

use loom::{sync::Arc, thread};
use multiproc_core::{
    FOREVER, Hands, Lost, NOW, Progress, Ring, RingError, RingWords, TaskRing, atomic::AtomicU64,
};

use crate::world::{Process, model, processes};

struct Shared {
    words: RingWords,
    hands: Hands,
    data: Vec<AtomicU64>,
}

impl Shared {
    /// With as many tasks, named from 1 on.
    fn with(tasks: u64, os: Process) -> Arc<Shared> {
        let shared = Arc::new(Shared {
            words: RingWords::new(0, 0),
            hands: Hands::new(),
            data: (0..8).map(|_| AtomicU64::new(0)).collect(),
        });
        for task in 1..=tasks {
            shared.of(os).put(name(task), &[], FOREVER).unwrap();
        }
        shared
    }

    fn of(&self, os: Process) -> TaskRing<'_, Process> {
        // SAFETY: all over these.
        unsafe { TaskRing::over(Ring::new(&self.words, &self.data), &self.hands, os) }
    }

    /// Takes a task as the worker of this row; which one.
    fn take(&self, os: Process, row: usize) -> u64 {
        self.of(os).take(row, FOREVER, |task, _| task).unwrap()
    }
}

fn name(task: u64) -> NonZeroU64 {
    NonZeroU64::new(task).unwrap()
}

fn lost(task: u64) -> Option<Lost> {
    Some(Lost {
        task,
        progress: Progress::default(),
    })
}

/// A worker dies at a step, beside another one that takes what there is; then it is asked what was lost with it. Of two
/// tasks each is lost with the dead or goes to the other, one way or the other.
/// Fault 21.
#[test]
fn a_task_is_lost_with_the_dead_or_goes_to_another_and_never_both() {
    for at in [
        "task: noted whose it will be",
        "task: in the row, and in the ring",
        "ring: about to consume",
        "ring: consumed",
        "unlock: freed, nobody woken yet",
        "task: told, still in hand",
    ] {
        model(3, move || {
            let [victim, other, judge] = processes();
            let shared = Shared::with(2, judge);
            let dying = {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    victim.killed_at(at, |os| {
                        shared.take(*os, 0);
                        shared.of(*os).done(0);
                    })
                })
            };
            let working = {
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.take(other, 1))
            };
            let killed = dying.join().unwrap();
            let ring = shared.of(judge);
            // Before the other one is through, or after.
            let first = ring.lost(0, FOREVER).unwrap();
            let taken = working.join().unwrap();
            let left = ring.take(1, NOW, |task, _| task);
            let mut all = vec![taken];
            all.extend(left.ok());
            all.extend(first.map(|lost| lost.task));
            if first.is_some() {
                assert!(killed, "{at}");
            }
            if first.is_none() && all.len() < 2 {
                assert!(!killed, "{at}: one is missing, only {all:?}");
                return;
            }
            all.sort_unstable();
            assert_eq!(all, [1, 2], "{at}");
        });
    }
}

/// Fault 3. Fault 21.
#[test]
fn who_puts_back_what_the_dead_had_may_die_too() {
    for at in [
        "task: out of the row of the dead",
        "task: noted whose it will be",
    ] {
        model(2, move || {
            let [victim, heir, other] = processes();
            let shared = Shared::with(1, other);
            assert!(victim.killed_at("task: in the row, and in the ring", |os| {
                shared.take(*os, 0);
            }));
            let dying = {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    heir.killed_at(at, |os| {
                        shared.take(*os, 1);
                    })
                })
            };
            let ring = shared.of(other);
            let first = ring.lost(0, FOREVER).unwrap();
            assert_eq!(first, None, "it was never taken");
            if dying.join().unwrap() {
                assert_eq!(ring.lost(1, FOREVER), Ok(None));
                assert_eq!(shared.take(other, 0), 1);
            } else {
                assert_eq!(ring.lost(1, FOREVER), Ok(lost(1)));
            }
        });
    }
}

#[test]
fn a_task_is_cancelled_or_taken() {
    model(3, || {
        let [worker, owner, other] = processes();
        let shared = Shared::with(2, owner);
        let working = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.take(worker, 0))
        };
        let cancelled = shared.of(owner).cancel(1, FOREVER).unwrap();
        assert_eq!(working.join().unwrap(), if cancelled { 2 } else { 1 });
        let left = shared.of(other).take(1, NOW, |task, _| task);
        if cancelled {
            assert_eq!(left, Err(RingError::WouldBlock));
        } else {
            assert_eq!(left, Ok(2));
        }
    });
}

#[test]
fn who_waits_is_woken_when_all_that_came_was_cancelled_and_more_comes() {
    model(2, || {
        let [worker, owner] = processes();
        let shared = Shared::with(0, owner);
        let working = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.take(worker, 0))
        };
        let ring = shared.of(owner);
        ring.put(name(1), &[], FOREVER).unwrap();
        let cancelled = ring.cancel(1, FOREVER).unwrap();
        ring.put(name(2), &[], FOREVER).unwrap();
        assert_eq!(working.join().unwrap(), if cancelled { 2 } else { 1 });
    });
}

/// The worker ends an item, and another task's; who condemns means the first item of the first task.
#[test]
fn an_item_is_ended_or_condemned_and_no_other_is() {
    model(3, || {
        let [worker, owner] = processes();
        let shared = Shared::with(2, owner);
        let working = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let ring = shared.of(worker);
                let mut ended = 0;
                for _ in 0..2 {
                    shared.take(worker, 0);
                    ring.begin(0, 1);
                    if !ring.advance(0, Progress::default(), Progress::new(1, 0)) {
                        // It would wait to be killed.
                        break;
                    }
                    ring.done(0);
                    ended += 1;
                }
                ended
            })
        };
        let condemned = shared.of(owner).condemn(0, 1, 2);
        let ended = working.join().unwrap();
        match condemned {
            Some(progress) => {
                assert_eq!((progress, ended), (Progress::default(), 0));
                assert_eq!(
                    shared
                        .of(owner)
                        .lost(0, FOREVER)
                        .unwrap()
                        .map(|lost| lost.task),
                    Some(1)
                );
            }
            // If it was condemned for a moment, it was pardoned, and would have tried again.
            None => assert!(ended <= 2),
        }
    });
}
