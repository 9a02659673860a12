//! Threads that would wait for themselves.

use std::thread;

use multiproc::{Array, Refused};

use crate::{
    common::{asleep, forked, wait_until},
    copies::for_each_subject,
    flag::Flag,
    subject::{FOREVER, MOMENT, Objects, SOON, Told, of_claim},
};

/// Fault 41.
pub fn asking_for_what_one_holds_would_deadlock() {
    for_each_subject(|subject, objects| {
        let mut guard = objects.hold(subject);
        for timeout in [FOREVER, MOMENT] {
            assert_eq!(objects.told(subject, timeout), Told::WouldDeadlock);
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
pub fn two_processes_that_wait_for_each_other_are_told() {
    let array = Array::<u64>::zeroed(10).unwrap();
    let mine = array.write(..5).unwrap();
    let held = Flag::new();
    let mut other = forked(|| {
        let _theirs = array.write(5..).unwrap();
        held.raise();
        of_claim(array.write(2..4)).1
    });
    held.wait();
    wait_until(|| asleep(other.pid()));
    assert!(array.write(7..8).unwrap_err().is_deadlock());
    assert!(other.is_alive(), "it waits on");
    drop(mine);
    assert_eq!(other.join_timeout(SOON).unwrap(), Some(Told::Sound));
    assert!(array.lock().is_ok());
}

/// Fault 41.
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

/// Fault 41.
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
