//! Condition variables and events: what they ask of the system, and what is left of them.
#![cfg(not(loom))]

mod common;

use common::{Fake, ORIGIN, bytes, memory, wakes};
use multiproc_core::{Condvar, Event, Mutex, NOW, Region};

fn mutex(who: Fake) -> (Region<'static>, Mutex<'static, u64, Fake>) {
    let region = memory(Mutex::<u64, Fake>::required_len());
    // SAFETY: memory that nobody else has.
    let mutex = unsafe { Mutex::place(region, who, ORIGIN, 0) }.unwrap();
    (region, mutex)
}

fn condvar(who: Fake) -> Condvar<'static, Fake> {
    let region = memory(Condvar::<Fake>::required_len());
    // SAFETY: memory that nobody else has.
    unsafe { Condvar::place(region, who, ORIGIN) }.unwrap()
}

fn event(who: Fake) -> (Region<'static>, Event<'static, Fake>) {
    let region = memory(Event::<Fake>::required_len());
    // SAFETY: memory that nobody else has.
    (
        region,
        unsafe { Event::place(region, who, ORIGIN) }.unwrap(),
    )
}

/// How often `body` has woken others.
fn wakes_of(body: impl FnOnce()) -> u64 {
    let before = wakes();
    body();
    wakes() - before
}

#[test]
fn to_notify_nobody_asks_nothing_of_the_system() {
    let os = Fake::new(301);
    let ((_, mutex), changed) = (mutex(os), condvar(os));
    let notify = || {
        changed.notify_one();
        changed.notify_n(3);
        changed.notify_all();
    };
    assert_eq!(wakes_of(notify), 0);
    // Whoever has given up leaves a mark, which the first notification of all takes away.
    let guard = mutex.lock().unwrap();
    let (guard, how) = changed.wait_until(guard, os.soon(1)).unwrap();
    assert!(how.timed_out());
    assert_eq!(wakes_of(|| changed.notify_n(0)), 0);
    assert_eq!(wakes_of(|| changed.notify_all()), 1);
    assert_eq!(wakes_of(notify), 0);
    drop(guard);
}

#[test]
fn the_condition_has_the_last_word_after_the_deadline() {
    let os = Fake::new(311);
    let ((_, mutex), changed) = (mutex(os), condvar(os));
    let mut looks = 0;
    let looked_twice = |_: &mut u64| {
        looks += 1;
        looks < 2
    };
    let guard = mutex.lock().unwrap();
    let (guard, how) = changed.wait_until_while(guard, NOW, looked_twice).unwrap();
    assert!(!how.timed_out());
    let (_guard, how) = changed.wait_until_while(guard, NOW, |_| true).unwrap();
    assert!(how.timed_out());
}

#[test]
fn to_wait_with_a_guard_out_of_a_poisoned_mutex_is_told_again() {
    let (os, victim) = (Fake::new(321), Fake::new(322));
    let (region, mutex) = mutex(os);
    std::mem::forget(
        Mutex::<u64, Fake>::attach(region, victim, ORIGIN)
            .unwrap()
            .lock(),
    );
    victim.die();
    let changed = condvar(os);
    let guard = mutex.lock().unwrap_err().into_guard().unwrap();
    // What holds already is not waited for, and nothing is told.
    let guard = changed.wait_while(guard, |number| *number != 0).unwrap();
    let error = changed.wait_until(guard, NOW).unwrap_err();
    let (mut guard, how) = error.into_guard().unwrap();
    assert!(how.timed_out());
    guard.clear_poison();
    assert!(changed.wait_until(guard, NOW).is_ok());
}

#[test]
fn to_set_what_nobody_waits_for_asks_nothing_of_the_system() {
    let os = Fake::new(331);
    let (_, event) = event(os);
    assert_eq!(wakes_of(|| event.set()), 0);
    assert!(event.clear() && !event.clear());
    // Whoever has given up leaves a mark, which the next set takes away.
    assert!(!event.wait_until(os.soon(1)));
    assert_eq!(wakes_of(|| event.set()), 1);
    assert_eq!(wakes_of(|| event.set()), 0);
    assert!(event.clear());
    assert_eq!(wakes_of(|| event.set()), 0);
}

/// Fault 10.
#[test]
fn when_all_are_dead_an_event_stays_set_and_nobody_waits() {
    let os = Fake::new(341);
    let (region, event) = event(os);
    event.set();
    event.clear();
    assert!(!event.wait_until(NOW) && !event.wait_until(os.soon(1)));
    // The second generation, not set, and a mark.
    assert_eq!(bytes(region)[512..520], 5u64.to_le_bytes());
    // SAFETY: memory that nobody else has.
    unsafe { Event::bury(region, os, ORIGIN) }.unwrap();
    assert_eq!(bytes(region)[512..520], 4u64.to_le_bytes());
    event.set();
    // SAFETY: as above.
    unsafe { Event::bury(region, os, ORIGIN) }.unwrap();
    assert!(Event::attach(region, os, ORIGIN).unwrap().is_set());
}
