//! Parcels: files in memory that hold payloads too large for a packet.

use std::{
    fs::File,
    io::{self, Write},
    os::{
        fd::AsFd,
        unix::fs::{FileExt, MetadataExt},
    },
};

use super::{WireError, frame::FrameError};
use crate::sys::memory;

/// A file that holds a payload, and never another length.
pub(super) fn pack(payload: &[u8]) -> io::Result<File> {
    if payload.len() as u64 > memory::file_size_limit() {
        // Writing it would end in a signal.
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut file = memory::anonymous()?;
    file.write_all(payload)?;
    memory::seal_length(file.as_fd())?;
    Ok(file)
}

/// Reads a payload that came as a file, after checking that the file is as long as was said, and has memory behind all
/// of that: a short message must not make its reader fill a large hole with zeros.
pub(super) fn unpack(file: File, len: u64) -> Result<Vec<u8>, WireError> {
    let failed = WireError::io("reading a file in memory");
    let metadata = file.metadata().map_err(&failed)?;
    let behind = metadata.blocks().saturating_mul(512);
    let found = match metadata.len() {
        found if found == len => found.min(behind),
        found => found,
    };
    let length = FrameError::Length {
        expected: len,
        found,
    };
    if found != len {
        return Err(length.into());
    }
    let len = usize::try_from(len).map_err(|_| length)?;
    let mut payload = Vec::new();
    payload
        .try_reserve_exact(len)
        .map_err(|_| failed(io::ErrorKind::OutOfMemory.into()))?;
    payload.resize(len, 0);
    file.read_exact_at(&mut payload, 0).map_err(&failed)?;
    Ok(payload)
}
