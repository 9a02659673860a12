//! Queues and channels between two who sleep while they wait.

use std::os::unix::net::UnixStream;

use ipc_channel::ipc::{self, IpcReceiver, IpcSender};
use multiproc::{Queue, Raw, Receiver, Sender, channel_raw};

use crate::{
    futex::Futexes,
    handed::Handed,
    message_queue::MessageQueue,
    pair::Pair,
    report::{
        Report,
        beside::{limit, own},
    },
    rows::{
        Outcome,
        queue::{CAPACITY, LEN},
    },
    sockets::{self, Pipes},
    turns::{Baton, Turns, asleep},
};

const DEADLINES: &str = "A deadline alone makes it 1.13: a sleep of ours has one, since whatever wakes it may be killed \
    first. The rest is two looks at the clock, a second wake-up (for those who may sleep on the lock itself), and a \
    moment's looking, once in 256 waits: some 0.3 µs for each wait. Without the locks (`spsc`) it is at 1.25 to 1.33.";

/// A word to and fro.
pub fn queue(report: &mut Report) -> Outcome {
    let ours = [Queue::raw(CAPACITY)?, Queue::raw(CAPACITY)?];
    let channels = [channel_raw(CAPACITY)?, channel_raw(CAPACITY)?];
    let spsc = [Handed::new()?, Handed::new()?];
    let futexes = Futexes::new()?;
    let posix = [MessageQueue::new(8)?, MessageQueue::new(8)?];
    let pipes = Pipes([sockets::pipe(LEN * 8)?, sockets::pipe(LEN * 8)?]);
    let sockets = UnixStream::pair()?;
    let ipc = [ipc::channel()?, ipc::channel()?];
    for pair in [Pair::Same, Pair::Cross] {
        let name = format!("queue round trip, {}", pair.name());
        let Some(bench) = report.bench(name, pair.place()) else {
            continue;
        };
        let same = matches!(pair, Pair::Same);
        bench
            .ours(|| asleep(pair, &ours))
            .target_if(same, limit("bare futex"), 1.2, || asleep(pair, &futexes))
            .because(DEADLINES)
            .peer(own("`spsc_raw`"), || asleep(pair, &spsc))
            .peer(own("`channel_raw`"), || asleep(pair, &channels))
            .peer("pipes", || asleep(pair, &pipes))
            .peer("socket pair", || asleep(pair, &sockets))
            .peer("POSIX message queues", || asleep(pair, &posix))
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
        let mut there = self[1].producer(CAPACITY);
        let mut back = self[0].consumer();
        move || {
            there.send(1).unwrap();
            back.recv().unwrap();
        }
    }

    fn follow(&self) -> impl FnMut() {
        let mut back = self[0].producer(CAPACITY);
        let mut here = self[1].consumer();
        move || {
            here.recv().unwrap();
            back.send(1).unwrap();
        }
    }
}
