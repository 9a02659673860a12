//! Queues and channels of words: many from one party to another, and one to and fro.

use std::{
    hint::spin_loop,
    io::Write,
    os::unix::net::UnixStream,
    sync::atomic::{AtomicU64, Ordering},
};

use crossbeam_channel as crossbeam;
use ipc_channel::ipc::{self, IpcReceiver, IpcSender};
use multiproc::{
    Consumer, Pipe, Producer, Queue, Raw, Receiver, Sender, channel_raw, pipe, spsc_raw,
};

use crate::{
    bare_ring::BareRing,
    flow::{Messages, each, in_batches},
    futex::Futexes,
    iceoryx::Topic,
    pair::Pair,
    report::Report,
    rows::Outcome,
    sockets::{self, Pipes, word_of},
    sys::{Mapping, Place},
    turns::{Baton, Rounds, Turns, asleep},
};

/// How many words fit into a queue at a time, in whatever way each measures that.
const LEN: usize = 1024;
/// What ours needs for them.
const CAPACITY: usize = LEN * 16;
/// How many are put, and taken, by one call.
const BATCH: usize = 32;

/// Of parties whose messages take nanoseconds.
const MANY: Messages = Messages(300_000);
/// Of parties whose messages take a system call.
const SOME: Messages = Messages(20_000);

/// One at a time.
pub fn words(report: &mut Report) -> Outcome {
    let Some(bench) = report.bench("queue of u64, cross", Place::Both) else {
        return Ok(());
    };
    let ours = Queue::<u64, Raw>::raw(CAPACITY)?;
    let serde = Queue::<u64>::new(CAPACITY)?;
    let (sender, receiver) = channel_raw(CAPACITY)?;
    let spsc = Handed::new()?;
    let bare = BareRing::new()?;
    let crossbeam = crossbeam::bounded(LEN);
    let ipc = ipc::channel::<u64>()?;
    let os_pipe = sockets::pipe(LEN * 8)?;
    bench
        .ours(|| {
            MANY.processes(
                || each(|word| ours.put(word).unwrap()),
                || each(|_| _ = ours.get().unwrap()),
            )
        })
        .peer("bare ring, one to one (limit)", || {
            MANY.processes(
                || each(bare.sender()),
                || {
                    let mut receive = bare.receiver();
                    each(move |_| _ = receive())
                },
            )
        })
        .target("crossbeam bounded (two threads)", 1.5, || {
            let (sender, receiver) = &crossbeam;
            MANY.threads(
                || each(|word| sender.send(word).unwrap()),
                || each(|_| _ = receiver.recv().unwrap()),
            )
        })
        .peer("our `spsc_raw`", || {
            MANY.processes(
                || {
                    let mut producer = spsc.producer();
                    each(move |word| producer.send(word).unwrap())
                },
                || {
                    let mut consumer = spsc.consumer();
                    each(move |_| _ = consumer.recv().unwrap())
                },
            )
        })
        .peer("our `channel_raw`", || {
            MANY.processes(
                || each(|word| sender.send(word).unwrap()),
                || each(|_| _ = receiver.recv().unwrap()),
            )
        })
        .peer("our `Queue::new` (serde)", || {
            MANY.processes(
                || each(|word| serde.put(word).unwrap()),
                || each(|_| _ = serde.get().unwrap()),
            )
        })
        .peer("iceoryx2", || {
            let topic = Topic::new(LEN);
            SOME.processes(
                || each(topic.send_words()),
                || {
                    let mut receive = topic.receive_words();
                    each(move |_| _ = receive())
                },
            )
        })
        .peer("pipe", || {
            let (reader, writer) = &os_pipe;
            SOME.processes(
                || {
                    let mut writer = writer;
                    each(move |word| writer.write_all(&word.to_ne_bytes()).unwrap())
                },
                || each(|_| _ = word_of(reader)),
            )
        })
        .peer("ipc-channel", || {
            let (sender, receiver) = &ipc;
            SOME.processes(
                || each(|word| sender.send(word).unwrap()),
                || each(|_| _ = receiver.recv().unwrap()),
            )
        })
        .python("Python Pipe", "pipe words")
        .python("Python Queue", "queue words")
        .run(report)
}

/// Many at a time.
pub fn batches(report: &mut Report) -> Outcome {
    let Some(bench) = report.bench("queue of u64 in 32s, cross", Place::Both) else {
        return Ok(());
    };
    let ours = Queue::<u64, Raw>::raw(CAPACITY)?;
    let serde = Queue::<u64>::new(CAPACITY)?;
    let (sender, receiver) = channel_raw(CAPACITY)?;
    let spsc = Handed::new()?;
    let crossbeam = crossbeam::bounded(LEN);
    bench
        .ours(|| {
            MANY.processes(
                || batched(|words| _ = ours.put_many(words).unwrap()),
                || unbatched(|words, most| ours.get_many(words, most).unwrap()),
            )
        })
        .target("crossbeam, one at a time (threads)", 0.3, || {
            let (sender, receiver) = &crossbeam;
            MANY.threads(
                || each(|word| sender.send(word).unwrap()),
                || each(|_| _ = receiver.recv().unwrap()),
            )
        })
        .peer("our `spsc_raw`", || {
            MANY.processes(
                || {
                    let mut producer = spsc.producer();
                    batched(move |words| _ = producer.send_many(words).unwrap())
                },
                || {
                    let mut consumer = spsc.consumer();
                    unbatched(move |words, most| consumer.recv_many(words, most).unwrap())
                },
            )
        })
        .peer("our `channel_raw`", || {
            MANY.processes(
                || batched(|words| _ = sender.send_many(words).unwrap()),
                || unbatched(|words, most| receiver.recv_many(words, most).unwrap()),
            )
        })
        .peer("our `Queue::new` (serde)", || {
            MANY.processes(
                || batched(|words| _ = serde.put_many(words).unwrap()),
                || unbatched(|words, most| serde.get_many(words, most).unwrap()),
            )
        })
        .run(report)
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

/// The way on which the receiving end of a channel from one to one comes to its process from the one that sends.
struct Handed(
    Pipe<Consumer<u64, Raw>, Consumer<u64, Raw>>,
    Pipe<Consumer<u64, Raw>, Consumer<u64, Raw>>,
);

impl Handed {
    fn new() -> Result<Handed, multiproc::Error> {
        let (here, there) = pipe()?;
        Ok(Handed(here, there))
    }

    fn producer(&self) -> Producer<u64, Raw> {
        let (producer, consumer) = spsc_raw(CAPACITY).unwrap();
        self.0.send(consumer).unwrap();
        producer
    }

    fn consumer(&self) -> Consumer<u64, Raw> {
        self.1.recv().unwrap().unwrap()
    }
}

/// To and fro between two who never sleep.
pub fn spinning(report: &mut Report) -> Outcome {
    let name = "queue round trip, spinning, cross";
    let Some(bench) = report.bench(name, Place::Both) else {
        return Ok(());
    };
    const OURS: Rounds = Rounds(20_000);
    let ours = Spinning([Queue::raw(CAPACITY)?, Queue::raw(CAPACITY)?]);
    let words = Words(Mapping::new(4096)?.leak_words());
    let channels = Spinning([channel_raw(CAPACITY)?, channel_raw(CAPACITY)?]);
    let spsc = Spinning([Handed::new()?, Handed::new()?]);
    let crossbeam = Spinning([crossbeam::bounded(LEN), crossbeam::bounded(LEN)]);
    bench
        .ours(|| OURS.processes(Pair::Cross, &ours))
        .target("two words (limit)", 1.5, || {
            OURS.processes(Pair::Cross, &words)
        })
        .peer("our `spsc_raw`", || OURS.processes(Pair::Cross, &spsc))
        .peer("our `channel_raw`", || {
            OURS.processes(Pair::Cross, &channels)
        })
        .peer("crossbeam bounded (two threads)", || {
            OURS.threads(Pair::Cross, &crossbeam)
        })
        .peer("iceoryx2", || {
            let topics = [Topic::new(LEN), Topic::new(LEN)];
            Rounds(5_000).processes(Pair::Cross, &topics)
        })
        .run(report)
}

/// Two words, each of them written by one and looked at by the other.
struct Words(&'static [AtomicU64]);

impl Baton for Words {
    fn give(&self, to: usize) {
        self.0[to * 64].store(1, Ordering::Release);
    }

    fn take(&self, me: usize) {
        let word = &self.0[me * 64];
        while word.load(Ordering::Acquire) == 0 {
            spin_loop();
        }
        word.store(0, Ordering::Relaxed);
    }
}

/// A way to each of two parties, who look again and again.
struct Spinning<T>([T; 2]);

impl Baton for Spinning<Queue<u64, Raw>> {
    fn give(&self, to: usize) {
        self.0[to].try_put(1).unwrap();
    }

    fn take(&self, me: usize) {
        while self.0[me].try_get().is_err() {
            spin_loop();
        }
    }
}

impl Baton for Spinning<(Sender<u64, Raw>, Receiver<u64, Raw>)> {
    fn give(&self, to: usize) {
        self.0[to].0.try_send(1).unwrap();
    }

    fn take(&self, me: usize) {
        while self.0[me].1.try_recv().is_err() {
            spin_loop();
        }
    }
}

impl Baton for Spinning<(crossbeam::Sender<u64>, crossbeam::Receiver<u64>)> {
    fn give(&self, to: usize) {
        self.0[to].0.try_send(1).unwrap();
    }

    fn take(&self, me: usize) {
        while self.0[me].1.try_recv().is_err() {
            spin_loop();
        }
    }
}

impl Turns for Spinning<Handed> {
    fn lead(&self) -> impl FnMut() {
        let mut there = self.0[1].producer();
        let mut back = self.0[0].consumer();
        move || {
            there.try_send(1).unwrap();
            while back.try_recv().is_err() {
                spin_loop();
            }
        }
    }

    fn follow(&self) -> impl FnMut() {
        let mut back = self.0[0].producer();
        let mut here = self.0[1].consumer();
        move || {
            while here.try_recv().is_err() {
                spin_loop();
            }
            back.try_send(1).unwrap();
        }
    }
}

impl Turns for [Topic; 2] {
    fn lead(&self) -> impl FnMut() {
        let (mut there, mut back) = (self[1].send_words(), self[0].receive_words());
        move || {
            there(1);
            back();
        }
    }

    fn follow(&self) -> impl FnMut() {
        let (mut back, mut here) = (self[0].send_words(), self[1].receive_words());
        move || {
            here();
            back(1);
        }
    }
}

/// To and fro between two who sleep while they wait.
pub fn round_trip(report: &mut Report) -> Outcome {
    let ours = [Queue::raw(CAPACITY)?, Queue::raw(CAPACITY)?];
    let channels = [channel_raw(CAPACITY)?, channel_raw(CAPACITY)?];
    let spsc = [Handed::new()?, Handed::new()?];
    let limit = Futexes::new()?;
    let pipes = Pipes([sockets::pipe(LEN * 8)?, sockets::pipe(LEN * 8)?]);
    let sockets = UnixStream::pair()?;
    let ipc = [ipc::channel()?, ipc::channel()?];
    for pair in [Pair::Same, Pair::Cross] {
        let name = format!("queue round trip, {}", pair.name());
        let Some(bench) = report.bench(name, pair.place()) else {
            continue;
        };
        let bench = bench.ours(|| asleep(pair, &ours));
        let futex = ("bare futex (limit)", || asleep(pair, &limit));
        let bench = match pair {
            Pair::Same => bench.target(futex.0, 1.2, futex.1),
            Pair::Cross => bench.peer(futex.0, futex.1),
        };
        bench
            .peer("our `spsc_raw`", || asleep(pair, &spsc))
            .peer("our `channel_raw`", || asleep(pair, &channels))
            .peer("pipes", || asleep(pair, &pipes))
            .peer("socket pair", || asleep(pair, &sockets))
            .peer("ipc-channel", || asleep(pair, &ipc))
            .python("Python Queue", "queue")
            .run(report)?;
    }
    Ok(())
}

impl Baton for [Queue<u64, Raw>; 2] {
    fn give(&self, to: usize) {
        self[to].put(1).unwrap();
    }

    fn take(&self, me: usize) {
        self[me].get().unwrap();
    }
}

impl Baton for [(Sender<u64, Raw>, Receiver<u64, Raw>); 2] {
    fn give(&self, to: usize) {
        self[to].0.send(1).unwrap();
    }

    fn take(&self, me: usize) {
        self[me].1.recv().unwrap();
    }
}

impl Baton for [(IpcSender<u64>, IpcReceiver<u64>); 2] {
    fn give(&self, to: usize) {
        self[to].0.send(1).unwrap();
    }

    fn take(&self, me: usize) {
        self[me].1.recv().unwrap();
    }
}

impl Turns for [Handed; 2] {
    fn lead(&self) -> impl FnMut() {
        let mut there = self[1].producer();
        let mut back = self[0].consumer();
        move || {
            there.send(1).unwrap();
            back.recv().unwrap();
        }
    }

    fn follow(&self) -> impl FnMut() {
        let mut back = self[0].producer();
        let mut here = self[1].consumer();
        move || {
            here.recv().unwrap();
            back.send(1).unwrap();
        }
    }
}
