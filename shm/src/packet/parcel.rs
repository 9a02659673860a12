//! Parcels: files in memory that hold payloads too large for a packet.

use std::{
    fs::File,
    io::{self, Read, Seek, Write},
    os::{
        fd::AsFd,
        unix::fs::{FileExt, MetadataExt},
    },
};

use super::{WireError, frame::FrameError};
use crate::sys::memory;

/// A file that holds a payload, and never another length.
pub(crate) fn pack(payload: &[u8]) -> io::Result<File> {
    if payload.len() as u64 > memory::file_size_limit() {
        // Writing it would end in a signal.
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut file = memory::anonymous()?;
    file.write_all(payload)?;
    memory::seal_length(file.as_fd())?;
    Ok(file)
}

/// Reads a payload that came as a file.
pub(crate) fn unpack(mut file: File, len: u64) -> Result<Vec<u8>, WireError> {
    let room = check(&file, len)?;
    let failed = WireError::io("reading a file in memory");
    let mut payload = Vec::new();
    payload
        .try_reserve_exact(room)
        .map_err(|_| failed(io::ErrorKind::OutOfMemory.into()))?;
    file.rewind().map_err(&failed)?;
    // Into the room as it is: to fill it with zeros first would cost as much as to read.
    let found = file.take(len).read_to_end(&mut payload).map_err(&failed)?;
    if found != room {
        let found = found as u64;
        return Err(FrameError::Length {
            expected: len,
            found,
        }
        .into());
    }
    Ok(payload)
}

/// Reads a payload that came as a file into a buffer of its length.
pub(super) fn unpack_into(file: &File, buffer: &mut [u8]) -> Result<(), WireError> {
    check(file, buffer.len() as u64)?;
    file.read_exact_at(buffer, 0)
        .map_err(WireError::io("reading a file in memory"))
}

/// Checks that the file is as long as was said, and has memory behind all of that: a short message must not make its
/// reader fill a large hole with zeros.
fn check(file: &File, len: u64) -> Result<usize, WireError> {
    let metadata = file
        .metadata()
        .map_err(WireError::io("looking at a file in memory"))?;
    let behind = metadata.blocks().saturating_mul(512);
    let found = match metadata.len() {
        found if found == len => found.min(behind),
        found => found,
    };
    match usize::try_from(len) {
        Ok(room) if found == len => Ok(room),
        _ => Err(FrameError::Length {
            expected: len,
            found,
        }
        .into()),
    }
}
