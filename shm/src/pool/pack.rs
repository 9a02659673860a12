//! Arguments of items, packed into tasks.

use std::{io, os::fd::OwnedFd};

use serde::Serialize;

use super::{
    code::Code,
    ledger::{Body, head_of},
    record::{CARRIED, PARCEL, TaskHead, begin_item, end_item},
    shared::LONGEST,
};
use crate::{
    handle::Moves,
    packet::{self, WireError, codec},
};

/// The task of one item; or why it cannot be encoded.
pub(super) fn one<A: Serialize>(code: Code, arguments: &A) -> Result<Body, String> {
    let mut record = head_of(code, 1, 0).to_vec();
    let at = begin_item(&mut record);
    if codec::append_plain(arguments, &mut record).is_ok() && end_item(&mut record, at) {
        if record.len() <= LONGEST {
            return Ok(Body {
                record,
                ..Body::default()
            });
        }
        return carried(code, &record[at..], Vec::new(), Moves::default());
    }
    // Maybe because shared objects are in it.
    let encoded = codec::encode(arguments)?;
    let mut items = Vec::with_capacity(encoded.bytes.len() + 4);
    let at = begin_item(&mut items);
    items.extend_from_slice(&encoded.bytes);
    if !end_item(&mut items, at) {
        return Err(format!("they have {} bytes", encoded.bytes.len()));
    }
    carried(code, &items, encoded.descriptors, encoded.moves)
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
pub(super) struct Packer {
    code: Code,
    most: u32,
    packed: Packed,
    /// Where the task begins that is being packed, and how many items it has.
    begin: usize,
    items: u32,
}

/// Tasks that are packed: where each ends in the bytes, and how many items it has.
#[derive(Default)]
pub(super) struct Packed {
    pub(super) bytes: Vec<u8>,
    pub(super) tasks: Vec<(usize, u32)>,
}

impl Packed {
    /// The body of each task, and how many items it has.
    pub(super) fn bodies(&self) -> impl Iterator<Item = (&[u8], u32)> {
        let mut begin = 0;
        self.tasks.iter().map(move |(end, items)| {
            let body = &self.bytes[begin..*end];
            begin = *end;
            (body, *items)
        })
    }
}

/// What cannot be packed with others.
pub(super) struct Apart;

impl Packer {
    pub(super) fn new(code: Code, most: usize) -> Packer {
        Packer {
            code,
            most: u32::try_from(most).unwrap_or(u32::MAX),
            packed: Packed::default(),
            begin: 0,
            items: 0,
        }
    }

    /// Packs one more item; [`Apart`] when it is long, or shared objects may be in it. No other message is just being made.
    #[inline]
    pub(super) fn add<A: Serialize>(&mut self, arguments: &A) -> Result<(), Apart> {
        loop {
            let bytes = &mut self.packed.bytes;
            if self.items == 0 {
                self.begin = bytes.len();
                bytes.extend_from_slice(&[0; TaskHead::LEN]);
            }
            let at = begin_item(bytes);
            let is_plain = codec::append_alone(arguments, bytes).is_ok() && end_item(bytes, at);
            if is_plain && bytes.len() - self.begin <= LONGEST {
                self.items += 1;
                if self.items == self.most {
                    self.finish();
                }
                return Ok(());
            }
            bytes.truncate(at);
            let was_first = self.items == 0;
            self.finish();
            if was_first || !is_plain {
                return Err(Apart);
            }
        }
    }

    /// How many tasks are packed, but for the one that is not full.
    pub(super) fn ready(&self) -> usize {
        self.packed.tasks.len()
    }

    /// Ends the task that is being packed.
    pub(super) fn finish(&mut self) {
        let bytes = &mut self.packed.bytes;
        if self.items == 0 {
            bytes.truncate(self.begin);
            return;
        }
        let head = head_of(self.code, self.items, 0);
        bytes[self.begin..self.begin + TaskHead::LEN].copy_from_slice(&head);
        self.packed.tasks.push((bytes.len(), self.items));
        self.begin = bytes.len();
        self.items = 0;
    }

    /// Gives what is packed and ready to `take`.
    pub(super) fn take<T>(&mut self, take: impl FnOnce(&Packed) -> T) -> T {
        let result = take(&self.packed);
        let end = self.packed.tasks.last().map_or(0, |(end, _)| *end);
        self.packed.bytes.drain(..end);
        self.begin -= end;
        self.packed.tasks.clear();
        result
    }
}
