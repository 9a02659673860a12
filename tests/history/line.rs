//! What the messages go through: a queue, or a channel whose ends are handed to all who come.

use std::{fs::File, os::fd::AsFd, os::unix::fs::FileExt};

use multiproc::{Queue, Raw, Receiver, RecvError, Sender, channel_raw};
use serde::{Serialize, de::DeserializeOwned};

use crate::ledger::Message;

/// For a few thousand messages.
const CAPACITY: usize = 1 << 16;

/// Where producers put.
pub trait Putter: Clone + Serialize + DeserializeOwned {
    fn put(&self, message: Message);
    fn put_many(&self, messages: impl Iterator<Item = Message>);
}

/// Where consumers take; `false` when there will be nothing more.
pub trait Taker: Clone + Serialize + DeserializeOwned {
    fn get(&self, messages: &mut Vec<Message>) -> bool;
    fn get_many(&self, messages: &mut Vec<Message>, most: usize) -> bool;
}

/// Both.
pub trait Line: Sized {
    const NAME: &str;

    type Putter: Putter;
    type Taker: Taker;

    fn new() -> (Self::Putter, Self::Taker);

    /// Nothing more is put.
    fn end(putter: Self::Putter);

    /// How many messages the ring itself says were put and taken, if it can be asked.
    fn counts(taker: &Self::Taker) -> Option<[u64; 2]>;
}

fn is_there<T>(result: Result<T, RecvError>) -> Option<T> {
    match result {
        Ok(taken) => Some(taken),
        Err(why) if why.is_disconnected() => None,
        Err(why) => panic!("{why}"),
    }
}

pub struct OfQueue;
pub struct OfChannel;

macro_rules! takes {
    ($type:ty, $put:ident $put_many:ident on $putter:ty, $get:ident $get_many:ident) => {
        impl Putter for $putter {
            fn put(&self, message: Message) {
                self.$put(message).unwrap();
            }

            fn put_many(&self, messages: impl Iterator<Item = Message>) {
                self.$put_many(messages).unwrap();
            }
        }

        impl Taker for $type {
            fn get(&self, messages: &mut Vec<Message>) -> bool {
                let taken = is_there(self.$get());
                messages.extend(taken);
                taken.is_some()
            }

            fn get_many(&self, messages: &mut Vec<Message>, most: usize) -> bool {
                is_there(self.$get_many(messages, most)).is_some()
            }
        }
    };
}

takes!(Queue<Message, Raw>, put put_many on Queue<Message, Raw>, get get_many);
takes!(Receiver<Message, Raw>, send send_many on Sender<Message, Raw>, recv recv_many);

impl Line for OfQueue {
    const NAME: &str = "a queue";

    type Putter = Queue<Message, Raw>;
    type Taker = Queue<Message, Raw>;

    fn new() -> (Self::Putter, Self::Taker) {
        let queue = Queue::raw(CAPACITY).unwrap();
        (queue.clone(), queue)
    }

    fn end(queue: Self::Putter) {
        queue.close().unwrap();
    }

    fn counts(queue: &Self::Taker) -> Option<[u64; 2]> {
        // See `core/src/ring_layout.rs` and `ring_words.rs`.
        const TAIL_AT: u64 = 640;
        const HEAD_AT: u64 = 896;
        let file = File::from(queue.segment().as_fd().try_clone_to_owned().unwrap());
        Some([TAIL_AT, HEAD_AT].map(|at| {
            let mut word = [0; 8];
            file.read_exact_at(&mut word, at).unwrap();
            u64::from_le_bytes(word) >> 2 & ((1 << 30) - 1)
        }))
    }
}

impl Line for OfChannel {
    const NAME: &str = "a channel";

    type Putter = Sender<Message, Raw>;
    type Taker = Receiver<Message, Raw>;

    fn new() -> (Self::Putter, Self::Taker) {
        channel_raw(CAPACITY).unwrap()
    }

    fn end(sender: Self::Putter) {
        drop(sender);
    }

    fn counts(_: &Self::Taker) -> Option<[u64; 2]> {
        None
    }
}
