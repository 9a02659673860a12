//! Counters and arrays of atomics.

use std::sync::atomic::Ordering::Relaxed;

use multiproc::{AtomicArray, Counter, ShardedCounter};

use crate::parties::{Method, PARTIES, run};

const ROUNDS: u64 = 10_000;

pub fn counters_count_everything(method: Method) {
    fn count((counter, sharded): (Counter, ShardedCounter)) {
        for _ in 0..ROUNDS {
            counter.add(3);
            counter.sub(1);
            sharded.add(2);
        }
    }
    let counters = (Counter::new(5).unwrap(), ShardedCounter::new().unwrap());
    run(method, count, vec![counters.clone(); PARTIES]);
    let expected = 2 * PARTIES as u64 * ROUNDS;
    assert_eq!(counters.0.get(), 5 + expected);
    assert_eq!(counters.1.get(), expected);
}

pub fn what_is_taken_out_of_a_sharded_counter_is_neither_lost_nor_taken_twice(method: Method) {
    fn count_or_take((counter, done, takes): (ShardedCounter, Counter, bool)) -> u64 {
        let mut taken = 0;
        if takes {
            while done.get() < PARTIES as u64 - 1 {
                taken += counter.take();
            }
        } else {
            (0..ROUNDS).for_each(|_| counter.add(1));
            done.add(1);
        }
        taken
    }
    let counter = ShardedCounter::new().unwrap();
    let done = Counter::new(0).unwrap();
    let party = |i| (counter.clone(), done.clone(), i == 0);
    let taken = run(method, count_or_take, (0..PARTIES).map(party));
    let expected = (PARTIES as u64 - 1) * ROUNDS;
    assert_eq!(taken[0] + counter.take(), expected);
    assert_eq!(counter.get(), 0);
}

pub fn atomic_elements_add_up(method: Method) {
    type Arrays = (
        AtomicArray<u64>,
        AtomicArray<i32>,
        AtomicArray<f64>,
        AtomicArray<f32>,
    );
    fn add((unsigned, signed, double, single): Arrays) {
        for i in 0..ROUNDS as usize {
            unsigned[i % 5].fetch_add(1, Relaxed);
            signed[i % 5].fetch_sub(1, Relaxed);
            // All sums are exact: multiples of a power of two.
            double[i % 5].fetch_add(0.25, Relaxed);
            single[i % 5].fetch_add(0.5, Relaxed);
        }
    }
    let arrays: Arrays = (
        AtomicArray::zeroed(5).unwrap(),
        AtomicArray::zeroed(5).unwrap(),
        AtomicArray::from_slice(&[1.0; 5]).unwrap(),
        AtomicArray::zeroed(5).unwrap(),
    );
    run(method, add, vec![arrays.clone(); PARTIES]);
    let each = PARTIES as u64 * ROUNDS / 5;
    assert_eq!(arrays.0.to_vec(), [each; 5]);
    assert_eq!(arrays.1.to_vec(), [-(each as i32); 5]);
    assert_eq!(arrays.2.to_vec(), [1.0 + each as f64 / 4.0; 5]);
    assert_eq!(arrays.3.to_vec(), [each as f32 / 2.0; 5]);
}
