//! Who is at the ends of a channel, and whether the only handle of an end is on its way.

use core::marker::PhantomData;

use crate::{
    atomic::{AtomicU64, Ordering},
    header::Kind,
    owner::Owner,
    ring_hold::{Hold, Locked, rules},
    ring_layout::KindWords,
    tally::Tally,
};

/// How many processes can be at an end at a time.
pub const MAX_PROCESSES_AT_END: usize = if cfg!(loom) { 4 } else { 93 };

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Where records are put.
    Sender,
    /// Where records are taken.
    Receiver,
}

impl End {
    /// The other one.
    #[must_use]
    pub fn other(self) -> End {
        match self {
            End::Sender => End::Receiver,
            End::Receiver => End::Sender,
        }
    }
}

/// A handle of an end that has been entered into its table.
#[derive(Clone, Copy, Debug)]
#[must_use = "a handle that does not leave stays until its process ends"]
pub struct Entered {
    pub(crate) me: Owner,
    pub(crate) end: End,
    pub(crate) row: usize,
}

impl Entered {
    /// What [`owner`](Self::owner), [`end`](Self::end) and [`row`](Self::row) said: for those who keep these in words of
    /// their own.
    ///
    /// # Panics
    ///
    /// When no table has such a row.
    pub fn of(me: Owner, end: End, row: usize) -> Entered {
        assert!(row < MAX_PROCESSES_AT_END, "there is no row {row}");
        Entered { me, end, row }
    }

    /// Which process it belongs to.
    #[inline]
    #[must_use]
    pub fn owner(&self) -> Owner {
        self.me
    }

    /// At which end.
    #[must_use]
    pub fn end(&self) -> End {
        self.end
    }

    /// In which row of the table.
    #[must_use]
    pub fn row(&self) -> usize {
        self.row
    }
}

/// Who is at the ends of a channel, as it lies in shared memory. Public for embedders and for models.
#[repr(C)]
#[derive(Debug)]
pub struct Ends<H = Locked> {
    senders: Tally<MAX_PROCESSES_AT_END>,
    receivers: Tally<MAX_PROCESSES_AT_END>,
    /// Whether the only handle of an end, first that of the sender, is [`AWAY`].
    away: [AtomicU64; 2],
    _hold: PhantomData<H>,
}

/// The only handle of an end is with somebody.
pub(crate) const HERE: u64 = 0;
/// The only handle of an end is on its way to another process.
pub(crate) const AWAY: u64 = 1;

impl<H> Ends<H> {
    /// Nobody at either end.
    #[must_use]
    pub fn new() -> Ends<H> {
        Ends {
            senders: Tally::new(),
            receivers: Tally::new(),
            away: [AtomicU64::new(HERE), AtomicU64::new(HERE)],
            _hold: PhantomData,
        }
    }

    pub(crate) fn of(&self, end: End) -> &Tally<MAX_PROCESSES_AT_END> {
        match end {
            End::Sender => &self.senders,
            End::Receiver => &self.receivers,
        }
    }

    pub(crate) fn away(&self, end: End) -> &AtomicU64 {
        &self.away[end as usize]
    }
}

impl<H> Default for Ends<H> {
    fn default() -> Ends<H> {
        Ends::new()
    }
}

// SAFETY: atomics alone, whatever H is.
unsafe impl<H: Hold> KindWords for Ends<H> {
    const KIND: Kind = if <H as rules::Hold>::SHARED {
        Kind::Channel
    } else {
        Kind::SpscChannel
    };

    fn reset(&self) {
        self.senders.reset();
        self.receivers.reset();
        for away in &self.away {
            away.store(HERE, Ordering::Relaxed);
        }
    }

    fn bury(&self) {
        self.reset();
    }
}
