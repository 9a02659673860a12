//! Outboxes: what workers have to tell of their tasks and have not told yet, in memory that outlives them.
//!
//! ```text
//!  0       24
//! ┌───────┬──────────┬──────────┬─────┐
//! │ head  │ outcome  │ outcome  │ ... │
//! └───────┴──────────┴──────────┴─────┘
//! ```
//!
//! 1. Only the worker whose outbox it is writes to it, and the pool reads it once that is dead.
//! 2. Nobody else has references to these bytes.

use std::{ptr, slice};

use serde::{Deserialize, Serialize};

use super::record::ToldHead;
use crate::{AtomicArray, Error};

/// How many bytes an outbox holds.
const LEN: usize = 64 * 1024;

/// All outboxes of a pool: a row of words for each worker.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Outboxes(AtomicArray<u64>);

impl Outboxes {
    const WORDS: usize = LEN / size_of::<u64>();

    pub(super) fn new(workers: usize) -> Result<Outboxes, Error> {
        AtomicArray::zeroed(workers * Outboxes::WORDS).map(Outboxes)
    }

    /// The outbox of the worker with this row. It is the caller's from now on.
    pub(super) fn of(&self, row: usize) -> Outbox {
        Outbox {
            all: self.0.clone(),
            begin: row * Outboxes::WORDS,
        }
    }

    /// The outcomes in the outbox of a worker that is dead: as many bytes of them.
    pub(super) fn left_by(&self, row: usize, len: usize) -> Vec<u8> {
        let outbox = self.of(row);
        let end = len.saturating_add(Outbox::BEGIN).min(LEN);
        outbox.bytes(end)[Outbox::BEGIN..].to_vec()
    }
}

/// The outbox of one worker.
pub(super) struct Outbox {
    all: AtomicArray<u64>,
    begin: usize,
}

/// Whether there was no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    Yes,
    No,
}

impl Outbox {
    /// Where outcomes begin.
    pub(super) const BEGIN: usize = ToldHead::LEN;

    #[inline]
    fn base(&self) -> *mut u8 {
        let words = self.all.get(self.begin..self.begin + Outboxes::WORDS);
        words.map_or(ptr::null_mut(), |words| {
            words.as_ptr().cast::<u8>().cast_mut()
        })
    }

    /// Writes bytes to this place.
    #[inline]
    pub(super) fn write(&self, at: usize, bytes: &[u8]) -> Full {
        Cursor::new(self, at).write(bytes)
    }

    /// Writes the encoding of a value to this place, which no shared objects are in; gives where it ends. If it has no room,
    /// or cannot be encoded so, says whether it was the former.
    #[inline]
    pub(super) fn encode<T: Serialize>(&self, at: usize, value: &T) -> Result<usize, Full> {
        let mut cursor = Cursor::new(self, at);
        match postcard::serialize_with_flavor(value, Encoding(&mut cursor)) {
            Ok(()) => Ok(cursor.at),
            Err(postcard::Error::SerializeBufferFull) => Err(Full::Yes),
            Err(_) => Err(Full::No),
        }
    }

    /// The bytes up to `end`. They are not written to while they are borrowed.
    #[inline]
    pub(super) fn bytes(&self, end: usize) -> &[u8] {
        let base = self.base();
        if base.is_null() || end > LEN {
            return &[];
        }
        // SAFETY: so many bytes there are, and nobody writes to them meanwhile (invariants 1 and 2): this worker only by
        // `&self` methods that its one thread calls in turn.
        unsafe { slice::from_raw_parts(base, end) }
    }
}

/// Where something is being written.
struct Cursor {
    base: *mut u8,
    at: usize,
}

impl Cursor {
    #[inline]
    fn new(outbox: &Outbox, at: usize) -> Cursor {
        Cursor {
            base: outbox.base(),
            at,
        }
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Full {
        if self.base.is_null() || bytes.len() > LEN.saturating_sub(self.at) {
            return Full::Yes;
        }
        // SAFETY: there are `LEN` bytes.
        let to = unsafe { self.base.add(self.at) };
        // SAFETY: that many are left from there on, and are nobody else's (invariants 1 and 2).
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        self.at += bytes.len();
        Full::No
    }
}

/// Encodes to the place of a cursor.
struct Encoding<'a>(&'a mut Cursor);

impl Encoding<'_> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        match self.0.write(bytes) {
            Full::No => Ok(()),
            Full::Yes => Err(postcard::Error::SerializeBufferFull),
        }
    }
}

impl postcard::ser_flavors::Flavor for Encoding<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.put(&[byte])
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.put(bytes)
    }

    #[inline]
    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
