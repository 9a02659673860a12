//! Mutexes and values.

use std::time::Duration;

use multiproc::{Array, Counter, Mutex, Value};

use crate::parties::{Method, PARTIES, meet, run};

const ROUNDS: u64 = 20_000;

pub fn increments_under_a_mutex_are_all_counted(method: Method) {
    fn count(mutex: Mutex<u64>) {
        for _ in 0..ROUNDS {
            *mutex.lock().unwrap() += 1;
        }
    }
    let mutex = Mutex::new(0).unwrap();
    run(method, count, vec![mutex.clone(); PARTIES]);
    assert_eq!(*mutex.lock().unwrap(), PARTIES as u64 * ROUNDS);
}

pub fn updates_of_a_value_are_all_counted(method: Method) {
    fn count(value: Value<u64>) {
        for _ in 0..ROUNDS {
            value.update(|n| *n += 1).unwrap();
        }
    }
    let value = Value::new(0).unwrap();
    run(method, count, vec![value.clone(); PARTIES]);
    let expected = PARTIES as u64 * ROUNDS;
    assert_eq!((value.get(), value.sequence()), (expected, expected));
}

pub fn a_value_is_never_torn(method: Method) {
    const WRITERS: usize = 2;
    type Numbers = [u64; 40];
    fn write_or_read((value, done, writes): (Value<Numbers>, Counter, bool)) {
        if writes {
            for _ in 0..ROUNDS {
                value
                    .update(|numbers| *numbers = numbers.map(|n| n + 1))
                    .unwrap();
            }
            done.add(1);
            return;
        }
        let mut last = 0;
        while done.get() < WRITERS as u64 {
            let numbers = value.get();
            assert_eq!(numbers, [numbers[0]; 40], "torn");
            assert!(numbers[0] >= last, "older than the one before");
            last = numbers[0];
        }
    }
    let value = Value::new([0; 40]).unwrap();
    let done = Counter::new(0).unwrap();
    let party = |i| (value.clone(), done.clone(), i < WRITERS);
    run(method, write_or_read, (0..PARTIES).map(party));
    assert_eq!(value.get(), [WRITERS as u64 * ROUNDS; 40]);
}

pub fn replaced_values_are_each_handed_out_once(method: Method) {
    fn exchange((value, from): (Value<u64>, u64)) -> Vec<u64> {
        let replace = |n| value.replace(n).unwrap();
        (from..from + ROUNDS).map(replace).collect()
    }
    let value = Value::new(0).unwrap();
    let first = |i| 1 + i as u64 * ROUNDS;
    let parties = (0..PARTIES).map(|i| (value.clone(), first(i)));
    let mut seen = run(method, exchange, parties).concat();
    seen.push(value.get());
    seen.sort_unstable();
    let all: Vec<u64> = (0..=PARTIES as u64 * ROUNDS).collect();
    assert_eq!(seen, all);
}

pub fn what_is_discarded_is_never_seen(method: Method) {
    fn discard((value, met): (Value<[u64; 4]>, Counter)) {
        meet(&met, PARTIES);
        for i in 0..ROUNDS {
            let mut copy = value.lock().unwrap();
            copy.fill(u64::MAX);
            if i % 2 == 0 {
                copy.discard();
            } else {
                copy.fill(i);
            }
            let found = value.get();
            assert!(found[0] < ROUNDS && found == [found[0]; 4], "{found:?}");
        }
    }
    let value = Value::new([0; 4]).unwrap();
    let met = Counter::new(0).unwrap();
    run(method, discard, vec![(value.clone(), met); PARTIES]);
    assert_eq!(value.sequence(), PARTIES as u64 * ROUNDS / 2);
    value.set([7; 4]).unwrap();
    assert_eq!(value.replace([8; 4]).unwrap(), [7; 4]);
}

pub fn what_is_held_can_be_tried_and_waited_for(method: Method) {
    type Objects = (Mutex<u64>, Value<u64>, Array<u64>);
    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(20);
    fn hold_or_try(((mutex, value, array), held, tried, holds): (Objects, Counter, Counter, bool)) {
        if holds {
            let mut guards = (
                mutex.try_lock().unwrap(),
                value.try_lock().unwrap(),
                array.try_write(2..4).unwrap(),
            );
            meet(&held, PARTIES);
            meet(&tried, PARTIES);
            *guards.0 += 1;
            *guards.1 += 1;
            guards.2[1] += 1;
            return;
        }
        meet(&held, PARTIES);
        let message = mutex.try_lock().unwrap_err().to_string();
        assert_eq!(message, "somebody else holds the lock");
        assert!(mutex.lock_timeout(SHORT).unwrap_err().is_timeout());
        assert!(value.try_lock().is_err());
        assert!(value.lock_timeout(SHORT).unwrap_err().is_timeout());
        assert!(array.try_read(3..).is_err());
        assert!(array.try_write(3..).is_err());
        assert!(array.read_timeout(3.., SHORT).unwrap_err().is_timeout());
        assert!(array.write_timeout(3.., SHORT).unwrap_err().is_timeout());
        assert!(array.try_read(..2).is_ok());
        meet(&tried, PARTIES);
        *mutex.lock_timeout(LONG).unwrap() += 1;
        *value.lock_timeout(LONG).unwrap() += 1;
        array.write_timeout(3.., LONG).unwrap()[0] += 1;
        assert!(array.read_timeout(3.., LONG).unwrap()[0] >= 2);
    }
    let objects = (
        Mutex::new(0).unwrap(),
        Value::new(0).unwrap(),
        Array::zeroed(5).unwrap(),
    );
    let (held, tried) = (Counter::new(0).unwrap(), Counter::new(0).unwrap());
    let party = |i| (objects.clone(), held.clone(), tried.clone(), i == 0);
    run(method, hold_or_try, (0..PARTIES).map(party));
    let all = PARTIES as u64;
    assert_eq!(*objects.0.lock().unwrap(), all);
    assert_eq!(objects.1.get(), all);
    assert_eq!(objects.2.to_vec().unwrap(), [0, 0, 0, all, 0]);
}
