//! Range claims: who waits, who is refused, who is told of the dead. Processes are numbers here; tests with real ones
//! are those of the root package.
#![cfg(not(loom))]

mod common;

use std::{
    sync::{
        atomic::{AtomicBool, AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use common::{Fake, Gate, ORIGIN, memory};
use multiproc_core::{Array, Cause, ClaimError, MAX_POISONED, Os, ROWS, Region};

type Numbers = Array<'static, u32, Fake>;

fn array(len: usize) -> Region<'static> {
    let region = memory(Numbers::required_len(&[len]).unwrap());
    // SAFETY: memory that nobody else has.
    unsafe { Numbers::place(region, Fake::new(1), ORIGIN, &[len]) }.unwrap();
    region
}

fn open(region: Region<'static>, who: Fake) -> Numbers {
    Array::attach(region, who, ORIGIN).unwrap()
}

/// Waits until `count` claims are held or waited for.
fn until_claims(array: &Numbers, count: usize) {
    while array.claims() != count {
        thread::yield_now();
    }
}

#[test]
fn disjoint_writers_and_overlapping_readers_share_the_rest_waits() {
    let region = array(10);
    let (a, b) = (open(region, Fake::new(11)), open(region, Fake::new(12)));
    let first = a.write(0..5).unwrap();
    let second = b.write(5..10).unwrap();
    assert!(matches!(b.try_read(4..6), Err(ClaimError::WouldDeadlock)));
    let third = open(region, Fake::new(13));
    assert!(matches!(third.try_read(4..5), Err(ClaimError::WouldBlock)));
    let timeout = third.write_until(.., Fake::new(13).soon(5));
    assert!(matches!(timeout, Err(ClaimError::TimedOut)));
    drop((first, second));
    let reading = (a.read(..).unwrap(), b.read(3..7).unwrap());
    assert!(matches!(third.try_write(6..7), Err(ClaimError::WouldBlock)));
    drop(reading);
    third.try_write(..).unwrap().fill(7);
    assert_eq!(a.get(9).unwrap(), 7);
    assert_eq!(a.claims(), 0);
}

#[test]
fn whoever_asks_about_others_holds_up_nobody() {
    static QUESTIONS: AtomicU32 = AtomicU32::new(0);
    let region = array(10);
    let (holder, disjoint) = (open(region, Fake::new(971)), open(region, Fake::new(972)));
    let asking = Fake::new(973).at_each_question(move || {
        assert!(disjoint.try_write(5..).is_ok(), "the table is held");
        QUESTIONS.fetch_add(1, Ordering::Relaxed);
    });
    let held = holder.write(..5).unwrap();
    let asking = open(region, asking);
    assert!(asking.try_write(..5).is_err());
    let timed_out = asking.write_until(2..5, Fake::new(973).soon(20));
    assert!(timed_out.is_err_and(|error| error.is_timeout()));
    assert!(QUESTIONS.load(Ordering::Relaxed) >= 2);
    drop(held);
    assert!(asking.try_write(..).is_ok());
}

#[test]
fn ranges_that_are_not_in_the_array_are_named() {
    let a = open(array(10), Fake::new(21));
    let error = a.read(8..11).unwrap_err().to_string();
    assert_eq!(
        error,
        "elements 8..11 do not lie within the array, which has 10"
    );
    assert!(a.write(11..).is_err());
    assert!(a.read(..=usize::MAX).is_err());
    #[allow(clippy::reversed_empty_ranges)]
    let reversed = a.read(5..4);
    assert!(matches!(reversed, Err(ClaimError::OutOfBounds { .. })));
    assert!(a.get(10).is_err() && a.get(usize::MAX).is_err() && a.set(10, 1).is_err());
    assert_eq!(a.read(10..10).unwrap().len(), 0);
    let all = a.write(..).unwrap();
    assert!(
        a.read(3..3).is_ok(),
        "an empty range conflicts with nothing"
    );
    drop(all);
}

#[test]
fn claims_are_served_in_the_order_in_which_they_came() {
    let region = array(10);
    let first = open(region, Fake::new(31));
    let held = first.write(0..6).unwrap();
    let (served, order) = mpsc::channel();
    let threads = [(32, 4..8), (33, 7..10)].map(|(pid, range)| {
        let served = served.clone();
        let thread = thread::spawn(move || {
            let array = open(region, Fake::new(pid));
            let guard = array.write(range).unwrap();
            served.send(pid).unwrap();
            drop(guard);
        });
        until_claims(&first, pid as usize - 30);
        thread
    });
    // 33 overlaps only 32, which waits: it stands behind it although its elements are free.
    assert!(order.recv_timeout(Duration::from_millis(20)).is_err());
    drop(held);
    assert_eq!((order.recv().unwrap(), order.recv().unwrap()), (32, 33));
    let _ = threads.map(|thread| thread.join().unwrap());
}

/// Fault 41.
#[test]
fn a_thread_is_not_let_wait_for_itself() {
    let region = array(10);
    let a = open(region, Fake::new(41));
    let mine = a.write(0..5).unwrap();
    assert!(a.read(4..6).unwrap_err().is_deadlock());
    assert!(a.get(0).unwrap_err().is_deadlock());
    let other_thread = open(region, Fake::new(41).thread(2));
    let waits = other_thread.read_until(0..1, Fake::new(41).soon(2));
    assert!(waits.unwrap_err().is_timeout(), "another thread may wait");
    drop(mine);
    let shared = a.read(0..5).unwrap();
    let again = a.read(2..3).unwrap();
    assert!(a.write(2..3).unwrap_err().is_deadlock());
    drop((shared, again));
}

/// Fault 41.
#[test]
fn a_circle_of_waits_is_refused_to_whoever_closes_it() {
    let region = array(30);
    let a = open(region, Fake::new(51));
    let mine = a.write(0..10).unwrap();
    let (ready, is_ready) = mpsc::channel();
    // 52 holds 10..20 and waits for 51; 53 holds 20..30 and waits for 52.
    let chain = [(52, 10..20, 0..1), (53, 20..30, 10..11)];
    let threads = chain.map(|(pid, holds, wants)| {
        let ready = ready.clone();
        let thread = thread::spawn(move || {
            let array = open(region, Fake::new(pid));
            let held = array.write(holds).unwrap();
            ready.send(()).unwrap();
            let next = array.write(wants).unwrap();
            drop((held, next));
        });
        is_ready.recv().unwrap();
        thread
    });
    until_claims(&a, 5);
    assert!(a.read(25..26).unwrap_err().is_deadlock());
    assert!(a.write(15..16).unwrap_err().is_deadlock());
    drop(mine);
    let _ = threads.map(|thread| thread.join().unwrap());
}

#[test]
fn a_place_in_line_is_given_up_to_those_who_are_waited_for() {
    let region = array(30);
    let a = open(region, Fake::new(61));
    let mine = a.write(0..10).unwrap();
    let waiting = thread::spawn(move || {
        let all = open(region, Fake::new(62));
        drop(all.write(..).unwrap());
    });
    until_claims(&a, 2);
    // 62 stands in line for everything, but it waits for 61: waiting behind it would never end.
    a.write(20..30).unwrap().fill(1);
    drop(mine);
    waiting.join().unwrap();
}

/// Fault 7.
#[test]
fn a_waiter_that_ignores_its_turn_is_overtaken() {
    let region = array(10);
    let (a, c) = (open(region, Fake::new(71)), open(region, Fake::new(73)));
    let held = a.write(0..5).unwrap();
    // 72 stands in line and is then stopped: its thread stays in its sleep for good.
    thread::spawn(move || {
        let array = open(region, Fake::new(72).asleep());
        let _ = array.write(..);
    });
    until_claims(&a, 2);
    drop(held);
    assert!(c.try_write(5..10).is_err(), "not at once");
    let guard = c.write_until(5..10, Fake::new(73).soon(60_000)).unwrap();
    drop(guard);
}

/// A process that claims a range, stands in line for it, and is stopped there for good.
fn stopped_in_line(region: Region<'static>, pid: u32, range: std::ops::Range<usize>) {
    let looker = open(region, Fake::new(pid).thread(9));
    let before = looker.claims();
    thread::spawn(move || {
        let _ = open(region, Fake::new(pid).asleep()).write(range);
    });
    until_claims(&looker, before + 1);
}

/// Fault 7. Fault 12.
#[test]
fn a_dead_holder_behind_a_stopped_waiter_is_found() {
    let region = array(10);
    let victim = Fake::new(171);
    std::mem::forget(open(region, victim).write(0..3));
    stopped_in_line(region, 172, 0..7);
    victim.die();
    // 173 has nothing to do with the dead one, only with the stopped one behind it.
    let third = Fake::new(173);
    let claim = open(region, third);
    drop(claim.write_until(5..10, third.soon(60_000)).unwrap());
}

#[test]
fn stopped_waiters_behind_each_other_are_all_overtaken() {
    let region = array(10);
    let first = open(region, Fake::new(181));
    let held = first.write(0..1).unwrap();
    stopped_in_line(region, 182, 0..4);
    stopped_in_line(region, 183, 3..7);
    drop(held);
    let third = Fake::new(184);
    let claim = open(region, third);
    drop(claim.write_until(6..10, third.soon(60_000)).unwrap());
}

#[test]
fn many_short_waits_overtake_a_stopped_waiter_as_one_long_wait_does() {
    let region = array(10);
    let first = open(region, Fake::new(191));
    let held = first.write(0..1).unwrap();
    stopped_in_line(region, 192, 0..7);
    drop(held);
    let third = Fake::new(193);
    let (claim, end) = (open(region, third), third.soon(60_000));
    while claim.write_until(5..10, third.soon(10)).is_err() {
        assert!(third.now() < end, "never granted");
    }
}

#[test]
fn a_waiter_that_was_delayed_keeps_its_place_once_it_is_back() {
    let region = array(10);
    let gate: &Gate = Box::leak(Box::default());
    let granted: &AtomicBool = Box::leak(Box::default());
    let (first, rival) = (open(region, Fake::new(261)), Fake::new(263));
    let held = first.write(0..1).unwrap();
    let delayed = thread::spawn(move || {
        let claim = open(region, Fake::new(262).behind(gate));
        let _guard = claim.write(0..7).unwrap();
        granted.store(true, Ordering::SeqCst);
    });
    until_claims(&first, 2);
    drop(held);
    // It does not take its turn, so it is passed, and passed again.
    let other = open(region, rival);
    drop(other.write_until(5..10, rival.soon(60_000)).unwrap());
    let again = other.write_until(5..10, rival.soon(60_000)).unwrap();
    gate.open.store(true, Ordering::SeqCst);
    while gate.sleeps.load(Ordering::SeqCst) < 2 {
        thread::yield_now();
    }
    // It is back and has looked: from now on it has a slice again.
    drop(again);
    let passed = other.try_write(5..10).is_ok() && !granted.load(Ordering::SeqCst);
    assert!(!passed, "passed at once");
    delayed.join().unwrap();
}

/// Fault 12.
#[test]
fn what_the_dead_had_claimed_for_writing_is_told_to_the_next_and_nothing_else() {
    let region = array(100);
    let victim = Fake::new(81);
    let dying = open(region, victim);
    std::mem::forget((dying.write(10..20), dying.write(30..40), dying.read(50..60)));
    let survivor = open(region, Fake::new(82));
    drop(survivor.write(0..10).unwrap());
    victim.die();
    drop(survivor.write(20..30).unwrap());
    drop(survivor.write(50..60).unwrap());
    let error = survivor.write(15..35).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("10..20: process 81 died") && text.contains("(and 1 more)"),
        "{text}"
    );
    let mut guard = error.into_guard().unwrap();
    let ranges: Vec<_> = guard
        .poisoned()
        .iter()
        .map(|one| one.range.clone())
        .collect();
    assert_eq!(ranges, [10..20, 30..40]);
    assert_eq!(guard.clear_poison(), 0, "15..35 covers neither");
    drop(guard);
    assert!(
        survivor.get(10).unwrap_err().is_poisoned(),
        "told until cleared"
    );
    let mut all = survivor.write(..).unwrap_err().into_guard().unwrap();
    assert_eq!(all.clear_poison(), 2);
    drop(all);
    drop(survivor.write(..).unwrap());
}

#[test]
fn a_panic_poisons_what_was_claimed_for_writing() {
    let region = array(10);
    let result = thread::spawn(move || {
        let array = open(region, Fake::new(91));
        let _reading = array.read(0..4).unwrap();
        let _untouched = array.write(7..9).unwrap();
        let mut writing = array.write(4..6).unwrap();
        writing[0] = 1;
        panic!("on purpose");
    })
    .join();
    assert!(result.is_err());
    let array = open(region, Fake::new(92));
    let error = array.read(..).unwrap_err();
    let ClaimError::Poisoned(poisoned) = &error else {
        panic!("{error}")
    };
    assert_eq!(poisoned.first().range, 4..6);
    assert_eq!(poisoned.first().cause, Cause::Panicked);
    assert_eq!(poisoned.more(), 0);
}

#[test]
fn unwrapping_an_error_about_poison_poisons_no_more() {
    let region = array(100);
    let victim = Fake::new(161);
    std::mem::forget(open(region, victim).write(2..4));
    victim.die();
    let unwrapped = thread::spawn(move || {
        let _ = open(region, Fake::new(162)).write(..).unwrap();
    })
    .join();
    assert!(unwrapped.is_err());
    let poisoned = open(region, Fake::new(163)).poisoned().unwrap();
    let ranges: Vec<_> = poisoned.iter().map(|one| one.range.clone()).collect();
    assert!(ranges.iter().eq([&(2..4)]), "{ranges:?}");
}

#[test]
fn a_guard_made_while_unwinding_poisons_nothing() {
    struct WriteOnDrop(Region<'static>);
    impl Drop for WriteOnDrop {
        fn drop(&mut self) {
            open(self.0, Fake::new(95)).write(0..1).unwrap()[0] = 5;
        }
    }
    let region = array(10);
    let result = thread::spawn(move || {
        let _later = WriteOnDrop(region);
        panic!("on purpose");
    })
    .join();
    assert!(result.is_err());
    assert_eq!(open(region, Fake::new(96)).get(0).unwrap(), 5);
}

/// Fault 42.
#[test]
fn more_poison_than_entries_merges_neighbours_and_loses_none() {
    let region = array(10_000);
    let survivor = open(region, Fake::new(101));
    let ranges: Vec<_> = (0..MAX_POISONED + 9).map(|i| i * 97..i * 97 + 5).collect();
    let victim = Fake::new(102);
    let dying = open(region, victim);
    for range in &ranges {
        std::mem::forget(dying.write(range.clone()));
    }
    victim.die();
    for range in &ranges {
        drop(survivor.write(range.clone()).unwrap_err());
    }
    let poisoned = survivor.poisoned().unwrap();
    assert!(poisoned.len() <= MAX_POISONED);
    for range in ranges {
        assert!(
            poisoned
                .iter()
                .any(|one| one.range.start <= range.start && range.end <= one.range.end),
            "{range:?} is lost: {poisoned:?}"
        );
    }
    assert_eq!(survivor.get(5000).unwrap(), 0, "far from all of them");
}

/// Fault 42.
#[test]
fn more_claims_than_rows_wait_unless_that_could_last_for_ever() {
    let region = array(1000);
    let (a, b) = (open(region, Fake::new(111)), open(region, Fake::new(112)));
    let mut held: Vec<_> = (0..ROWS).map(|i| a.write(i..i + 1).unwrap()).collect();
    assert!(matches!(a.write(500..501), Err(ClaimError::TooManyClaims)));
    assert!(matches!(b.try_write(500..501), Err(ClaimError::WouldBlock)));
    let soon = Fake::new(112).soon(2);
    assert!(b.write_until(500..501, soon).unwrap_err().is_timeout());
    let waiting = thread::spawn(move || {
        drop(open(region, Fake::new(113)).write(500..501).unwrap());
    });
    held.pop();
    waiting.join().unwrap();
    // Rows of the dead make room.
    drop(held);
    let victim = Fake::new(114);
    let dying = open(region, victim);
    std::mem::forget((0..ROWS).map(|i| dying.write(i..i + 1)).collect::<Vec<_>>());
    victim.die();
    drop(b.write(500..501).unwrap());
    assert_eq!(b.claims(), 0);
}

/// Fault 41.
#[test]
fn a_dead_member_of_a_circle_is_buried_not_mistaken_for_a_deadlock() {
    let region = array(30);
    let a = open(region, Fake::new(121));
    let mine = a.write(0..10).unwrap();
    let victim = Fake::new(122).asleep();
    thread::spawn(move || {
        let array = open(region, victim);
        let _held = array.write(10..20).unwrap();
        let _ = array.write(0..5);
    });
    until_claims(&a, 3);
    victim.die();
    assert!(a.write(10..15).unwrap_err().is_poisoned());
    drop(mine);
}

#[test]
fn splitting_gives_every_element_once_and_lengths_that_differ_by_one() {
    for (len, parts) in [(10, 3), (3, 7), (0, 4), (64, 64), (5, 1)] {
        let array = open(array(len), Fake::new(131));
        let ranges: Vec<_> = array.split(parts).collect();
        assert_eq!(ranges.len(), parts);
        assert_eq!(
            ranges.iter().flat_map(Clone::clone).collect::<Vec<_>>(),
            (0..len).collect::<Vec<_>>()
        );
        let lens = ranges.iter().map(ExactSizeIterator::len);
        assert!(lens.clone().max().unwrap() - lens.min().unwrap() <= 1);
    }
    assert_eq!(open(array(5), Fake::new(132)).split(0).count(), 0);
}

#[test]
fn rows_of_a_matrix_are_ranges() {
    let region = memory(Numbers::required_len(&[3, 4]).unwrap());
    // SAFETY: memory that nobody else has.
    let array = unsafe { Numbers::place(region, Fake::new(141), ORIGIN, &[3, 4]) }.unwrap();
    assert_eq!(array.rows(1..3), 4..12);
    assert!(array.write(array.rows(2..4)).is_err());
}

#[test]
fn racy_access_sees_what_was_stored() {
    let region = memory(Array::<[u16; 3], Fake>::required_len(&[4]).unwrap());
    // SAFETY: memory that nobody else has.
    let array =
        unsafe { Array::<[u16; 3], Fake>::place(region, Fake::new(151), ORIGIN, &[4]) }.unwrap();
    // SAFETY: no guard is about.
    let stored = unsafe { array.store_racy(3, [1, 2, 3]) };
    assert!(stored);
    // SAFETY: no guard is about.
    let there = unsafe { array.load_racy(3) };
    // SAFETY: no guard is about.
    let beyond = unsafe { array.load_racy(4) };
    assert_eq!((there, beyond), (Some([1, 2, 3]), None));
}
