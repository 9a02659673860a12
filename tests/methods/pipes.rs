//! Messages between parties.

use std::{
    collections::HashSet,
    fs::File,
    io::{Read, Write},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    time::Duration,
};

use multiproc::{
    Array, Counter, Descriptor, Event, Pipe, PipeError, PipeReceiver, PipeSender, Producer, Sender,
    Value, channel, one_way, pipe, spsc,
};
use serde::{Deserialize, Serialize};

use crate::{
    common::in_time,
    parties::{Method, PARTIES, die, run, run_to_death, start},
};

const SOON: Duration = Duration::from_secs(10);

/// Bytes whose number and value follow from one number; some are too many for a packet.
fn pattern(i: usize) -> Vec<u8> {
    let len = match i % 8 {
        0 => 0,
        7 => 40_000 + i,
        k => 100 * k + i,
    };
    vec![i as u8; len]
}

pub fn messages_of_many_senders_arrive_whole_and_once_each(method: Method) {
    const EACH: usize = 80;
    type Message = (usize, usize, Vec<u8>);
    fn send_all((party, sender): (usize, PipeSender<Message>)) {
        for i in 0..EACH {
            sender.send((party, i, pattern(i))).unwrap();
        }
    }
    let (sender, receiver) = one_way().unwrap();
    let parties = start(
        method,
        send_all,
        (0..PARTIES)
            .map(|i| (i, sender.clone()))
            .collect::<Vec<_>>(),
    );
    drop(sender);
    let mut next = [0; PARTIES];
    for message in &receiver {
        let (party, i, bytes) = message.unwrap();
        assert_eq!(i, next[party], "out of order");
        assert_eq!(bytes, pattern(i));
        next[party] += 1;
    }
    parties.join();
    assert_eq!(next, [EACH; PARTIES]);
    assert_eq!(receiver.recv().unwrap(), None);
}

pub fn each_message_goes_to_exactly_one_of_many_receivers(method: Method) {
    const ALL: usize = 400;
    fn receive_all(receiver: PipeReceiver<Option<(usize, Vec<u8>)>>) -> Vec<usize> {
        let some = receiver.iter().map_while(Result::unwrap);
        some.map(|(i, bytes)| {
            assert_eq!(bytes, pattern(i));
            i
        })
        .collect()
    }
    let (sender, receiver) = one_way().unwrap();
    let parties = start(method, receive_all, vec![receiver; PARTIES]);
    for i in 0..ALL {
        sender.send(Some((i, pattern(i)))).unwrap();
    }
    for _ in 0..PARTIES {
        sender.send(None).unwrap();
    }
    let received = parties.join().concat();
    assert_eq!(received.len(), ALL);
    assert_eq!(received.into_iter().collect::<HashSet<_>>().len(), ALL);
}

#[derive(Debug, Serialize, Deserialize)]
enum Request {
    Add(f64, f64),
    Join(Vec<String>),
    Stop,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Answer {
    Number(f64),
    Text(String),
}

pub fn both_ends_of_a_pipe_ask_and_answer(method: Method) {
    fn answer(questions: Pipe<Answer, Request>) -> usize {
        let mut answered = 0;
        for question in &questions {
            let answer = match question.unwrap() {
                Request::Add(a, b) => Answer::Number(a + b),
                Request::Join(words) => Answer::Text(words.join(" ")),
                Request::Stop => break,
            };
            questions.send(answer).unwrap();
            answered += 1;
        }
        answered
    }
    let (ours, theirs): (Vec<_>, Vec<_>) = (0..PARTIES)
        .map(|_| pipe::<Request, Answer>().unwrap())
        .unzip();
    let parties = start(method, answer, theirs);
    for (i, end) in ours.iter().enumerate() {
        end.send(Request::Add(i as f64, 0.5)).unwrap();
        end.send(Request::Join(vec!["a".into(), i.to_string()]))
            .unwrap();
    }
    for (i, end) in ours.iter().enumerate() {
        let number = Answer::Number(i as f64 + 0.5);
        assert_eq!(end.recv().unwrap(), Some(number));
        assert_eq!(end.recv().unwrap(), Some(Answer::Text(format!("a {i}"))));
        end.send(Request::Stop).unwrap();
    }
    assert_eq!(parties.join(), [2; PARTIES]);
    assert!(ours[0].recv().unwrap().is_none());
}

pub fn items_and_bytes_of_any_length_come_out_as_they_went_in(method: Method) {
    const PACKET: usize = 32 * 1024;
    const LENGTHS: [usize; 8] = [
        0,
        1,
        100,
        PACKET - 3,
        PACKET,
        PACKET + 1,
        1 << 20,
        2_000_000,
    ];
    fn echo(end: Pipe<Vec<u8>, Vec<u8>>) {
        for _ in LENGTHS {
            let item = end.recv().unwrap().unwrap();
            end.send(item).unwrap();
            let bytes = end.recv_bytes().unwrap().unwrap();
            end.send_bytes(&bytes).unwrap();
        }
    }
    let (ours, theirs) = pipe::<Vec<u8>, Vec<u8>>().unwrap();
    let party = start(method, echo, [theirs]);
    let mut buffer = vec![0; 2_000_000];
    for len in LENGTHS {
        let bytes: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        ours.send(bytes.clone()).unwrap();
        assert!(ours.recv().unwrap().unwrap() == bytes);
        ours.send_bytes(&bytes).unwrap();
        assert_eq!(ours.recv_bytes_into(&mut buffer).unwrap(), Some(len));
        assert!(buffer[..len] == bytes);
    }
    party.join();
    assert_eq!(ours.recv_bytes().unwrap(), None);
    assert_eq!(ours.recv_bytes_into(&mut buffer).unwrap(), None);
}

pub fn who_sends_or_receives_bytes_gives_up_in_time(method: Method) {
    const MOMENT: Duration = Duration::from_millis(20);
    fn give_up((empty, full): (PipeReceiver<()>, PipeSender<()>)) {
        assert!(empty.try_recv_bytes().unwrap_err().is_would_block());
        let mut buffer = [7; 4];
        let none = empty.try_recv_bytes_into(&mut buffer);
        assert!(none.unwrap_err().is_would_block());
        let late = in_time(MOMENT, || empty.recv_bytes_timeout(MOMENT));
        assert!(late.unwrap_err().is_timeout());
        let late = in_time(MOMENT, || {
            empty.recv_bytes_into_timeout(&mut buffer, MOMENT)
        });
        assert!(late.unwrap_err().is_timeout());
        assert_eq!(buffer, [7; 4]);
        while full.try_send_bytes(&[1; 1000]).is_ok() {}
        let error = full.try_send_bytes(&[1; 1000]).unwrap_err();
        assert!(error.is_would_block(), "{error}");
        let late = in_time(MOMENT, || full.send_bytes_timeout(&[1; 1000], MOMENT));
        assert!(late.unwrap_err().is_timeout());
    }
    let (sender, empty) = one_way().unwrap();
    let (full, receiver) = one_way().unwrap();
    run(method, give_up, [(empty.clone(), full)]);
    assert_eq!(
        receiver.recv_bytes_timeout(SOON).unwrap().unwrap(),
        [1; 1000]
    );
    sender.send_bytes_timeout(b"one", SOON).unwrap();
    sender.try_send_bytes(b"two").unwrap();
    let mut buffer = [0; 3];
    let got = empty.recv_bytes_into_timeout(&mut buffer, SOON);
    assert_eq!((got.unwrap(), &buffer), (Some(3), b"one"));
    assert_eq!(empty.try_recv_bytes().unwrap().unwrap(), b"two");
    drop(sender);
    assert_eq!(empty.try_recv_bytes_into(&mut buffer).unwrap(), None);
}

pub fn shared_objects_travel_through_a_pipe_and_stay_shared(method: Method) {
    type Objects = (Array<f64>, Vec<Option<Value<u64>>>, Event);
    fn change(end: Pipe<Array<u64>, Objects>) {
        let (numbers, values, done) = end.recv().unwrap().unwrap();
        numbers
            .write(..)
            .unwrap()
            .iter_mut()
            .for_each(|x| *x *= 2.0);
        values[1].as_ref().unwrap().set(7).unwrap();
        done.set();
        let mine = Array::from_slice(&[1, 2, 3]).unwrap();
        end.send(mine.clone()).unwrap();
        // So that it is not the last to have it.
        end.recv().unwrap();
        assert_eq!(mine.get(0).unwrap(), 9);
    }
    let (ours, theirs) = pipe::<Objects, Array<u64>>().unwrap();
    let party = start(method, change, [theirs]);
    let numbers = Array::from_slice(&[1.5, 2.5]).unwrap();
    let value = Value::new(0).unwrap();
    let done = Event::new().unwrap();
    let objects = || {
        let values = vec![None, Some(value.clone())];
        (numbers.clone(), values, done.clone())
    };
    ours.send(objects()).unwrap();
    assert!(done.wait_timeout(SOON));
    assert_eq!(numbers.to_vec().unwrap(), [3.0, 5.0]);
    assert_eq!(value.get(), 7);
    let theirs = ours.recv().unwrap().unwrap();
    theirs.set(0, 9).unwrap();
    ours.send(objects()).unwrap();
    party.join();
    assert_eq!(theirs.to_vec().unwrap(), [9, 2, 3]);
}

pub fn descriptors_travel_in_arguments_messages_and_return_values(method: Method) {
    type Given = (Descriptor, Pipe<Descriptor, Descriptor>);
    fn write((argument, end): Given) -> (Descriptor, String) {
        let message = end.recv().unwrap().unwrap();
        for (descriptor, text) in [(argument, "argument "), (message, "message ")] {
            File::from(descriptor).write_all(text.as_bytes()).unwrap();
        }
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(b"back").unwrap();
        end.send(OwnedFd::from(reader).into()).unwrap();
        let itself = File::open("/proc/self/exe").unwrap();
        (itself.into(), "with it".to_owned())
    }
    let (mut reader, writer) = std::io::pipe().unwrap();
    let (ours, theirs) = pipe::<Descriptor, Descriptor>().unwrap();
    let first = Descriptor::new(writer.try_clone().unwrap());
    let argument = first.try_clone().unwrap();
    assert_ne!(argument.as_raw_fd(), first.as_raw_fd());
    drop(first);
    let party = start(method, write, [(argument, theirs)]);
    ours.send(OwnedFd::from(writer).into()).unwrap();
    let (returned, text) = party.join().pop().unwrap();
    assert_eq!(text, "with it");
    let mut magic = [0; 4];
    File::from(returned).read_exact(&mut magic).unwrap();
    assert_eq!(&magic, b"\x7fELF");
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "argument message ");
    let back = ours.recv().unwrap().unwrap();
    assert!(back.as_fd().try_clone_to_owned().is_ok());
    text.clear();
    File::from(OwnedFd::from(back))
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "back");
}

pub fn ends_of_pipes_travel_in_messages_and_return_values(method: Method) {
    type Line = (PipeReceiver<String>, PipeSender<String>);
    fn connect(lines: PipeReceiver<Line>) -> PipeReceiver<u32> {
        let (receiver, sender) = lines.recv().unwrap().unwrap();
        assert_eq!(receiver.max_message(), 1000);
        let text = receiver.recv().unwrap().unwrap();
        sender.send(text + "!").unwrap();
        let (numbers, result) = one_way().unwrap();
        numbers.send(5).unwrap();
        result
    }
    let (lines, theirs) = one_way::<Line>().unwrap();
    let party = start(method, connect, [theirs]);
    let (to_them, mut at_them) = one_way().unwrap();
    let (from_them, at_us) = one_way().unwrap();
    at_them.set_max_message(1000);
    to_them.send("through two pipes".to_owned()).unwrap();
    lines.send((at_them, from_them)).unwrap();
    assert_eq!(at_us.recv().unwrap().unwrap(), "through two pipes!");
    let result = party.join().pop().unwrap();
    assert_eq!(result.recv().unwrap(), Some(5));
    assert_eq!(result.recv().unwrap(), None, "its maker is gone");
    assert_eq!(at_us.recv().unwrap(), None, "all who sent are gone");
    let error = to_them.send("too late".to_owned()).unwrap_err();
    assert!(error.is_disconnected(), "{error}");
}

/// Fault 37.
pub fn what_was_sent_before_a_death_is_received_and_then_the_end(method: Method) {
    fn send_and_die(sender: PipeSender<Vec<u8>>) {
        for i in 0..8 {
            sender.send(pattern(i)).unwrap();
            if i == 6 {
                die();
            }
        }
    }
    let (sender, receiver) = one_way().unwrap();
    run_to_death(method, send_and_die, sender);
    assert!(receiver.poll(Duration::ZERO).unwrap());
    let received: Result<Vec<_>, _> = receiver.iter().collect();
    assert!(received.unwrap() == (0..7).map(pattern).collect::<Vec<_>>());
    assert!(receiver.poll(None).unwrap(), "at end of file");
    assert_eq!(receiver.try_recv().unwrap(), None);
    assert_eq!(receiver.recv_timeout(SOON).unwrap(), None);
}

/// Fault 37.
pub fn who_sends_to_nobody_gets_the_item_back(method: Method) {
    fn receive_one(receiver: PipeReceiver<String>) -> Option<String> {
        receiver.recv().unwrap()
    }
    let (sender, receiver) = one_way::<String>().unwrap();
    for i in 0..3 {
        sender.send(i.to_string()).unwrap();
    }
    assert_eq!(run(method, receive_one, [receiver]), [Some("0".to_owned())]);
    let sends: [fn(&PipeSender<String>) -> _; 3] = [
        |sender| sender.send("back".into()),
        |sender| sender.try_send("back".into()),
        |sender| sender.send_timeout("back".into(), SOON),
    ];
    for send in sends {
        let error = send(&sender).unwrap_err();
        assert!(error.is_disconnected() && error.why().is_disconnected());
        let text = error.to_string();
        assert!(text.contains("nobody has the other"), "{text}");
        assert_eq!(error.into_inner(), "back");
    }
    assert!(sender.send_bytes(b"lost").unwrap_err().is_disconnected());
}

pub fn what_is_too_long_is_refused_and_the_next_is_received(method: Method) {
    fn send_two(end: Pipe<Vec<u8>, ()>) {
        for len in [101, 98, 1_000_000, 98] {
            end.send(vec![1; len]).unwrap();
        }
        for len in [100_000, 101, 100] {
            end.send_bytes(&vec![2; len]).unwrap();
        }
    }
    let (mut ours, theirs) = pipe::<(), Vec<u8>>().unwrap();
    assert_eq!(ours.max_message(), 1 << 30);
    ours.set_max_message(100);
    run(method, send_two, [theirs]);
    let refused = |error: PipeError, len: &str| {
        assert!(error.is_too_long());
        let text = error.to_string();
        assert!(text.contains(len) && text.contains("up to 100"), "{text}");
    };
    for len in ["102 bytes", "1000003 bytes"] {
        refused(ours.recv().unwrap_err(), len);
        assert_eq!(ours.recv().unwrap().unwrap(), [1; 98]);
    }
    refused(ours.recv_bytes().unwrap_err(), "100000 bytes");
    let mut buffer = [0; 99];
    refused(ours.recv_bytes_into(&mut buffer).unwrap_err(), "101 bytes");
    match ours.clone().recv_bytes_into(&mut buffer).unwrap_err() {
        PipeError::BufferTooShort { message, room } => {
            assert_eq!((message, room), (vec![2; 100], 99));
        }
        other => panic!("{other}"),
    }
    assert_eq!(buffer, [0; 99]);
}

pub fn who_has_finished_sending_still_receives(method: Method) {
    fn sum_up(end: Pipe<u64, u64>) {
        // A forked child has its parent's end, too, which has finished all the same.
        let sum = end.iter().sum::<Result<u64, _>>().unwrap();
        end.send(sum).unwrap();
    }
    let (ours, theirs) = pipe::<u64, u64>().unwrap();
    let party = start(method, sum_up, [theirs]);
    (1..=10).for_each(|i| ours.send(i).unwrap());
    ours.clone().finish_sending().unwrap();
    let finished = ours.send(11).unwrap_err();
    assert!(finished.is_disconnected() && finished.to_string().contains("has finished sending"));
    assert!(multiproc::Error::from(finished).is_disconnected());
    assert_eq!(ours.recv().unwrap(), Some(55));
    party.join();
    assert_eq!(ours.recv().unwrap(), None);
}

/// Encodes, or does not; decodes, or does not.
#[derive(Debug, Clone, PartialEq)]
enum Odd {
    Fine,
    NotEncoded,
    NotDecoded,
}

impl Serialize for Odd {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Odd::NotEncoded => Err(serde::ser::Error::custom("not this one")),
            odd => (*odd == Odd::Fine).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Odd {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Odd, D::Error> {
        match bool::deserialize(deserializer)? {
            true => Ok(Odd::Fine),
            false => Err(serde::de::Error::custom("not this one")),
        }
    }
}

pub fn a_party_sees_the_end_of_file_whatever_else_its_parent_has_open(method: Method) {
    fn sum((numbers, sums): (PipeReceiver<u64>, PipeSender<u64>)) {
        let sum = numbers.iter().map(Result::unwrap).sum();
        sums.send(sum).unwrap();
    }
    // All ends are open here while the parties start: two readers of one pipe, of which this process keeps the sender.
    let (to_sum, numbers) = one_way().unwrap();
    let (sums, from_them) = one_way().unwrap();
    let parties = start(method, sum, vec![(numbers.clone(), sums.clone()); 2]);
    drop((numbers, sums));
    for number in 1..=10 {
        to_sum.send(number).unwrap();
    }
    drop(to_sum);
    let sums: Vec<u64> = from_them.iter().map(Result::unwrap).collect();
    assert_eq!((sums.len(), sums.iter().sum::<u64>()), (2, 55));
    parties.join();
}

pub fn what_cannot_be_encoded_or_decoded_is_an_error_of_that_message(method: Method) {
    fn send_all(sender: PipeSender<Odd>) {
        sender.send(Odd::NotDecoded).unwrap();
        let error = sender.send(Odd::NotEncoded).unwrap_err();
        assert!(
            matches!(error.why(), PipeError::NotEncoded { .. }),
            "{error}"
        );
        assert_eq!(error.into_inner(), Odd::NotEncoded);
        sender.send(Odd::Fine).unwrap();
        sender.send_bytes(b"bytes").unwrap();
        sender.send(Odd::Fine).unwrap();
        sender.send(Odd::Fine).unwrap();
    }
    let (sender, receiver) = one_way().unwrap();
    run(method, send_all, [sender]);
    let error = receiver.recv().unwrap_err();
    assert!(matches!(error, PipeError::NotDecoded { .. }), "{error}");
    assert_eq!(receiver.recv().unwrap(), Some(Odd::Fine));
    match receiver.recv().unwrap_err() {
        PipeError::Bytes { bytes } => assert_eq!(bytes, b"bytes"),
        other => panic!("{other}"),
    }
    let error = receiver.recv_bytes().unwrap_err();
    assert!(matches!(error, PipeError::Item), "{error}");
    let rest: Result<Vec<_>, _> = receiver.into_iter().collect();
    assert_eq!(rest.unwrap(), [Odd::Fine]);
}

pub fn as_many_descriptors_travel_as_a_packet_takes_and_no_more(method: Method) {
    type Message = (Vec<Counter>, Vec<u8>);
    fn count(end: Pipe<usize, Message>) {
        let (counters, _) = end.recv().unwrap().unwrap();
        for counter in &counters {
            counter.add(1);
        }
        end.send(counters.len()).unwrap();
    }
    let (ours, theirs) = pipe::<Message, usize>().unwrap();
    let party = start(method, count, [theirs]);
    let counters = |n: usize| (0..n).map(|_| Counter::new(0).unwrap()).collect::<Vec<_>>();
    // What is long needs a descriptor itself.
    for (objects, bytes) in [(251, 0), (250, 100_000)] {
        let error = ours.send((counters(objects), vec![0; bytes])).unwrap_err();
        assert!(
            matches!(
                error.why(),
                PipeError::TooManyDescriptors {
                    count: 251,
                    limit: 250
                }
            ),
            "{error}"
        );
        assert_eq!(error.into_inner().0.len(), objects);
    }
    let all = counters(250);
    ours.send((all.clone(), Vec::new())).unwrap();
    assert_eq!(ours.recv().unwrap(), Some(250));
    party.join();
    assert!(all.iter().all(|counter| counter.get() == 1));
}

pub fn ends_of_channels_travel_in_messages_and_stay_when_they_are_not_sent(method: Method) {
    type Ends = (Sender<u64>, Producer<u64>);
    fn use_both(line: PipeReceiver<Ends>) {
        let (sender, mut producer) = line.recv().unwrap().unwrap();
        sender.send(1).unwrap();
        producer.send(2).unwrap();
    }
    let (sender, receiver) = channel(4096).unwrap();
    let (producer, mut consumer) = spsc(4096).unwrap();
    let (nowhere, gone) = one_way::<Ends>().unwrap();
    drop(gone);
    let error = nowhere.send((sender, producer)).unwrap_err();
    let (sender, mut producer) = error.into_inner();
    sender.send(0).unwrap();
    producer.send(0).unwrap();
    assert_eq!((receiver.recv(), consumer.recv()), (Ok(0), Ok(0)));
    let (line, theirs) = one_way().unwrap();
    let party = start(method, use_both, [theirs]);
    line.send((sender, producer)).unwrap();
    assert_eq!((receiver.recv(), consumer.recv()), (Ok(1), Ok(2)));
    party.join();
    assert!(receiver.recv().unwrap_err().is_disconnected());
    assert!(consumer.recv().unwrap_err().is_disconnected());
}
