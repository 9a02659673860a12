//! Arrays, claimed in parts.

use std::ops::Range;

use multiproc::{Array, Counter};

use crate::parties::{Method, PARTIES, meet, run};

const ROUNDS: u64 = 5000;

pub fn disjoint_ranges_are_changed_in_place_at_the_same_time(method: Method) {
    fn double((array, range, met): (Array<f64>, Range<usize>, Counter)) {
        let mut part = array.write(range).unwrap();
        // All have theirs at this moment.
        meet(&met, PARTIES);
        part.iter_mut().for_each(|x| *x *= 2.0);
    }
    let array = Array::collect((0..10_001).map(f64::from)).unwrap();
    let met = Counter::new(0).unwrap();
    let part = |range| (array.clone(), range, met.clone());
    run(method, double, array.split(PARTIES).map(part));
    let doubled: Vec<f64> = (0..10_001).map(|x| 2.0 * f64::from(x)).collect();
    assert_eq!(array.to_vec().unwrap(), doubled);
}

pub fn overlapping_claims_exclude_each_other(method: Method) {
    fn add_one((array, range): (Array<u64>, Range<usize>)) {
        for _ in 0..ROUNDS {
            let mut part = array.write(range.clone()).unwrap();
            let before = part.to_vec();
            for (x, before) in part.iter_mut().zip(before) {
                *x = before + 1;
            }
        }
    }
    // Each range has something in common with every other one.
    let array = Array::zeroed(2 * PARTIES - 1).unwrap();
    let range = |i| (array.clone(), i..i + PARTIES);
    run(method, add_one, (0..PARTIES).map(range));
    let expected: Vec<u64> = (0..2 * PARTIES - 1)
        .map(|i| {
            (0..PARTIES)
                .filter(|p| (*p..p + PARTIES).contains(&i))
                .count() as u64
                * ROUNDS
        })
        .collect();
    assert_eq!(array.to_vec().unwrap(), expected);
}

pub fn readers_share(method: Method) {
    fn read((array, met): (Array<u64>, Counter)) -> u64 {
        let all = array.read(..).unwrap();
        // All have it at this moment.
        meet(&met, PARTIES);
        all.iter().sum()
    }
    let array = Array::from_slice(&[1, 2, 3]).unwrap();
    let met = Counter::new(0).unwrap();
    let sums = run(method, read, vec![(array, met); PARTIES]);
    assert_eq!(sums, [6; PARTIES]);
}

pub fn a_reader_never_sees_half_a_write(method: Method) {
    fn write_or_read((array, written, writes): (Array<u64>, Counter, bool)) {
        if writes {
            for _ in 0..ROUNDS {
                array.lock().unwrap().iter_mut().for_each(|x| *x += 1);
            }
            written.add(1);
            return;
        }
        while written.get() == 0 {
            let all = array.to_vec().unwrap();
            assert_eq!(all, [all[0]; 100]);
        }
    }
    let array = Array::zeroed(100).unwrap();
    let written = Counter::new(0).unwrap();
    let party = |i| (array.clone(), written.clone(), i == 0);
    run(method, write_or_read, (0..PARTIES).map(party));
    assert_eq!(array.to_vec().unwrap(), [ROUNDS; 100]);
}

pub fn single_elements_are_got_and_set(method: Method) {
    fn move_on((array, own): (Array<u64>, usize)) {
        for i in 0..ROUNDS {
            assert_eq!(array.get(own).unwrap(), i);
            array.set(own, i + 1).unwrap();
        }
    }
    let array = Array::zeroed(PARTIES).unwrap();
    run(
        method,
        move_on,
        (0..PARTIES).map(|own| (array.clone(), own)),
    );
    assert_eq!(array.to_vec().unwrap(), [ROUNDS; PARTIES]);
}
