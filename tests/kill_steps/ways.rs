//! What records go through: a queue, or a channel.

use std::{cell::RefCell, rc::Rc};

use multiproc::{Queue, Raw, Receiver, RecvError, SendError, Sender, channel_raw};

use crate::records::{Record, number};

/// On which side of a way one is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Party {
    Producer,
    Consumer,
}

/// For so many records there is room.
const CAPACITY: usize = 512;

/// A way for records. Processes of a run have copies of it, made by forks.
pub trait Way {
    fn new() -> Self;

    /// The calling process is going to put, or to take.
    fn begin(&self, party: Party);

    /// The calling process puts no more.
    fn end(&self);

    /// Nobody puts any more.
    fn close(&self);

    /// Puts records, several of them at once.
    fn put(&self, records: &[Record]);

    /// Puts a record if there is room.
    fn try_put(&self, record: Record) -> bool;

    /// Takes records, up to so many, waiting for one; `None` when there will be none.
    fn get(&self, most: usize) -> Option<Vec<u64>>;

    /// Takes a record if there is one.
    fn try_get(&self) -> Option<u64>;
}

/// What was taken; `None` at the end of all.
pub fn taken<T>(result: Result<T, RecvError>) -> Option<T> {
    match result {
        Ok(taken) => Some(taken),
        Err(why) if why.is_disconnected() => None,
        Err(why) => panic!("{why}"),
    }
}

/// Whether there was room.
fn was_put<T>(result: Result<(), SendError<T>>) -> bool {
    match result {
        Ok(()) => true,
        Err(why) if why.is_full() || why.is_timeout() => false,
        Err(why) => panic!("{why}"),
    }
}

/// What was there to be taken at once.
fn found(result: Result<Record, RecvError>) -> Option<u64> {
    match result {
        Ok(record) => Some(number(record)),
        Err(why) if why.is_empty() || why.is_disconnected() => None,
        Err(why) => panic!("{why}"),
    }
}

/// Takes several at once if several are asked for.
fn some_of<E>(
    most: usize,
    get: impl FnOnce() -> Result<Record, E>,
    get_many: impl FnOnce(&mut Vec<Record>) -> Result<usize, E>,
) -> Result<Vec<u64>, E> {
    let records = if most == 1 {
        vec![get()?]
    } else {
        let mut records = Vec::new();
        let count = get_many(&mut records)?;
        assert!(count == records.len() && count <= most);
        records
    };
    Ok(records.into_iter().map(number).collect())
}

impl Way for Queue<Record, Raw> {
    fn new() -> Self {
        Queue::raw(CAPACITY).unwrap()
    }

    fn begin(&self, _: Party) {}

    fn end(&self) {}

    fn close(&self) {
        self.close().unwrap();
    }

    fn put(&self, records: &[Record]) {
        match records {
            [record] => self.put(*record).unwrap(),
            records => assert_eq!(
                self.put_many(records.iter().copied()).unwrap(),
                records.len()
            ),
        }
    }

    fn try_put(&self, record: Record) -> bool {
        was_put(self.try_put(record))
    }

    fn get(&self, most: usize) -> Option<Vec<u64>> {
        let get_many = |records: &mut Vec<Record>| self.get_many(records, most);
        taken(some_of(most, || self.get(), get_many))
    }

    fn try_get(&self) -> Option<u64> {
        found(self.try_get())
    }
}

/// Both ends of a channel. What a process has of the sender of its parent is entered by [`begin`](Way::begin), or by its
/// first use.
pub struct Channel {
    sender: RefCell<Option<Rc<Sender<Record, Raw>>>>,
    receiver: RefCell<Rc<Receiver<Record, Raw>>>,
}

impl Channel {
    fn sender(&self) -> Rc<Sender<Record, Raw>> {
        self.sender.borrow().clone().expect("this process puts")
    }

    fn receiver(&self) -> Rc<Receiver<Record, Raw>> {
        self.receiver.borrow().clone()
    }
}

impl Way for Channel {
    fn new() -> Channel {
        let (sender, receiver) = channel_raw(CAPACITY).unwrap();
        Channel {
            sender: RefCell::new(Some(Rc::new(sender))),
            receiver: RefCell::new(Rc::new(receiver)),
        }
    }

    fn begin(&self, party: Party) {
        match party {
            Party::Producer => {
                let sender = Sender::clone(&self.sender());
                self.sender.replace(Some(Rc::new(sender)));
            }
            Party::Consumer => {
                let receiver = Receiver::clone(&self.receiver());
                self.receiver.replace(Rc::new(receiver));
            }
        }
    }

    fn end(&self) {
        self.sender.take();
    }

    fn close(&self) {}

    fn put(&self, records: &[Record]) {
        let sender = self.sender();
        match records {
            [record] => sender.send(*record).unwrap(),
            records => assert_eq!(
                sender.send_many(records.iter().copied()).unwrap(),
                records.len()
            ),
        }
    }

    fn try_put(&self, record: Record) -> bool {
        was_put(self.sender().try_send(record))
    }

    fn get(&self, most: usize) -> Option<Vec<u64>> {
        let receiver = self.receiver();
        let get_many = |records: &mut Vec<Record>| receiver.recv_many(records, most);
        taken(some_of(most, || receiver.recv(), get_many))
    }

    fn try_get(&self) -> Option<u64> {
        found(self.receiver().try_recv())
    }
}
