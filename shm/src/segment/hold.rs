//! Who has a segment: everybody attached holds a shared lock on an open file description of their own.
//!
//! The kernel lets go of the lock when the last descriptor of the description is closed, however its process ends.
//! So whoever gets the lock exclusively knows that nobody is left. Rules:
//!
//! 1. A lock is given up by closing, never by unlocking: a description may be shared with a child.
//! 2. No lock is changed from one kind into the other: the kernel would let go of it in between.

use std::{
    fs::File,
    thread,
    time::{Duration, Instant},
};

use crate::{deadline, error::Error, sys::file};

/// How long somebody who is just looking may keep us waiting.
const PATIENCE: Duration = Duration::from_secs(1);
const FIRST_NAP: Duration = Duration::from_micros(50);
const LONGEST_NAP: Duration = Duration::from_millis(5);

/// Takes the shared lock, unless somebody has the exclusive one.
pub(super) fn try_shared(file: &File, label: &str) -> Result<bool, Error> {
    file::try_flock(file, false).map_err(|source| Error::io("lock", label, source))
}

/// Takes the exclusive lock, unless somebody has any: a proof that nobody is attached.
pub(super) fn try_exclusive(file: &File, label: &str) -> Result<bool, Error> {
    file::try_flock(file, true).map_err(|source| Error::io("lock", label, source))
}

/// Takes the shared lock, waiting for those who just look.
pub(super) fn shared(file: &File, label: &str) -> Result<(), Error> {
    let mut naps = Naps::new(PATIENCE);
    while !try_shared(file, label)? {
        if !naps.nap() {
            return Err(busy(label));
        }
    }
    Ok(())
}

/// Somebody has been looking for too long.
pub(super) fn busy(label: &str) -> Error {
    Error::Busy { name: label.into() }
}

/// Short sleeps until patience ends: nothing wakes whoever waits for a name or for a lock on a file.
pub(super) struct Naps {
    end: Option<Instant>,
    next: Duration,
}

impl Naps {
    pub fn new(patience: Duration) -> Naps {
        Naps {
            end: deadline::moment(patience),
            next: FIRST_NAP,
        }
    }

    /// As long as is reasonable for finding out who has a segment.
    pub fn for_lookers() -> Naps {
        Naps::new(PATIENCE)
    }

    /// Sleeps for a moment; `false` at once when patience has ended.
    pub fn nap(&mut self) -> bool {
        // A moment too far away to be counted is for ever.
        let left = self.end.map_or(LONGEST_NAP, |end| {
            end.saturating_duration_since(Instant::now())
        });
        if left.is_zero() {
            return false;
        }
        thread::sleep(self.next.min(left));
        self.next = (self.next * 2).min(LONGEST_NAP);
        true
    }
}
