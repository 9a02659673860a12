//! Frames over a socket: payload, parcel and descriptors in packets that never make anybody wait.

use std::{
    fs::File,
    io::{self, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::FileExt,
    },
};

use super::{
    error::WireError,
    frame::{self, FrameError, HEADER, Header, INLINE, Kind},
};
use crate::sys::{
    memory,
    socket::{self, BATCH},
};

/// A message, whole.
pub(crate) struct Message {
    pub(crate) kind: Kind,
    pub(crate) payload: Vec<u8>,
    pub(crate) descriptors: Vec<OwnedFd>,
}

impl Message {
    /// A message that is a text.
    pub(crate) fn text(kind: Kind, text: impl ToString) -> Message {
        Message {
            kind,
            payload: text.to_string().into_bytes(),
            descriptors: Vec::new(),
        }
    }

    /// The payload of a message that is a text.
    pub(crate) fn into_text(self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }

    /// Sends it without waiting. It is in the socket whole, or the peer finds it incomplete.
    pub(crate) fn send(&self, socket: BorrowedFd<'_>) -> Result<(), WireError> {
        let parcel = if self.payload.len() > INLINE {
            Some(parcel(&self.payload).map_err(io_error("making a file in memory"))?)
        } else {
            None
        };
        let header = Header {
            kind: self.kind,
            parcel: parcel.is_some(),
            payload: self.payload.len() as u64,
            descriptors: u32::try_from(self.descriptors.len())
                .map_err(|_| FrameError::Descriptors)?,
        };
        let inline = if parcel.is_some() {
            &[][..]
        } else {
            &self.payload
        };
        let all: Vec<BorrowedFd<'_>> = parcel
            .iter()
            .map(AsFd::as_fd)
            .chain(self.descriptors.iter().map(AsFd::as_fd))
            .collect();
        let (first, rest) = all.split_at(all.len().min(BATCH));
        let failed = io_error("sending to the other process");
        socket::send(socket, [&header.to_bytes(), inline], first).map_err(&failed)?;
        for batch in rest.chunks(BATCH) {
            socket::send(socket, [b"+", &[]], batch).map_err(&failed)?;
        }
        Ok(())
    }
}

/// Takes the next message; `None` when there is none, now or ever again.
pub(crate) fn receive(socket: BorrowedFd<'_>) -> Result<Option<Message>, WireError> {
    // Asked for first, because a new process that touches 32 KiB of its memory takes longer than for the task.
    let Some(len) = if_any(socket, socket::next_len)? else {
        return Ok(None);
    };
    let mut packet = vec![0; len.min(HEADER + INLINE)];
    let Some(first) = next(socket, &mut packet)? else {
        return Ok(None);
    };
    let (header, _) = frame::parse(&packet)?;
    let expected = header.descriptors as usize + usize::from(header.parcel);
    let lost = WireError::DescriptorsLost { expected };
    if first.truncated || first.descriptors.len() != expected.min(BATCH) {
        return Err(lost);
    }
    let mut descriptors = first.descriptors;
    while descriptors.len() < expected {
        let left = (expected - descriptors.len()).min(BATCH);
        match next(socket, &mut [0; 1])? {
            Some(more) if !more.truncated && more.descriptors.len() == left => {
                descriptors.extend(more.descriptors);
            }
            _ => return Err(lost),
        }
    }
    let payload = if header.parcel {
        unpack(File::from(descriptors.remove(0)), header.payload)?
    } else {
        packet.drain(..HEADER);
        packet
    };
    Ok(Some(Message {
        kind: header.kind,
        payload,
        descriptors,
    }))
}

/// The next packet, or `None`.
fn next(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<Option<socket::Packet>, WireError> {
    let packet = if_any(socket, |socket| socket::receive(socket, buffer))?;
    Ok(packet.filter(|packet| packet.len != 0))
}

/// Asks the socket, where nothing to read is no error. A peer that ended without reading everything reports that
/// once, before what it sent.
fn if_any<T>(
    socket: BorrowedFd<'_>,
    mut ask: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
) -> Result<Option<T>, WireError> {
    let mut answer = ask(socket);
    if matches!(&answer, Err(error) if error.kind() == io::ErrorKind::ConnectionReset) {
        answer = ask(socket);
    }
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(io_error("receiving from the other process")(error)),
    }
}

/// A file in memory that holds a payload too large for a packet.
fn parcel(payload: &[u8]) -> io::Result<File> {
    if payload.len() as u64 > memory::file_size_limit() {
        // Writing it would end in a signal.
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut file = memory::anonymous()?;
    file.write_all(payload)?;
    Ok(file)
}

/// Reads a payload that came as a file, after checking that the file is as long as was said.
fn unpack(file: File, len: u64) -> Result<Vec<u8>, WireError> {
    let failed = io_error("reading a file in memory");
    let found = file.metadata().map_err(&failed)?.len();
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

fn io_error(what: &'static str) -> impl Fn(io::Error) -> WireError {
    move |source| WireError::Io { what, source }
}
