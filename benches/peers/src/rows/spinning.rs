//! Queues and channels between two who never sleep.

use std::{
    hint::spin_loop,
    sync::atomic::{AtomicU64, Ordering},
};

use crossbeam_channel as crossbeam;
use multiproc::{Queue, Raw, Receiver, Sender, channel_raw};

use crate::{
    handed::Handed,
    iceoryx::Topic,
    pair::Pair,
    report::{
        Report,
        beside::{limit, own, threads},
    },
    rows::{
        Outcome,
        queue::{CAPACITY, LEN},
    },
    sys::{Mapping, Place},
    turns::{Baton, Rounds, Turns},
};

const LOCK_LINES: &str = "A short record travels on the cache line of the position of its side \
    (`core/src/ring_copy.rs`), but the lines of both locks are written each time, too. A program written by hand with \
    these four exchanges and nothing else came to 1.9.";

/// To and fro, in queues that are asked again and again.
pub fn round_trip(report: &mut Report) -> Outcome {
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
        .target(limit("two words"), 1.5, || {
            OURS.processes(Pair::Cross, &words)
        })
        .because(LOCK_LINES)
        .peer(own("`spsc_raw`"), || OURS.processes(Pair::Cross, &spsc))
        .peer(own("`channel_raw`"), || {
            OURS.processes(Pair::Cross, &channels)
        })
        .peer(threads("crossbeam bounded"), || {
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
        let mut there = self.0[1].producer(CAPACITY);
        let mut back = self.0[0].consumer();
        move || {
            there.try_send(1).unwrap();
            while back.try_recv().is_err() {
                spin_loop();
            }
        }
    }

    fn follow(&self) -> impl FnMut() {
        let mut back = self.0[0].producer(CAPACITY);
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
