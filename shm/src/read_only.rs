//! Shared objects that this process may look at but not change: their memory is mapped without the right to write.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    AtomicArray, AtomicElement, Counter, Element, ShardedCounter, Value, handle, segment::Access,
};

/// A shared object mapped for reading only.
///
/// It offers what needs no store: snapshots of a [`Value`](crate::Value), sums of counters, elements of an
/// [`AtomicArray`](crate::AtomicArray) or a [`RawArray`](crate::RawArray).
#[derive(Clone)]
pub struct ReadOnly<S>(S);

/// Objects that offer something to those who cannot write. What else they do without being asked, such as
/// [`fmt::Debug`], writes nothing either.
pub trait Readable: Sized {
    /// Decodes a handle as one whose memory is mapped for reading only.
    fn take<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

/// Implements [`Readable`] for shared objects.
macro_rules! readable {
    ($($type:ident $(<$t:ident: $bound:ident>)?),*) => { $(
        impl $(<$t: $bound>)? Readable for $type $(<$t>)? {
            fn take<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                handle::deserialize(deserializer, Access::ReadOnly)
            }
        }
    )* };
}

readable!(Value<T: Element>, AtomicArray<T: AtomicElement>, Counter, ShardedCounter);

impl<S> ReadOnly<S> {
    /// Only for objects whose segment is mapped for reading.
    pub(crate) fn new(object: S) -> ReadOnly<S> {
        ReadOnly(object)
    }

    pub(crate) fn object(&self) -> &S {
        &self.0
    }
}

impl<S: fmt::Debug> fmt::Debug for ReadOnly<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadOnly").field(&self.0).finish()
    }
}

impl<S: Serialize> Serialize for ReadOnly<S> {
    /// As a handle that stays read-only: only within the arguments and the return value of a process.
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, S: Readable> Deserialize<'de> for ReadOnly<S> {
    /// From a handle, one that allows more as well: only within the arguments and the return value of a process.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        S::take(deserializer).map(ReadOnly)
    }
}
