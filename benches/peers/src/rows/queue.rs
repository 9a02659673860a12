//! Queues and channels of words, many from one party to another.

use std::io::Write;

use crossbeam_channel as crossbeam;
use ipc_channel::ipc;
use multiproc::{Queue, Raw, channel_raw};

use crate::{
    bare_ring::BareRing,
    flow::{Messages, each, in_batches},
    handed::Handed,
    iceoryx::Topic,
    message_queue::MessageQueue,
    pair::Pair,
    report::{
        Report,
        beside::{limit, own, threads},
    },
    rows::Outcome,
    sockets::{self, word_of},
};

/// How many words fit into a queue at a time, in whatever way each measures that.
pub const LEN: usize = 1024;
/// What ours needs for them.
pub const CAPACITY: usize = LEN * 16;
/// How many are put, and taken, by one call.
const BATCH: usize = 32;
const LINES: &str = "A batch travels as cache lines, crossbeam's single words wait for each other: in runs where a line takes long from one processor to the other (two words to and fro 424 ns instead of 116), ours takes 47 ns for a word instead of 18 to 20, and crossbeam about the same in both.";

/// Of parties whose messages take nanoseconds.
const MANY: u32 = 300_000;
/// Of parties whose messages take a system call.
const SOME: u32 = 20_000;

/// One at a time.
pub fn words(report: &mut Report) -> Outcome {
    let ours = Queue::<u64, Raw>::raw(CAPACITY)?;
    let serde = Queue::<u64>::new(CAPACITY)?;
    let (sender, receiver) = channel_raw(CAPACITY)?;
    let spsc = Handed::new()?;
    let bare = BareRing::new()?;
    let crossbeam = crossbeam::bounded(LEN);
    let ipc = ipc::channel::<u64>()?;
    let os_pipe = sockets::pipe(LEN * 8)?;
    let posix = MessageQueue::new(8)?;
    for pair in [Pair::Cross, Pair::Same] {
        let name = format!("queue of u64, {}", pair.name());
        let Some(bench) = report.bench(name, pair.place()) else {
            continue;
        };
        // Who looks again and again keeps the only processor from the other.
        let cross = matches!(pair, Pair::Cross);
        let [many, some] = [MANY, SOME].map(|messages| Messages(messages, pair));
        bench
            .ours(|| {
                many.processes(
                    || each(|word| ours.put(word).unwrap()),
                    || each(|_| _ = ours.get().unwrap()),
                )
            })
            .peer_if(cross, limit("bare ring, one to one"), || {
                many.processes(
                    || each(bare.sender()),
                    || {
                        let mut receive = bare.receiver();
                        each(move |_| _ = receive())
                    },
                )
            })
            .target_if(cross, threads("crossbeam bounded"), 1.5, || {
                let (sender, receiver) = &crossbeam;
                many.threads(
                    || each(|word| sender.send(word).unwrap()),
                    || each(|_| _ = receiver.recv().unwrap()),
                )
            })
            .peer(own("`spsc_raw`"), || {
                many.processes(
                    || {
                        let mut producer = spsc.producer(CAPACITY);
                        each(move |word| producer.send(word).unwrap())
                    },
                    || {
                        let mut consumer = spsc.consumer();
                        each(move |_| _ = consumer.recv().unwrap())
                    },
                )
            })
            .peer(own("`channel_raw`"), || {
                many.processes(
                    || each(|word| sender.send(word).unwrap()),
                    || each(|_| _ = receiver.recv().unwrap()),
                )
            })
            .peer(own("`Queue::new` (serde)"), || {
                many.processes(
                    || each(|word| serde.put(word).unwrap()),
                    || each(|_| _ = serde.get().unwrap()),
                )
            })
            .peer_if(cross, "iceoryx2", || {
                let topic = Topic::new(LEN);
                some.processes(
                    || each(topic.send_words()),
                    || {
                        let mut receive = topic.receive_words();
                        each(move |_| _ = receive())
                    },
                )
            })
            .peer("pipe", || {
                let (reader, writer) = &os_pipe;
                some.processes(
                    || {
                        let mut writer = writer;
                        each(move |word| writer.write_all(&word.to_ne_bytes()).unwrap())
                    },
                    || each(|_| _ = word_of(reader)),
                )
            })
            .peer("POSIX message queue", || {
                some.processes(
                    || each(|word| posix.send(&word.to_ne_bytes())),
                    || {
                        let mut word = [0; 8];
                        let posix = &posix;
                        each(move |_| _ = posix.receive(&mut word))
                    },
                )
            })
            .peer("ipc-channel", || {
                let (sender, receiver) = &ipc;
                some.processes(
                    || each(|word| sender.send(word).unwrap()),
                    || each(|_| _ = receiver.recv().unwrap()),
                )
            })
            .python("Python Pipe", "pipe words")
            .python("Python Queue", "queue words")
            .run(report)?;
    }
    Ok(())
}

/// Many at a time.
pub fn batches(report: &mut Report) -> Outcome {
    let ours = Queue::<u64, Raw>::raw(CAPACITY)?;
    let serde = Queue::<u64>::new(CAPACITY)?;
    let (sender, receiver) = channel_raw(CAPACITY)?;
    let spsc = Handed::new()?;
    let crossbeam = crossbeam::bounded(LEN);
    for pair in [Pair::Cross, Pair::Same] {
        let name = format!("queue of u64 in 32s, {}", pair.name());
        let Some(bench) = report.bench(name, pair.place()) else {
            continue;
        };
        let cross = matches!(pair, Pair::Cross);
        let many = Messages(MANY, pair);
        bench
            .ours(|| {
                many.processes(
                    || batched(|words| _ = ours.put_many(words).unwrap()),
                    || unbatched(|words, most| ours.get_many(words, most).unwrap()),
                )
            })
            .target_if(cross, threads("crossbeam, one at a time"), 0.3, || {
                let (sender, receiver) = &crossbeam;
                many.threads(
                    || each(|word| sender.send(word).unwrap()),
                    || each(|_| _ = receiver.recv().unwrap()),
                )
            })
            .because(LINES)
            .peer(own("`spsc_raw`"), || {
                many.processes(
                    || {
                        let mut producer = spsc.producer(CAPACITY);
                        batched(move |words| _ = producer.send_many(words).unwrap())
                    },
                    || {
                        let mut consumer = spsc.consumer();
                        unbatched(move |words, most| consumer.recv_many(words, most).unwrap())
                    },
                )
            })
            .peer(own("`channel_raw`"), || {
                many.processes(
                    || batched(|words| _ = sender.send_many(words).unwrap()),
                    || unbatched(|words, most| receiver.recv_many(words, most).unwrap()),
                )
            })
            .peer(own("`Queue::new` (serde)"), || {
                many.processes(
                    || batched(|words| _ = serde.put_many(words).unwrap()),
                    || unbatched(|words, most| serde.get_many(words, most).unwrap()),
                )
            })
            .run(report)?;
    }
    Ok(())
}

/// Puts words a batch at a time.
fn batched(mut put: impl FnMut(std::ops::Range<u64>)) -> impl FnMut(u32) {
    move |messages| {
        let messages = u64::from(messages);
        for from in (0..messages).step_by(BATCH) {
            put(from..messages.min(from + BATCH as u64));
        }
    }
}

/// Takes words, up to a batch at a time.
fn unbatched(mut get: impl FnMut(&mut Vec<u64>, usize) -> usize) -> impl FnMut(u32) {
    let mut words = Vec::with_capacity(BATCH);
    in_batches(move |left| {
        words.clear();
        get(&mut words, left.min(BATCH))
    })
}
