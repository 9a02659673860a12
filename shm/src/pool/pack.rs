//! Arguments of items, packed into tasks.

use std::{io, os::fd::OwnedFd};

use super::{
    code::Code,
    encoding::{self, Form, Unwritten},
    executor::Payload,
    ledger::{Body, head_of},
    record::{CARRIED, PARCEL, TaskHead, flag_of, length},
    shared::LONGEST,
};
use crate::{
    handle::Moves,
    packet::{self, WireError, codec},
};

/// The task of one item; or why it cannot be encoded.
pub(super) fn one<A: Payload>(code: Code, arguments: &A) -> Result<Body, String> {
    let mut bytes = Vec::new();
    // With no message open, so that shared objects in it are refused.
    let (bytes, descriptors, moves) = match encoding::append(arguments, &mut bytes) {
        Ok(()) => (bytes, Vec::new(), Moves::default()),
        Err(_) => {
            let encoded = codec::encode(arguments)?;
            (encoded.bytes, encoded.descriptors, encoded.moves)
        }
    };
    if u32::try_from(bytes.len()).is_err() {
        return Err(format!("they have {} bytes", bytes.len()));
    }
    let form = Form::of::<A>();
    let items = match form {
        Form::Words => bytes,
        Form::Framed => [&length(bytes.len()), &bytes[..]].concat(),
    };
    if descriptors.is_empty() && TaskHead::LEN + items.len() <= LONGEST {
        return Ok(Body {
            record: [&head_of(code, 1, flag_of(form)), &items[..]].concat(),
            ..Body::default()
        });
    }
    carried(code, &items, descriptors, moves)
}

/// The task of an item that comes with descriptors, or is too long for the ring.
fn carried(
    code: Code,
    items: &[u8],
    mut descriptors: Vec<OwnedFd>,
    moves: Moves,
) -> Result<Body, String> {
    let mut flags = CARRIED;
    let mut inline = items;
    if TaskHead::LEN + items.len() > LONGEST {
        flags |= PARCEL;
        inline = &[];
        let parcel = packet::pack(items);
        let failed = |why: io::Error| WireError::io("making a file in memory")(why).to_string();
        descriptors.insert(0, parcel.map_err(failed)?.into());
    }
    Ok(Body {
        record: [&head_of(code, 1, flags), inline].concat(),
        descriptors,
        moves,
    })
}

/// Packs items into tasks of up to so many, each of no more than so many bytes, which lie side by side.
pub(super) struct Packer<A> {
    code: Code,
    most: u32,
    bytes: Vec<u8>,
    /// Where each task ends, and how many items it has.
    tasks: Vec<(usize, u32)>,
    /// Up to where the task goes that is being packed, how far it may go, and how many items it has.
    end: usize,
    limit: usize,
    items: u32,
    /// An item that had no place in the task before.
    held: Option<A>,
}

/// How far [`Packer::fill`] has come.
pub(super) enum Filled<A> {
    /// Another task is ready.
    Ready,
    /// This item cannot be packed with others: it is long, or shared objects may be in it. Those before it are packed.
    Apart(A),
    /// There are no more items. Those of the last task are not [finished](Packer::finish).
    Over,
}

impl<A: Payload> Packer<A> {
    /// How many bytes of tasks are packed at most before they are taken.
    const ROOM: usize = 64 * 1024;

    pub(super) fn new(code: Code, most: usize) -> Packer<A> {
        Packer {
            code,
            most: u32::try_from(most.max(1)).unwrap_or(u32::MAX),
            bytes: vec![0; Self::ROOM],
            tasks: Vec::new(),
            end: TaskHead::LEN,
            limit: LONGEST,
            items: 0,
            held: None,
        }
    }

    /// Where the task begins that is being packed.
    fn begin(&self) -> usize {
        self.tasks.last().map_or(0, |(end, _)| *end)
    }

    /// Packs items until another task is ready. No other message is just being made. There is room if what is
    /// [full](Self::is_full) was taken.
    #[inline]
    pub(super) fn fill(&mut self, items: &mut impl Iterator<Item = A>) -> Filled<A> {
        let (mut end, mut count) = (self.end, self.items);
        let room = self.bytes.get_mut(..self.limit).unwrap_or_default();
        let stopped = loop {
            if count == self.most {
                break None;
            }
            let Some(item) = self.held.take().or_else(|| items.next()) else {
                (self.end, self.items) = (end, count);
                return Filled::Over;
            };
            let rest = room.get_mut(end..).unwrap_or_default();
            match encoding::write(rest, &item, length) {
                Ok(len) => {
                    end += len;
                    count += 1;
                }
                Err(why) => break Some((item, why)),
            }
        };
        (self.end, self.items) = (end, count);
        self.finish();
        match stopped {
            // There is more room in the next task.
            Some((item, Unwritten::Full)) if count > 0 => self.held = Some(item),
            Some((item, _)) => return Filled::Apart(item),
            None => {}
        }
        Filled::Ready
    }

    /// Whether there may be no room for another task.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() - self.begin() < LONGEST
    }

    /// How many tasks are ready.
    pub(super) fn ready(&self) -> usize {
        self.tasks.len()
    }

    /// Ends the task that is being packed.
    pub(super) fn finish(&mut self) {
        if self.items > 0 {
            let begin = self.begin();
            let head = head_of(self.code, self.items, flag_of(Form::of::<A>()));
            self.bytes[begin..begin + TaskHead::LEN].copy_from_slice(&head);
            self.tasks.push((self.end, self.items));
            self.begin_task();
        }
    }

    /// Begins with a task behind those that are ready.
    fn begin_task(&mut self) {
        let begin = self.begin();
        self.end = begin + TaskHead::LEN;
        self.limit = self.bytes.len().min(begin + LONGEST);
        self.items = 0;
    }

    /// Gives the body of each task that is ready, and how many items it has, to `take`; then they are gone. Nothing is
    /// [unfinished](Self::finish).
    pub(super) fn take<T>(&mut self, take: impl FnOnce(&Packed<'_>) -> T) -> T {
        let result = take(&Packed {
            bytes: &self.bytes,
            tasks: &self.tasks,
        });
        self.tasks.clear();
        self.begin_task();
        result
    }

    /// Drops all items that are here; how many they were.
    pub(super) fn drain(&mut self) -> u64 {
        let ready = self.tasks.drain(..).map(|(_, items)| u64::from(items));
        let count = ready.sum::<u64>() + u64::from(self.items);
        self.begin_task();
        count + u64::from(self.held.take().is_some())
    }
}

/// Tasks that are packed.
pub(super) struct Packed<'a> {
    bytes: &'a [u8],
    /// Where each ends, and how many items it has.
    pub(super) tasks: &'a [(usize, u32)],
}

impl<'a> Packed<'a> {
    /// Their bodies.
    pub(super) fn bodies(&self) -> impl Iterator<Item = &'a [u8]> {
        let begins = [0]
            .into_iter()
            .chain(self.tasks.iter().map(|(end, _)| *end));
        let ranges = begins.zip(self.tasks);
        let bytes = self.bytes;
        ranges.map(move |(begin, (end, _))| &bytes[begin..*end])
    }
}
