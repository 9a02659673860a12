//! How items of a task ended, as a worker tells it.
//!
//! Each outcome is a word that says what it is and how long, and the bytes behind it, padded to whole words:
//!
//! ```text
//!  0          4      5          8
//! ┌──────────┬──────┬──────────┬───────────────────────┐
//! │ length   │ kind │ (zeros)  │ bytes, padded to 8    │
//! └──────────┴──────┴──────────┴───────────────────────┘
//! ```

use super::error::{TaskError, TaskPanic};
use crate::process::{Panic, decode_frame};

/// The length of what is before the bytes of an outcome.
pub(super) const HEAD: usize = 8;

/// What an outcome is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// The encoded return value.
    Returned = 1,
    /// An encoded [`Panic`].
    Panicked = 2,
    /// Why the arguments could not be decoded: a text.
    NotDecoded = 3,
    /// Why the return value could not be encoded: a text.
    NotEncoded = 4,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Kind> {
        [
            Kind::Returned,
            Kind::Panicked,
            Kind::NotDecoded,
            Kind::NotEncoded,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == byte)
    }
}

/// Begins an outcome at the end of `bytes`; where.
#[inline]
pub(super) fn begin(bytes: &mut Vec<u8>) -> usize {
    let at = bytes.len();
    bytes.extend_from_slice(&[0; HEAD]);
    at
}

/// Ends the outcome that was [begun](begin) there.
#[inline]
pub(super) fn end(bytes: &mut Vec<u8>, at: usize, kind: Kind) {
    // A value of 4 GiB is not told in place.
    let len = (bytes.len() - at - HEAD) as u32;
    let head = u64::from(len) | (kind as u64) << 32;
    bytes[at..at + HEAD].copy_from_slice(&head.to_le_bytes());
    bytes.resize(bytes.len().next_multiple_of(8), 0);
}

/// Puts an outcome whose bytes are there already at the end of `bytes`.
pub(super) fn append(bytes: &mut Vec<u8>, kind: Kind, told: &[u8]) {
    let at = begin(bytes);
    bytes.extend_from_slice(told);
    end(bytes, at, kind);
}

/// The outcomes in some bytes, one after the other. Ends where the bytes are none.
#[derive(Clone, Copy)]
pub(super) struct Outcomes<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Outcomes<'a> {
    type Item = (Kind, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<(Kind, &'a [u8])> {
        let (head, rest) = self.0.split_first_chunk::<HEAD>()?;
        let head = u64::from_le_bytes(*head);
        let kind = Kind::from_byte((head >> 32) as u8)?;
        let len = head as u32 as usize;
        let told = rest.get(..len)?;
        self.0 = rest.get(len.next_multiple_of(8)..).unwrap_or_default();
        Some((kind, told))
    }
}

/// The error that an outcome other than a return value stands for.
pub(super) fn error(kind: Kind, told: &[u8]) -> TaskError {
    let message: Box<str> = String::from_utf8_lossy(told).into();
    match kind {
        Kind::Panicked => match decode_frame::<Panic>(told) {
            Ok(panic) => TaskError::Panicked(Box::new(TaskPanic {
                message: panic.message,
                location: panic.location,
                backtrace: panic.backtrace,
            })),
            Err(error) => TaskError::Decode {
                message: error.to_string().into(),
            },
        },
        Kind::NotDecoded => TaskError::NotBegun { message },
        Kind::NotEncoded => TaskError::NotEncoded { message },
        Kind::Returned => TaskError::Decode { message },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_come_out_as_they_went_in_and_end_where_bytes_are_none() {
        let mut bytes = Vec::new();
        append(&mut bytes, Kind::Returned, b"");
        append(&mut bytes, Kind::NotEncoded, b"nine bytes");
        append(&mut bytes, Kind::Returned, &[7; 8]);
        let told: Vec<_> = Outcomes(&bytes).collect();
        assert_eq!(
            told,
            [
                (Kind::Returned, &b""[..]),
                (Kind::NotEncoded, b"nine bytes"),
                (Kind::Returned, &[7; 8])
            ]
        );
        for len in 0..bytes.len() {
            assert!(Outcomes(&bytes[..len]).count() <= 2);
        }
        bytes[4] = 99;
        assert_eq!(Outcomes(&bytes).count(), 0);
    }
}
