//! The form of the messages between a parent and its child, as a plain function over bytes.
//!
//! ```text
//!  0       4         6      7        8             16            20        24
//! ┌───────┬─────────┬──────┬────────┬─────────────┬─────────────┬─────────┬───────────────┐
//! │ magic │ version │ kind │ parcel │ payload len │ descriptors │ (zeros) │ payload       │
//! └───────┴─────────┴──────┴────────┴─────────────┴─────────────┴─────────┴───────────────┘
//! ```
//!
//! A payload of more than [`INLINE`] bytes is a parcel: a file in memory that travels as one more descriptor, before
//! the others; so is a shorter one where the buffer of a socket has no room for it. No side ever waits for the other to
//! read: what cannot be sent is an error.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest payload that travels in the packet itself, in bytes.
pub(crate) const INLINE: usize = 32 * 1024;
/// The length of the header, in bytes.
pub(crate) const HEADER: usize = 24;

const MAGIC: [u8; 4] = *b"mpFR";
const VERSION: u16 = 1;

/// What a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Parent to child: what to do. The payload is a [`Boot`].
    Boot = 1,
    /// Child to parent: the task begins.
    Begun = 2,
    /// The task returned; the payload is its value.
    Returned = 3,
    /// The task panicked; the payload is a [`Panic`].
    Panicked = 4,
    /// The return value could not be encoded; the payload says why.
    NotEncoded = 5,
    /// The task could not begin; the payload says why.
    NotBegun = 6,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Kind> {
        [
            Kind::Boot,
            Kind::Begun,
            Kind::Returned,
            Kind::Panicked,
            Kind::NotEncoded,
            Kind::NotBegun,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == byte)
    }
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    /// Whether the payload is a file that comes as the first descriptor.
    pub(crate) parcel: bool,
    /// The length of the payload, in bytes.
    pub(crate) payload: u64,
    /// How many descriptors were handed over, the parcel not counted.
    pub(crate) descriptors: u32,
}

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum FrameError {
    #[error("a message of {0} bytes is shorter than its header")]
    Short(usize),
    #[error("the message is not one of multiproc, or of another version of it")]
    Foreign,
    #[error("a message of unknown kind {0}")]
    Kind(u8),
    #[error("the message says {expected} bytes and holds {found}")]
    Length { expected: u64, found: u64 },
    #[error("the message lacks descriptors that it says it brings")]
    Descriptors,
    #[error("the payload of the message is malformed")]
    Payload,
}

impl Header {
    pub(crate) fn to_bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
        bytes[6] = self.kind as u8;
        bytes[7] = u8::from(self.parcel);
        bytes[8..16].copy_from_slice(&self.payload.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.descriptors.to_le_bytes());
        bytes
    }
}

/// Takes a packet apart: its header and what follows it. Nothing is allocated.
pub(crate) fn parse(packet: &[u8]) -> Result<(Header, &[u8]), FrameError> {
    let Some((header, payload)) = packet.split_first_chunk::<HEADER>() else {
        return Err(FrameError::Short(packet.len()));
    };
    let [m0, m1, m2, m3, v0, v1, kind, parcel, rest @ ..] = *header;
    let [l0, l1, l2, l3, l4, l5, l6, l7, d0, d1, d2, d3, zeros @ ..] = rest;
    if [m0, m1, m2, m3] != MAGIC || u16::from_le_bytes([v0, v1]) != VERSION || zeros != [0; 4] {
        return Err(FrameError::Foreign);
    }
    let header = Header {
        kind: Kind::from_byte(kind).ok_or(FrameError::Kind(kind))?,
        parcel: match parcel {
            0 => false,
            1 => true,
            _ => return Err(FrameError::Foreign),
        },
        payload: u64::from_le_bytes([l0, l1, l2, l3, l4, l5, l6, l7]),
        descriptors: u32::from_le_bytes([d0, d1, d2, d3]),
    };
    let inline = if header.parcel { 0 } else { header.payload };
    if payload.len() as u64 != inline {
        return Err(FrameError::Length {
            expected: inline,
            found: payload.len() as u64,
        });
    }
    Ok((header, payload))
}

/// What a spawned child is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Boot<'a> {
    pub(crate) name: &'a str,
    pub(crate) die_with_parent: bool,
    /// Where the code that calls the task lies, counted from an anchor in this crate.
    pub(crate) trampoline: u64,
    /// Where the task lies, counted likewise.
    pub(crate) task: u64,
    /// The encoded arguments.
    pub(crate) arguments: &'a [u8],
}

/// How a task panicked.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Panic {
    pub(crate) message: String,
    pub(crate) location: Option<String>,
    pub(crate) backtrace: Option<String>,
}

/// Decodes a payload of this crate's own.
pub(crate) fn decode<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, FrameError> {
    postcard::from_bytes(payload).map_err(|_| FrameError::Payload)
}

/// What a reader made of a packet, written again; `None` when it refuses the packet. For fuzzing.
pub fn reread(packet: &[u8]) -> Option<Vec<u8>> {
    let (header, payload) = parse(packet).ok()?;
    let sound = match header.kind {
        _ if header.parcel => true,
        Kind::Boot => decode::<Boot<'_>>(payload).is_ok(),
        Kind::Panicked => decode::<Panic>(payload).is_ok(),
        Kind::Begun | Kind::Returned | Kind::NotEncoded | Kind::NotBegun => true,
    };
    sound.then(|| [&header.to_bytes()[..], payload].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot_packet() -> Vec<u8> {
        let boot = Boot {
            name: "name",
            die_with_parent: true,
            trampoline: 1,
            task: u64::MAX,
            arguments: &[1, 2, 3],
        };
        let payload = postcard::to_allocvec(&boot).unwrap();
        let header = Header {
            kind: Kind::Boot,
            parcel: false,
            payload: payload.len() as u64,
            descriptors: 7,
        };
        [&header.to_bytes()[..], &payload].concat()
    }

    #[test]
    fn a_frame_comes_out_as_it_went_in() {
        let packet = boot_packet();
        let (header, payload) = parse(&packet).unwrap();
        assert_eq!(
            (header.kind, header.parcel, header.descriptors),
            (Kind::Boot, false, 7)
        );
        let boot: Boot<'_> = decode(payload).unwrap();
        assert_eq!(
            (boot.name, boot.task, boot.arguments),
            ("name", u64::MAX, &[1, 2, 3][..])
        );
        assert_eq!(reread(&packet), Some(packet));
    }

    #[test]
    fn damaged_frames_are_refused_or_read_without_panic() {
        let packet = boot_packet();
        for len in 0..packet.len() {
            assert_eq!(reread(&packet[..len]), None);
        }
        for at in 0..packet.len() {
            for bit in 0..8 {
                let mut damaged = packet.clone();
                damaged[at] ^= 1 << bit;
                let again = reread(&damaged);
                assert!(again.is_none_or(|again| again == damaged));
            }
        }
        for at in 0..7 {
            let mut damaged = packet.clone();
            damaged[at] ^= 0x80;
            assert_eq!(reread(&damaged), None);
        }
    }
}
