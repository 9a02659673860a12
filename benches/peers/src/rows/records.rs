//! Long records through a queue.

use std::{
    hint::black_box,
    io::{Read, Write},
    os::unix::net::UnixStream,
};

use ipc_channel::ipc;
use multiproc::{Consumer, Pipe, Producer, Queue, Raw, pipe, spsc_raw};

use crate::{
    flow::{Messages, each},
    iceoryx::Topic,
    report::Report,
    rows::Outcome,
    sockets,
    sys::Place,
};

/// 1 MiB, in words.
const WORDS: usize = 1 << 17;
/// What holds two such records, and what else belongs to them.
const CAPACITY: usize = 4 << 20;
const TIMES: Messages = Messages(100);

/// Records of 1 MiB, which the sender has in its memory, and of which the receiver reads some words of each page.
pub fn one_mebibyte(report: &mut Report) -> Outcome {
    let name = "records of 1 MiB, cross";
    let Some(bench) = report.bench(name, Place::Both) else {
        return Ok(());
    };
    let record: Vec<u64> = (0..WORDS as u64).collect();
    let bytes: Vec<u8> = record.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let ours = Queue::<u64, Raw>::raw(CAPACITY)?;
    let handed = pipe::<Consumer<u64, Raw>, Consumer<u64, Raw>>()?;
    let ipc = ipc::bytes_channel()?;
    let sockets = UnixStream::pair()?;
    let os_pipe = sockets::pipe(1 << 20)?;
    bench
        .ours(|| {
            TIMES.processes(
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
        .target("ipc-channel, bytes", 0.5, || {
            let (sender, receiver) = &ipc;
            TIMES.processes(
                || each(|_| sender.send(&bytes).unwrap()),
                || each(|_| read_bytes(&receiver.recv().unwrap())),
            )
        })
        .target("socket pair", 0.5, || {
            let (mut sender, receiver) = (&sockets.0, &sockets.1);
            let bytes = &bytes;
            TIMES.processes(
                || each(move |_| sender.write_all(bytes).unwrap()),
                || each(whole_records(receiver)),
            )
        })
        .peer("pipe", || {
            let (reader, mut writer) = (&os_pipe.0, &os_pipe.1);
            let bytes = &bytes;
            TIMES.processes(
                || each(move |_| writer.write_all(bytes).unwrap()),
                || each(whole_records(reader)),
            )
        })
        .peer("our `spsc_raw`, in place", || {
            let record = &record;
            TIMES.processes(
                || {
                    let mut producer = make(&handed.0);
                    each(move |_| {
                        let mut room = producer.reserve(WORDS).unwrap();
                        room.copy_from_slice(record);
                        room.send();
                    })
                },
                || {
                    let mut consumer = handed.1.recv().unwrap().unwrap();
                    each(move |_| read(&consumer.recv_ref().unwrap()))
                },
            )
        })
        .peer("iceoryx2, in place", || {
            let topic = Topic::new(2);
            let record = &record;
            TIMES.processes(
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
        .run(report)
}

fn make(way: &Pipe<Consumer<u64, Raw>, Consumer<u64, Raw>>) -> Producer<u64, Raw> {
    let (producer, consumer) = spsc_raw(CAPACITY).unwrap();
    way.send(consumer).unwrap();
    producer
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

/// Reads records into memory that is there already.
fn whole_records(mut stream: impl Read) -> impl FnMut(u64) {
    let mut record = vec![0; WORDS * 8];
    move |_| {
        stream.read_exact(&mut record).unwrap();
        read_bytes(&record);
    }
}
