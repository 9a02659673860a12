//! Why nothing was put into a ring, or taken from it.

use core::fmt;

use crate::lock::Refused;

/// Why nothing was put into a ring, or taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RingError {
    /// There was no room, or no record, before the deadline.
    TimedOut,
    /// There is no room, or no record, and the call was not to wait.
    WouldBlock,
    /// The ring is closed; and empty, for those who take.
    Closed,
    /// The record is longer than half the ring.
    TooLarge,
    /// The ring says of itself what cannot be: something else has written to its memory.
    Damaged,
    /// The calling thread would wait for itself.
    WouldDeadlock,
    /// Each row for a process that has something of the ring in hand is another living process's.
    TooManyProcesses,
    /// The system cannot tell who the calling process is.
    NoIdentity,
}

impl fmt::Display for RingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RingError::TimedOut => "there was no room, or no record, before the deadline",
            RingError::WouldBlock => "there is no room, or no record, at this moment",
            RingError::Closed => "the ring is closed",
            RingError::TooLarge => "the record is longer than half the ring",
            RingError::Damaged => "the ring is damaged: something else has written to its memory",
            RingError::WouldDeadlock => "this thread would wait for itself",
            RingError::TooManyProcesses => "more processes have it in hand than there are rows",
            RingError::NoIdentity => return fmt::Display::fmt(&Refused::NoIdentity, f),
        })
    }
}

impl core::error::Error for RingError {}

impl From<Refused> for RingError {
    fn from(why: Refused) -> RingError {
        match why {
            Refused::TimedOut => RingError::TimedOut,
            Refused::WouldBlock => RingError::WouldBlock,
            Refused::NoIdentity => RingError::NoIdentity,
            _ => RingError::WouldDeadlock,
        }
    }
}
