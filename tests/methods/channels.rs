//! Channels of many senders and receivers.

use std::{collections::HashMap, time::Duration};

use multiproc::{
    Counter, Event, Mutex, Process, Queue, Raw, Receiver, RecvError, SendError, Sender, StartError,
    channel, channel_raw,
};
use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    common::{in_time, wait_until},
    fifo::Fifo,
    parties::{Method, PARTIES, Sleepers, kill, meet, process, run, start, victim},
    queues::{FIT, LONG, LOST, Numbered, STAYS, Unfit, assert_each_once, is_readable},
};

const SHORT: Duration = Duration::from_millis(20);
/// Room for four items of up to eight bytes.
const SMALL: usize = 64;
/// Longer than it takes to find out that somebody is dead.
const SLICES: Duration = Duration::from_millis(350);

pub fn of_many_senders_and_receivers_each_item_is_received_once_until_the_last_sender_is_gone(
    method: Method,
) {
    const ITEMS: u64 = 3_000;
    type Ends = (Option<Sender<Numbered>>, Option<Receiver<Numbered>>, usize);
    fn work((sender, receiver, i): Ends) -> Vec<Numbered> {
        let mut got = Vec::new();
        if let Some(sender) = sender {
            match i {
                0 => (0..ITEMS).for_each(|number| sender.send((i, number)).unwrap()),
                1 => {
                    let all = (0..ITEMS).map(|number| (i, number));
                    assert_eq!(sender.send_many(all).unwrap(), ITEMS as usize);
                }
                _ => (0..ITEMS).for_each(|number| sender.send_timeout((i, number), LONG).unwrap()),
            }
        }
        if let Some(receiver) = receiver {
            match i {
                0 => got.extend(receiver),
                1 => got.extend(&receiver),
                2 => while receiver.recv_many(&mut got, 7).is_ok() {},
                _ => {
                    let more = || receiver.recv_timeout(LONG);
                    got.extend(std::iter::from_fn(|| more().ok()));
                    assert_eq!(more(), Err(RecvError::Disconnected));
                }
            }
        }
        got
    }
    for capacity in [SMALL, 4096] {
        let (sender, receiver) = channel(capacity).unwrap();
        let senders = (0..3).map(|i| (Some(sender.clone()), None, i));
        let receivers = (0..4).map(|i| (None, Some(receiver.clone()), i));
        let ends: Vec<Ends> = senders.chain(receivers).collect();
        drop(sender);
        let got = run(method, work, ends);
        assert_each_once(got, 3, ITEMS);
        assert!(receiver.is_empty() && receiver.is_disconnected());
    }
}

pub fn what_is_left_is_received_before_the_end_is_told(method: Method) {
    fn send((sender, i): (Sender<u64>, u64)) {
        sender.send(i).unwrap();
    }
    let (sender, receiver) = channel(1024).unwrap();
    let parties = PARTIES as u64;
    run(method, send, (0..parties).map(|i| (sender.clone(), i)));
    assert!(!receiver.is_disconnected(), "one sender is here");
    assert_eq!(receiver.len(), PARTIES);
    drop(sender);
    assert!(receiver.is_disconnected());
    let mut items: Vec<u64> = receiver.iter().collect();
    items.sort_unstable();
    assert!(items.into_iter().eq(0..parties));
    // And then, whichever way.
    assert_eq!(receiver.recv(), Err(RecvError::Disconnected));
    assert_eq!(receiver.try_recv(), Err(RecvError::Disconnected));
    let end = receiver.recv_timeout(LONG).unwrap_err();
    assert!(end.is_disconnected() && !end.is_timeout());
    let mut none = Vec::new();
    for end in [
        receiver.recv_many(&mut none, 3),
        receiver.try_recv_many(&mut none, 3),
        receiver.recv_many_timeout(&mut none, 3, LONG),
    ] {
        assert_eq!(end, Err(RecvError::Disconnected));
    }
    assert_eq!(receiver.try_iter().error(), None);
    assert_eq!(receiver.into_iter().next(), None);
}

pub fn those_who_wait_to_receive_are_told_when_the_last_sender_is_dropped(method: Method) {
    fn receive((receiver, sleepers, i): (Receiver<u64>, Sleepers, usize)) {
        sleepers.enter(i);
        assert_eq!(receiver.recv(), Err(RecvError::Disconnected));
    }
    fn drop_it((_sender, go): (Sender<u64>, Event)) {
        go.wait();
    }
    // The last one is this process's, or a party's.
    for here in [true, false] {
        let (sender, receiver) = channel(SMALL).unwrap();
        let (sleepers, go) = (Sleepers::new(PARTIES), Event::new().unwrap());
        let dropping = (!here).then(|| start(method, drop_it, [(sender.clone(), go.clone())]));
        let kept = here.then_some(sender);
        let party = |i| (receiver.clone(), sleepers.clone(), i);
        let receiving = start(method, receive, (0..PARTIES).map(party));
        sleepers.all_asleep();
        drop(kept);
        go.set();
        receiving.join();
        dropping.map(|dropping| dropping.join());
    }
}

pub fn those_who_wait_to_send_are_told_when_the_last_receiver_is_dropped(method: Method) {
    fn send((sender, sleepers, i): (Sender<u64>, Sleepers, usize)) {
        sleepers.enter(i);
        assert!(matches!(sender.send(7), Err(SendError::Disconnected(7))));
        assert!(sender.is_disconnected());
        // And again, whichever way; also when there would be room.
        assert!(matches!(
            sender.try_send(8),
            Err(SendError::Disconnected(8))
        ));
        let end = sender.send_timeout(9, LONG).unwrap_err();
        assert!(end.is_disconnected() && end.into_inner() == 9);
        let error = sender.send_many([1, 2]).unwrap_err();
        assert!(error.why.is_disconnected() && error.rest.eq([1, 2]));
        assert!(sender.try_send_many([1]).unwrap_err().sent == 0);
        assert!(sender.send_many_timeout([1], LONG).is_err());
    }
    fn drop_it((receiver, go): (Receiver<u64>, Event)) {
        go.wait();
        assert_eq!(receiver.len(), 4);
    }
    for here in [true, false] {
        let (sender, receiver) = channel(SMALL).unwrap();
        let (sleepers, go) = (Sleepers::new(PARTIES), Event::new().unwrap());
        assert_eq!(sender.send_many(0..4).unwrap(), 4);
        assert!(sender.is_full());
        let dropping = (!here).then(|| start(method, drop_it, [(receiver.clone(), go.clone())]));
        let kept = here.then_some(receiver);
        let party = |i| (sender.clone(), sleepers.clone(), i);
        let sending = start(method, send, (0..PARTIES).map(party));
        sleepers.all_asleep();
        drop(kept);
        go.set();
        sending.join();
        dropping.map(|dropping| dropping.join());
        assert!(sender.send(7).unwrap_err().is_disconnected());
    }
}

pub fn each_clone_counts(method: Method) {
    fn clone_and_drop((sender, receiver, met): (Sender<u64>, Receiver<u64>, Counter)) {
        let more: Vec<_> = (0..50)
            .map(|_| (sender.clone(), receiver.clone()))
            .collect();
        drop((sender, receiver));
        meet(&met, PARTIES + 1);
        // The parent has dropped its own.
        for (i, (sender, receiver)) in more.into_iter().enumerate() {
            assert!(!sender.is_disconnected() && !receiver.is_disconnected());
            sender.send(i as u64).unwrap();
            assert!(receiver.recv().is_ok());
        }
    }
    let (sender, receiver) = channel(1024).unwrap();
    let met = Counter::new(0).unwrap();
    let party = |_| (sender.clone(), receiver.clone(), met.clone());
    let working = start(
        method,
        clone_and_drop,
        (0..PARTIES).map(party).collect::<Vec<_>>(),
    );
    drop(sender);
    meet(&met, PARTIES + 1);
    working.join();
    assert!(receiver.is_disconnected() && receiver.is_empty());
}

#[derive(Serialize, Deserialize)]
struct Plan {
    by_name: HashMap<String, Vec<Option<Sender<u64>>>>,
    answer: Result<Box<Receiver<String>>, ()>,
    raw: (Sender<[f32; 2], Raw>, u8),
}

pub fn ends_travel_however_deep_in_arguments(method: Method) {
    fn carry_out(plan: Plan) -> String {
        for sender in plan.by_name["b"].iter().flatten() {
            sender.send(7).unwrap();
        }
        plan.raw.0.send([0.5, 1.5]).unwrap();
        plan.answer.unwrap().recv().unwrap()
    }
    let (sender, receiver) = channel(1024).unwrap();
    let (answer_sender, answer) = channel(1024).unwrap();
    let (raw_sender, raw) = channel_raw(1024).unwrap();
    let plan = |_| Plan {
        by_name: HashMap::from([
            ("a".to_owned(), vec![None]),
            (
                "b".to_owned(),
                vec![Some(sender.clone()), None, Some(sender.clone())],
            ),
        ]),
        answer: Ok(Box::new(answer.clone())),
        raw: (raw_sender.clone(), 9),
    };
    let working = start(
        method,
        carry_out,
        (0..PARTIES).map(plan).collect::<Vec<_>>(),
    );
    drop((sender, raw_sender, answer));
    for _ in 0..PARTIES {
        answer_sender.send("done".to_owned()).unwrap();
    }
    // They end: each sender was counted once for each place.
    assert!(receiver.iter().eq(vec![7; 2 * PARTIES]));
    assert!(raw.iter().eq([[0.5, 1.5]; PARTIES]));
    assert_eq!(working.join(), ["done"; PARTIES]);
    assert!(answer_sender.is_disconnected());
}

pub fn ends_travel_back_and_outlive_their_maker(method: Method) {
    fn make(i: u64) -> (Vec<Sender<u64>>, Receiver<u64>) {
        let (sender, receiver) = channel(1024).unwrap();
        sender.send(i).unwrap();
        (vec![sender.clone(), sender], receiver)
    }
    let parties = PARTIES as u64;
    for (i, (senders, receiver)) in (0..).zip(run(method, make, 0..parties)) {
        assert!(!receiver.is_disconnected());
        senders.iter().for_each(|sender| sender.send(9).unwrap());
        drop(senders);
        assert!(receiver.iter().eq([i, 9, 9]));
    }
}

pub fn an_end_is_passed_on_from_child_to_child(method: Method) {
    fn pass_on((sender, generation): (Sender<u64>, u64)) {
        sender.send(generation).unwrap();
        if generation > 0 {
            let child = Process::spawn(pass_on, (sender, generation - 1)).unwrap();
            child.join().unwrap();
        }
    }
    let (sender, receiver) = channel(1024).unwrap();
    let passing = start(method, pass_on, [(sender, 2)]);
    assert!(receiver.iter().eq([2, 1, 0]));
    passing.join();
}

pub fn an_end_on_its_way_is_held(method: Method) {
    fn send((sender, item): (Sender<u64>, u64)) {
        sender.send(item).unwrap();
    }
    fn give((sender, item): (Sender<u64>, u64)) -> Sender<u64> {
        sender.send(item).unwrap();
        sender
    }
    // Whoever is quick finds nobody but the one who is just coming.
    for item in 0..40 {
        let (sender, receiver) = channel(SMALL).unwrap();
        let sending = start(method, send, [(sender, item)]);
        assert_eq!(receiver.recv(), Ok(item));
        assert_eq!(receiver.recv(), Err(RecvError::Disconnected));
        sending.join();

        let (sender, receiver) = channel(SMALL).unwrap();
        let sending = start(method, give, [(sender, item)]);
        assert_eq!(receiver.recv(), Ok(item));
        // The party may have ended: what it returned is with this process.
        assert_eq!(receiver.try_recv(), Err(RecvError::Empty));
        let sender = sending.join().pop().unwrap();
        sender.send(item).unwrap();
        drop(sender);
        assert!(receiver.iter().eq([item]));
    }
}

/// Keeps whoever decodes it until it is told to go on.
#[derive(Serialize)]
pub struct Gate(pub Fifo);

impl<'de> Deserialize<'de> for Gate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Gate, D::Error> {
        let fifo = Fifo::deserialize(deserializer)?;
        fifo.receive();
        Ok(Gate(fifo))
    }
}

pub fn an_end_is_held_while_a_child_has_not_decoded_it(method: Method) {
    fn send((_, sender, receiver): (Gate, Sender<u64>, Receiver<u64>)) {
        sender.send(receiver.recv().unwrap() + 1).unwrap();
    }
    // Nothing is decoded by the others.
    if !method.decodes() {
        return;
    }
    let gate = Fifo::new();
    let (sender, receiver) = channel(1024).unwrap();
    let (to_child, childs) = channel(1024).unwrap();
    let child = process(method, send, (Gate(gate.clone()), sender, childs)).unwrap();
    assert!(receiver.recv_timeout(SLICES).unwrap_err().is_timeout());
    assert!(!receiver.is_disconnected() && !to_child.is_disconnected());
    to_child.send(6).unwrap();
    gate.send("go");
    assert!(receiver.iter().eq([7]));
    child.join().unwrap();
    assert!(to_child.send(6).unwrap_err().is_disconnected());
    gate.remove();
}

pub fn an_end_that_is_never_decoded_is_not_held_for_ever(method: Method) {
    fn never((_, sender): (Gate, Sender<u64>)) {
        sender.send(1).unwrap();
    }
    fn not_begun((sender, _): (Sender<u64>, Unfit)) {
        sender.send(1).unwrap();
    }
    fn give(_: ()) -> Sender<u64> {
        channel(SMALL).unwrap().0
    }
    if method == Method::Threads {
        return;
    }
    let gate = Fifo::new();
    let (sender, receiver) = channel(SMALL).unwrap();
    // Killed before.
    if method.decodes() {
        let child = victim(method, never, (Gate(gate.clone()), sender.clone()));
        assert!(receiver.recv_timeout(SLICES).unwrap_err().is_timeout());
        kill(child);
    }
    // What comes before it, or behind it, is not decoded.
    if method.decodes() {
        let child = process(method, not_begun, (sender.clone(), LOST)).unwrap();
        assert!(child.join().is_err());
    }
    // Not started at all: because of the arguments, of the name, of what this process holds.
    let start = |name: &str, unfit| {
        let builder = Process::builder().name(name).method(method.of_processes());
        builder.start(not_begun, (sender.clone(), unfit)).map(drop)
    };
    let refused = start("child", STAYS);
    assert!(matches!(refused, Err(StartError::NotEncoded { .. })));
    let refused = start("zero\0", FIT);
    assert!(matches!(refused, Err(StartError::InvalidName { .. })));
    if method == Method::Fork {
        let mutex = Mutex::new(0u64).unwrap();
        let _guard = mutex.lock().unwrap();
        let refused = start("child", FIT);
        assert!(matches!(refused, Err(StartError::GuardsHeld { .. })));
    }
    assert_eq!(receiver.try_recv(), Err(RecvError::Empty));
    drop(sender);
    assert_eq!(receiver.recv_timeout(LONG), Err(RecvError::Disconnected));
    gate.remove();
    // What nobody joins.
    drop(process(method, give, ()).unwrap());
}

pub fn ends_travel_with_a_process_and_nowhere_else(method: Method) {
    fn refused((sender, queue): (Sender<u64>, Queue<Option<Sender<u64>>>)) {
        let error = serde_json::to_string(&sender).unwrap_err().to_string();
        assert!(error.contains("only in the arguments"), "{error}");
        let error = serde_json::from_str::<Sender<u64>>(r#"[[0,"Anonymous"],1]"#);
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("only in the arguments")
        );
        let error = queue.put(Some(sender)).unwrap_err();
        assert!(error.to_string().contains("not in queues"), "{error}");
        // It comes back, and can still be used.
        error.into_inner().unwrap().send(7).unwrap();
    }
    let (sender, receiver) = channel(1024).unwrap();
    let queue = Queue::new(1024).unwrap();
    let party = |_| (sender.clone(), queue.clone());
    run(method, refused, (0..PARTIES).map(party).collect::<Vec<_>>());
    drop(sender);
    assert!(receiver.iter().eq([7; PARTIES]));
    assert!(queue.is_empty());
}

pub fn who_waits_gives_up_in_time_and_what_was_not_sent_comes_back(method: Method) {
    fn wait((full, empty): (Sender<u64>, Receiver<u64>)) {
        assert_eq!(empty.try_recv(), Err(RecvError::Empty));
        let late = in_time(SHORT, || empty.recv_timeout(SHORT));
        assert_eq!(late, Err(RecvError::Timeout));
        assert_eq!(full.try_send(7), Err(SendError::Full(7)));
        let late = in_time(SHORT, || full.send_timeout(7, SHORT));
        assert_eq!(late, Err(SendError::Timeout(7)));
        let error = full.try_send_many([7, 8]).unwrap_err();
        assert!(error.why.is_full() && error.rest.eq([7, 8]));
        let error = in_time(SHORT, || full.send_many_timeout([7, 8], SHORT)).unwrap_err();
        assert!(error.why.is_timeout() && error.sent == 0);
        let mut none = Vec::new();
        let late = in_time(SHORT, || empty.recv_many_timeout(&mut none, 3, SHORT));
        assert_eq!(late, Err(RecvError::Timeout));
        assert_eq!(empty.try_recv_many(&mut none, 3), Err(RecvError::Empty));
    }
    let (sender, empty) = channel::<u64>(SMALL).unwrap();
    let (full, receiver) = channel(SMALL).unwrap();
    full.send_many(0..4).unwrap();
    assert!(full.is_full() && !full.has_room_for(0) && sender.has_room_for(24));
    let party = |_| (full.clone(), empty.clone());
    run(method, wait, (0..PARTIES).map(party).collect::<Vec<_>>());
    assert!(receiver.try_iter().eq(0..4));
    assert_eq!((full.capacity(), full.max_len()), (SMALL, 24));
    assert_eq!(receiver.max_len(), 24);
}

/// Fault 15.
pub fn what_does_not_fit_is_told_at_both_ends(method: Method) {
    type Party = (Sender<Unfit>, Sender<String>, Receiver<Unfit>);
    fn work((sender, texts, receiver): Party) {
        let Err(SendError::Encode { item, .. }) = sender.send(STAYS) else {
            panic!("it was sent");
        };
        assert_eq!(item, STAYS);
        let long = "x".repeat(1000);
        let Err(SendError::TooLarge { item, capacity, .. }) = texts.try_send(long) else {
            panic!("it was sent");
        };
        let (larger, received) = channel(capacity.unwrap()).unwrap();
        larger.send(item).unwrap();
        assert_eq!(received.recv().unwrap().len(), 1000);
        sender.send_many([LOST, FIT, LOST, FIT, LOST, FIT]).unwrap();
        assert!(matches!(receiver.recv(), Err(RecvError::Decode { .. })));
        assert_eq!(receiver.recv(), Ok(FIT));
        let mut items = receiver.iter();
        assert!(items.next().is_none() && items.error().is_some());
        assert_eq!(receiver.recv(), Ok(FIT));
        // An iterator that has the last receiver keeps it, so that the sender is not told that nobody is left.
        let mut items = receiver.into_iter();
        assert!(items.next().is_none() && items.error().is_some_and(RecvError::is_decode));
        assert!(items.next().is_none() && !sender.is_disconnected());
        sender.send(FIT).unwrap();
        drop(items);
        // A copy of it may still be on its way here.
        wait_until(|| sender.is_disconnected());

        let (sender, receiver) = channel::<u64>(SMALL).unwrap();
        sender.send_many(0..3).unwrap();
        drop(sender);
        let mut items = receiver.into_iter();
        assert!(items.by_ref().eq(0..3) && items.error().is_none());
    }
    let (sender, receiver) = channel(1024).unwrap();
    let (texts, none) = channel(SMALL).unwrap();
    run(method, work, [(sender, texts, receiver)]);
    assert_eq!(none.recv(), Err(RecvError::Disconnected));
}

pub fn slices_are_sent_as_they_are(method: Method) {
    fn echo((receiver, sender): (Receiver<f64, Raw>, Sender<f64, Raw>)) {
        let mut row = Vec::new();
        while let Ok(len) = receiver.recv_slice(&mut row) {
            assert_eq!(row.len(), len);
            sender.send_slice(&row).unwrap();
            row.clear();
        }
    }
    let (there, childs) = channel_raw(1 << 12).unwrap();
    let (back, receiver) = channel_raw(1 << 12).unwrap();
    let echoing = start(method, echo, [(childs, back)]);
    let mut got = Vec::new();
    for len in 0..200 {
        let row: Vec<_> = (0..len).map(f64::from).collect();
        there.send_slice(&row).unwrap();
        assert_eq!(receiver.recv_slice_timeout(&mut got, LONG), Ok(row.len()));
        assert_eq!(got, row);
        got.clear();
    }
    assert!(
        there
            .try_send_slice(&[0.0; 999])
            .unwrap_err()
            .is_too_large()
    );
    let empty = receiver.try_recv_slice(&mut got);
    assert_eq!(empty, Err(RecvError::Empty));
    drop(there);
    echoing.join();
    let end = receiver.recv_slice(&mut got);
    assert_eq!(end, Err(RecvError::Disconnected));

    let (sender, receiver) = channel_raw::<u64>(SMALL).unwrap();
    sender.send_slice(&[1, 2, 3]).unwrap();
    sender.send_slice_timeout(&[4, 5, 6], SHORT).unwrap();
    let late = sender.send_slice_timeout(&[7], SHORT).unwrap_err();
    assert!(late.is_timeout());
    drop(receiver);
    assert!(sender.send_slice(&[7]).unwrap_err().is_disconnected());
}

pub fn a_descriptor_is_readable_while_there_is_something_to_receive_or_nobody_to_send(
    method: Method,
) {
    fn send((sender, go): (Sender<u64>, Event)) {
        for item in 1..=2 {
            go.wait();
            go.clear();
            sender.send(item).unwrap();
        }
        go.wait();
    }
    let (sender, receiver) = channel(1024).unwrap();
    let go = Event::new().unwrap();
    let sending = start(method, send, [(sender, go.clone())]);
    let ready = receiver.readiness().unwrap();
    for item in 1..=2 {
        assert!(!is_readable(&ready, SHORT));
        go.set();
        assert!(is_readable(&ready, LONG));
        assert_eq!(receiver.try_recv(), Ok(item));
        ready.rearm();
    }
    // The thread that watches is no receiver, and no sender.
    assert!(!is_readable(&ready, SHORT));
    go.set();
    assert!(is_readable(&ready, LONG), "nobody is left");
    assert_eq!(receiver.try_recv(), Err(RecvError::Disconnected));
    ready.rearm();
    assert!(is_readable(&ready, LONG), "for ever");
    sending.join();
    drop(ready);

    let (sender, receiver) = channel::<u64>(SMALL).unwrap();
    let ready = receiver.readiness().unwrap();
    drop(receiver);
    assert!(sender.send(1).unwrap_err().is_disconnected());
    drop(ready);
    wait_until(|| sender.is_disconnected());
}
