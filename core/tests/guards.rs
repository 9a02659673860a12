//! Mutexes and values among threads that panic and waits that give up.
#![cfg(not(loom))]

mod common;

use std::{
    panic::{self, AssertUnwindSafe},
    sync::atomic::Ordering,
    thread,
};

use common::{Fake, Gate, ORIGIN, memory, wakes};
use multiproc_core::{Cause, LockError, Mutex, Region, Value};

fn value(start: u64) -> Region<'static> {
    let region = memory(Value::<u64, Fake>::required_len());
    // SAFETY: memory that nobody else has.
    unsafe { Value::place(region, Fake::new(1), ORIGIN, start) }.unwrap();
    region
}

fn open_value(region: Region<'static>, who: Fake) -> Value<'static, u64, Fake> {
    Value::attach(region, who, ORIGIN).unwrap()
}

fn mutex(start: u64) -> Region<'static> {
    let region = memory(Mutex::<u64, Fake>::required_len());
    // SAFETY: memory that nobody else has.
    unsafe { Mutex::place(region, Fake::new(1), ORIGIN, start) }.unwrap();
    region
}

fn open_mutex(region: Region<'static>, who: Fake) -> Mutex<'static, u64, Fake> {
    Mutex::attach(region, who, ORIGIN).unwrap()
}

/// Runs `body` in a `Drop` while the thread unwinds, and returns what it gave.
fn while_unwinding<R>(body: impl FnOnce() -> R) -> R {
    struct Later<F: FnOnce()>(Option<F>);
    impl<F: FnOnce()> Drop for Later<F> {
        fn drop(&mut self) {
            if let Some(body) = self.0.take() {
                body();
            }
        }
    }
    let mut result = None;
    let unwound = panic::catch_unwind(AssertUnwindSafe(|| {
        let _later = Later(Some(|| result = Some(body())));
        panic!("on purpose");
    }));
    assert!(unwound.is_err());
    result.unwrap()
}

#[test]
fn a_panic_under_a_value_leaves_the_old_one_and_a_free_lock() {
    let region = value(5);
    let result = thread::spawn(move || {
        let value = open_value(region, Fake::new(201));
        let mut guard = value.lock().unwrap();
        *guard = 6;
        panic!("on purpose");
    })
    .join();
    assert!(result.is_err());
    let value = open_value(region, Fake::new(202));
    assert_eq!(value.get(), 5);
    value.set(7).unwrap();
    assert_eq!((value.get(), value.sequence()), (7, 1));
    value.lock().unwrap().discard();
    assert_eq!((value.replace(8), value.sequence()), (Ok(7), 2));
}

#[test]
fn a_panic_under_a_mutex_poisons_until_that_is_cleared() {
    let region = mutex(5);
    let result = thread::spawn(move || {
        let mutex = open_mutex(region, Fake::new(211));
        *mutex.lock().unwrap() = 6;
        let _guard = mutex.lock().unwrap();
        panic!("on purpose");
    })
    .join();
    assert!(result.is_err());
    let mutex = open_mutex(region, Fake::new(212));
    for _ in 0..2 {
        let Err(LockError::Poisoned(poisoned)) = mutex.lock() else {
            panic!("not told");
        };
        assert_eq!(
            (poisoned.cause(), **poisoned.get_ref()),
            (Cause::Panicked, 6)
        );
    }
    let mut guard = mutex.lock().unwrap_err().into_guard().unwrap();
    guard.clear_poison();
    drop(guard);
    assert_eq!(*mutex.lock().unwrap(), 6);
}

#[test]
fn unwrapping_an_error_about_poison_keeps_its_cause() {
    let region = mutex(5);
    let victim = Fake::new(251);
    std::mem::forget(open_mutex(region, victim).lock());
    victim.die();
    let unwrapped = thread::spawn(move || {
        let _ = open_mutex(region, Fake::new(252)).lock().unwrap();
    })
    .join();
    assert!(unwrapped.is_err());
    let cause = open_mutex(region, Fake::new(253)).poison();
    assert_eq!(cause, Some(Cause::OwnerDied { pid: 251 }));
}

#[test]
fn a_guard_made_while_unwinding_and_dropped_later_counts_as_any_other() {
    let (cell, lock) = (
        open_value(value(5), Fake::new(221)),
        open_mutex(mutex(5), Fake::new(221)),
    );
    let mut guard = while_unwinding(|| cell.lock().unwrap());
    *guard = 6;
    drop(guard);
    assert_eq!(cell.get(), 6);
    drop(while_unwinding(|| lock.lock().unwrap()));
    assert_eq!(lock.poison(), None);
}

#[test]
fn a_wait_that_gives_up_passes_its_wake_up_on() {
    let region = mutex(0);
    let holder = open_mutex(region, Fake::new(231));
    let guard = holder.lock().unwrap();
    let (others, timed) = (wakes(), Fake::new(232));
    let waiter = open_mutex(region, timed);
    assert!(waiter.lock_until(timed.soon(3)).unwrap_err().is_timeout());
    assert_eq!(wakes(), others + 1);
    drop(guard);
}

#[test]
fn readers_beside_a_writer_that_never_pauses_get_whole_values() {
    const LEN: usize = 128;
    let region = memory(Value::<[u64; LEN], Fake>::required_len());
    // SAFETY: memory that nobody else has.
    unsafe { Value::place(region, Fake::new(1), ORIGIN, [0u64; LEN]) }.unwrap();
    let writing = thread::spawn(move || {
        let value = Value::attach(region, Fake::new(241), ORIGIN).unwrap();
        for n in 1..=100_000u64 {
            value.set([n; LEN]).unwrap();
        }
    });
    let reader = Value::<[u64; LEN], Fake>::attach(region, Fake::new(242), ORIGIN).unwrap();
    while !writing.is_finished() {
        let seen = reader.get();
        assert!(seen.iter().all(|n| *n == seen[0]), "torn: {seen:?}");
    }
    writing.join().unwrap();
}

/// Fault 11.
#[test]
fn what_was_published_by_one_who_was_killed_at_once_is_found_by_those_who_wait() {
    for (pid, step) in [
        (261, "value: published"),
        (262, "unlock: thread cleared"),
        (263, "unlock: freed, nobody woken yet"),
        (264, "unlock: turn moved, no watcher woken yet"),
    ] {
        let region = value(5);
        let gate: &Gate = Box::leak(Box::default());
        gate.open.store(true, Ordering::SeqCst);
        let waiter = Fake::new(271).behind(gate);
        let waiting =
            thread::spawn(move || open_value(region, waiter).wait_while(|n| *n == 5).unwrap());
        let victim = Fake::new(pid).stops_at(step);
        thread::spawn(move || {
            let value = open_value(region, victim);
            let mut guard = value.lock().unwrap();
            *guard = 6;
            // The waiter has fallen asleep.
            while gate.sleeps.load(Ordering::SeqCst) == 0 {
                thread::yield_now();
            }
            drop(guard);
        });
        // Nobody proves him dead, and nobody unlocks for him.
        assert_eq!(waiting.join().unwrap(), 6, "at {step}");
    }
}

#[test]
fn who_waits_for_a_value_needs_no_identity() {
    let region = value(5);
    let nobody = Fake::new(0);
    let anonymous = open_value(region, nobody);
    assert!(anonymous.set(6).is_err());
    let waiting =
        thread::spawn(move || open_value(region, nobody).wait_while(|n| *n == 5).unwrap());
    open_value(region, Fake::new(281)).set(6).unwrap();
    assert_eq!(waiting.join().unwrap(), 6);
    let (seen, result) = anonymous
        .wait_until_while(nobody.soon(3), |n| *n == 6)
        .unwrap();
    assert_eq!((seen, result.timed_out()), (6, true));
}
