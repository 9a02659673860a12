//! Every interleaving of the protocols, as far as loom can see: `scripts/loom` runs these.
//!
//! A model's futex is a condition variable. Time does not pass; instead a sleep ends with [`Wait::TimedOut`] once
//! somebody has died, which is what the slices are for. A lost wake-up without a death is a deadlock that loom reports.
#![cfg(loom)]

use std::{collections::HashMap, num::NonZeroU32};

use loom::{
    cell::UnsafeCell,
    sync::{Arc, Condvar, Mutex},
    thread,
};
use multiproc_core::{
    Claim, FOREVER, Holders, Liveness, Lock, Os, Owner, Refused, Rule, Slots, Wait,
    atomic::{AtomicU64, Ordering},
};

/// What all processes of a model share with the kernel.
struct World(Mutex<Kernel>);

#[derive(Default)]
struct Kernel {
    dead: Vec<Owner>,
    /// Who sleeps on which word.
    queues: HashMap<*const AtomicU64, std::sync::Arc<Condvar>>,
}

/// One process of a model, with one thread.
#[derive(Clone, Copy)]
struct Process {
    me: Owner,
    world: &'static World,
}

/// `N` processes in a world of their own, which is never freed: a model is run many times, but it is small.
fn processes<const N: usize>() -> [Process; N] {
    let world = Box::leak(Box::new(World(Mutex::new(Kernel::default()))));
    std::array::from_fn(|i| Process {
        me: Owner::new(NonZeroU32::new(i as u32 + 1).unwrap(), 7).unwrap(),
        world,
    })
}

impl Process {
    fn die(self) {
        let mut kernel = self.world.0.lock().unwrap();
        kernel.dead.push(self.me);
        kernel.queues.values().for_each(|queue| queue.notify_all());
    }
}

// SAFETY: the processes of a model have different numbers, and are called dead only by `die`, their last call.
unsafe impl Os for Process {
    fn me(&self) -> Owner {
        self.me
    }

    fn thread(&self) -> u64 {
        self.me.to_bits()
    }

    fn liveness(&self, owner: Owner) -> Liveness {
        if self.world.0.lock().unwrap().dead.contains(&owner) {
            Liveness::Dead
        } else {
            Liveness::Alive
        }
    }

    fn now(&self) -> u64 {
        1
    }

    fn wait(&self, word: &AtomicU64, expected: u64, _until: u64) -> Wait {
        let mut kernel = self.world.0.lock().unwrap();
        if word.load(Ordering::SeqCst) as u32 != expected as u32 {
            return Wait::Woken;
        }
        if !kernel.dead.is_empty() {
            drop(kernel);
            // Others must run before this sleep ends, or the model never would.
            thread::yield_now();
            return Wait::TimedOut;
        }
        let queue = kernel.queues.entry(&raw const *word);
        let queue = queue.or_insert_with(std::sync::Arc::default).clone();
        drop(queue.wait(kernel).unwrap());
        Wait::Woken
    }

    fn wake(&self, word: &AtomicU64, count: u32) {
        let kernel = self.world.0.lock().unwrap();
        match kernel.queues.get(&(&raw const *word)) {
            Some(queue) if count == 1 => queue.notify_one(),
            Some(queue) => queue.notify_all(),
            None => {}
        }
    }
}

// SAFETY: the addresses are only compared.
unsafe impl Send for Kernel {}

/// Runs a model over all interleavings with at most `preemptions` forced switches.
fn model(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(body);
}

/// Plain memory, whose unordered use loom reports.
struct Plain(UnsafeCell<u64>);

// SAFETY: the point of the models: loom reports every use that is not ordered.
unsafe impl Sync for Plain {}
// SAFETY: a number.
unsafe impl Send for Plain {}

impl Plain {
    fn add_one(&self) {
        // SAFETY: loom checks that nobody else is at it.
        self.0.with_mut(|n| unsafe { *n += 1 });
    }

    fn get(&self) -> u64 {
        // SAFETY: loom checks that nobody writes.
        self.0.with(|n| unsafe { *n })
    }
}

#[test]
fn a_lock_excludes_and_loses_no_wake_up() {
    model(4, || {
        let shared = Arc::new((Lock::new(), Plain(UnsafeCell::new(0))));
        let threads = processes::<2>().map(|os| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (lock, count) = &*shared;
                for _ in 0..2 {
                    let taken = lock.lock(&os, FOREVER).unwrap();
                    count.add_one();
                    lock.unlock(&os, taken.me);
                }
            })
        });
        let _ = threads.map(|thread| thread.join().unwrap());
        assert_eq!(shared.1.get(), 4);
    });
}

#[test]
fn three_at_a_lock_all_get_it() {
    model(3, || {
        let shared = Arc::new((Lock::new(), Plain(UnsafeCell::new(0))));
        let threads = processes::<3>().map(|os| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (lock, count) = &*shared;
                let taken = lock.lock(&os, FOREVER).unwrap();
                count.add_one();
                lock.unlock(&os, taken.me);
            })
        });
        let _ = threads.map(|thread| thread.join().unwrap());
        assert_eq!(shared.1.get(), 3);
    });
}

#[test]
fn the_death_of_an_owner_is_told_to_exactly_one() {
    model(3, || {
        let lock = Arc::new(Lock::new());
        let [victim, others @ ..] = processes::<3>();
        let taken = lock.lock(&victim, FOREVER).unwrap();
        assert_eq!(taken.me, victim.me);
        let threads = others.map(|os| {
            let lock = Arc::clone(&lock);
            thread::spawn(move || {
                let taken = lock.lock(&os, FOREVER).unwrap();
                lock.unlock(&os, taken.me);
                taken.died == victim.me
            })
        });
        victim.die();
        let told = threads.map(|thread| thread.join().unwrap());
        assert_eq!(told.iter().filter(|told| **told).count(), 1);
    });
}

#[test]
fn a_woken_waiter_that_dies_strands_nobody() {
    model(3, || {
        let lock = Arc::new(Lock::new());
        let [holder, victim, survivor] = processes::<3>();
        let taken = lock.lock(&holder, FOREVER).unwrap();
        let dying = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || {
                let taken = lock.lock(&victim, FOREVER).unwrap();
                assert!(taken.died.is_none());
                victim.die();
            })
        };
        let surviving = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || {
                let taken = lock.lock(&survivor, FOREVER).unwrap();
                lock.unlock(&survivor, taken.me);
            })
        };
        lock.unlock(&holder, taken.me);
        dying.join().unwrap();
        surviving.join().unwrap();
    });
}

#[test]
fn who_holds_a_lock_is_not_let_wait_for_it() {
    model(3, || {
        let [os] = processes();
        let lock = Lock::new();
        let taken = lock.lock(&os, FOREVER).unwrap();
        assert_eq!(lock.lock(&os, FOREVER).unwrap_err(), Refused::WouldDeadlock);
        lock.unlock(&os, taken.me);
    });
}

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
    Arc::new((
        Holders::new(),
        CountDeaths(AtomicU64::new(0)),
        Plain(UnsafeCell::new(0)),
    ))
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

/// The words of a value of two words, and the lock of its writers.
struct Words {
    lock: Lock,
    sequence: AtomicU64,
    slots: [[AtomicU64; 2]; 2],
}

impl Words {
    fn new() -> Words {
        let slot = || [AtomicU64::new(0), AtomicU64::new(0)];
        Words {
            lock: Lock::new(),
            sequence: AtomicU64::new(0),
            slots: [slot(), slot()],
        }
    }

    fn protocol(&self) -> Slots<'_> {
        Slots {
            sequence: &self.sequence,
            slots: [&self.slots[0], &self.slots[1]],
        }
    }

    fn write(&self, os: &Process, value: u64) {
        let taken = self.lock.lock(os, FOREVER).unwrap();
        self.protocol().write(|_| (), |i| value + i as u64);
        self.lock.unlock(os, taken.me);
    }

    fn read(&self) -> Option<[u64; 2]> {
        let mut copy = [0; 2];
        self.protocol()
            .try_read(|i, word| copy[i] = word)
            .then_some(copy)
    }
}

const VALUES: [[u64; 2]; 4] = [[0, 0], [10, 11], [20, 21], [30, 31]];

#[test]
fn a_snapshot_is_never_torn() {
    model(4, || {
        let words = Arc::new(Words::new());
        let [writer] = processes();
        let writing = {
            let words = Arc::clone(&words);
            thread::spawn(move || [10, 20, 30].map(|value| words.write(&writer, value)))
        };
        if let Some(seen) = words.read() {
            assert!(VALUES.contains(&seen), "torn: {seen:?}");
        }
        writing.join().unwrap();
        assert_eq!(words.read(), Some([30, 31]));
    });
}

#[test]
fn two_writers_and_a_reader_never_tear_a_value() {
    model(3, || {
        let words = Arc::new(Words::new());
        let mut values = [20, 30].into_iter();
        let threads = processes::<2>().map(|os| {
            let (words, value) = (Arc::clone(&words), values.next().unwrap());
            thread::spawn(move || words.write(&os, value))
        });
        if let Some(seen) = words.read() {
            assert!(VALUES.contains(&seen), "torn: {seen:?}");
        }
        let _ = threads.map(|thread| thread.join().unwrap());
    });
}

/// A writer as [`Slots::write`] without its fence: the model must find the torn snapshot, or it proves nothing.
#[test]
#[should_panic = "torn"]
fn the_model_finds_a_writer_without_its_fence() {
    model(4, || {
        let words = Arc::new(Words::new());
        let writing = {
            let words = Arc::clone(&words);
            thread::spawn(move || {
                for value in [10, 20, 30] {
                    let after = words.sequence.load(Ordering::Relaxed) + 1;
                    for (i, word) in words.slots[(after & 1) as usize].iter().enumerate() {
                        word.store(value + i as u64, Ordering::Relaxed);
                    }
                    words.sequence.store(after, Ordering::Release);
                }
            })
        };
        if let Some(seen) = words.read() {
            assert!(VALUES.contains(&seen), "torn: {seen:?}");
        }
        writing.join().unwrap();
    });
}
