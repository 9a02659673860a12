//! Messages over a socket: each is a packet of a header, the payload or a parcel that holds it, and descriptors.
//!
//! Nothing here waits for the peer, nor believes what it says: lengths are checked before memory is taken for them, and
//! descriptors that were cut off are missed.

use std::{
    fs::File,
    io,
    ops::Deref,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use thiserror::Error;

pub(crate) mod codec;
mod end;
pub(crate) mod frame;
mod parcel;

pub(crate) use end::{Role, Socket, cut_off, has_pipes, open_sockets};
pub(crate) use parcel::{pack, unpack};

use self::frame::{FrameError, HEADER, Header, INLINE};
use crate::sys::socket::{self, BATCH};

/// What can go wrong with a message.
#[derive(Debug, Error)]
pub(crate) enum WireError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("the limit on descriptors cut off some of the {expected} that were handed over")]
    DescriptorsLost { expected: usize },
    #[error("{what} failed: {why}")]
    Io { what: &'static str, why: io::Error },
}

impl WireError {
    pub(crate) fn io(what: &'static str) -> impl Fn(io::Error) -> WireError {
        move |why| WireError::Io { what, why }
    }
}

/// A message to be sent.
pub(crate) struct Outgoing<'a> {
    kind: u8,
    payload: &'a [u8],
    descriptors: &'a [OwnedFd],
    parcel: Option<File>,
    ballast: &'static [u8],
}

impl<'a> Outgoing<'a> {
    pub(crate) fn new(kind: u8, payload: &'a [u8], descriptors: &'a [OwnedFd]) -> Outgoing<'a> {
        Outgoing {
            kind,
            payload,
            descriptors,
            parcel: None,
            ballast: &[],
        }
    }

    /// Whether the payload is short enough for the packet itself.
    pub(crate) fn fits_inline(&self) -> bool {
        self.payload.len() <= INLINE
    }

    pub(crate) fn is_parcel(&self) -> bool {
        self.parcel.is_some()
    }

    /// Puts the payload into a parcel.
    pub(crate) fn pack(&mut self) -> Result<(), WireError> {
        let parcel = parcel::pack(self.payload);
        self.parcel = Some(parcel.map_err(WireError::io("making a file in memory"))?);
        Ok(())
    }

    /// Makes the packet of a parcel as heavy as the longest one without, so that a socket holds no more of them; or as
    /// light as it can be. Says whether that changes anything.
    pub(crate) fn weigh_down(&mut self, heavy: bool) -> bool {
        static BALLAST: [u8; INLINE] = [0; INLINE];
        let ballast = if heavy { &BALLAST[..] } else { &[] };
        let changes = self.ballast.len() != ballast.len();
        self.ballast = ballast;
        changes
    }

    /// All descriptors, the parcel first.
    pub(crate) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let parcel = self.parcel.iter().map(AsFd::as_fd);
        parcel
            .chain(self.descriptors.iter().map(AsFd::as_fd))
            .collect()
    }

    /// Sends the packet, with up to [`BATCH`] of its descriptors.
    pub(crate) fn send(
        &self,
        socket: BorrowedFd<'_>,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let too_many = |_| io::Error::from(io::ErrorKind::InvalidInput);
        let header = Header {
            kind: self.kind,
            parcel: self.is_parcel(),
            payload: self.payload.len() as u64,
            descriptors: u32::try_from(self.descriptors.len()).map_err(too_many)?,
        };
        let rest = match self.parcel {
            Some(_) => self.ballast,
            None => self.payload,
        };
        socket::send(socket, [&header.to_bytes(), rest], descriptors)
    }
}

/// What there is to receive.
pub(crate) enum Next {
    Packet(Incoming),
    /// Nothing yet.
    Nothing,
    /// Nothing any more: the other end is closed.
    End,
}

/// A message that came; its payload may still be in its parcel.
pub(crate) struct Incoming {
    pub(crate) header: Header,
    bytes: Vec<u8>,
    pub(crate) descriptors: Vec<OwnedFd>,
}

/// Takes the next packet. All its descriptors came, or the first [`BATCH`] of them.
pub(crate) fn receive(socket: BorrowedFd<'_>) -> Result<Next, WireError> {
    // Room for the longest: several may be receiving, and what is there next may be another one's by then. Only the
    // part that is needed is ever touched.
    receive_with(socket, HEADER + INLINE)
}

/// As [`receive`], for who is the only one that receives: with as much room as is needed.
pub(crate) fn receive_alone(socket: BorrowedFd<'_>) -> Result<Next, WireError> {
    match if_any(socket, socket::next_len)? {
        Some(len) => receive_with(socket, len.min(HEADER + INLINE)),
        None => Ok(Next::Nothing),
    }
}

fn receive_with(socket: BorrowedFd<'_>, room: usize) -> Result<Next, WireError> {
    let mut bytes = Vec::with_capacity(room);
    let Some(packet) = if_any(socket, |socket| socket::receive(socket, &mut bytes))? else {
        return Ok(Next::Nothing);
    };
    if packet.len == 0 {
        return Ok(Next::End);
    }
    if packet.bytes_lost {
        return Err(FrameError::Long(HEADER + INLINE).into());
    }
    let (header, _) = frame::parse(&bytes)?;
    let incoming = Incoming {
        header,
        bytes,
        descriptors: packet.descriptors,
    };
    let expected = incoming.expected();
    if packet.descriptors_lost || incoming.descriptors.len() != expected.min(BATCH) {
        return Err(WireError::DescriptorsLost { expected });
    }
    Ok(Next::Packet(incoming))
}

impl Incoming {
    /// How many descriptors belong to the message, its parcel among them.
    pub(crate) fn expected(&self) -> usize {
        self.header.descriptors as usize + usize::from(self.header.parcel)
    }

    /// Its payload, and the descriptors beside it.
    pub(crate) fn open(mut self) -> Result<(Payload, Vec<OwnedFd>), WireError> {
        let payload = if self.header.parcel && !self.descriptors.is_empty() {
            let file = File::from(self.descriptors.remove(0));
            Payload {
                bytes: parcel::unpack(file, self.header.payload)?,
                begin: 0,
            }
        } else {
            Payload {
                bytes: self.bytes,
                begin: HEADER,
            }
        };
        Ok((payload, self.descriptors))
    }

    /// Its payload into a buffer of that length.
    pub(crate) fn open_into(self, buffer: &mut [u8]) -> Result<(), WireError> {
        let mut descriptors = self.descriptors.into_iter();
        match descriptors.next() {
            Some(parcel) if self.header.parcel => parcel::unpack_into(&parcel.into(), buffer),
            _ => {
                let payload = self.bytes.get(HEADER..).unwrap_or_default();
                buffer.copy_from_slice(payload);
                Ok(())
            }
        }
    }
}

/// The payload of a message: what lies behind the header of its packet.
pub(crate) struct Payload {
    bytes: Vec<u8>,
    begin: usize,
}

impl Payload {
    pub(crate) fn into_vec(mut self) -> Vec<u8> {
        self.bytes.drain(..self.begin);
        self.bytes.shrink_to_fit();
        self.bytes
    }
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(self.begin..).unwrap_or_default()
    }
}

/// Asks the socket, where nothing to read is no error. A peer that ended without reading everything reports that
/// once, before what it sent.
pub(crate) fn if_any<T>(
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
        Err(error) => Err(WireError::io("receiving from the other process")(error)),
    }
}
