//! Rings of records among processes that are only numbers.
#![cfg(not(loom))]

mod common;

use std::collections::VecDeque;

use common::{Fake, ORIGIN, bytes, memory};
use multiproc_core::{ByteRing, FOREVER, Kind, LayoutError, NOW, Region, RingError, capacity_for};

type Ring = ByteRing<'static, u8, Fake>;

fn place(capacity: usize) -> Region<'static> {
    let region = memory(Ring::required_len(capacity).unwrap());
    // SAFETY: memory that nobody else has.
    unsafe { Ring::place(region, Fake::new(1), ORIGIN, capacity) }.unwrap();
    region
}

fn open(region: Region<'static>, who: Fake) -> Ring {
    Ring::attach(region, who, ORIGIN).unwrap()
}

fn get(ring: &Ring) -> Result<Vec<u8>, RingError> {
    ring.get(NOW, <[u8]>::to_vec)
}

#[test]
fn a_record_that_is_taken_at_once_is_the_one_that_was_put_whatever_its_length() {
    let ring = open(place(1024), Fake::new(501));
    for round in 0..1000 {
        let record: Vec<u8> = (0..round % 67).map(|i| (i * 7 + round) as u8 | 1).collect();
        ring.put(&record, NOW).unwrap();
        assert_eq!(get(&ring).unwrap(), record);
        assert_eq!(get(&ring), Err(RingError::WouldBlock));
        // Now the last is not the next one.
        ring.put(&record, NOW).unwrap();
        ring.put(b"another", NOW).unwrap();
        assert_eq!(get(&ring).unwrap(), record);
        assert_eq!(get(&ring).unwrap(), b"another");
        // And now it is one of several.
        let (put, result) = ring.put_many([record.as_slice(), b"more"], NOW);
        assert_eq!((put, result), (2, Ok(())));
        assert_eq!(get(&ring).unwrap(), record);
        assert_eq!(get(&ring).unwrap(), b"more");
    }
}

#[test]
fn records_of_any_length_come_out_as_they_went_in() {
    let ring = open(place(1024), Fake::new(501));
    let mut model: VecDeque<Vec<u8>> = VecDeque::new();
    let mut random = 1u64;
    let mut full = 0;
    for round in 0..20_000u64 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let len = (random >> 33) as usize % (ring.max_len() / 3);
        if random >> 63 == 0 {
            let record: Vec<u8> = (0..len).map(|i| (i as u64 ^ round) as u8).collect();
            match ring.put(&record, NOW) {
                Ok(()) => model.push_back(record),
                Err(why) => {
                    assert_eq!(why, RingError::WouldBlock);
                    full += 1;
                }
            }
        } else {
            assert_eq!(get(&ring).ok(), model.pop_front());
        }
        assert_eq!(
            (ring.len(), ring.is_empty()),
            (model.len(), model.is_empty())
        );
    }
    assert!(full > 0, "it was never full");
}

/// Fault 15.
#[test]
fn the_longest_record_fits_wherever_the_ring_stands_and_one_longer_never() {
    let ring = open(place(64), Fake::new(511));
    assert_eq!((ring.capacity(), ring.max_len()), (64, 24));
    for _ in 0..20 {
        ring.put(&[7; 24], NOW).unwrap();
        assert_eq!(ring.put(&[7; 25], NOW), Err(RingError::TooLarge));
        assert_eq!(get(&ring).unwrap(), [7; 24]);
        ring.put(&[], NOW).unwrap();
        assert_eq!(get(&ring).unwrap(), []);
    }
}

#[test]
fn batches_go_in_and_come_out_as_far_as_there_is_room() {
    let ring = open(place(64), Fake::new(521));
    let (put, why) = ring.put_many([[1u8; 8], [2; 8], [3; 8], [4; 8], [5; 8]], NOW);
    assert_eq!((put, why), (4, Err(RingError::WouldBlock)));
    let mut seen = Vec::new();
    assert_eq!(ring.get_many(NOW, 3, |record| seen.push(record[0])), Ok(3));
    assert_eq!(ring.get_many(NOW, 3, |record| seen.push(record[0])), Ok(1));
    assert_eq!(seen, [1, 2, 3, 4]);
    assert_eq!(ring.get_many(NOW, 3, |_| ()), Err(RingError::WouldBlock));
}

#[test]
fn a_closed_ring_gives_what_it_has_and_takes_nothing() {
    let region = place(64);
    let (ring, other) = (open(region, Fake::new(531)), open(region, Fake::new(532)));
    ring.put(b"last", FOREVER).unwrap();
    other.close(FOREVER).unwrap();
    assert!(ring.is_closed());
    assert_eq!(ring.put(b"late", FOREVER), Err(RingError::Closed));
    assert_eq!(
        ring.put_many([b"late"], FOREVER),
        (0, Err(RingError::Closed))
    );
    assert_eq!(other.get(FOREVER, <[u8]>::to_vec).unwrap(), b"last");
    assert_eq!(other.get(FOREVER, <[u8]>::to_vec), Err(RingError::Closed));
}

/// Fault 13.
#[test]
fn the_locks_of_the_dead_are_taken_over_and_records_outlive_everybody() {
    let region = place(64);
    let victim = Fake::new(541).stops_at("ring: published");
    std::thread::spawn(move || open(region, victim).put(b"whole", FOREVER));
    victim.until_stopped();
    let ring = open(region, Fake::new(542));
    assert_eq!(ring.put(b"more", NOW), Err(RingError::WouldBlock));
    victim.die();
    ring.put(b"more", FOREVER).unwrap();
    // SAFETY: nobody uses it any more.
    unsafe { Ring::bury(region, Fake::new(543), ORIGIN) }.unwrap();
    let ring = open(region, Fake::new(543));
    assert_eq!(get(&ring).unwrap(), b"whole");
    assert_eq!(get(&ring).unwrap(), b"more");
}

/// Fault 27.
#[test]
fn a_record_that_cannot_be_is_damage_and_another_layout_no_ring() {
    let region = place(64);
    let ring = open(region, Fake::new(551));
    // Of the last one there would be a copy.
    ring.put(b"whole", NOW).unwrap();
    ring.put(b"more", NOW).unwrap();
    let at = region.len() - 64;
    for len in [u64::MAX, u64::MAX - 1, 25, 1 << 40] {
        bytes(region)[at..at + 8].copy_from_slice(&len.to_le_bytes());
        assert_eq!(get(&ring), Err(RingError::Damaged), "{len}");
    }
    let error = multiproc_core::Value::<u64, Fake>::attach(region, Fake::new(551), ORIGIN);
    let Err(LayoutError::Kind { found, .. }) = error else {
        panic!("a ring is no value");
    };
    assert_eq!(found, Kind::ByteRing as u32);
    assert!(matches!(
        Ring::required_len(1 << 40),
        Err(LayoutError::RingTooLarge { .. })
    ));
}

#[test]
fn a_close_is_held_up_by_one_who_stopped_while_putting_and_not_while_taking() {
    let region = place(64);
    let taking = Fake::new(561).stops_at("ring: about to consume");
    let ring = open(region, Fake::new(562));
    ring.put(b"one", NOW).unwrap();
    std::thread::spawn(move || get(&open(region, taking)));
    taking.until_stopped();
    ring.close(FOREVER).unwrap();
    assert_eq!(ring.put(b"late", FOREVER), Err(RingError::Closed));
    taking.die();
    assert_eq!(ring.get(FOREVER, <[u8]>::to_vec).unwrap(), b"one");

    // Whoever puts has not put yet, and would after the close.
    let region = place(64);
    let putting = Fake::new(563).stops_at("ring: record reserved");
    let ring = open(region, Fake::new(562));
    std::thread::spawn(move || open(region, putting).put(b"half", FOREVER));
    putting.until_stopped();
    let soon = Fake::new(562).soon(10);
    assert_eq!(ring.close(soon), Err(RingError::TimedOut));
    assert!(!ring.is_closed());
    putting.die();
    ring.close(FOREVER).unwrap();
    assert_eq!(get(&ring), Err(RingError::Closed));
}

/// Fault 15.
#[test]
fn there_is_a_capacity_for_every_record_but_the_longest() {
    for len in [0, 1, 24, 25, 1000, 1 << 20] {
        let capacity = capacity_for(len).unwrap();
        let ring = open(place(capacity), Fake::new(571));
        assert_eq!(ring.capacity(), capacity);
        assert!(ring.max_len() >= len && ring.put(&vec![7; len], NOW).is_ok());
        let smaller = open(place(capacity / 2), Fake::new(571));
        assert!(capacity == 64 || smaller.max_len() < len);
    }
    let most = (1 << 31) - 8;
    assert_eq!(capacity_for(most), Some(1 << 32));
    for none in [most + 1, usize::MAX / 2, usize::MAX - 7, usize::MAX] {
        assert_eq!(capacity_for(none), None);
    }
}

/// Says of itself that it is empty, and then that it is long.
struct Fickle(std::cell::Cell<bool>);

impl AsRef<[u8]> for Fickle {
    fn as_ref(&self) -> &[u8] {
        if self.0.replace(true) {
            &[0xee; 32]
        } else {
            &[]
        }
    }
}

#[test]
fn a_record_that_grows_while_it_is_put_writes_over_no_other() {
    let ring = open(place(256), Fake::new(561));
    ring.put(b"whole", NOW).unwrap();
    let (put, why) = ring.put_many(
        [Fickle(Default::default()), Fickle(Default::default())],
        NOW,
    );
    assert_eq!((put, why), (2, Ok(())));
    ring.put(b"more", NOW).unwrap();
    let got = [(); 4].map(|()| get(&ring).unwrap());
    assert_eq!(got, [&b"whole"[..], b"", b"", b"more"]);
}
