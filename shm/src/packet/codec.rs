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
        Ok((_, rest)) => Err(format!(
            "{} bytes are left over: it is a value of another type",
            rest.len()
        )),
        Err(error) => Err(decoded.failure.unwrap_or_else(|| error.to_string())),
    }
}
