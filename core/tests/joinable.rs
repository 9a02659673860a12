//! Rings that are joined, among processes that are only numbers.
#![cfg(not(loom))]

mod common;

use std::{
    thread,
    time::{Duration, Instant},
};

use common::{Fake, ORIGIN, bytes, longest_sleep, memory};
use multiproc_core::{
    FOREVER, HEADER_LEN, InHand, JoinableRing, Joined, MAX_TAKERS, NOW, Region, Ring, RingError,
    RingWords, Unfinished, atomic::AtomicU64,
};

type Joinable = JoinableRing<'static, u8, Fake>;

const NONE_LOST: Result<Option<Joined>, multiproc_core::Refused> = Ok(Some(Joined { lost: 0 }));

fn lost(lost: u32) -> Result<Option<Joined>, multiproc_core::Refused> {
    Ok(Some(Joined { lost }))
}

fn place(capacity: usize) -> Region<'static> {
    let region = memory(Joinable::required_len(capacity).unwrap());
    // SAFETY: memory that nobody else has.
    unsafe { Joinable::place(region, Fake::new(1), ORIGIN, capacity) }.unwrap();
    region
}

fn open(region: Region<'static>, who: Fake) -> Joinable {
    JoinableRing::attach(region, who, ORIGIN).unwrap()
}

fn get(ring: &Joinable) -> Result<InHand, RingError> {
    ring.get(NOW, |_| ()).map(|((), in_hand)| in_hand)
}

#[test]
fn all_is_done_when_each_is_done_and_not_before() {
    let region = place(1024);
    let (ring, other) = (open(region, Fake::new(731)), open(region, Fake::new(732)));
    assert_eq!(ring.join(NOW), NONE_LOST);
    let (put, why) = ring.put_many([b"one", b"two"], NOW);
    assert_eq!((put, why), (2, Ok(())));
    ring.put(b"three", NOW).unwrap();
    assert_eq!((ring.unfinished(), ring.join(NOW)), (3, Ok(None)));
    let (mine, its) = (get(&ring).unwrap(), get(&other).unwrap());
    ring.done(mine);
    assert_eq!((ring.unfinished(), ring.join(NOW)), (2, Ok(None)));
    other.done(its);
    let last = get(&other).unwrap();
    let until = Fake::new(731).soon(10);
    assert_eq!(ring.join(until), Ok(None));
    other.done(last);
    assert_eq!(ring.join(NOW), NONE_LOST);
    assert_eq!((ring.unfinished(), ring.lost()), (0, 0));
    assert_eq!(get(&ring).map(drop), Err(RingError::WouldBlock));
    ring.close(FOREVER).unwrap();
    assert_eq!(get(&ring).map(drop), Err(RingError::Closed));
}

#[test]
fn what_is_given_up_is_told_once_to_who_joins_next() {
    let region = place(1024);
    let ring = open(region, Fake::new(741));
    ring.put_many([b"one", b"two"], NOW).1.unwrap();
    ring.give_up(get(&ring).unwrap());
    assert_eq!((ring.unfinished(), ring.lost()), (2, 0));
    assert_eq!(ring.join(NOW), Ok(None), "there is another one");
    // It was found, and is told no more to who did not wait for the rest.
    assert_eq!((ring.unfinished(), ring.lost()), (1, 1));
    ring.give_up(get(&ring).unwrap());
    assert_eq!(ring.join(FOREVER), lost(1));
    assert_eq!((ring.join(FOREVER), ring.lost()), (NONE_LOST, 2));
}

/// Fault 43.
#[test]
fn a_fork_child_says_nothing_of_what_its_parent_has_in_hand() {
    let region = place(1024);
    let (ring, child) = (open(region, Fake::new(751)), open(region, Fake::new(752)));
    ring.put_many([b"one", b"two"], NOW).1.unwrap();
    // What the parent has, a copy of which is all that the child can get at.
    child.done(get(&ring).unwrap());
    child.give_up(get(&ring).unwrap());
    assert_eq!((ring.unfinished(), ring.join(NOW)), (2, Ok(None)));
    Fake::new(751).die();
    assert_eq!(child.join(FOREVER), lost(2));
}

/// Steps at which a taker may die, and what then is left in the ring, and lost.
const DEATHS: [(&str, usize, u32); 7] = [
    ("tally: row made known", 1, 0),
    ("tally: row has its owner", 1, 0),
    ("joinable: in hand", 1, 0),
    ("ring: about to consume", 1, 0),
    ("ring: consumed", 0, 1),
    ("joinable: about to be done", 0, 1),
    ("joinable: done, still in hand", 0, 0),
];

/// Fault 14.
#[test]
fn who_dies_at_any_step_leaves_its_record_or_has_done_it_or_it_is_lost() {
    for (i, (step, left, lost_with_it)) in (0..).zip(DEATHS) {
        let region = place(64);
        let ring = open(region, Fake::new(761));
        ring.put(b"one", NOW).unwrap();
        let victim = Fake::new(762 + i).stops_at(step);
        thread::spawn(move || {
            let ring = open(region, victim);
            ring.done(get(&ring).unwrap());
        });
        victim.until_stopped();
        let until = Fake::new(761).soon(150);
        let all_is_done = step == "joinable: done, still in hand";
        let told = if all_is_done { NONE_LOST } else { Ok(None) };
        assert_eq!(ring.join(until), told, "it lives, at {step}");
        victim.die();
        assert_eq!(ring.ring().len(), left, "{step}");
        if left == 1 {
            let again = ring.get(FOREVER, <[u8]>::to_vec).unwrap();
            assert_eq!(again.0, b"one", "{step}");
            ring.done(again.1);
        }
        assert_eq!(ring.join(FOREVER), lost(lost_with_it), "{step}");
        assert_eq!((ring.unfinished(), ring.lost()), (0, lost_with_it));
    }
}

/// Fault 3. Fault 14.
#[test]
fn who_dies_over_what_it_has_found_lost_has_told_nobody_or_everybody() {
    for (i, step) in (0..).zip([
        "joinable: lost found",
        "tally: owner found dead",
        "tally: row of the dead freed",
        "joinable: all done, nobody woken yet",
        "joinable: mark removed, nobody woken yet",
    ]) {
        let region = place(64);
        let (ring, taker) = (open(region, Fake::new(781)), Fake::new(800 + i));
        ring.put(b"one", NOW).unwrap();
        _ = get(&open(region, taker)).unwrap();
        taker.die();
        let joiner = Fake::new(782 + i).stops_at(step);
        thread::spawn(move || open(region, joiner).join(FOREVER));
        joiner.until_stopped();
        joiner.die();
        let told = ring.join(FOREVER);
        let found = step.starts_with("joinable: all") || step.starts_with("joinable: mark");
        assert_eq!(told, lost(u32::from(!found)), "{step}");
        assert_eq!((ring.unfinished(), ring.lost()), (0, 1), "{step}");
    }
}

#[test]
fn a_joiner_that_is_stopped_with_the_table_holds_up_no_other() {
    let region = place(64);
    let ring = open(region, Fake::new(811));
    ring.put(b"one", NOW).unwrap();
    let in_hand = get(&ring).unwrap();
    let stopped = Fake::new(812).stops_at("lock: taken");
    thread::spawn(move || open(region, stopped).join(FOREVER));
    stopped.until_stopped();
    let until = Fake::new(811).soon(20);
    assert_eq!(ring.join(until), Ok(None));
    assert_eq!(ring.join(NOW), Ok(None));
    assert!(longest_sleep() <= 20_000_000, "{} ns", longest_sleep());
    let joining = thread::spawn(move || open(region, Fake::new(813)).join(FOREVER));
    ring.done(in_hand);
    let begun = Instant::now();
    while !joining.is_finished() {
        assert!(begun.elapsed() < Duration::from_secs(30), "stuck");
        thread::yield_now();
    }
    assert_eq!(joining.join().unwrap(), NONE_LOST);
    stopped.die();
}

#[test]
fn the_dead_make_room_when_every_row_is_taken_and_the_living_do_not() {
    let region = place(1 << 14);
    let ring = open(region, Fake::new(821));
    let takers = 3000..3000 + MAX_TAKERS as u32;
    for pid in takers.clone() {
        ring.put(b"one", NOW).unwrap();
        _ = get(&open(region, Fake::new(pid))).unwrap();
    }
    ring.put(b"more", NOW).unwrap();
    assert_eq!(get(&ring).map(drop), Err(RingError::TooManyProcesses));
    assert_eq!(ring.ring().len(), 1, "it is left where it was");
    // Whoever has a row may have more in it.
    let taker = open(region, Fake::new(3050));
    taker.done(get(&taker).unwrap());
    ring.put(b"more", NOW).unwrap();
    takers.for_each(|pid| Fake::new(pid).die());
    ring.done(get(&ring).unwrap());
    assert_eq!(ring.join(FOREVER), lost(MAX_TAKERS as u32));
}

#[test]
fn counts_go_on_when_they_begin_anew() {
    const RECORDS: u32 = (1 << 30) - 2;
    let words = Box::leak(Box::new(RingWords::new(u32::MAX - 3, RECORDS)));
    let data: Vec<AtomicU64> = (0..8).map(|_| AtomicU64::new(0)).collect();
    let unfinished = Box::leak(Box::new(Unfinished::new(RECORDS)));
    let ring = Ring::new(words, data.leak());
    // SAFETY: the only one over these.
    let ring = unsafe { JoinableRing::<u8, Fake>::over(ring, unfinished, Fake::new(831)) };
    for round in 0..20u32 {
        ring.put(&[round as u8], NOW).unwrap();
        assert_eq!((ring.ring().len(), ring.unfinished()), (1, 1));
        let (byte, in_hand) = ring.get(NOW, |record| record[0]).unwrap();
        assert_eq!(u32::from(byte), round);
        assert_eq!(ring.join(NOW), Ok(None));
        if round % 2 == 0 {
            ring.done(in_hand);
            assert_eq!(ring.join(NOW), NONE_LOST);
        } else {
            ring.give_up(in_hand);
            assert_eq!(ring.join(NOW), lost(1));
        }
        assert_eq!((ring.unfinished(), ring.lost()), (0, round.div_ceil(2)));
    }
}

/// Fault 10.
#[test]
fn when_all_are_dead_what_they_had_in_hand_is_lost_and_records_stay() {
    let region = place(64);
    let ring = open(region, Fake::new(841));
    ring.put_many([b"one", b"two"], NOW).1.unwrap();
    _ = get(&ring).unwrap();
    // Leaves a mark.
    assert_eq!(ring.join(NOW), Ok(None));
    // SAFETY: nobody uses it any more.
    unsafe { Joinable::bury(region, Fake::new(842), ORIGIN) }.unwrap();
    let ring = open(region, Fake::new(842));
    let (record, in_hand) = ring.get(NOW, <[u8]>::to_vec).unwrap();
    assert_eq!(record, b"two");
    ring.done(in_hand);
    assert_eq!(ring.join(NOW), lost(1));
}

/// Fault 27.
#[test]
fn foreign_bytes_are_harmless() {
    for byte in [0, 1, 2, 3, 0x7f, 0x80, 0xff] {
        let region = place(64);
        let ring = open(region, Fake::new(851));
        ring.put(b"one", NOW).unwrap();
        // What is known of records in hand.
        for place in bytes(region)[HEADER_LEN + 512..].iter_mut().take(3072) {
            *place = byte;
        }
        let until = || Fake::new(851).soon(2);
        if let Ok(in_hand) = get(&ring) {
            ring.done(in_hand);
        }
        _ = ring.join(until());
        ring.put(b"two", until()).unwrap();
        if let Ok(in_hand) = get(&ring) {
            ring.give_up(in_hand);
        }
        _ = (ring.join(until()), ring.unfinished(), ring.lost());
    }
}
