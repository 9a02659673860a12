//! Outboxes: what workers have to tell of their tasks and have not told yet, in memory that outlives them.
//!
//! ```text
//!  0       24
//! ┌───────┬──────────┬──────────┬─────┐
//! │ head  │ outcome  │ outcome  │ ... │
//! └───────┴──────────┴──────────┴─────┘
//! ```
//!
//! 1. Only the worker whose outbox it is reaches these bytes while it lives, through one [`Outbox`]; the pool does once it is
//!    dead.

use std::{ptr::NonNull, slice};

use serde::{Deserialize, Serialize};

use multiproc_core::Progress;

use super::{
    encoding::Form,
    outcome::Outcomes,
    record::{ToldHead, flag_of, form_of},
};
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

    /// The outbox of the worker with this row: for that worker, once, or when it is dead; `None` when there is none.
    pub(super) fn of(&self, row: usize) -> Option<Outbox> {
        let begin = row.checked_mul(Outboxes::WORDS)?;
        let words = self.0.get(begin..)?.get(..Outboxes::WORDS)?;
        Some(Outbox {
            begin: NonNull::from(words).cast(),
            _all: self.0.clone(),
        })
    }
}

/// The outbox of one worker.
pub(super) struct Outbox {
    begin: NonNull<u8>,
    /// Keeps the memory mapped.
    _all: AtomicArray<u64>,
}

impl Outbox {
    /// Where outcomes begin.
    pub(super) const BEGIN: usize = ToldHead::LEN;

    /// Says in which form outcomes lie here, when none do.
    pub(super) fn begin(&mut self, form: Form) {
        self.set_head(ToldHead {
            flags: flag_of(form),
            ..ToldHead::default()
        });
    }

    pub(super) fn set_head(&mut self, head: ToldHead) {
        if let Some(place) = self.bytes_mut().first_chunk_mut() {
            *place = head.to_bytes();
        }
    }

    /// The outcomes that lie here when a worker has come so far.
    pub(super) fn outcomes(&self, progress: Progress) -> Outcomes<'_> {
        let end = Outbox::BEGIN.saturating_add(progress.bytes() as usize);
        let lie_here = self.bytes().get(..end).and_then(ToldHead::parse);
        lie_here.map_or(Outcomes::default(), |(head, bytes)| Outcomes {
            form: form_of(head.flags),
            bytes,
        })
    }

    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: so many bytes there are, and nobody writes to them meanwhile (invariant 1).
        unsafe { slice::from_raw_parts(self.begin.as_ptr(), LEN) }
    }

    #[inline]
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: so many bytes there are, and nobody else reaches them meanwhile (invariant 1).
        unsafe { slice::from_raw_parts_mut(self.begin.as_ptr(), LEN) }
    }
}
