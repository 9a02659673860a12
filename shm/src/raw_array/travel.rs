//! Raw arrays on their way to other processes: a handle of the segment, and where in it the array lies.

use std::sync::Arc;

use multiproc_core::{Element, Shape};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::RawArray;
use crate::{
    handle,
    read_only::Readable,
    segment::{Access, Segment},
};

/// What travels.
#[derive(Serialize, Deserialize)]
struct Wire<S> {
    segment: S,
    /// In bytes.
    offset: usize,
    dims: Vec<usize>,
}

/// A segment that is sent.
struct Sent<'a>(&'a Segment);

impl Serialize for Sent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        handle::serialize(self.0, serializer)
    }
}

/// A segment that came, mapped for writing, or only for reading.
struct Received<const WRITABLE: bool>(Segment);

impl<'de, const WRITABLE: bool> Deserialize<'de> for Received<WRITABLE> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let access = if WRITABLE {
            Access::ReadWrite
        } else {
            Access::ReadOnly
        };
        handle::deserialize(deserializer, access).map(Received)
    }
}

impl<const WRITABLE: bool> Wire<Received<WRITABLE>> {
    fn array<'de, T: Element, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<RawArray<T>, D::Error> {
        let wire = Self::deserialize(deserializer)?;
        let shape = Shape::new(&wire.dims).map_err(handle::refused)?;
        RawArray::within(Arc::new(wire.segment.0), wire.offset, shape).map_err(handle::refused)
    }
}

impl<T: Element> Serialize for RawArray<T> {
    /// As a handle: only within the arguments and the return value of a process, and in messages of pipes.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let wire = Wire {
            segment: Sent(&self.segment),
            offset: self.offset,
            dims: self.shape(),
        };
        wire.serialize(serializer)
    }
}

impl<'de, T: Element> Deserialize<'de> for RawArray<T> {
    /// From a handle: only within the arguments and the return value of a process, and in messages of pipes.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Wire::<Received<true>>::array(deserializer)
    }
}

impl<T: Element> Readable for RawArray<T> {
    fn take<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Wire::<Received<false>>::array(deserializer)
    }
}
