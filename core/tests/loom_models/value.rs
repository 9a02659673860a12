//! The slots of a value.

use loom::{sync::Arc, thread};
use multiproc_core::{
    FOREVER, Lock, Slots,
    atomic::{AtomicU64, Ordering},
};

use crate::world::{Process, model, processes};

/// The words of a value of two words, and the lock of its writers.
struct Words {
    lock: Lock,
    sequence: AtomicU64,
    slots: [[AtomicU64; 2]; 2],
}

impl Words {
    fn new() -> Words {
        let slot = || [AtomicU64::new(0), AtomicU64::new(0)];
        Words {
            lock: Lock::new(),
            sequence: AtomicU64::new(0),
            slots: [slot(), slot()],
        }
    }

    fn protocol(&self) -> Slots<'_> {
        Slots {
            sequence: &self.sequence,
            slots: [&self.slots[0], &self.slots[1]],
        }
    }

    fn write(&self, os: &Process, value: u64) {
        let taken = self.lock.lock(os, FOREVER).unwrap();
        self.protocol().write(|_| (), |i| value + i as u64);
        self.lock.unlock(os, taken.me);
    }

    fn read(&self) -> Option<[u64; 2]> {
        let mut copy = [0; 2];
        self.protocol()
            .try_read(|i, word| copy[i] = word)
            .then_some(copy)
    }
}

const VALUES: [[u64; 2]; 4] = [[0, 0], [10, 11], [20, 21], [30, 31]];

#[test]
fn a_snapshot_is_never_torn() {
    model(4, || {
        let words = Arc::new(Words::new());
        let [writer] = processes();
        let writing = {
            let words = Arc::clone(&words);
            thread::spawn(move || [10, 20, 30].map(|value| words.write(&writer, value)))
        };
        if let Some(seen) = words.read() {
            assert!(VALUES.contains(&seen), "torn: {seen:?}");
        }
        writing.join().unwrap();
        assert_eq!(words.read(), Some([30, 31]));
    });
}

#[test]
fn two_writers_and_a_reader_never_tear_a_value() {
    model(3, || {
        let words = Arc::new(Words::new());
        let mut values = [20, 30].into_iter();
        let threads = processes::<2>().map(|os| {
            let (words, value) = (Arc::clone(&words), values.next().unwrap());
            thread::spawn(move || words.write(&os, value))
        });
        if let Some(seen) = words.read() {
            assert!(VALUES.contains(&seen), "torn: {seen:?}");
        }
        let _ = threads.map(|thread| thread.join().unwrap());
    });
}

/// A writer as [`Slots::write`] without its fence: the model must find the torn snapshot, or it proves nothing.
#[test]
#[should_panic = "torn"]
fn the_model_finds_a_writer_without_its_fence() {
    model(4, || {
        let words = Arc::new(Words::new());
        let writing = {
            let words = Arc::clone(&words);
            thread::spawn(move || {
                for value in [10, 20, 30] {
                    let after = words.sequence.load(Ordering::Relaxed) + 1;
                    for (i, word) in words.slots[(after & 1) as usize].iter().enumerate() {
                        word.store(value + i as u64, Ordering::Relaxed);
                    }
                    words.sequence.store(after, Ordering::Release);
                }
            })
        };
        if let Some(seen) = words.read() {
            assert!(VALUES.contains(&seen), "torn: {seen:?}");
        }
        writing.join().unwrap();
    });
}
