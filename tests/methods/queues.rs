//! Queues.

use std::{
    fs, hint,
    io::{self, Write},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use multiproc::{
    Counter, Create, Error, Event, JoinableQueue, Process, Queue, Raw, RecvError, SendError,
    SendManyError, StartError, capacity_for, channel,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    common::{in_time, raw::new_name, wait_until},
    parties::{Method, PARTIES, Sleepers, meet, run, start},
};

const ROUNDS: u64 = 500;
const SHORT: Duration = Duration::from_millis(20);
pub const LONG: Duration = Duration::from_secs(20);
/// Room for four items of up to eight bytes.
const SMALL: usize = 64;

pub fn what_was_put_is_there_for_all_at_once_and_in_the_order_of_all_puts(method: Method) {
    const AHEAD: u64 = 3;
    fn take_turns((queue, turns, own): (Queue<u64>, Counter, u64)) {
        for round in 0..ROUNDS {
            let turn = round * PARTIES as u64 + own;
            wait_until(|| turns.get() == turn);
            assert_eq!(queue.try_get(), Ok(turn), "put by another before");
            queue.put(turn + AHEAD).unwrap();
            assert_eq!(queue.len(), AHEAD as usize);
            turns.add(1);
        }
    }
    let (queue, turns) = (Queue::new(1024).unwrap(), Counter::new(0).unwrap());
    assert_eq!(queue.put_many(0..AHEAD).unwrap(), AHEAD as usize);
    let party = |own| (queue.clone(), turns.clone(), own);
    run(method, take_turns, (0..PARTIES as u64).map(party));
    let last = PARTIES as u64 * ROUNDS;
    assert_eq!(
        queue.try_iter().collect::<Vec<_>>(),
        [last, last + 1, last + 2]
    );
}

/// Of one producer, the number of an item.
pub type Numbered = (usize, u64);

/// Fails unless each consumer has got the items of each producer in their order, and all together have got each of them
/// once.
pub fn assert_each_once(got: Vec<Vec<Numbered>>, producers: usize, items: u64) {
    for of_one in &got {
        for producer in 0..producers {
            let numbers = of_one.iter().filter(|(by, _)| *by == producer);
            assert!(numbers.is_sorted(), "out of order");
        }
    }
    let mut all: Vec<_> = got.into_iter().flatten().collect();
    all.sort_unstable();
    let expected = (0..producers).flat_map(|by| (0..items).map(move |number| (by, number)));
    assert!(all.into_iter().eq(expected), "lost, or got twice");
}

pub fn of_many_producers_and_consumers_each_item_is_got_once_and_in_order(method: Method) {
    const ITEMS: u64 = 3_000;
    fn work((queue, done, i): (Queue<Numbered>, Counter, usize)) -> Vec<Numbered> {
        let mut got = Vec::new();
        match i {
            // Producers: one by one, in batches, and with a timeout.
            0 => (0..ITEMS).for_each(|number| queue.put((i, number)).unwrap()),
            1 => {
                for first in (0..ITEMS).step_by(100) {
                    let batch = (first..first + 100).map(|number| (i, number));
                    assert_eq!(queue.put_many(batch).unwrap(), 100);
                }
            }
            2 => (0..ITEMS).for_each(|number| queue.put_timeout((i, number), LONG).unwrap()),
            // Consumers, likewise.
            3 => got.extend(&queue),
            4 => while queue.get_many(&mut got, 7).is_ok() {},
            _ => {
                while let Ok(item) = queue.get_timeout(LONG) {
                    got.push(item);
                }
            }
        }
        if i < 3 && done.add(1) == 2 {
            queue.close().unwrap();
        }
        got
    }
    for capacity in [SMALL, 4096] {
        let (queue, done) = (Queue::new(capacity).unwrap(), Counter::new(0).unwrap());
        let party = |i| (queue.clone(), done.clone(), i);
        let got = run(method, work, (0..6).map(party));
        assert_each_once(got, 3, ITEMS);
        assert!(queue.is_empty() && queue.is_closed());
    }
}

pub fn no_more_is_ever_said_to_be_in_it_than_there_was(method: Method) {
    fn work((queue, met, stop, i): (Queue<u64>, Counter, Event, usize)) {
        meet(&met, PARTIES);
        match i {
            0 => {
                (0..20 * ROUNDS).for_each(|number| queue.put(number).unwrap());
                stop.set();
            }
            1 => (0..20 * ROUNDS).for_each(|number| assert_eq!(queue.get(), Ok(number))),
            _ => {
                while !stop.is_set() {
                    let items = queue.len();
                    assert!(items <= 4, "{items} items");
                }
            }
        }
    }
    let queue = Queue::new(SMALL).unwrap();
    let (met, stop) = (Counter::new(0).unwrap(), Event::new().unwrap());
    let party = |i| (queue.clone(), met.clone(), stop.clone(), i);
    run(method, work, (0..PARTIES).map(party));
    assert!(queue.is_empty());
}

pub fn one_item_at_a_time_fits_for_ever(method: Method) {
    fn work((queue, met, puts): (Queue<String>, Counter, bool)) {
        let long = "x".repeat(queue.max_len() - 1);
        meet(&met, 2);
        for _ in 0..ROUNDS {
            if puts {
                queue.put(long.clone()).unwrap();
            } else {
                assert_eq!(queue.get().unwrap(), long);
            }
        }
    }
    // The longest, which lies now at the beginning of the ring, and now does not fit at its end.
    let (queue, met) = (Queue::new(SMALL).unwrap(), Counter::new(0).unwrap());
    assert_eq!((queue.capacity(), queue.max_len()), (64, 24));
    let party = |puts| (queue.clone(), met.clone(), puts);
    run(method, work, [true, false].map(party));
    assert!(!queue.is_full() && queue.is_empty());
}

pub fn batches_are_put_and_got_as_far_as_there_is_room_and_items(method: Method) {
    fn put(queue: Queue<u64>) {
        let SendManyError { sent, why, rest } = queue.try_put_many(0..100).unwrap_err();
        assert_eq!((sent, why.is_full()), (4, true));
        assert!(rest.eq(4..100), "each that was not put comes back");
        assert!(queue.is_full());
        let error = in_time(SHORT, || queue.put_many_timeout(4..6, SHORT)).unwrap_err();
        assert!(error.why.is_timeout());
        assert_eq!((error.sent, error.rest.collect()), (0, vec![4, 5]));
        assert_eq!(queue.try_put_many([]).unwrap(), 0);
    }
    fn get(queue: Queue<u64>) {
        let mut items = vec![99];
        assert_eq!(queue.get_many(&mut items, 3), Ok(3));
        assert_eq!(queue.try_get_many(&mut items, 3), Ok(1));
        assert_eq!(items, [99, 0, 1, 2, 3]);
        assert_eq!(queue.try_get_many(&mut items, 3), Err(RecvError::Empty));
        let late = in_time(SHORT, || queue.get_many_timeout(&mut items, 3, SHORT));
        assert_eq!(late, Err(RecvError::Timeout));
        assert_eq!(queue.try_get_many(&mut items, 0), Ok(0));
        assert_eq!(items.len(), 5);
    }
    let queue = Queue::new(SMALL).unwrap();
    run(method, put, [queue.clone()]);
    run(method, get, [queue.clone()]);
    // More than there is room for, while others make room.
    let getting = start(
        method,
        |queue: Queue<u64>| queue.get().unwrap(),
        vec![queue.clone(); 9],
    );
    assert_eq!(queue.put_many_timeout(0..9, LONG).unwrap(), 9);
    let mut got = getting.join();
    got.sort_unstable();
    assert!(got.into_iter().eq(0..9));
}

pub fn who_waits_for_an_item_or_for_room_gives_up_in_time(method: Method) {
    fn wait((empty, full): (Queue<u64>, Queue<u64>)) {
        assert_eq!(empty.try_get(), Err(RecvError::Empty));
        assert!(empty.try_get().unwrap_err().is_empty());
        let late = in_time(SHORT, || empty.get_timeout(SHORT)).unwrap_err();
        assert!(late.is_timeout() && !late.is_empty() && !late.is_disconnected());
        let late = in_time(SHORT, || full.put_timeout(7, SHORT)).unwrap_err();
        assert!(late.is_timeout() && !late.is_full());
        assert_eq!(late.into_inner(), 7);
        assert!(Error::from(full.put_timeout(7, Duration::ZERO).unwrap_err()).is_timeout());
        assert!(matches!(full.try_put(8), Err(SendError::Full(8))));
        // A timeout of nothing takes, and puts, what can be at once.
        in_time(Duration::ZERO, || {
            assert_eq!(empty.get_timeout(Duration::ZERO), Err(RecvError::Timeout));
            assert!(full.put_timeout(7, Duration::ZERO).is_err());
        });
    }
    let [empty, full] = [(); 2].map(|()| Queue::new(SMALL).unwrap());
    assert_eq!(full.put_many(0..4).unwrap(), 4);
    run(method, wait, vec![(empty.clone(), full.clone()); PARTIES]);
    assert_eq!(full.get_timeout(Duration::ZERO), Ok(0));
    assert!(full.put_timeout(4, Duration::ZERO).is_ok());
    assert!(full.iter().take(4).eq(1..5) && empty.is_empty());
}

pub fn all_who_wait_for_items_are_woken_by_as_many(method: Method) {
    fn wait((queue, sleepers, i): (Queue<u64>, Sleepers, usize)) -> u64 {
        sleepers.enter(i);
        queue.get().unwrap()
    }
    for in_a_batch in [false, true] {
        let (queue, sleepers) = (Queue::new(1024).unwrap(), Sleepers::new(PARTIES));
        let party = |i| (queue.clone(), sleepers.clone(), i);
        let waiting = start(method, wait, (0..PARTIES).map(party));
        sleepers.all_asleep();
        let items = 0..PARTIES as u64;
        if in_a_batch {
            queue.put_many(items.clone()).unwrap();
        } else {
            items.clone().for_each(|item| queue.put(item).unwrap());
        }
        let mut got = waiting.join();
        got.sort_unstable();
        assert!(got.into_iter().eq(items));
    }
}

pub fn all_who_wait_for_room_are_woken_by_as_much(method: Method) {
    fn wait((queue, sleepers, i): (Queue<u64>, Sleepers, usize)) {
        sleepers.enter(i);
        queue.put(10 + i as u64).unwrap();
    }
    for in_a_batch in [false, true] {
        let (queue, sleepers) = (Queue::new(SMALL).unwrap(), Sleepers::new(PARTIES));
        queue.put_many(0..4).unwrap();
        let party = |i| (queue.clone(), sleepers.clone(), i);
        let waiting = start(method, wait, (0..PARTIES).map(party));
        sleepers.all_asleep();
        if in_a_batch {
            assert_eq!(queue.get_many(&mut Vec::new(), 9), Ok(4));
        } else {
            (0..4).for_each(|item| assert_eq!(queue.get(), Ok(item)));
        }
        waiting.join();
        let mut items: Vec<_> = queue.try_iter().collect();
        items.sort_unstable();
        assert_eq!(items, [10, 11, 12, 13]);
    }
}

pub fn a_close_is_told_to_all_who_wait_and_all_who_come(method: Method) {
    fn wait((empty, full, sleepers, i): (Queue<u64>, Queue<u64>, Sleepers, usize)) {
        sleepers.enter(i);
        if i.is_multiple_of(2) {
            assert_eq!(empty.get(), Err(RecvError::Closed));
        } else {
            assert!(matches!(full.put(7), Err(SendError::Closed(7))));
        }
        wait_until(|| empty.is_closed() && full.is_closed());
        // And again, whichever way.
        assert_eq!(empty.try_get(), Err(RecvError::Closed));
        assert!(empty.get_timeout(LONG).unwrap_err().is_disconnected());
        assert_eq!(empty.get_many(&mut Vec::new(), 2), Err(RecvError::Closed));
        assert_eq!((empty.iter().next(), empty.try_iter().next()), (None, None));
        assert!(full.try_put(7).unwrap_err().is_disconnected());
        assert_eq!(full.put_timeout(7, LONG).unwrap_err().into_inner(), 7);
        let error = full.put_many([7, 8]).unwrap_err();
        assert!(error.why.is_disconnected() && error.rest.eq([7, 8]));
    }
    let [empty, full] = [(); 2].map(|()| Queue::new(SMALL).unwrap());
    full.put_many(0..4).unwrap();
    let sleepers = Sleepers::new(PARTIES);
    let party = |i| (empty.clone(), full.clone(), sleepers.clone(), i);
    let waiting = start(method, wait, (0..PARTIES).map(party));
    sleepers.all_asleep();
    assert!(!empty.is_closed() && !full.is_closed());
    empty.close().unwrap();
    full.close().unwrap();
    full.close().unwrap();
    waiting.join();
    // What was in it can still be taken, and ends.
    let mut rest = full.iter();
    assert!(rest.by_ref().eq(0..4));
    assert_eq!((rest.next(), rest.error()), (None, None));
}

/// An item that can be encoded, or decoded, or neither.
#[derive(Clone, Debug, PartialEq)]
pub struct Unfit {
    pub goes: bool,
    pub comes: bool,
}

impl Serialize for Unfit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.goes {
            self.comes.serialize(serializer)
        } else {
            Err(serde::ser::Error::custom("it does not go"))
        }
    }
}

impl<'de> Deserialize<'de> for Unfit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Unfit, D::Error> {
        let comes = bool::deserialize(deserializer)?;
        let unfit = Unfit { goes: true, comes };
        comes
            .then_some(unfit)
            .ok_or_else(|| serde::de::Error::custom("it does not come"))
    }
}

pub const FIT: Unfit = Unfit {
    goes: true,
    comes: true,
};
pub const STAYS: Unfit = Unfit {
    goes: false,
    comes: true,
};
pub const LOST: Unfit = Unfit {
    goes: true,
    comes: false,
};

pub fn what_cannot_be_encoded_is_given_back_at_once(method: Method) {
    fn put((queue, objects): (Queue<Unfit>, Queue<Option<Counter>>)) {
        let Err(SendError::Encode { item, .. }) = queue.put(STAYS) else {
            panic!("it was put");
        };
        assert_eq!(item, STAYS);
        // Of a batch, those before it are put, and those behind it come back with it.
        let error = queue.put_many([FIT, FIT, STAYS, FIT]).unwrap_err();
        assert!(error.why.is_encode() && !error.why.is_closed());
        assert_eq!((error.sent, error.rest.collect()), (2, vec![STAYS, FIT]));

        let counter = Counter::new(7).unwrap();
        let error = objects.put(Some(counter)).unwrap_err();
        assert!(error.to_string().contains("not in queues"), "{error}");
        assert_eq!(error.into_inner().unwrap().get(), 7);
        objects.put(None).unwrap();
    }
    let (queue, objects) = (Queue::new(1024).unwrap(), Queue::new(1024).unwrap());
    run(method, put, vec![(queue.clone(), objects.clone()); PARTIES]);
    assert!(queue.try_iter().eq(vec![FIT; 2 * PARTIES]));
    assert!(objects.try_iter().all(|object| object.is_none()));
}

/// Fault 15.
pub fn what_is_too_large_is_given_back_with_the_capacity_that_does(method: Method) {
    fn put(queue: Queue<String>) -> usize {
        let long = "x".repeat(1000);
        let error = queue.put_timeout(long.clone(), LONG).unwrap_err();
        assert!(error.is_too_large());
        let SendError::TooLarge {
            item,
            len,
            most,
            capacity,
        } = error
        else {
            panic!("{error}");
        };
        // Two bytes say how long it is.
        assert_eq!((&item, len, most), (&long, 1002, queue.max_len()));
        queue.put("x".repeat(most - 1)).unwrap();
        let error = queue.put_many([item]).unwrap_err();
        assert!(error.why.is_too_large() && error.rest.eq([long]));
        capacity.unwrap()
    }
    let queue = Queue::new(64).unwrap();
    for capacity in run(method, put, [queue.clone()]) {
        let long = "x".repeat(1000);
        let larger = Queue::new(capacity).unwrap();
        larger.put(long.clone()).unwrap();
        assert_eq!(larger.get(), Ok(long.clone()));
        // And no smaller one does.
        let smaller = Queue::new(capacity / 2).unwrap();
        assert!(smaller.put(long).unwrap_err().is_too_large());
    }
    assert_eq!(queue.get().unwrap().len(), queue.max_len() - 1);
}

pub fn what_no_queue_can_hold_is_refused_with_what_one_can(method: Method) {
    fn make(bytes: usize) -> [String; 3] {
        [
            Queue::<u64>::new(bytes).unwrap_err().to_string(),
            JoinableQueue::<u64, Raw>::raw(bytes)
                .unwrap_err()
                .to_string(),
            channel::<u64>(bytes).unwrap_err().to_string(),
        ]
    }
    for bytes in [(1 << 32) + 1, 1 << 33, usize::MAX] {
        let told = format!("a queue of {bytes} bytes was asked for, at most 4294967296 can be");
        assert_eq!(run(method, make, [bytes]), [[(); 3].map(|()| told.clone())]);
    }
}

pub fn what_cannot_be_decoded_is_told_and_the_next_one_comes(method: Method) {
    fn get(queue: Queue<Unfit>) {
        let Err(RecvError::Decode { len: 1, .. }) = queue.get() else {
            panic!("it came");
        };
        assert_eq!(queue.get(), Ok(FIT));
        let mut items = queue.iter();
        assert_eq!((items.next(), items.next()), (Some(FIT), None));
        let unfit = items.error().unwrap().to_string();
        assert!(unfit.contains("1 bytes cannot be decoded"), "{unfit}");
        assert_eq!(items.next(), None, "it has ended");
        // Whoever has the queue inside, or does not wait, is told as well.
        let mut items = queue.clone().into_iter();
        assert_eq!((items.next(), items.next()), (Some(FIT), None));
        assert!(items.error().is_some_and(RecvError::is_decode));
        let mut items = queue.try_iter();
        assert_eq!((items.next(), items.next()), (Some(FIT), None));
        assert!(items.error().is_some_and(RecvError::is_decode));
        // The others of a batch are there.
        let mut batch = Vec::new();
        let why = queue.get_many(&mut batch, 9).unwrap_err();
        assert!(matches!(why, RecvError::Decode { .. }));
        assert_eq!(batch, [FIT, FIT]);
        assert!(queue.is_empty());
    }
    let queue = Queue::new(1024).unwrap();
    let items = [LOST, FIT, FIT, LOST, FIT, LOST, FIT, LOST, FIT, LOST, FIT];
    queue.put_many(items).unwrap();
    run(method, get, [queue]);
}

pub fn room_is_told_for_items_of_each_length(method: Method) {
    fn fill(queue: Queue<u64, Raw>) {
        assert!(queue.has_room_for(24) && !queue.has_room_for(25));
        queue.put_slice(&[1, 2, 3]).unwrap();
        assert!(queue.has_room_for(queue.max_len()) && !queue.is_full());
        queue.put(4).unwrap();
        // Two units are left: one says how long an item is.
        assert!(queue.has_room_for(8) && !queue.has_room_for(9));
        assert!(!queue.is_full() && queue.try_put_slice(&[5, 6]).is_err());
        queue.try_put(5).unwrap();
        assert!(queue.is_full() && !queue.has_room_for(0));
    }
    run(method, fill, [Queue::raw(SMALL).unwrap()]);
}

/// Whether as many elements as were asked for find room, wherever in the ring the first one lies.
fn has_room<T: multiproc::Element + PartialEq>(element: T) {
    for items in [1, 2, 3, 7, 64, 100] {
        let capacity = capacity_for::<T>(items);
        let queue = Queue::raw(capacity).unwrap();
        assert_eq!(queue.capacity(), capacity, "none is made larger");
        for _ in 0..50 {
            assert_eq!(queue.try_put_many(vec![element; items]).unwrap(), items);
            assert!(queue.try_iter().count() == items);
            queue.put(element).unwrap();
            assert!(queue.try_get().is_ok_and(|got| got == element));
        }
    }
}

pub fn a_capacity_for_elements_holds_as_many(method: Method) {
    fn fill(_: ()) {
        has_room(1u8);
        has_room(1u64);
        has_room([1u64; 2]);
        has_room([1u64; 5]);
        has_room([1u8; 33]);
        assert!(Queue::<u64, Raw>::raw(capacity_for::<u64>(usize::MAX)).is_err());
    }
    run(method, fill, [()]);
}

pub fn a_close_that_waits_no_longer_than_it_said_closes(method: Method) {
    fn close((queue, joinable): (Queue<u64>, JoinableQueue<u64>)) {
        queue.close_timeout(Duration::ZERO).unwrap();
        joinable.close_timeout(SHORT).unwrap();
    }
    let queue = Queue::new(SMALL).unwrap();
    let joinable = JoinableQueue::new(SMALL).unwrap();
    run(method, close, [(queue.clone(), joinable.clone())]);
    assert!(queue.is_closed() && joinable.is_closed());
    assert!(queue.put(1).unwrap_err().is_closed());
    assert!(Error::from(queue.get().unwrap_err()).is_disconnected());
    assert!(joinable.get().unwrap_err().is_closed());
}

pub fn what_those_who_have_ended_put_is_there(method: Method) {
    fn put((queue, by): (Queue<Vec<u64>>, u64)) {
        queue.put(vec![by; 1000]).unwrap();
        queue.put_many(vec![vec![by; 10]; 10]).unwrap();
    }
    let queue = Queue::new(1 << 18).unwrap();
    let parties = PARTIES as u64;
    // All have ended before anybody gets anything.
    run(method, put, (0..parties).map(|by| (queue.clone(), by)));
    assert_eq!(queue.len(), 11 * PARTIES);
    let mut numbers: Vec<u64> = queue.try_iter().flatten().collect();
    numbers.sort_unstable();
    let expected = (0..parties).flat_map(|by| [by; 1100]);
    assert!(numbers.into_iter().eq(expected));
}

pub fn queues_are_found_by_name_and_in_files_and_other_elements_are_refused(method: Method) {
    fn use_both((name, path): (String, PathBuf)) {
        let texts = Queue::<String>::open(name.as_str()).unwrap();
        let numbers = Queue::<[u32; 2], Raw>::open_raw(path.as_path()).unwrap();
        let text = texts.get().unwrap();
        numbers.put([1, text.len() as u32]).unwrap();
        // Of other elements, or of another kind, there is nothing.
        assert!(Queue::<[i32; 2], Raw>::open_raw(path.as_path()).is_err());
        assert!(Queue::<u64, Raw>::open_raw(path.as_path()).is_err());
        assert!(Queue::<String>::open(path.as_path()).is_err());
        assert!(Queue::<[u32; 2], Raw>::open_raw(name.as_str()).is_err());
        assert!(multiproc::JoinableQueue::<String>::open(name.as_str()).is_err());
        assert!(Counter::open(name.as_str()).is_err());
    }
    let name = new_name();
    let path = std::env::temp_dir().join(&name);
    let texts = Queue::create(name.as_str(), 1024).unwrap();
    let numbers = Queue::<[u32; 2], Raw>::create_raw(Create::file(&path), 1024).unwrap();
    texts.put_many(vec!["four".to_owned(); PARTIES]).unwrap();
    run(
        method,
        use_both,
        vec![(name.clone(), path.clone()); PARTIES],
    );
    assert!(numbers.try_iter().eq([[1, 4]; PARTIES]));
    assert_eq!(texts.segment().name(), Some(name.as_str()));
    drop(texts);
    assert!(Queue::<String>::open(name).unwrap_err().is_not_found());
    drop(numbers);
    fs::remove_file(path).unwrap();
}

pub fn slices_go_and_come_as_they_are(method: Method) {
    fn echo((there, back): (Queue<f64, Raw>, Queue<f64, Raw>)) {
        let mut row = vec![0.5];
        for len in 0..100 {
            assert_eq!(there.get_slice(&mut row), Ok(len));
            assert_eq!(row.len(), 1 + len);
            back.put_slice(&row[1..]).unwrap();
            row.truncate(1);
        }
        assert_eq!(there.try_get_slice(&mut row), Err(RecvError::Empty));
        let late = there.get_slice_timeout(&mut row, SHORT);
        assert_eq!((late, row.len()), (Err(RecvError::Timeout), 1));
    }
    let [there, back] = [(); 2].map(|()| Queue::raw(1 << 16).unwrap());
    let row = |len| (0..len).map(|i| f64::from(i) / 4.0).collect::<Vec<_>>();
    (0..100).for_each(|len| there.put_slice(&row(len)).unwrap());
    run(method, echo, [(there, back.clone())]);
    for len in 0..100 {
        let mut got = Vec::new();
        assert_eq!(back.get_slice(&mut got), Ok(len as usize));
        assert_eq!(got, row(len));
    }
    // One element of several, or none, is no element.
    back.put_slice(&[1.0, 2.0]).unwrap();
    back.put_slice(&[]).unwrap();
    back.put(3.0).unwrap();
    assert!(matches!(back.get(), Err(RecvError::Decode { len: 16, .. })));
    assert!(matches!(back.get(), Err(RecvError::Decode { len: 0, .. })));
    assert_eq!(back.get(), Ok(3.0));
    // As with single ones, what has no room or is too large is told.
    let small = Queue::<u64, Raw>::raw(SMALL).unwrap();
    assert!(small.put_slice(&[0; 4]).unwrap_err().is_too_large());
    small.put_slice(&[1, 2, 3]).unwrap();
    small.put_slice(&[4, 5, 6]).unwrap();
    assert!(small.try_put_slice(&[7]).unwrap_err().is_full());
    let late = small.put_slice_timeout(&[7], SHORT).unwrap_err();
    assert!(late.is_timeout());
    small.close().unwrap();
    assert!(small.put_slice(&[7]).unwrap_err().is_disconnected());
}

/// Whether there is something to read, at this moment or soon.
pub fn is_readable(descriptor: &impl AsFd, timeout: Duration) -> bool {
    readable([descriptor.as_fd()], timeout)[0]
}

/// Which of several descriptors can be read, once one of them can.
pub fn readable<const N: usize>(descriptors: [BorrowedFd<'_>; N], timeout: Duration) -> [bool; N] {
    let mut polled = descriptors.map(|descriptor| libc::pollfd {
        fd: descriptor.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    });
    // SAFETY: as many `pollfd`s.
    let ready = unsafe { libc::poll(polled.as_mut_ptr(), N as _, timeout.as_millis() as i32) };
    assert!(ready >= 0, "{}", io::Error::last_os_error());
    polled.map(|polled| polled.revents & libc::POLLIN != 0)
}

pub fn a_descriptor_is_readable_while_there_is_something_to_get(method: Method) {
    fn put((queue, go): (Queue<u64>, Event)) {
        for item in 1..=3 {
            go.wait();
            go.clear();
            queue.put(item).unwrap();
        }
        go.wait();
        queue.close().unwrap();
    }
    let (queue, go) = (Queue::new(1024).unwrap(), Event::new().unwrap());
    let putting = start(method, put, [(queue.clone(), go.clone())]);
    let ready = queue.readiness().unwrap();
    let (mut pipe, mut end) = io::pipe().unwrap();
    for item in 1..=3 {
        assert!(!is_readable(&ready, Duration::ZERO));
        // Beside others, whichever is first.
        end.write_all(b"x").unwrap();
        assert_eq!(readable([pipe.as_fd(), ready.as_fd()], LONG), [true, false]);
        io::Read::read_exact(&mut pipe, &mut [0]).unwrap();
        go.set();
        assert_eq!(readable([pipe.as_fd(), ready.as_fd()], LONG), [false, true]);
        // As long as it is there, and then until it is armed again.
        assert!(is_readable(&ready, Duration::ZERO));
        ready.rearm();
        assert!(is_readable(&ready, LONG), "it is still there");
        assert_eq!(queue.try_get(), Ok(item));
        assert!(is_readable(&ready, Duration::ZERO));
        ready.rearm();
    }
    assert!(!is_readable(&ready, SHORT));
    go.set();
    assert!(is_readable(&ready, LONG));
    ready.rearm();
    assert!(is_readable(&ready, LONG), "it is closed for ever");
    assert_eq!(queue.get(), Err(RecvError::Closed));
    putting.join();
}

pub fn a_descriptor_says_nothing_of_what_was_taken_before_it_was_armed(method: Method) {
    fn put_and_get((queue, met): (Queue<u64>, Counter)) {
        let ready = queue.readiness().unwrap();
        meet(&met, 2);
        for item in 0..4 * ROUNDS {
            queue.put(item).unwrap();
            // The thread that watches is just finding it, or has, or will not.
            (0..item % 100 * 10).for_each(|_| hint::spin_loop());
            assert_eq!(queue.get(), Ok(item));
            ready.rearm();
            assert!(!is_readable(&ready, Duration::ZERO), "there is nothing");
        }
    }
    let met = Counter::new(0).unwrap();
    let party = |_| (Queue::new(SMALL).unwrap(), met.clone());
    run(method, put_and_get, (0..2).map(party));
}

pub fn dropping_a_descriptor_ends_its_thread(method: Method) {
    fn make_and_drop(queue: Queue<u64>) -> bool {
        let alone = is_alone();
        let begun = Instant::now();
        for _ in 0..20 {
            let ready = queue.readiness().unwrap();
            if alone {
                let refused = Process::fork(|(): ()| (), ()).map(drop);
                let count = matches!(refused, Err(StartError::ThreadsRunning { count: 1 }));
                assert!(count, "{refused:?}");
            }
            drop(ready);
            if alone {
                assert!(is_alone());
                Process::fork(|(): ()| (), ()).unwrap().join().unwrap();
            }
        }
        assert!(begun.elapsed() < LONG);
        alone
    }
    fn is_alone() -> bool {
        // A thread that was joined lingers there for a moment.
        let begun = Instant::now();
        let threads = || fs::read_dir("/proc/self/task").unwrap().count();
        while threads() > 1 && begun.elapsed() < SHORT {
            thread::yield_now();
        }
        threads() == 1
    }
    let queue = Queue::new(SMALL).unwrap();
    let alone = run(method, make_and_drop, vec![queue.clone(); 2]);
    assert!(method == Method::Threads || alone == [true; 2]);
    // Nobody is left to be woken, or to take anything.
    queue.put(1).unwrap();
    assert_eq!(queue.get(), Ok(1));
}
