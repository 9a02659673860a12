//! The form of a packet, as a plain function over bytes.
//!
//! ```text
//!  0       4         6      7        8             16            20        24
//! ┌───────┬─────────┬──────┬────────┬─────────────┬─────────────┬─────────┬───────────────┐
//! │ magic │ version │ kind │ parcel │ payload len │ descriptors │ (zeros) │ payload       │
//! └───────┴─────────┴──────┴────────┴─────────────┴─────────────┴─────────┴───────────────┘
//! ```
//!
//! A payload of more than [`INLINE`] bytes is a parcel: a file in memory that travels as one more descriptor, before
//! the others; so is a shorter one where the buffer of a socket has no room for it. What follows the header then is
//! ballast, which nobody reads.

use thiserror::Error;

/// The longest payload that travels in the packet itself, in bytes.
pub(crate) const INLINE: usize = 32 * 1024;
/// The length of the header, in bytes.
pub(crate) const HEADER: usize = 24;

const MAGIC: [u8; 4] = *b"mpFR";
const VERSION: u16 = 1;

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// What it says, by a number that its users know.
    pub(crate) kind: u8,
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
    #[error("a packet of more than {0} bytes, which no message of multiproc has")]
    Long(usize),
    #[error("the message is not one of multiproc, or of another version of it")]
    Foreign,
    #[error("a message of unknown kind {0}")]
    Kind(u8),
    #[error("the message says {expected} bytes and holds {found}")]
    Length { expected: u64, found: u64 },
    #[error("the payload of the message is malformed")]
    Payload,
}

impl Header {
    pub(crate) fn to_bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
        bytes[6] = self.kind;
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
        kind,
        parcel: match parcel {
            0 => false,
            1 => true,
            _ => return Err(FrameError::Foreign),
        },
        payload: u64::from_le_bytes([l0, l1, l2, l3, l4, l5, l6, l7]),
        descriptors: u32::from_le_bytes([d0, d1, d2, d3]),
    };
    let found = payload.len() as u64;
    if !header.parcel && header.payload != found {
        return Err(FrameError::Length {
            expected: header.payload,
            found,
        });
    }
    Ok((header, payload))
}
