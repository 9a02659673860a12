//! What the messages between a parent and its child say.

use serde::{Deserialize, Serialize};

use super::{builder::StartMethod, task::Places};
use crate::packet::frame::FrameError;

/// What a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Parent to child: what to do. The payload is a [`Boot`].
    Boot = 1,
    /// Child to parent: the task begins.
    Begun = 2,
    /// The task returned; the payload is its value.
    Returned = 3,
    /// The task panicked; the payload is a [`TaskPanic`](super::TaskPanic).
    Panicked = 4,
    /// The return value could not be encoded; the payload says why.
    NotEncoded = 5,
    /// The task could not begin; the payload says why.
    NotBegun = 6,
    /// Parent to child: be a server that forks. The payload is a [`Serve`].
    Serve = 7,
}

impl Kind {
    pub(crate) fn from_byte(byte: u8) -> Result<Kind, FrameError> {
        [
            Kind::Boot,
            Kind::Begun,
            Kind::Returned,
            Kind::Panicked,
            Kind::NotEncoded,
            Kind::NotBegun,
            Kind::Serve,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == byte)
        .ok_or(FrameError::Kind(byte))
    }
}

/// What a child that is not a copy of its parent is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Boot<'a> {
    pub(crate) name: &'a str,
    pub(crate) daemon: bool,
    pub(crate) method: StartMethod,
    pub(crate) parent_name: &'a str,
    /// Where the code that calls the task lies, counted from an anchor in this crate.
    pub(crate) trampoline: u64,
    /// Where the task lies, counted likewise.
    pub(crate) task: u64,
    /// The encoded arguments.
    pub(crate) arguments: &'a [u8],
}

/// What a server that forks is to do first.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Serve<'a> {
    pub(crate) parent_name: &'a str,
    #[serde(borrow)]
    pub(crate) preloads: Vec<Preload<'a>>,
}

/// A function that a server calls before it forks.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Preload<'a> {
    pub(crate) places: Places,
    /// Its encoded argument.
    pub(crate) argument: &'a [u8],
}

/// Decodes a payload of this crate's own.
pub(crate) fn decode<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, FrameError> {
    postcard::from_bytes(payload).map_err(|_| FrameError::Payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        packet::frame::{Header, parse},
        process::fuzz::reread_frame as reread,
    };

    fn boot_packet() -> Vec<u8> {
        let boot = Boot {
            name: "name",
            daemon: true,
            method: StartMethod::ForkServer,
            parent_name: "main",
            trampoline: 1,
            task: u64::MAX,
            arguments: &[1, 2, 3],
        };
        let payload = postcard::to_allocvec(&boot).unwrap();
        let header = Header {
            kind: Kind::Boot as u8,
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
            (Kind::Boot as u8, false, 7)
        );
        let boot: Boot<'_> = decode(payload).unwrap();
        assert_eq!(
            (boot.name, boot.task, boot.arguments),
            ("name", u64::MAX, &[1, 2, 3][..])
        );
        assert_eq!(reread(&packet), Some(packet));
    }

    /// Fault 27.
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
