//! Longer and longer records from one process to another.

use std::{hint::black_box, io::Write, os::unix::net::UnixStream};

use ipc_channel::ipc;
use multiproc::{Queue, Raw};

use crate::{
    flow::{Messages, each},
    handed::Handed,
    iceoryx::Topic,
    measure::is_quick,
    message_queue::MessageQueue,
    pair::Pair,
    report::{Report, curve::Axis},
    rows::Outcome,
    sockets::{self, whole_records},
    sys::can_cross,
};

/// Each eight times as long as the one before.
const BYTES: [usize; 8] = [8, 64, 512, 4 << 10, 32 << 10, 256 << 10, 2 << 20, 16 << 20];
/// What a repetition carries, if that is neither too many records nor too few.
const CARRIED: usize = 64 << 20;

/// Throughput, the sender on one processor and the receiver, who looks at each record, on another.
pub fn throughput(report: &mut Report) -> Outcome {
    let y = Axis::bytes_per_second("throughput");
    let Some(mut sweep) = report.sweep("Payload", Axis::bytes("payload"), y) else {
        return Ok(());
    };
    if !can_cross() {
        return Err("the payload curve needs two processors".into());
    }
    let spsc = Handed::new()?;
    let ipc = ipc::bytes_channel()?;
    let sockets = UnixStream::pair()?;
    let pipe = sockets::pipe(1 << 20)?;
    // A smoke run shows some.
    let step = if is_quick() { 3 } else { 1 };
    for bytes in BYTES.into_iter().step_by(step) {
        let words: Vec<u64> = (0..bytes as u64 / 8).collect();
        let record: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let (words, record) = (words.as_slice(), record.as_slice());
        let count = (CARRIED / bytes).clamp(8, 20_000) as u32;
        let messages = Messages(count, Pair::Cross);
        let rate = |nanoseconds: f64| bytes as f64 * 1e9 / nanoseconds;
        // Two records fit, and many short ones.
        let capacity = (4 * bytes).max(1 << 16);
        let ours = Queue::<u64, Raw>::raw(capacity)?;
        let fits = bytes <= MessageQueue::longest_message();
        let posix = fits.then(|| MessageQueue::new(bytes)).transpose()?;
        sweep
            .at(bytes as f64)
            .party("multiproc Queue", || {
                Ok(rate(messages.processes(
                    || each(|_| ours.put_slice(words).unwrap()),
                    || {
                        let ours = &ours;
                        let mut room = Vec::with_capacity(words.len());
                        each(move |_| {
                            room.clear();
                            ours.get_slice(&mut room).unwrap();
                            look_at_words(&room);
                        })
                    },
                )?))
            })
            .party("multiproc spsc, in place", || {
                Ok(rate(messages.processes(
                    || {
                        let mut producer = spsc.producer(capacity);
                        each(move |_| {
                            let mut room = producer.reserve(words.len()).unwrap();
                            room.copy_from_slice(words);
                            room.send();
                        })
                    },
                    || {
                        let mut consumer = spsc.consumer();
                        each(move |_| look_at_words(&consumer.recv_ref().unwrap()))
                    },
                )?))
            })
            .party("iceoryx2, in place", || {
                // At most 64 MiB wait, and at most as many records as it can lend.
                let topic = Topic::new((capacity / bytes).min(1024));
                Ok(rate(messages.processes(
                    || {
                        let mut send = topic.send_slices(words.len());
                        each(move |_| send(words))
                    },
                    || {
                        let mut receive = topic.receive_slices(look_at_words);
                        each(move |_| receive())
                    },
                )?))
            })
            .party("pipe", || {
                let (reader, mut writer) = (&pipe.0, &pipe.1);
                Ok(rate(messages.processes(
                    || each(move |_| writer.write_all(record).unwrap()),
                    || each(whole_records(reader, bytes, look_at_bytes)),
                )?))
            })
            .party("socket pair", || {
                let (mut sender, receiver) = (&sockets.0, &sockets.1);
                Ok(rate(messages.processes(
                    || each(move |_| sender.write_all(record).unwrap()),
                    || each(whole_records(receiver, bytes, look_at_bytes)),
                )?))
            })
            .party("ipc-channel", || {
                let (sender, receiver) = &ipc;
                Ok(rate(messages.processes(
                    || each(|_| sender.send(record).unwrap()),
                    || each(|_| look_at_bytes(&receiver.recv().unwrap())),
                )?))
            })
            .party_if(fits, "POSIX message queue", || {
                let posix = posix.as_ref().ok_or("it would not fit")?;
                Ok(rate(messages.processes(
                    || each(|_| posix.send(record)),
                    || {
                        let mut room = vec![0; bytes];
                        each(move |_| {
                            posix.receive(&mut room);
                            look_at_bytes(&room);
                        })
                    },
                )?))
            })
            .python("Python Pipe", "payload")
            .run();
    }
    sweep.done()
}

/// Some words of each page.
fn look_at_words(record: &[u64]) {
    for word in record.iter().step_by(64) {
        black_box(*word);
    }
}

fn look_at_bytes(record: &[u8]) {
    for byte in record.iter().step_by(512) {
        black_box(*byte);
    }
}
