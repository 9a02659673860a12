//! Long records through a queue.

use std::{hint::black_box, io::Write, os::unix::net::UnixStream};

use ipc_channel::ipc;
use multiproc::{Queue, Raw};

use crate::{
    flow::{Messages, each},
    handed::Handed,
    iceoryx::Topic,
    pair::Pair,
    report::{Report, beside::own},
    rows::Outcome,
    sockets::{self, whole_records},
};

/// 1 MiB, in words.
const WORDS: usize = 1 << 17;
/// What holds two such records, and what else belongs to them.
const CAPACITY: usize = 4 << 20;
const TIMES: u32 = 100;

/// Records of 1 MiB, which the sender has in its memory, and of which the receiver reads some words of each page.
pub fn one_mebibyte(report: &mut Report) -> Outcome {
    let record: Vec<u64> = (0..WORDS as u64).collect();
    let bytes: Vec<u8> = record.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let ours = Queue::<u64, Raw>::raw(CAPACITY)?;
    let handed = Handed::new()?;
    let ipc = ipc::bytes_channel()?;
    let sockets = UnixStream::pair()?;
    let os_pipe = sockets::pipe(1 << 20)?;
    for pair in [Pair::Cross, Pair::Same] {
        let name = format!("records of 1 MiB, {}", pair.name());
        let Some(bench) = report.bench(name, pair.place()) else {
            continue;
        };
        // Who looks again and again keeps the only processor from the other.
        let cross = matches!(pair, Pair::Cross);
        let times = Messages(TIMES, pair);
        bench
            .ours(|| {
                times.processes(
                    || each(|_| ours.put_slice(&record).unwrap()),
                    || {
                        let mut words = Vec::with_capacity(WORDS);
                        let ours = &ours;
                        each(move |_| {
                            words.clear();
                            ours.get_slice(&mut words).unwrap();
                            read(&words);
                        })
                    },
                )
            })
            .target_if(cross, "ipc-channel, bytes", 0.5, || {
                let (sender, receiver) = &ipc;
                times.processes(
                    || each(|_| sender.send(&bytes).unwrap()),
                    || each(|_| read_bytes(&receiver.recv().unwrap())),
                )
            })
            .target_if(cross, "socket pair", 0.5, || {
                let (mut sender, receiver) = (&sockets.0, &sockets.1);
                let bytes = &bytes;
                times.processes(
                    || each(move |_| sender.write_all(bytes).unwrap()),
                    || each(whole_records(receiver, WORDS * 8, read_bytes)),
                )
            })
            .peer("pipe", || {
                let (reader, mut writer) = (&os_pipe.0, &os_pipe.1);
                let bytes = &bytes;
                times.processes(
                    || each(move |_| writer.write_all(bytes).unwrap()),
                    || each(whole_records(reader, WORDS * 8, read_bytes)),
                )
            })
            .peer(own("`spsc_raw`, in place"), || {
                let record = &record;
                times.processes(
                    || {
                        let mut producer = handed.producer(CAPACITY);
                        each(move |_| {
                            let mut room = producer.reserve(WORDS).unwrap();
                            room.copy_from_slice(record);
                            room.send();
                        })
                    },
                    || {
                        let mut consumer = handed.consumer();
                        each(move |_| read(&consumer.recv_ref().unwrap()))
                    },
                )
            })
            .peer_if(cross, "iceoryx2, in place", || {
                let topic = Topic::new(2);
                let record = &record;
                times.processes(
                    || {
                        let mut send = topic.send_slices(WORDS);
                        each(move |_| send(record))
                    },
                    || {
                        let mut receive = topic.receive_slices(read);
                        each(move |_| receive())
                    },
                )
            })
            .few()
            .run(report)?;
    }
    Ok(())
}

/// Some words of each page.
fn read(record: &[u64]) {
    assert_eq!(record.len(), WORDS);
    for word in record.iter().step_by(64) {
        black_box(*word);
    }
}

fn read_bytes(record: &[u8]) {
    assert_eq!(record.len(), WORDS * 8);
    for byte in record.iter().step_by(512) {
        black_box(*byte);
    }
}
