//! Threads that would wait for themselves.

use std::thread;

use multiproc::{Array, Child, Refused};

use crate::{
    common::{asleep, forked, wait_until},
    copies::for_each_subject,
    flag::Flag,
    observe::kill,
    subject::{FOREVER, MOMENT, Objects, SOON, Told, of_claim},
};

/// Fault 41.
pub fn asking_for_what_one_holds_would_deadlock_unless_it_is_reentrant() {
    for_each_subject(|subject, objects| {
        let mut guard = objects.hold(subject);
        let expected = subject.when_held_already();
        assert_eq!(objects.told(subject, MOMENT), expected);
        if expected != Told::TimedOut {
            assert_eq!(objects.told(subject, FOREVER), expected);
        }
        guard.add_one();
        drop(guard);
        assert_eq!(objects.told(subject, FOREVER), Told::Sound);
        assert_eq!(objects.count(subject), 1);
    });
}

/// Fault 41.
pub fn updating_a_value_while_holding_it_would_deadlock() {
    let Objects { value, .. } = Objects::new();
    let guard = value.lock().unwrap();
    assert_eq!(value.set(1), Err(Refused::WouldDeadlock));
    assert_eq!(value.replace(1), Err(Refused::WouldDeadlock));
    let old = value.get();
    assert_eq!(value.wait_while(|n| *n != old), Ok(old));
    let waited = value.wait_while(|n| *n == old);
    assert_eq!(waited, Err(Refused::WouldDeadlock));
    assert_eq!(value.update(|n| *n = 1), Err(Refused::WouldDeadlock));
    assert!(value.try_lock().unwrap_err().is_deadlock());
    assert_eq!(value.get(), 0, "reading waits for nobody");
    drop(guard);
    let nested = value.update(|_| value.set(1)).unwrap();
    assert_eq!(nested, Err(Refused::WouldDeadlock));
    assert_eq!(value.get(), 0);
}

/// Fault 41.
pub fn claims_that_overlap_ones_own_would_deadlock_unless_they_share() {
    let array = Array::<u64>::zeroed(10).unwrap();
    let read = array.read(0..4).unwrap();
    assert!(array.read(2..6).is_ok(), "readers share");
    assert_eq!(array.get(3).unwrap(), 0);
    assert!(array.write(3..6).unwrap_err().is_deadlock());
    assert!(array.set(3, 1).unwrap_err().is_deadlock());
    let write = array.write(4..6).unwrap();
    assert!(array.read(5..).unwrap_err().is_deadlock());
    assert!(array.get(5).unwrap_err().is_deadlock());
    assert!(array.to_vec().unwrap_err().is_deadlock());
    assert!(array.lock().unwrap_err().is_deadlock());
    assert!(array.write(6..).is_ok(), "beside it");
    drop((read, write));
    assert!(array.lock().is_ok());
}

/// Fault 41.
pub fn processes_that_wait_for_each_other_in_a_ring_are_told() {
    for others in 1..4 {
        let array = Array::<u64>::zeroed(2 * others + 2).unwrap();
        let mine = array.write(..2).unwrap();
        let held = Flag::new();
        // Each holds two elements and waits for those before: the first of them for mine.
        let waiting: Vec<_> = (1..=others)
            .map(|i| {
                let child = forked(|| {
                    let _own = array.write(2 * i..2 * i + 2).unwrap();
                    held.raise();
                    of_claim(array.write(2 * i - 1..2 * i)).1
                });
                wait_until(|| held.count() == i as u64 && asleep(child.pid()));
                child
            })
            .collect();
        assert!(array.write(2 * others..).unwrap_err().is_deadlock());
        assert!(waiting.iter().all(Child::is_alive), "they wait on");
        drop(mine);
        for mut other in waiting {
            assert_eq!(other.join_timeout(SOON).unwrap(), Some(Told::Sound));
        }
        assert!(array.lock().is_ok());
    }
}

/// Fault 41.
pub fn who_waits_for_the_dead_is_in_no_ring() {
    let array = Array::<u64>::zeroed(10).unwrap();
    let mine = array.write(..5).unwrap();
    let held = Flag::new();
    let other = forked(|| {
        let _theirs = array.write(5..).unwrap();
        held.raise();
        drop(array.write(2..4));
    });
    held.wait();
    wait_until(|| asleep(other.pid()));
    kill(&other);
    let (guard, told) = of_claim(array.write(7..8));
    assert_eq!(told, Told::Died(other.pid()));
    drop((mine, guard));
    let poisoned = array.lock().unwrap_err().into_guard().unwrap().poisoned();
    let range = poisoned.iter().next().map(|one| one.range.clone());
    let expected = (1, Some(5..10));
    assert_eq!(
        (poisoned.len(), range),
        expected,
        "what was only waited for is sound"
    );
}

pub fn a_reader_reads_again_though_a_writer_waits_for_it() {
    let array = Array::<u64>::zeroed(10).unwrap();
    let read = array.read(..).unwrap();
    let mut writer = forked(|| array.set(3, 7).is_ok());
    wait_until(|| asleep(writer.pid()));
    assert_eq!(array.get(3).unwrap(), 0);
    assert!(writer.is_alive());
    drop(read);
    assert_eq!(writer.join_timeout(SOON).unwrap(), Some(true));
    assert_eq!(array.get(3).unwrap(), 7);
}

pub fn another_thread_is_waited_for() {
    for_each_subject(|subject, objects| {
        let guard = objects.hold(subject);
        let other = || objects.told(subject, MOMENT);
        let told = thread::scope(|scope| scope.spawn(other).join().unwrap());
        assert_eq!(told, Told::TimedOut);
        drop(guard);
        let told = thread::scope(|scope| scope.spawn(other).join().unwrap());
        assert_eq!(told, Told::Sound);
    });
}
