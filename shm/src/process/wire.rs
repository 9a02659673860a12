//! Frames over a socket: payload, parcel and descriptors in packets that never make anybody wait.

use std::{
    fs::File,
    io::{self, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::{FileExt, MetadataExt},
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

    /// Sends it without waiting. It is in the socket whole, or the peer passes over what is there of it.
    pub(crate) fn send(&self, socket: BorrowedFd<'_>) -> Result<(), WireError> {
        if self.payload.len() <= INLINE {
            match self.send_with(socket, None) {
                // Sockets have little room here (net.core.wmem_default).
                Err(WireError::Io { source, .. }) if socket::had_no_room(&source) => {}
                result => return result,
            }
        }
        let parcel = parcel(&self.payload).map_err(io_error("making a file in memory"))?;
        self.send_with(socket, Some(parcel))
    }

    fn send_with(&self, socket: BorrowedFd<'_>, parcel: Option<File>) -> Result<(), WireError> {
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
            if let Err(error) = socket::send(socket, [MORE, &[]], batch) {
                // If that fails too, the peer finds descriptors missing.
                let _ = socket::send(socket, [GIVEN_UP, &[]], &[]);
                return Err(failed(error));
            }
        }
        Ok(())
    }
}

/// Takes the next message; `None` when there is none, now or ever again.
pub(crate) fn receive(socket: BorrowedFd<'_>) -> Result<Option<Message>, WireError> {
    loop {
        match receive_one(socket)? {
            Received::Message(message) => return Ok(Some(message)),
            Received::GivenUp => {}
            Received::Nothing => return Ok(None),
        }
    }
}

/// What a packet that begins no message says: here are more descriptors, or there will be none.
const MORE: &[u8] = b"+";
const GIVEN_UP: &[u8] = b"-";

enum Received {
    Message(Message),
    /// The sender could not send the whole of it, and may have told of that in the next message.
    GivenUp,
    Nothing,
}

fn receive_one(socket: BorrowedFd<'_>) -> Result<Received, WireError> {
    // Asked for first, because a new process that touches 32 KiB of its memory takes longer than for the task.
    let Some(len) = if_any(socket, socket::next_len)? else {
        return Ok(Received::Nothing);
    };
    let mut packet = vec![0; len.min(HEADER + INLINE)];
    let Some(first) = next(socket, &mut packet)? else {
        return Ok(Received::Nothing);
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
        let mut sign = [0; 1];
        match next(socket, &mut sign)? {
            Some(_) if sign == GIVEN_UP => return Ok(Received::GivenUp),
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
    Ok(Received::Message(Message {
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

/// Reads a payload that came as a file, after checking that the file is as long as was said, and has memory behind all
/// of that: a short message must not make its reader fill a large hole with zeros.
fn unpack(file: File, len: u64) -> Result<Vec<u8>, WireError> {
    let failed = io_error("reading a file in memory");
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

fn io_error(what: &'static str) -> impl Fn(io::Error) -> WireError {
    move |source| WireError::Io { what, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (OwnedFd, OwnedFd) {
        socket::pair().unwrap()
    }

    fn returned(payload: Vec<u8>, descriptors: Vec<OwnedFd>) -> Message {
        Message {
            kind: Kind::Returned,
            payload,
            descriptors,
        }
    }

    #[test]
    fn a_message_travels_where_sockets_have_little_room() {
        let (ours, theirs) = pair();
        socket::have_little_room(ours.as_fd());
        returned(vec![7; INLINE], Vec::new())
            .send(ours.as_fd())
            .unwrap();
        let message = receive(theirs.as_fd()).unwrap().unwrap();
        assert_eq!(message.payload, [7; INLINE]);
    }

    #[test]
    fn a_message_given_up_half_way_is_passed_over() {
        let (ours, theirs) = pair();
        let header = Header {
            kind: Kind::Returned,
            parcel: false,
            payload: 0,
            descriptors: BATCH as u32 + 1,
        };
        let batch = [ours.as_fd(); BATCH];
        socket::send(ours.as_fd(), [&header.to_bytes(), &[]], &batch).unwrap();
        socket::send(ours.as_fd(), [GIVEN_UP, &[]], &[]).unwrap();
        Message::text(Kind::NotEncoded, "why")
            .send(ours.as_fd())
            .unwrap();
        let message = receive(theirs.as_fd()).unwrap().unwrap();
        assert_eq!(message.kind, Kind::NotEncoded);
        assert!(receive(theirs.as_fd()).unwrap().is_none());
    }

    #[test]
    fn a_parcel_that_is_a_hole_is_refused() {
        const LEN: u64 = 1 << 40;
        let (ours, theirs) = pair();
        let hole = memory::anonymous().unwrap();
        hole.set_len(LEN).unwrap();
        let header = Header {
            kind: Kind::Returned,
            parcel: true,
            payload: LEN,
            descriptors: 0,
        };
        socket::send(ours.as_fd(), [&header.to_bytes(), &[]], &[hole.as_fd()]).unwrap();
        let refused = receive(theirs.as_fd()).map(drop).unwrap_err();
        assert!(
            matches!(refused, WireError::Frame(FrameError::Length { .. })),
            "{refused}"
        );
    }
}
