//! From values to bytes and descriptors, and back.

use std::os::fd::OwnedFd;

use serde::{Serialize, de::DeserializeOwned};

use crate::handle::{self, Moves};

/// A value on its way.
pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    /// Those of the shared objects in it.
    pub(crate) descriptors: Vec<OwnedFd>,
    /// The ends of channels in it, which stay if it is not sent.
    pub(crate) moves: Moves,
}

/// Encodes a value, or says why it cannot be.
pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Encoded, String> {
    let encoded = handle::sending(|| postcard::to_allocvec(value));
    match (encoded.result, encoded.failure) {
        // What went wrong with an object was put right: something else was encoded instead of it.
        (Ok(bytes), _) => Ok(Encoded {
            bytes,
            descriptors: encoded.descriptors,
            moves: encoded.moves,
        }),
        (Err(_), Some(failure)) => Err(failure),
        (Err(error), None) => Err(error.to_string()),
    }
}

/// The value of these bytes and descriptors, or why there is none.
pub(crate) fn decode<T: DeserializeOwned>(
    bytes: &[u8],
    descriptors: Vec<OwnedFd>,
) -> Result<T, String> {
    let decoded = handle::receiving(descriptors, || postcard::take_from_bytes(bytes));
    match decoded.result {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(left_over(rest.len())),
        Err(error) => Err(decoded.failure.unwrap_or_else(|| error.to_string())),
    }
}

/// Appends the encoding of a value with no shared objects in it. If it fails, nothing is appended.
#[inline]
pub(crate) fn append_plain<T: Serialize>(value: &T, bytes: &mut Vec<u8>) -> postcard::Result<()> {
    handle::outside(|| append_alone(value, bytes))
}

/// The value of these bytes, with no shared objects in it.
#[inline]
pub(crate) fn decode_plain<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    handle::outside(|| decode_alone(bytes))
}

/// As [`append_plain`], where it is known that no other message is just being made or read.
#[inline]
pub(crate) fn append_alone<T: Serialize>(value: &T, bytes: &mut Vec<u8>) -> postcard::Result<()> {
    let before = bytes.len();
    let encoded = postcard::serialize_with_flavor(value, Append(&mut *bytes));
    if encoded.is_err() {
        bytes.truncate(before);
    }
    encoded
}

/// As [`decode_plain`], where it is known that no other message is just being made or read.
#[inline]
pub(crate) fn decode_alone<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(left_over(rest.len())),
        Err(error) => Err(damaged(error)),
    }
}

#[cold]
fn left_over(count: usize) -> String {
    format!("{count} bytes are left over: it is a value of another type")
}

#[cold]
fn damaged(error: postcard::Error) -> String {
    error.to_string()
}

/// Encodes to the end of a vector.
struct Append<'a>(&'a mut Vec<u8>);

impl postcard::ser_flavors::Flavor for Append<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    #[inline]
    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
