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

/// Packs items into tasks of up to so many, each of no more than so many bytes.
pub(super) struct Packer {
    code: Code,
    most: u32,
    record: Vec<u8>,
    items: u32,
}

/// A task and how many items it has.
pub(super) type Packed = (Body, u32);

impl Packer {
    pub(super) fn new(code: Code, most: usize) -> Packer {
        Packer {
            code,
            most: u32::try_from(most).unwrap_or(u32::MAX),
            record: Vec::new(),
            items: 0,
        }
    }

    /// Packs one more item. The tasks that are ready then are given to `ready`. An item that cannot be encoded is none: why
    /// not.
    #[inline]
    pub(super) fn add<A: Serialize>(
        &mut self,
        arguments: &A,
        mut ready: impl FnMut(Packed),
    ) -> Result<(), String> {
        if self.items == 0 {
            self.record.clear();
            self.record.extend_from_slice(&head_of(self.code, 0, 0));
        }
        let at = begin_item(&mut self.record);
        let is_plain = codec::append_plain(arguments, &mut self.record).is_ok()
            && end_item(&mut self.record, at);
        if !is_plain || self.record.len() > LONGEST {
            return self.add_apart(arguments, at, ready);
        }
        self.items += 1;
        if self.items == self.most {
            self.finish().into_iter().for_each(&mut ready);
        }
        Ok(())
    }

    /// An item that does not fit to those before it.
    #[cold]
    fn add_apart<A: Serialize>(
        &mut self,
        arguments: &A,
        at: usize,
        mut ready: impl FnMut(Packed),
    ) -> Result<(), String> {
        self.record.truncate(at);
        let was_first = self.items == 0;
        self.finish().into_iter().for_each(&mut ready);
        if was_first {
            ready((one(self.code, arguments)?, 1));
            return Ok(());
        }
        self.add(arguments, ready)
    }

    /// The task of what is packed and not ready yet.
    pub(super) fn finish(&mut self) -> Option<Packed> {
        let items = std::mem::take(&mut self.items);
        (items > 0).then(|| {
            let mut record = std::mem::replace(&mut self.record, Vec::new());
            record[..TaskHead::LEN].copy_from_slice(&head_of(self.code, items, 0));
            let body = Body {
                record,
                ..Body::default()
            };
            (body, items)
        })
    }
}
