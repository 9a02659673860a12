//! What outcomes mean: the values that items returned, or why they did not.

use std::{
    cell::Cell,
    mem,
    os::fd::OwnedFd,
    panic::{self, AssertUnwindSafe},
};

use super::{
    encoding::{self, Form, WORD},
    error::TaskError,
    executor::Payload,
    job::Apart,
    number,
    outcome::{self, Kind, Outcomes},
};
use crate::{handle, packet::codec};

/// What an outcome means.
pub(super) fn value<R: Payload>(
    kind: Kind,
    told: &[u8],
    descriptors: Vec<OwnedFd>,
) -> Result<R, TaskError> {
    if kind != Kind::Returned {
        return Err(outcome::error(kind, told));
    }
    let decode = || {
        if descriptors.is_empty() {
            handle::outside(|| encoding::decode(told))
        } else {
            codec::decode(told, descriptors)
        }
    };
    // A panic of the type's own code is an error of this one value.
    let decoded = panic::catch_unwind(AssertUnwindSafe(decode));
    let decoded = decoded.unwrap_or_else(|payload| {
        // Dropping what it panicked with may panic again.
        mem::forget(payload);
        Err("its decoding panicked".to_owned())
    });
    decoded.map_err(|message| TaskError::NotDecoded {
        message: message.into(),
    })
}

/// What the outcomes of so many items mean that came without descriptors. Each item has one, whatever the bytes say.
pub(super) fn each_value<R: Payload>(
    outcomes: Outcomes<'_>,
    items: u64,
    mut take: impl FnMut(Result<R, TaskError>),
) {
    let given = match outcomes.form {
        Form::Words => each_number(outcomes.bytes, items, &mut take),
        Form::Framed => each_framed(outcomes, items, &mut take),
    };
    for _ in given..items {
        take(Err(damaged()));
    }
}

/// Gives the numbers that these words are, if `R` is a number; how many there were.
fn each_number<R: Payload>(
    bytes: &[u8],
    items: u64,
    mut take: impl FnMut(Result<R, TaskError>),
) -> u64 {
    let (words, rest) = bytes.as_chunks::<WORD>();
    if !number::is_number::<R>() || !rest.is_empty() || words.len() as u64 != items {
        return 0;
    }
    let numbers = words
        .iter()
        .map_while(|word| number::of_word(u64::from_le_bytes(*word)));
    numbers.for_each(|number| take(Ok(number)));
    items
}

/// Gives what the outcomes of so many items mean, as far as there are any; how many there were.
fn each_framed<R: Payload>(
    outcomes: Outcomes<'_>,
    items: u64,
    mut take: impl FnMut(Result<R, TaskError>),
) -> u64 {
    let mut rest = outcomes;
    let left = Cell::new(items);
    let is_taking = Cell::new(false);
    while left.get() > 0 && !rest.bytes.is_empty() {
        // One net for all of them. A panic of the type's own code is caught at the one that it was at.
        let caught = panic::catch_unwind(AssertUnwindSafe(|| {
            handle::outside(|| {
                let mut ahead = rest;
                while left.get() > 0
                    && let Some((kind, told)) = ahead.next()
                {
                    let is_last = left.get() == 1;
                    let outcome = match kind {
                        _ if is_last && !ahead.bytes.is_empty() => Err(damaged()),
                        Kind::Returned => decode(told),
                        _ => Err(outcome::error(kind, told)),
                    };
                    rest = ahead;
                    left.set(left.get() - 1);
                    is_taking.set(true);
                    take(outcome);
                    is_taking.set(false);
                }
            });
        }));
        match caught {
            Ok(()) => break,
            // The caller's own.
            Err(payload) if is_taking.get() => panic::resume_unwind(payload),
            Err(payload) => {
                mem::forget(payload);
                rest.next();
                left.set(left.get() - 1);
                take(Err(TaskError::NotDecoded {
                    message: "its decoding panicked".into(),
                }));
            }
        }
    }
    items - left.get()
}

/// What an item has ended with of which the bytes do not say how it ended.
#[cold]
pub(super) fn damaged() -> TaskError {
    TaskError::NotDecoded {
        message: "what its worker told is damaged".into(),
    }
}

#[inline]
fn decode<R: Payload>(told: &[u8]) -> Result<R, TaskError> {
    encoding::decode(told).map_err(|message| TaskError::NotDecoded {
        message: message.into(),
    })
}

/// What an outcome means that is not told among others.
pub(super) fn apart<R: Payload>(how: Apart) -> Result<R, TaskError> {
    match how {
        Apart::Failed(error) => Err(error),
        Apart::Carried {
            kind,
            told,
            descriptors,
        } => value(kind, &told, descriptors),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values<R: Payload>(form: Form, bytes: &[u8], items: u64) -> Vec<Option<R>> {
        let mut all = Vec::new();
        each_value(Outcomes { form, bytes }, items, |value: Result<R, _>| {
            all.push(value.ok());
        });
        all
    }

    #[test]
    fn words_are_numbers_if_they_are_as_many_as_their_items() {
        let bytes = [[5, 0, 0, 0, 0, 0, 0, 0], [0xff; 8]].concat();
        let words = |items| values::<i64>(Form::Words, &bytes, items);
        assert_eq!(words(2), [Some(5), Some(-1)]);
        assert_eq!(words(1), [None]);
        assert_eq!(words(3), [None; 3]);
        assert_eq!(values::<i64>(Form::Words, &bytes[..15], 1), [None]);
        assert_eq!(values::<i64>(Form::Words, &[], 0), []);
    }

    #[test]
    fn words_are_nothing_but_numbers() {
        assert_eq!(values::<u8>(Form::Words, &[1; 8], 1), [None]);
        assert_eq!(values::<Option<u64>>(Form::Words, &[1; 16], 2), [None; 2]);
    }
}
