//! Readers that share, and a writer that becomes one of them.

use loom::{sync::Arc, thread};
use multiproc_core::{Claim, FOREVER, Held, Holders, Owner, Rule};

use crate::world::{Plain, Process, model, processes};

/// The table of a reader-writer lock, and its data.
struct Lock {
    holders: Holders,
    data: Plain,
}

struct ReadersShare;

impl Rule for ReadersShare {
    fn conflict(&self, a: &Claim, b: &Claim) -> bool {
        a.exclusive || b.exclusive
    }

    fn died(&self, _: &Claim, _: Owner) {}
}

impl Lock {
    fn new() -> Arc<Lock> {
        Arc::new(Lock {
            holders: Holders::new(),
            data: Plain::new(),
        })
    }

    fn claim(&self, os: &Process, exclusive: bool) -> Held {
        let want = Claim {
            exclusive,
            start: 0,
            end: 1,
        };
        let held = self.holders.acquire(os, want, &ReadersShare, FOREVER);
        held.unwrap()
    }

    fn write(&self, os: &Process) {
        let held = self.claim(os, true);
        self.data.add_one();
        self.holders.release(os, held);
    }

    fn read(&self, os: &Process) -> u64 {
        let held = self.claim(os, false);
        let seen = self.data.get();
        self.holders.release(os, held);
        seen
    }

    /// Returns once so many stand in line.
    fn until_waiting(&self, count: usize) {
        while self.holders.waiting() < count {
            thread::yield_now();
        }
    }
}

fn start<R: 'static>(
    lock: &Arc<Lock>,
    os: Process,
    body: fn(&Lock, &Process) -> R,
) -> thread::JoinHandle<R> {
    let lock = Arc::clone(lock);
    thread::spawn(move || body(&lock, &os))
}

#[test]
fn a_writer_is_woken_after_the_last_reader() {
    model(3, || {
        let lock = Lock::new();
        let [writer, readers @ ..] = processes::<3>();
        let held = readers.map(|os| (os, lock.claim(&os, false)));
        let writing = start(&lock, writer, Lock::write);
        let [first, second] = held.map(|(os, held)| {
            let lock = Arc::clone(&lock);
            move || {
                let seen = lock.data.get();
                lock.holders.release(&os, held);
                assert_eq!(seen, 0);
            }
        });
        let reading = thread::spawn(first);
        second();
        reading.join().unwrap();
        writing.join().unwrap();
        assert_eq!(lock.data.get(), 1);
    });
}

#[test]
fn a_downgrade_lets_a_reader_in_who_sees_what_was_written() {
    model(3, || {
        let lock = Lock::new();
        let [writer, reader] = processes();
        let held = lock.claim(&writer, true);
        let reading = start(&lock, reader, Lock::read);
        lock.data.add_one();
        lock.holders.downgrade(&writer, held).unwrap();
        assert_eq!(reading.join().unwrap(), 1);
        lock.holders.release(&writer, held);
    });
}

/// The writer's share is not given back before the reader has come and gone: a wake-up that goes to the waiting writer
/// instead of the reader, or is undone by it, would be a deadlock.
#[test]
fn a_downgrade_lets_a_waiting_reader_in_before_a_waiting_writer() {
    model(3, || {
        let lock = Lock::new();
        let [holder, writer, reader] = processes();
        let held = lock.claim(&holder, true);
        let writing = start(&lock, writer, Lock::write);
        lock.until_waiting(1);
        let reading = start(&lock, reader, Lock::read);
        lock.until_waiting(2);
        lock.holders.downgrade(&holder, held).unwrap();
        assert_eq!(reading.join().unwrap(), 0);
        lock.holders.release(&holder, held);
        writing.join().unwrap();
        assert_eq!(lock.data.get(), 1);
    });
}

#[test]
fn a_writer_that_waits_over_a_downgrade_is_woken_after_it() {
    model(3, || {
        let lock = Lock::new();
        let [holder, writer] = processes();
        let held = lock.claim(&holder, true);
        let writing = start(&lock, writer, Lock::write);
        lock.holders.downgrade(&holder, held).unwrap();
        assert_eq!(lock.data.get(), 0);
        lock.holders.release(&holder, held);
        writing.join().unwrap();
        assert_eq!(lock.data.get(), 1);
    });
}
