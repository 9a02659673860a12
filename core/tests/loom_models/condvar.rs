//! The word of a condition variable.

use loom::{sync::Arc, thread};
use multiproc_core::{CondvarWord, FOREVER, Lock, NOW, Wait};

use crate::world::{Plain, Process, model, processes};

/// A mark that nobody sleeps for, as a waiter leaves it that was killed.
const STALE: u64 = 1;

/// Tokens under a lock, and who waits for one.
struct Tokens {
    lock: Lock,
    changed: CondvarWord,
    given: Plain,
    taken: Plain,
}

impl Tokens {
    fn new(bits: u64) -> Arc<Tokens> {
        Arc::new(Tokens {
            lock: Lock::new(),
            changed: CondvarWord::from_bits(bits),
            given: Plain::new(),
            taken: Plain::new(),
        })
    }

    fn left(&self) -> u64 {
        self.given.get() - self.taken.get()
    }

    /// Waits as long as there are `left` tokens, then changes their number by `change`.
    fn change_when_not(&self, os: &Process, left: u64, change: impl FnOnce(&Tokens)) {
        let mut taken = self.lock.lock(os, FOREVER).unwrap();
        while self.left() == left {
            let marked = self.changed.mark();
            self.lock.unlock(os, taken.me);
            self.changed.sleep(os, marked, FOREVER);
            taken = self.lock.lock(os, FOREVER).unwrap();
        }
        change(self);
        self.lock.unlock(os, taken.me);
    }

    fn take(&self, os: &Process) {
        self.change_when_not(os, 0, |tokens| tokens.taken.add_one());
    }

    fn give(&self, os: &Process) {
        let taken = self.lock.lock(os, FOREVER).unwrap();
        self.given.add_one();
        self.lock.unlock(os, taken.me);
    }
}

fn spawn(tokens: &Arc<Tokens>, body: impl FnOnce(&Tokens) + 'static) -> thread::JoinHandle<()> {
    let tokens = Arc::clone(tokens);
    thread::spawn(move || body(&tokens))
}

#[test]
fn a_buffer_of_one_is_filled_and_emptied_in_turn() {
    model(4, || {
        let tokens = Tokens::new(0);
        let [producer, consumer] = processes();
        let producing = spawn(&tokens, move |tokens| {
            for _ in 0..2 {
                tokens.change_when_not(&producer, 1, |tokens| tokens.given.add_one());
                tokens.changed.notify(&producer, 1);
            }
        });
        for _ in 0..2 {
            tokens.take(&consumer);
            tokens.changed.notify(&consumer, 1);
        }
        producing.join().unwrap();
        assert_eq!(tokens.left(), 0);
    });
}

#[test]
fn two_waiters_are_woken_by_two_notifications_of_one() {
    model(3, || {
        let tokens = Tokens::new(0);
        let [notifier, waiters @ ..] = processes::<3>();
        let waiting = waiters.map(|os| spawn(&tokens, move |tokens| tokens.take(&os)));
        for _ in 0..2 {
            tokens.give(&notifier);
            tokens.changed.notify(&notifier, 1);
        }
        let _ = waiting.map(|thread| thread.join().unwrap());
    });
}

#[test]
fn two_waiters_are_woken_by_two_notifiers() {
    model(2, || {
        let tokens = Tokens::new(0);
        let [first, second, waiters @ ..] = processes::<4>();
        let waiting = waiters.map(|os| spawn(&tokens, move |tokens| tokens.take(&os)));
        let notifying = spawn(&tokens, move |tokens| {
            tokens.give(&second);
            tokens.changed.notify(&second, 1);
        });
        tokens.give(&first);
        tokens.changed.notify(&first, 1);
        notifying.join().unwrap();
        let _ = waiting.map(|thread| thread.join().unwrap());
    });
}

#[test]
fn two_waiters_are_woken_at_once() {
    model(3, || {
        let tokens = Tokens::new(0);
        let [notifier, waiters @ ..] = processes::<3>();
        let waiting = waiters.map(|os| spawn(&tokens, move |tokens| tokens.take(&os)));
        tokens.give(&notifier);
        tokens.give(&notifier);
        tokens.changed.notify_all(&notifier);
        let _ = waiting.map(|thread| thread.join().unwrap());
    });
}

/// Fault 19.
#[test]
fn a_notified_waiter_that_dies_strands_nobody() {
    model(3, || {
        let tokens = Tokens::new(0);
        let [notifier, victim, survivor] = processes::<3>();
        let dying = spawn(&tokens, move |tokens| {
            let taken = tokens.lock.lock(&victim, FOREVER).unwrap();
            if tokens.given.get() == 0 {
                let marked = tokens.changed.mark();
                tokens.lock.unlock(&victim, taken.me);
                tokens.changed.sleep(&victim, marked, FOREVER);
            } else {
                tokens.lock.unlock(&victim, taken.me);
            }
            victim.die();
        });
        let surviving = spawn(&tokens, move |tokens| tokens.take(&survivor));
        tokens.give(&notifier);
        tokens.changed.notify(&notifier, 1);
        surviving.join().unwrap();
        // Should the survivor have been the one: the victim sleeps on.
        tokens.changed.notify_all(&notifier);
        dying.join().unwrap();
    });
}

#[test]
fn a_notifier_that_finds_nobody_makes_no_later_waiter_missed() {
    model(2, || {
        let tokens = Tokens::new(STALE);
        let [idle, notifier, waiter] = processes::<3>();
        let clearing = spawn(&tokens, move |tokens| tokens.changed.notify(&idle, 1));
        let waiting = spawn(&tokens, move |tokens| tokens.take(&waiter));
        tokens.give(&notifier);
        tokens.changed.notify(&notifier, 1);
        // The mark of one more waiter must not bring back the word on which the first one sleeps.
        let taken = tokens.lock.lock(&notifier, FOREVER).unwrap();
        tokens.changed.mark();
        tokens.lock.unlock(&notifier, taken.me);
        clearing.join().unwrap();
        waiting.join().unwrap();
    });
}

#[test]
fn the_sequence_may_wrap_around() {
    for bits in [u64::MAX, u64::from(u32::MAX)] {
        model(3, move || {
            let tokens = Tokens::new(bits);
            let [notifier, waiter] = processes();
            let waiting = spawn(&tokens, move |tokens| tokens.take(&waiter));
            tokens.give(&notifier);
            tokens.changed.notify(&notifier, 1);
            waiting.join().unwrap();
        });
    }
}

#[test]
fn a_wait_that_nobody_ends_ends_at_its_deadline() {
    model(3, || {
        let [os] = processes();
        let word = CondvarWord::new();
        let marked = word.mark();
        assert_eq!(word.sleep(&os, marked, NOW), Wait::TimedOut);
        word.notify(&os, 1);
        assert_eq!(word.sleep(&os, marked, NOW), Wait::Woken);
    });
}
