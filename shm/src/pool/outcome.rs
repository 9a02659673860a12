//! How items of a task ended, as a worker tells it.
//!
//! Each outcome is a number that says what it is and how long, and the bytes behind it:
//!
//! ```text
//!  31  28 27                            0
//! ┌──────┬───────────────────────────────┬────────────┐
//! │ kind │ length                        │ bytes      │
//! └──────┴───────────────────────────────┴────────────┘
//! ```
//!
//! Where all of them are numbers that were returned, only these words lie there.

use super::{
    encoding::{Form, HEAD, WORD},
    error::{TaskError, TaskPanic},
};
use crate::process::decode_frame;

const KIND_SHIFT: u32 = 28;

/// What an outcome is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// The encoded return value.
    Returned = 1,
    /// An encoded [`TaskPanic`].
    Panicked = 2,
    /// Why the task could not begin: a text.
    NotBegun = 3,
    /// Why the return value could not be encoded: a text.
    NotEncoded = 4,
}

impl Kind {
    #[inline]
    pub(super) fn from_number(number: u32) -> Option<Kind> {
        Some(match number {
            1 => Kind::Returned,
            2 => Kind::Panicked,
            3 => Kind::NotBegun,
            4 => Kind::NotEncoded,
            _ => return None,
        })
    }
}

/// The head of an outcome of so many bytes, fewer than 2^28.
#[inline]
pub(super) fn head(kind: Kind, len: usize) -> [u8; HEAD] {
    (len as u32 | (kind as u32) << KIND_SHIFT).to_le_bytes()
}

/// The outcomes in some bytes, one after the other. Ends where the bytes are none.
#[derive(Clone, Copy, Default)]
pub(super) struct Outcomes<'a> {
    pub(super) form: Form,
    pub(super) bytes: &'a [u8],
}

impl<'a> Iterator for Outcomes<'a> {
    type Item = (Kind, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<(Kind, &'a [u8])> {
        if self.form == Form::Words {
            let (word, rest) = self.bytes.split_at_checked(WORD)?;
            self.bytes = rest;
            return Some((Kind::Returned, word));
        }
        let (head, rest) = self.bytes.split_first_chunk::<HEAD>()?;
        let head = u32::from_le_bytes(*head);
        let kind = Kind::from_number(head >> KIND_SHIFT)?;
        let len = head & ((1 << KIND_SHIFT) - 1);
        let (told, rest) = rest.split_at_checked(len as usize)?;
        self.bytes = rest;
        Some((kind, told))
    }
}

/// The error that an outcome other than a return value stands for.
#[cold]
pub(super) fn error(kind: Kind, told: &[u8]) -> TaskError {
    let message: Box<str> = String::from_utf8_lossy(told).into();
    match kind {
        Kind::Panicked => match decode_frame::<TaskPanic>(told) {
            Ok(panic) => TaskError::Panicked(Box::new(panic)),
            Err(error) => TaskError::NotDecoded {
                message: error.to_string().into(),
            },
        },
        Kind::NotBegun => TaskError::NotBegun { message },
        Kind::NotEncoded => TaskError::NotEncoded { message },
        Kind::Returned => TaskError::NotDecoded { message },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_come_out_as_they_went_in_and_end_where_bytes_are_none() {
        let all = [
            (Kind::Returned, &b""[..]),
            (Kind::NotEncoded, b"nine bytes"),
            (Kind::Returned, &[7; 8]),
        ];
        let mut bytes = Vec::new();
        for (kind, told) in all {
            bytes.extend_from_slice(&head(kind, told.len()));
            bytes.extend_from_slice(told);
        }
        fn outcomes(bytes: &[u8]) -> Outcomes<'_> {
            let form = Form::Framed;
            Outcomes { form, bytes }
        }
        assert!(outcomes(&bytes).eq(all));
        for len in 0..bytes.len() {
            assert!(outcomes(&bytes[..len]).count() <= 2);
        }
        bytes[3] = 0x90;
        assert_eq!(outcomes(&bytes).count(), 0);
    }

    #[test]
    fn words_were_returned() {
        let outcomes = Outcomes {
            form: Form::Words,
            bytes: &[7; 17],
        };
        assert!(outcomes.eq([(Kind::Returned, &[7; 8][..]); 2]));
    }
}
