//! Tasks and what is told of them, as they lie in the rings.
//!
//! A task's body says which code runs it, and holds the encoded arguments of its items, each behind its length, or with
//! [`WORDS`] one word of each and nothing else:
//!
//! ```text
//!  0      8      16      20      24        28
//! ┌──────┬──────┬───────┬───────┬─────────┬───────────┬─────┐
//! │ call │ task │ items │ flags │ length  │ arguments │ ... │
//! └──────┴──────┴───────┴───────┴─────────┴───────────┴─────┘
//! ```
//!
//! What a worker tells of a task begins with its name, which item the first one told of is, how many are, and how many of
//! them failed; then come the [outcomes](super::outcome); or with [`WORDS`] the words that they returned.
//!
//! With [`CARRIED`] there is a packet of descriptors in the pool's socket, in the order of the records; with [`PARCEL`] what
//! follows the head is a file in memory, the first of these descriptors. What is told so is one outcome, whose kind is in
//! the flags.

use super::{
    encoding::{Form, HEAD, WORD},
    outcome::Kind,
};

/// Flag: descriptors come in a packet.
pub(super) const CARRIED: u32 = 1;
/// Flag: and what follows the head is the first of them.
pub(super) const PARCEL: u32 = 2;
/// Flag: what follows the head are [`Form::Words`].
pub(super) const WORDS: u32 = 4;

/// The flag of this form.
#[inline]
pub(super) fn flag_of(form: Form) -> u32 {
    match form {
        Form::Framed => 0,
        Form::Words => WORDS,
    }
}

/// The form that these flags say.
#[inline]
pub(super) fn form_of(flags: u32) -> Form {
    if flags & WORDS == 0 {
        Form::Framed
    } else {
        Form::Words
    }
}

/// The head of a task's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TaskHead {
    /// Where the code lies that calls the task for one item, counted from the anchor of tasks.
    pub(super) call: u64,
    /// Where the task lies, counted likewise.
    pub(super) task: u64,
    pub(super) items: u32,
    pub(super) flags: u32,
}

impl TaskHead {
    pub(super) const LEN: usize = 24;

    pub(super) fn to_bytes(self) -> [u8; TaskHead::LEN] {
        let mut bytes = [0; TaskHead::LEN];
        bytes[..8].copy_from_slice(&self.call.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.task.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.items.to_le_bytes());
        bytes[20..].copy_from_slice(&self.flags.to_le_bytes());
        bytes
    }

    /// The head of these bytes, and what follows it.
    #[inline]
    pub(super) fn parse(bytes: &[u8]) -> Option<(TaskHead, &[u8])> {
        let (head, rest) = bytes.split_first_chunk::<{ TaskHead::LEN }>()?;
        let [call, task, tail] = *words(head);
        let head = TaskHead {
            call: u64::from_le_bytes(call),
            task: u64::from_le_bytes(task),
            items: u64::from_le_bytes(tail) as u32,
            flags: (u64::from_le_bytes(tail) >> 32) as u32,
        };
        Some((head, rest))
    }
}

/// The head of what is told of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ToldHead {
    /// The name of the task; 0 for none: then `first` is the row of a worker that is ready.
    pub(super) task: u64,
    /// The first item that is told of.
    pub(super) first: u32,
    pub(super) items: u32,
    pub(super) failed: u32,
    pub(super) flags: u32,
}

impl ToldHead {
    pub(super) const LEN: usize = 24;

    pub(super) fn to_bytes(self) -> [u8; ToldHead::LEN] {
        let mut bytes = [0; ToldHead::LEN];
        bytes[..8].copy_from_slice(&self.task.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.first.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.items.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.failed.to_le_bytes());
        bytes[20..].copy_from_slice(&self.flags.to_le_bytes());
        bytes
    }

    /// The flag of an outcome that is told by itself.
    pub(super) fn flag_of(kind: Kind) -> u32 {
        (kind as u32) << 8
    }

    /// The kind of an outcome that is told by itself.
    pub(super) fn kind(self) -> Option<Kind> {
        Kind::from_number(self.flags >> 8)
    }

    #[inline]
    pub(super) fn parse(bytes: &[u8]) -> Option<(ToldHead, &[u8])> {
        let (head, rest) = bytes.split_first_chunk::<{ ToldHead::LEN }>()?;
        let [task, what, how] = words(head).map(u64::from_le_bytes);
        let head = ToldHead {
            task,
            first: what as u32,
            items: (what >> 32) as u32,
            failed: how as u32,
            flags: (how >> 32) as u32,
        };
        Some((head, rest))
    }
}

fn words(bytes: &[u8; 24]) -> &[[u8; 8]; 3] {
    bytemuck::cast_ref(bytes)
}

/// The arguments of so many items, one after the other. Ends early where the bytes are none.
#[derive(Clone, Copy)]
pub(super) struct Items<'a> {
    form: Form,
    bytes: &'a [u8],
    left: u32,
}

impl<'a> Items<'a> {
    pub(super) fn new(form: Form, bytes: &'a [u8], left: u32) -> Items<'a> {
        Items { form, bytes, left }
    }

    /// How many are left.
    pub(super) fn left(&self) -> u32 {
        self.left
    }

    /// The bytes that are left.
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let left = self.left.checked_sub(1)?;
        let (len, rest) = match self.form {
            Form::Words => (WORD, self.bytes),
            Form::Framed => {
                let (len, rest) = self.bytes.split_first_chunk::<HEAD>()?;
                (u32::from_le_bytes(*len) as usize, rest)
            }
        };
        let (arguments, rest) = rest.split_at_checked(len)?;
        (self.bytes, self.left) = (rest, left);
        Some(arguments)
    }
}

/// The length of an item's arguments, which lies before them.
#[inline]
pub(super) fn length(len: usize) -> [u8; HEAD] {
    (len as u32).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_come_out_as_they_went_in() {
        let head = TaskHead {
            call: 1,
            task: u64::MAX,
            items: 3,
            flags: CARRIED,
        };
        let bytes = [&head.to_bytes()[..], b"rest"].concat();
        assert_eq!(TaskHead::parse(&bytes), Some((head, &b"rest"[..])));
        let head = ToldHead {
            task: 9,
            first: 1,
            items: 2,
            failed: u32::MAX,
            flags: PARCEL,
        };
        let bytes = [&head.to_bytes()[..], b"rest"].concat();
        assert_eq!(ToldHead::parse(&bytes), Some((head, &b"rest"[..])));
        assert_eq!(ToldHead::parse(&bytes[..23]), None);
    }

    #[test]
    fn items_come_out_as_they_went_in_and_end_where_bytes_are_none() {
        let mut bytes = Vec::new();
        for item in [&b"one"[..], b"", b"three"] {
            bytes.extend_from_slice(&length(item.len()));
            bytes.extend_from_slice(item);
        }
        let items = |bytes, count| Items::new(Form::Framed, bytes, count);
        assert!(items(&bytes, 3).eq([&b"one"[..], b"", b"three"]));
        assert_eq!(items(&bytes, 2).count(), 2);
        assert_eq!(items(&bytes[..bytes.len() - 1], 3).count(), 2);
    }

    #[test]
    fn words_come_out_one_by_one_as_long_as_they_are_whole() {
        let bytes = [[1; WORD], [2; WORD], [3; WORD]].concat();
        let items = |bytes, count| Items::new(Form::Words, bytes, count);
        assert!(items(&bytes, 3).eq([[1; WORD], [2; WORD], [3; WORD]]));
        assert_eq!(items(&bytes, 2).count(), 2);
        assert_eq!(items(&bytes[..23], 3).count(), 2);
    }
}
