//! Waiting until what a lock guards has changed.

use loom::{sync::Arc, thread};
use multiproc_core::{
    FOREVER, Lock, Watched,
    atomic::{AtomicU64, Ordering},
};

use crate::world::{Process, model, processes};

/// A lock and the sequence of changes made under it.
struct Words {
    lock: Lock,
    sequence: AtomicU64,
    turn: AtomicU64,
}

impl Words {
    fn new() -> Arc<Words> {
        Arc::new(Words {
            lock: Lock::new(),
            sequence: AtomicU64::new(0),
            turn: AtomicU64::new(0),
        })
    }

    fn watched(&self) -> Watched<'_> {
        Watched {
            lock: &self.lock,
            sequence: &self.sequence,
            turn: &self.turn,
        }
    }

    fn change(&self, os: &Process) {
        let taken = self.lock.lock(os, FOREVER).unwrap();
        let next = self.sequence.load(Ordering::Relaxed) + 1;
        self.sequence.store(next, Ordering::Release);
        self.watched().unlock(os, taken.me);
    }

    fn change_nothing(&self, os: &Process) {
        let taken = self.lock.lock(os, FOREVER).unwrap();
        self.watched().unlock(os, taken.me);
    }

    /// Waits for so many changes.
    fn wait_for(&self, os: &Process, changes: u64) {
        let ready = || self.sequence.load(Ordering::Acquire) >= changes;
        assert!(self.watched().wait(os, FOREVER, ready));
    }
}

/// Starts a thread that is a process.
fn start(words: &Arc<Words>, os: Process, body: fn(&Words, &Process)) -> thread::JoinHandle<()> {
    let words = Arc::clone(words);
    thread::spawn(move || body(&words, &os))
}

#[test]
fn a_watcher_misses_no_change() {
    model(4, || {
        let words = Words::new();
        let [watcher, writer] = processes();
        let writing = start(&words, writer, |words, os| {
            words.change(os);
            words.change(os);
        });
        words.wait_for(&watcher, 1);
        words.wait_for(&watcher, 2);
        writing.join().unwrap();
    });
}

#[test]
fn a_watcher_misses_no_change_of_two_writers() {
    model(3, || {
        let words = Words::new();
        let [watcher, writers @ ..] = processes::<3>();
        let threads = writers.map(|os| start(&words, os, Words::change));
        words.wait_for(&watcher, 2);
        let _ = threads.map(|thread| thread.join().unwrap());
    });
}

#[test]
fn all_watchers_are_woken() {
    model(3, || {
        let words = Words::new();
        let [writer, watchers @ ..] = processes::<3>();
        let threads = watchers.map(|os| start(&words, os, |words, os| words.wait_for(os, 1)));
        words.change(&writer);
        let _ = threads.map(|thread| thread.join().unwrap());
    });
}

#[test]
fn who_unlocks_without_a_change_takes_no_wake_up_away() {
    model(4, || {
        let words = Words::new();
        let [watcher, writer] = processes();
        let writing = start(&words, writer, |words, os| {
            words.change_nothing(os);
            words.change(os);
        });
        words.wait_for(&watcher, 1);
        writing.join().unwrap();
    });
}

/// As before, but the bit is taken away: the model must find the watcher that is forgotten, or it proves nothing.
#[test]
#[should_panic = "deadlock"]
fn the_model_finds_a_wake_up_that_was_taken_away() {
    model(4, || {
        let words = Words::new();
        let [watcher, writer] = processes();
        let writing = start(&words, writer, |words, os| {
            let taken = words.lock.lock(os, FOREVER).unwrap();
            words.lock.unlock(os, taken.me);
            words.change(os);
        });
        words.wait_for(&watcher, 1);
        writing.join().unwrap();
    });
}

#[test]
fn a_watcher_and_one_who_waits_for_the_lock_are_both_woken() {
    model(3, || {
        let words = Words::new();
        let [holder, waiter, watcher] = processes();
        let taken = words.lock.lock(&holder, FOREVER).unwrap();
        let waiting = start(&words, waiter, Words::change);
        let watching = start(&words, watcher, |words, os| words.wait_for(os, 1));
        words.watched().unlock(&holder, taken.me);
        waiting.join().unwrap();
        watching.join().unwrap();
    });
}
