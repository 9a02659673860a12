//! Messages between a parent and its child: packets that never make anybody wait.
//!
//! Of the descriptors of a message, those that have no place in its packet follow in packets of their own. Nobody else
//! sends in between: a parent speaks once, and a child has one thread that does.

use std::os::fd::{BorrowedFd, OwnedFd};

use super::frame::Kind;
use crate::{
    packet::{self, Incoming, Next, Outgoing, WireError, if_any},
    sys::socket::{self, BATCH},
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
        let mut message = Outgoing::new(self.kind as u8, &self.payload, &self.descriptors);
        if message.fits_inline() {
            match send(&message, socket) {
                // Sockets have little room here (net.core.wmem_default).
                Err(WireError::Io { why, .. }) if socket::had_no_room(&why) => {}
                result => return result,
            }
        }
        message.pack()?;
        send(&message, socket)
    }
}

fn send(message: &Outgoing<'_>, socket: BorrowedFd<'_>) -> Result<(), WireError> {
    let all = message.descriptors();
    let (first, rest) = all.split_at(all.len().min(BATCH));
    let failed = WireError::io("sending to the other process");
    message.send(socket, first).map_err(&failed)?;
    for batch in rest.chunks(BATCH) {
        if let Err(error) = socket::send(socket, [MORE, &[]], batch) {
            // If that fails too, the peer finds descriptors missing.
            let _ = socket::send(socket, [GIVEN_UP, &[]], &[]);
            return Err(failed(error));
        }
    }
    Ok(())
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
    let Next::Packet(mut message) = packet::receive_alone(socket)? else {
        return Ok(Received::Nothing);
    };
    if !receive_rest(socket, &mut message)? {
        return Ok(Received::GivenUp);
    }
    let kind = Kind::from_byte(message.header.kind)?;
    let (payload, descriptors) = message.open()?;
    Ok(Received::Message(Message {
        kind,
        payload: payload.into_vec(),
        descriptors,
    }))
}

/// Takes the descriptors that follow; whether the sender could send them.
fn receive_rest(socket: BorrowedFd<'_>, message: &mut Incoming) -> Result<bool, WireError> {
    let expected = message.expected();
    let descriptors = &mut message.descriptors;
    while descriptors.len() < expected {
        let left = (expected - descriptors.len()).min(BATCH);
        let mut sign = Vec::with_capacity(1);
        match if_any(socket, |socket| socket::receive(socket, &mut sign))? {
            Some(_) if sign == GIVEN_UP => return Ok(false),
            Some(more)
                if more.len != 0 && !more.descriptors_lost && more.descriptors.len() == left =>
            {
                descriptors.extend(more.descriptors);
            }
            _ => return Err(WireError::DescriptorsLost { expected }),
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::{
        packet::frame::{FrameError, Header, INLINE},
        sys::memory,
    };

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
            kind: Kind::Returned as u8,
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
            kind: Kind::Returned as u8,
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
