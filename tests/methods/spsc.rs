//! Channels from one to one.

use std::{
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};

use multiproc::{
    Consumer, Element, Event, Producer, Raw, RecvError, SendError, StartError, spsc, spsc_raw,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    channels::Gate,
    common::in_time,
    fifo::Fifo,
    parties::{Method, Sleepers, process, run, start},
    queues::{FIT, LONG, LOST, STAYS, Unfit, is_readable},
};

const ITEMS: u64 = 20_000;
const SHORT: Duration = Duration::from_millis(20);
/// Room for four items of up to eight bytes.
const SMALL: usize = 64;
/// Longer than it takes to find out that somebody is dead.
const SLICES: Duration = Duration::from_millis(350);

pub fn all_that_is_sent_is_received_in_order(method: Method) {
    fn send(mut producer: Producer<u64>) {
        let mut items = 0..ITEMS;
        while let Some(item) = items.next() {
            match item % 3 {
                0 => producer.send(item).unwrap(),
                1 => producer.send_timeout(item, LONG).unwrap(),
                _ => {
                    let batch = (item..ITEMS).take(17);
                    let sent = producer.send_many(batch).unwrap();
                    _ = items.nth(sent - 2);
                }
            }
        }
    }
    fn receive(mut consumer: Consumer<u64>) -> Vec<u64> {
        let mut got = Vec::new();
        loop {
            let received = match got.len() % 3 {
                0 => consumer.recv().map(|item| got.push(item)),
                1 => consumer.recv_timeout(LONG).map(|item| got.push(item)),
                _ => consumer.recv_many(&mut got, 11).map(drop),
            };
            if let Err(end) = received {
                assert_eq!(end, RecvError::Disconnected);
                return got;
            }
        }
    }
    for capacity in [SMALL, 4096] {
        let (producer, consumer) = spsc(capacity).unwrap();
        let sending = start(method, send, [producer]);
        let receiving = start(method, receive, [consumer]);
        sending.join();
        assert!(receiving.join()[0].iter().copied().eq(0..ITEMS));
    }
}

pub fn what_is_left_is_received_before_the_end_is_told(method: Method) {
    fn send(mut producer: Producer<String>) {
        assert_eq!((producer.capacity(), producer.max_len()), (1024, 504));
        producer.send("one".to_owned()).unwrap();
        producer.try_send("two".to_owned()).unwrap();
        assert_eq!(producer.len(), 2);
        assert!(!producer.is_empty() && !producer.is_full());
    }
    let (producer, mut consumer) = spsc(1024).unwrap();
    run(method, send, [producer]);
    assert_eq!((consumer.len(), consumer.capacity()), (2, 1024));
    assert!(consumer.is_disconnected() && !consumer.is_empty());
    assert!(consumer.iter().eq(["one", "two"]));
    assert_eq!(consumer.recv(), Err(RecvError::Disconnected));
    assert_eq!(consumer.try_recv(), Err(RecvError::Disconnected));
    assert_eq!(consumer.recv_timeout(LONG), Err(RecvError::Disconnected));
    let end = consumer.try_recv_many(&mut Vec::new(), 3);
    assert_eq!(end, Err(RecvError::Disconnected));
    assert_eq!(consumer.iter().next(), None);
    assert_eq!(consumer.try_iter().next(), None);
}

pub fn who_waits_is_told_when_the_other_is_gone(method: Method) {
    fn receive((mut consumer, sleepers): (Consumer<u64>, Sleepers)) {
        sleepers.enter(0);
        assert_eq!(consumer.recv(), Err(RecvError::Disconnected));
    }
    fn send((mut producer, sleepers): (Producer<u64>, Sleepers)) {
        sleepers.enter(0);
        assert!(matches!(producer.send(7), Err(SendError::Disconnected(7))));
        assert!(matches!(
            producer.try_send(8),
            Err(SendError::Disconnected(8))
        ));
        let error = producer.send_many([1, 2]).unwrap_err();
        assert!(error.why.is_disconnected() && error.rest.eq([1, 2]));
        assert!(producer.is_disconnected());
    }
    let (producer, consumer) = spsc(SMALL).unwrap();
    let sleepers = Sleepers::new(1);
    let receiving = start(method, receive, [(consumer, sleepers.clone())]);
    sleepers.all_asleep();
    drop(producer);
    receiving.join();

    let (mut producer, consumer) = spsc(SMALL).unwrap();
    assert_eq!(producer.send_many(0..4).unwrap(), 4);
    let sleepers = Sleepers::new(1);
    let sending = start(method, send, [(producer, sleepers.clone())]);
    sleepers.all_asleep();
    drop(consumer);
    sending.join();
}

pub fn who_waits_is_woken_by_an_item_and_by_room(method: Method) {
    fn receive((mut consumer, sleepers): (Consumer<u64>, Sleepers)) -> u64 {
        sleepers.enter(0);
        consumer.recv().unwrap()
    }
    fn send((mut producer, sleepers): (Producer<u64>, Sleepers)) {
        sleepers.enter(0);
        producer.send(4).unwrap();
    }
    let (mut producer, consumer) = spsc(SMALL).unwrap();
    let sleepers = Sleepers::new(1);
    let receiving = start(method, receive, [(consumer, sleepers.clone())]);
    sleepers.all_asleep();
    producer.send(7).unwrap();
    assert_eq!(receiving.join(), [7]);

    let (mut producer, mut consumer) = spsc(SMALL).unwrap();
    producer.send_many(0..4).unwrap();
    let sleepers = Sleepers::new(1);
    let sending = start(method, send, [(producer, sleepers.clone())]);
    sleepers.all_asleep();
    assert_eq!(consumer.recv(), Ok(0));
    sending.join();
    assert!(consumer.iter().eq(1..5));
}

pub fn who_waits_gives_up_in_time_and_what_was_not_sent_comes_back(method: Method) {
    fn wait((mut full, mut empty): (Producer<u64>, Consumer<u64>)) {
        assert_eq!(empty.try_recv(), Err(RecvError::Empty));
        let late = in_time(SHORT, || empty.recv_timeout(SHORT));
        assert_eq!(late, Err(RecvError::Timeout));
        let late = in_time(SHORT, || empty.recv_many_timeout(&mut Vec::new(), 3, SHORT));
        assert_eq!(late, Err(RecvError::Timeout));
        assert!(full.is_full() && !full.has_room_for(0));
        assert_eq!(full.try_send(7), Err(SendError::Full(7)));
        let late = in_time(SHORT, || full.send_timeout(7, SHORT));
        assert_eq!(late, Err(SendError::Timeout(7)));
        let error = full.try_send_many([7, 8]).unwrap_err();
        assert!(error.why.is_full() && error.rest.eq([7, 8]));
        let error = in_time(SHORT, || full.send_many_timeout([7, 8], SHORT)).unwrap_err();
        assert!(error.why.is_timeout() && error.sent == 0);
        assert_eq!((empty.max_len(), full.max_len()), (24, 24));
    }
    let (_producer, empty) = spsc(SMALL).unwrap();
    let (mut full, mut consumer) = spsc(SMALL).unwrap();
    full.send_many(0..4).unwrap();
    run(method, wait, [(full, empty)]);
    assert!(consumer.try_iter().eq(0..4));
}

/// Fault 15.
pub fn what_does_not_fit_is_told_at_both_ends(method: Method) {
    fn send((mut producer, mut texts): (Producer<Unfit>, Producer<String>)) {
        assert!(matches!(
            producer.send(STAYS),
            Err(SendError::Encode { .. })
        ));
        let long = "x".repeat(1000);
        let Err(SendError::TooLarge { item, capacity, .. }) = texts.send(long) else {
            panic!("it was sent");
        };
        let (mut larger, mut received) = spsc(capacity.unwrap()).unwrap();
        larger.send(item).unwrap();
        assert_eq!(received.recv().unwrap().len(), 1000);
        producer.send_many([LOST, FIT, LOST, FIT]).unwrap();
        producer.send_many([FIT, LOST, FIT, LOST, FIT]).unwrap();
    }
    let (producer, mut consumer) = spsc(1024).unwrap();
    let (texts, mut none) = spsc(SMALL).unwrap();
    run(method, send, [(producer, texts)]);
    assert_eq!(none.recv(), Err(RecvError::Disconnected));
    assert!(matches!(consumer.recv(), Err(RecvError::Decode { .. })));
    let mut items = Vec::new();
    let why = consumer.recv_many(&mut items, 3).unwrap_err();
    assert!(matches!(why, RecvError::Decode { .. }));
    assert_eq!(items, [FIT, FIT]);
    let mut items = consumer.try_iter();
    assert_eq!((items.next(), items.next()), (Some(FIT), None));
    assert!(items.error().is_some_and(RecvError::is_decode));
    let mut items = (&mut consumer).into_iter();
    assert_eq!((items.next(), items.next()), (Some(FIT), None));
    assert!(items.error().is_some_and(RecvError::is_decode));
    let mut items = consumer.into_iter();
    assert!(items.by_ref().eq([FIT]) && items.error().is_none());
}

pub fn items_are_written_and_read_in_their_place(method: Method) {
    const ROWS: u64 = 5_000;
    fn send(mut producer: Producer<u64, Raw>) {
        for row in 0..ROWS {
            let len = row as usize % 20;
            // What is not sent was never there.
            producer.reserve(len).unwrap().fill(u64::MAX);
            let mut slot = producer.reserve_timeout(len, LONG).unwrap();
            assert_eq!(slot.len(), len);
            slot.fill(row);
            slot.send();
        }
    }
    fn receive(mut consumer: Consumer<u64, Raw>) {
        for row in 0..ROWS {
            let slot = consumer.recv_ref().unwrap();
            assert_eq!(*slot, vec![row; row as usize % 20]);
            // What is put back comes again.
            slot.put_back();
            let slot = consumer.recv_ref_timeout(LONG).unwrap();
            assert_eq!(*slot, vec![row; row as usize % 20]);
        }
        let end = consumer.recv_ref().unwrap_err();
        assert_eq!(end, RecvError::Disconnected);
    }
    for capacity in [512, 1 << 16] {
        let (producer, consumer) = spsc_raw(capacity).unwrap();
        let sending = start(method, send, [producer]);
        run(method, receive, [consumer]);
        sending.join();
    }
}

pub fn places_are_as_single_items_are(method: Method) {
    fn work((mut producer, mut consumer): (Producer<u64, Raw>, Consumer<u64, Raw>)) {
        let full = producer.try_reserve(1).unwrap_err();
        assert!(full.is_full());
        let late = producer.reserve_timeout(1, SHORT).unwrap_err();
        assert!(late.is_timeout());
        let Err(SendError::TooLarge {
            item: (),
            len: 32,
            most: 24,
            capacity: Some(128),
        }) = producer.reserve(4).map(drop)
        else {
            panic!("there is no such place");
        };
        let none = producer.reserve(usize::MAX).unwrap_err();
        assert!(matches!(none, SendError::TooLarge { capacity: None, .. }));
        // While it is looked at, nothing is taken.
        let slot = consumer.recv_ref().unwrap();
        assert_eq!(*slot, [1, 2, 3]);
        assert!(producer.try_reserve(1).is_err());
        assert_eq!(producer.len(), 2);
        drop(slot);
        assert_eq!(producer.len(), 1);
        // One that goes as a slice comes as elements, if it is one.
        let several = consumer.recv().unwrap_err();
        assert!(matches!(several, RecvError::Decode { len: 24, .. }));
        let mut slot = producer.try_reserve(1).unwrap();
        slot[0] = 9;
        assert_eq!(format!("{slot:?}"), "SendSlot([9])");
        slot.send();
        producer.send_slice(&[10, 11]).unwrap();
        producer.try_send_slice(&[]).unwrap();
        assert_eq!(consumer.recv(), Ok(9));
        assert_eq!(
            format!("{:?}", consumer.recv_ref().unwrap()),
            "RecvSlot([10, 11])"
        );
        assert!(consumer.try_recv_ref().unwrap().is_empty());
        assert_eq!(consumer.try_recv_ref().unwrap_err(), RecvError::Empty);
        let late = consumer.recv_ref_timeout(SHORT).unwrap_err();
        assert_eq!(late, RecvError::Timeout);
        drop(consumer);
        // Whoever has sent it may still be about to let go of what it was sent by: then that is found out by who waits.
        let gone = loop {
            match producer.reserve(1) {
                Ok(slot) => slot.send(),
                Err(why) => break why,
            }
        };
        assert!(gone.is_disconnected());
    }
    let (mut producer, consumer) = spsc_raw(SMALL).unwrap();
    producer.send_slice(&[1, 2, 3]).unwrap();
    producer.send_slice(&[4, 5, 6]).unwrap();
    run(method, work, [(producer, consumer)]);
}

pub fn who_waits_for_a_place_is_woken(method: Method) {
    fn reserve((mut producer, sleepers): (Producer<u64, Raw>, Sleepers)) {
        sleepers.enter(0);
        let mut slot = producer.reserve(3).unwrap();
        slot.fill(7);
        slot.send();
    }
    fn look((mut consumer, sleepers): (Consumer<u64, Raw>, Sleepers)) -> Vec<u64> {
        sleepers.enter(0);
        consumer.recv_ref().unwrap().to_vec()
    }
    let (mut producer, mut consumer) = spsc_raw(SMALL).unwrap();
    producer.send_slice(&[0; 3]).unwrap();
    producer.send_slice(&[0; 3]).unwrap();
    let sleepers = Sleepers::new(1);
    let reserving = start(method, reserve, [(producer, sleepers.clone())]);
    sleepers.all_asleep();
    assert_eq!(*consumer.recv_ref().unwrap(), [0; 3]);
    reserving.join();
    assert_eq!(*consumer.recv_ref().unwrap(), [0; 3]);
    assert_eq!(*consumer.recv_ref().unwrap(), [7; 3]);

    let (mut producer, consumer) = spsc_raw(SMALL).unwrap();
    let sleepers = Sleepers::new(1);
    let looking = start(method, look, [(consumer, sleepers.clone())]);
    sleepers.all_asleep();
    producer.send_slice(&[1, 2]).unwrap();
    assert_eq!(looking.join(), [[1, 2]]);
}

pub fn ends_travel_there_and_back(method: Method) {
    type Ends = (Vec<Option<Producer<u64>>>, Consumer<u64>);
    fn use_and_give((mut producers, mut consumer): Ends) -> Ends {
        for producer in producers.iter_mut().flatten() {
            producer.send(1).unwrap();
        }
        assert_eq!(consumer.recv(), Ok(0));
        (producers, consumer)
    }
    let (producer, mut received) = spsc(SMALL).unwrap();
    let (mut sent, consumer) = spsc(SMALL).unwrap();
    let mut ends = (vec![None, Some(producer)], consumer);
    for _ in 0..3 {
        sent.send(0).unwrap();
        ends = run(method, use_and_give, [ends]).pop().unwrap();
        assert_eq!(received.recv(), Ok(1));
        assert!(!received.is_disconnected() && !sent.is_disconnected());
    }
    drop(ends);
    assert_eq!(received.recv(), Err(RecvError::Disconnected));
    assert!(sent.send(0).unwrap_err().is_disconnected());
}

pub fn an_end_is_held_while_a_child_has_not_decoded_it(method: Method) {
    fn send((_, mut producer): (Gate, Producer<u64>)) {
        producer.send(7).unwrap();
    }
    // Nothing is decoded by the others.
    if !method.decodes() {
        return;
    }
    for killed in [false, true] {
        let gate = Fifo::new();
        let (producer, mut consumer) = spsc(SMALL).unwrap();
        let child = process(method, send, (Gate(gate.clone()), producer)).unwrap();
        assert_eq!(consumer.recv_timeout(SLICES), Err(RecvError::Timeout));
        assert!(!consumer.is_disconnected());
        if killed {
            child.kill().unwrap();
        } else {
            gate.send("go");
            assert_eq!(consumer.recv(), Ok(7));
        }
        assert_eq!(consumer.recv(), Err(RecvError::Disconnected));
        assert_eq!(child.join().is_err(), killed);
        gate.remove();
    }
}

/// A handle that several have. To share one so does not make it two.
#[derive(Debug)]
struct Shared<E>(Arc<Mutex<E>>);

impl<E> Clone for Shared<E> {
    fn clone(&self) -> Shared<E> {
        Shared(Arc::clone(&self.0))
    }
}

impl<E: Serialize> Serialize for Shared<E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.lock().unwrap().serialize(serializer)
    }
}

impl<'de, E: Deserialize<'de>> Deserialize<'de> for Shared<E> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Shared<E>, D::Error> {
        Ok(Shared(Arc::new(Mutex::new(E::deserialize(deserializer)?))))
    }
}

pub fn an_end_that_was_handed_over_is_of_no_use_and_not_handed_over_twice(method: Method) {
    fn send((producer, _): (Shared<Producer<u64, Raw>>, Unfit)) {
        let mut producer = producer.0.lock().unwrap();
        (0..5).for_each(|item| producer.send(item).unwrap());
    }
    fn receive(consumer: Shared<Consumer<u64, Raw>>) {
        let mut consumer = consumer.0.lock().unwrap();
        assert!(consumer.iter().eq(0..5));
    }
    if method == Method::Threads {
        return;
    }
    let (producer, consumer) = spsc_raw(1024).unwrap();
    let shared = Shared(Arc::new(Mutex::new(producer)));
    // What was not sent was not handed over.
    let refused = process(method, send, (shared.clone(), STAYS)).map(drop);
    assert!(matches!(refused, Err(StartError::NotEncoded { .. })));
    assert!(!shared.0.lock().unwrap().is_disconnected());
    assert!(shared.0.lock().unwrap().try_reserve(1).is_ok());
    // Nor can it be two in one message.
    let twice = |_: [Shared<Producer<u64, Raw>>; 2]| ();
    let refused = process(method, twice, [shared.clone(), shared.clone()]).map(drop);
    assert!(
        matches!(refused, Err(StartError::NotEncoded { .. })),
        "{refused:?}"
    );
    assert!(shared.0.lock().unwrap().try_reserve(1).is_ok());

    let child = process(method, send, (shared.clone(), FIT)).unwrap();
    {
        let mut here = shared.0.lock().unwrap();
        let moved = here.send(7).unwrap_err();
        assert!(moved.is_moved() && moved.to_string().contains("another process's"));
        assert_eq!(moved, SendError::Moved(7));
        assert!(matches!(here.reserve(1), Err(SendError::Moved(()))));
        assert!(matches!(here.send_slice(&[7]), Err(SendError::Moved(()))));
        let error = here.send_many([7]).unwrap_err();
        assert!(matches!(error.why, SendError::Moved(())) && error.rest.eq([7]));
    }
    let refused = process(method, send, (shared.clone(), FIT)).unwrap_err();
    assert!(refused.to_string().contains("handed"), "{refused}");
    child.join().unwrap();

    let shared_consumer = Shared(Arc::new(Mutex::new(consumer)));
    let child = process(method, receive, shared_consumer.clone()).unwrap();
    {
        let mut here = shared_consumer.0.lock().unwrap();
        assert_eq!(here.recv(), Err(RecvError::Moved));
        assert_eq!(here.recv_ref().unwrap_err(), RecvError::Moved);
        assert_eq!(here.recv_many(&mut Vec::new(), 1), Err(RecvError::Moved));
    }
    drop(shared);
    child.join().unwrap();
}

pub fn a_descriptor_is_readable_while_there_is_something_to_receive_or_nobody_to_send(
    method: Method,
) {
    fn send((mut producer, go): (Producer<u64>, Event)) {
        go.wait();
        producer.send(7).unwrap();
        go.clear();
        go.wait();
    }
    let (producer, mut consumer) = spsc(SMALL).unwrap();
    let go = Event::new().unwrap();
    let sending = start(method, send, [(producer, go.clone())]);
    let ready = consumer.readiness().unwrap();
    assert!(!is_readable(&ready, SHORT));
    go.set();
    assert!(is_readable(&ready, LONG));
    assert_eq!(consumer.try_recv(), Ok(7));
    ready.rearm();
    assert!(!is_readable(&ready, SHORT));
    crate::common::wait_until(|| !go.is_set());
    go.set();
    assert!(is_readable(&ready, LONG));
    assert_eq!(consumer.try_recv(), Err(RecvError::Disconnected));
    sending.join();
    drop((ready, consumer));
    // Its thread is gone: a process with others does not fork.
    if method == Method::Fork {
        let threads = || fs::read_dir("/proc/self/task").unwrap().count();
        crate::common::wait_until(|| threads() == 1);
    }
}

/// Elements as a program defines them.
pub fn records_of_ones_own_are_sent_as_they_are(method: Method) {
    multiproc::record! {
        #[derive(PartialEq, Debug)]
        struct Sample {
            at: u64,
            values: [f32; 2],
        }
    }
    fn sample<E: Element>(elements: &[E]) -> usize {
        size_of_val(elements)
    }
    fn send(mut producer: Producer<Sample, Raw>) {
        let one = |at: u64| Sample {
            at,
            values: [at as f32; 2],
        };
        producer.send(one(1)).unwrap();
        let mut slot = producer.reserve(2).unwrap();
        assert_eq!(sample(&slot), 32);
        slot.copy_from_slice(&[one(2), one(3)]);
        slot.send();
    }
    let (producer, mut consumer) = spsc_raw(1024).unwrap();
    run(method, send, [producer]);
    assert_eq!(consumer.recv().unwrap().values, [1.0; 2]);
    assert_eq!(consumer.recv_ref().unwrap()[1].at, 3);
}

pub fn slices_go_and_come_as_they_are(method: Method) {
    fn echo((mut consumer, mut producer): (Consumer<f64, Raw>, Producer<f64, Raw>)) {
        let mut row = Vec::new();
        while let Ok(len) = consumer.recv_slice(&mut row) {
            assert_eq!(row.len(), len);
            producer.send_slice_timeout(&row, LONG).unwrap();
            row.clear();
        }
    }
    let (mut there, childs) = spsc_raw(1 << 12).unwrap();
    let (back, mut consumer) = spsc_raw(1 << 12).unwrap();
    let echoing = start(method, echo, [(childs, back)]);
    let mut got = vec![0.5];
    for len in 0..200 {
        let row: Vec<_> = (0..len).map(f64::from).collect();
        there.send_slice(&row).unwrap();
        assert_eq!(consumer.recv_slice_timeout(&mut got, LONG), Ok(row.len()));
        assert_eq!(got[1..], row);
        got.truncate(1);
    }
    let none = consumer.try_recv_slice(&mut got);
    assert_eq!(none, Err(RecvError::Empty));
    let late = in_time(SHORT, || consumer.recv_slice_timeout(&mut got, SHORT));
    assert_eq!(late, Err(RecvError::Timeout));
    drop(there);
    echoing.join();
    let end = consumer.recv_slice(&mut got);
    assert_eq!((end, got), (Err(RecvError::Disconnected), vec![0.5]));

    let (mut producer, _consumer) = spsc_raw::<u64>(SMALL).unwrap();
    producer.send_slice(&[1, 2, 3]).unwrap();
    producer.send_slice(&[4, 5, 6]).unwrap();
    let late = in_time(SHORT, || producer.send_slice_timeout(&[7], SHORT));
    assert_eq!(late, Err(SendError::Timeout(())));
}
