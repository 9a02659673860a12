//! Semaphores among processes that are only numbers.
#![cfg(not(loom))]

mod common;

use std::sync::atomic::{AtomicU32, Ordering};

use common::{Fake, ORIGIN, bytes, memory, wakes};
use multiproc_core::{
    BoundedSemaphore, HEADER_LEN, Kind, LayoutError, NOW, Permits, Refused, Region, Semaphore,
    TooManyPermits,
};

fn semaphore(permits: u32) -> Region<'static> {
    let region = memory(Semaphore::<Fake>::required_len());
    // SAFETY: memory that nobody else has.
    unsafe { Semaphore::<Fake>::place(region, Fake::new(1), ORIGIN, permits) }.unwrap();
    region
}

fn open(region: Region<'static>, who: Fake) -> Semaphore<'static, Fake> {
    Semaphore::attach(region, who, ORIGIN).unwrap()
}

#[test]
fn permits_are_taken_and_given_back() {
    let region = semaphore(3);
    let (one, other) = (open(region, Fake::new(301)), open(region, Fake::new(302)));
    let two = one.acquire_many(2).unwrap();
    assert_eq!((two.count(), one.value(), other.held()), (2, Ok(1), 2));
    let third = other.acquire().unwrap();
    assert_eq!(one.try_acquire().unwrap_err(), Refused::WouldBlock);
    drop(third);
    assert_eq!(other.try_acquire_many(2).unwrap_err(), Refused::WouldBlock);
    drop(two);
    assert_eq!((one.value(), one.permits(), one.held()), (Ok(3), 3, 0));
}

#[test]
fn whoever_asks_about_others_holds_up_nobody() {
    static QUESTIONS: AtomicU32 = AtomicU32::new(0);
    let region = semaphore(3);
    let (holder, other) = (open(region, Fake::new(981)), open(region, Fake::new(982)));
    let asking = Fake::new(983).at_each_question(move || {
        assert!(other.try_acquire().is_ok(), "the table is held");
        QUESTIONS.fetch_add(1, Ordering::Relaxed);
    });
    let asking = open(region, asking);
    let held = holder.acquire_many(2).unwrap();
    assert!(asking.try_acquire_many(2).is_err());
    let until = Fake::new(983).soon(20);
    assert!(asking.acquire_many_until(2, until).is_err());
    assert_eq!(asking.value(), Ok(1));
    assert!(QUESTIONS.load(Ordering::Relaxed) >= 3);
    drop(held);
    assert!(asking.try_acquire_many(3).is_ok());
}

#[test]
fn no_permits_are_had_by_everybody_and_too_many_by_nobody() {
    let region = memory(BoundedSemaphore::<Fake>::required_len());
    // SAFETY: memory that nobody else has.
    let seats =
        unsafe { BoundedSemaphore::<Fake>::place(region, Fake::new(311), ORIGIN, 2) }.unwrap();
    let all = seats.acquire_many(2).unwrap();
    assert_eq!(seats.acquire_many(0).unwrap().count(), 0);
    assert_eq!(seats.acquire_many(3).unwrap_err(), Refused::TooManyPermits);
    seats.release(0).unwrap();
    let too_many = TooManyPermits {
        released: 1,
        present: 2,
        most: 2,
    };
    assert_eq!(seats.release(1), Err(too_many));
    all.forget();
    assert_eq!((seats.permits(), seats.value()), (0, Ok(0)));
    assert!(seats.release(3).is_err());
    seats.release(2).unwrap();
    assert_eq!(seats.value(), Ok(2));
    let error = LayoutError::Kind {
        expected: Kind::Semaphore,
        found: Kind::BoundedSemaphore as u32,
    };
    let attached = Semaphore::<Fake>::attach(region, Fake::new(312), ORIGIN);
    assert_eq!(attached.err(), Some(error));
}

#[test]
fn of_an_unbounded_semaphore_there_are_no_more_than_can_be_counted() {
    let semaphore = open(semaphore(1), Fake::new(321));
    let permit = semaphore.acquire().unwrap();
    semaphore.release(u32::MAX - 1).unwrap();
    assert!(semaphore.release(1).is_err());
    let rest = semaphore.acquire_many(u32::MAX - 1).unwrap();
    assert_eq!(semaphore.value(), Ok(0));
    drop((permit, rest));
    assert_eq!(semaphore.value(), Ok(u32::MAX));
}

/// Fault 5.
#[test]
fn what_a_fork_child_inherited_gives_nothing_back() {
    let permits = Permits::new(1, 1);
    let (parent, child) = (Fake::new(331), Fake::new(332));
    let held = permits.take(&parent, 1, NOW).unwrap();
    assert!(!permits.give_back(&child, held));
    assert!(!permits.forget(&child, held));
    assert_eq!((permits.total(), permits.held()), (1, 1));
    assert!(permits.give_back(&parent, held));
    assert_eq!(permits.free(&child), Ok(1));
}

/// Fault 17.
#[test]
fn threads_of_a_process_share_its_row_and_its_death() {
    let region = semaphore(8);
    let process = Fake::new(341);
    for thread in 1..=5 {
        std::mem::forget(open(region, process.thread(thread)).acquire());
    }
    let survivor = open(region, Fake::new(342));
    assert_eq!(survivor.value(), Ok(3));
    process.die();
    assert_eq!(survivor.try_acquire_many(8).unwrap().count(), 8);
}

/// Fault 42.
#[test]
fn one_process_more_than_there_are_rows_waits_for_a_row() {
    const ROWS: u32 = 256;
    let region = semaphore(2 * ROWS);
    let crowd = |i| Fake::new(1000 + i);
    for i in 0..ROWS {
        std::mem::forget(open(region, crowd(i)).try_acquire().unwrap());
    }
    let late = Fake::new(351);
    let waiter = open(region, late);
    let refused = waiter.acquire_until(late.soon(5)).unwrap_err();
    assert!(refused.is_timeout() && waiter.value() == Ok(ROWS));
    // Whoever has a row is not in the way of its own next permit.
    drop(open(region, crowd(7)).try_acquire().unwrap());
    crowd(7).die();
    assert_eq!(waiter.try_acquire().unwrap().count(), 1);
}

#[test]
fn a_wait_that_gives_up_alone_costs_nobody_a_wake_up() {
    let region = semaphore(1);
    let holder = open(region, Fake::new(361));
    let permit = holder.acquire().unwrap();
    let (before, timed) = (wakes(), Fake::new(362));
    let waiter = open(region, timed);
    assert!(
        waiter
            .acquire_until(timed.soon(3))
            .unwrap_err()
            .is_timeout()
    );
    // Nobody else sleeps, so it wakes nobody, and has taken its mark away again.
    drop(permit);
    drop(holder.acquire());
    assert_eq!(wakes(), before);
}

#[test]
fn who_does_not_wait_leaves_no_mark() {
    let region = semaphore(1);
    let holder = open(region, Fake::new(371));
    let permit = holder.acquire().unwrap();
    assert!(open(region, Fake::new(372)).try_acquire().is_err());
    let before = wakes();
    drop(permit);
    assert_eq!(wakes(), before);
}

/// Fault 10.
#[test]
fn when_all_are_dead_all_permits_are_free() {
    let region = semaphore(3);
    let holder = open(region, Fake::new(381));
    holder.acquire().unwrap().forget();
    std::mem::forget(holder.acquire());
    // SAFETY: nobody uses it beside this thread.
    unsafe { Semaphore::<Fake>::bury(region, Fake::new(382), ORIGIN) }.unwrap();
    let next = open(region, Fake::new(383));
    assert_eq!((next.held(), next.permits()), (0, 2));
    assert_eq!(next.acquire_many(2).unwrap().count(), 2);
}

#[test]
fn the_dead_are_found_whatever_the_bytes_say_of_the_last_look_for_them() {
    const SWEPT_AT: usize = HEADER_LEN + 56;
    let region = semaphore(1);
    let (dead, waiter) = (Fake::new(396), Fake::new(397));
    std::mem::forget(open(region, dead).acquire());
    dead.die();
    bytes(region)[SWEPT_AT..SWEPT_AT + 8].fill(0x7f);
    let until = waiter.soon(20_000);
    drop(open(region, waiter).acquire_until(until).unwrap());
    assert!(waiter.soon(10_000) < until, "only at the deadline");
}

/// Fault 27.
#[test]
fn foreign_bytes_are_harmless() {
    const TABLE_LOCK: std::ops::Range<usize> = HEADER_LEN + 32..HEADER_LEN + 48;
    for byte in [0xff, 0x55, 0x01] {
        let region = semaphore(3);
        for (at, place) in bytes(region).iter_mut().enumerate().skip(HEADER_LEN) {
            if !TABLE_LOCK.contains(&at) {
                *place = byte;
            }
        }
        let semaphore = open(region, Fake::new(391));
        let _ = (semaphore.try_acquire(), semaphore.try_acquire_many(7));
        let _ = (semaphore.value(), semaphore.release(u32::MAX));
        let _ = (format!("{semaphore:?}"), semaphore.try_acquire());
    }
}
