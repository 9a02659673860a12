//! Ends of pipes on their way to another process: the descriptor, and how long a message this end takes.

use std::os::fd::{AsFd, OwnedFd};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Pipe;
use crate::{descriptor, handle, sys::socket};

impl<Tx, Rx> Serialize for Pipe<Tx, Rx> {
    /// As a descriptor: only within the arguments and the return value of a process, and in messages of pipes.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (descriptor::Lent(self.as_fd()), self.max_message).serialize(serializer)
    }
}

impl<'de, Tx, Rx> Deserialize<'de> for Pipe<Tx, Rx> {
    /// From a descriptor: only within the arguments and the return value of a process, and in messages of pipes.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pipe<Tx, Rx>, D::Error> {
        let (descriptor, max_message) = <(descriptor::Descriptor, u64)>::deserialize(deserializer)?;
        let end = OwnedFd::from(descriptor);
        if !socket::keeps_messages_apart(end.as_fd()) {
            return Err(handle::refused("that descriptor is not the end of a pipe"));
        }
        Ok(Pipe::new(end, max_message))
    }
}
