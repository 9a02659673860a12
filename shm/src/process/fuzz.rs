//! What processes read of what others say, for fuzzing.

use std::{
    fmt::Debug,
    io,
    os::fd::{BorrowedFd, OwnedFd},
};

use serde::de::DeserializeOwned;

use super::{
    boot,
    frame::{self, Boot, Kind, Serve},
    panics::TaskPanic,
    serve::Answer,
    task, wire,
};
use crate::{
    packet::{
        codec,
        frame::{HEADER, INLINE, parse},
    },
    sys::socket::{self, BATCH},
};

/// Sends a packet of any bytes and descriptors.
pub fn send_packet(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let descriptors = descriptors.get(..BATCH).unwrap_or(descriptors);
    socket::send(socket, [bytes, &[]], descriptors)
}

/// Takes a packet as it is.
pub fn receive_packet(socket: BorrowedFd<'_>) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut bytes = Vec::with_capacity(HEADER + INLINE);
    let packet = socket::receive(socket, &mut bytes)?;
    Ok((bytes, packet.descriptors))
}

/// Two ends of a connection between processes.
pub fn connection() -> io::Result<(OwnedFd, OwnedFd)> {
    socket::pair()
}

/// What a parent or a child makes of the next message; `None` when there is none. A value that a task returned is given to
/// `take`.
pub fn hear<T: DeserializeOwned>(
    socket: BorrowedFd<'_>,
    take: impl FnOnce(T),
) -> Option<Result<String, String>> {
    let message = match wire::receive(socket) {
        Ok(message) => message?,
        Err(why) => return Some(Err(why.to_string())),
    };
    let payload = &message.payload;
    let heard = match message.kind {
        Kind::Returned => codec::decode(payload, message.descriptors).map(|value| {
            take(value);
            String::new()
        }),
        Kind::Panicked => shown(frame::decode::<TaskPanic>(payload)),
        Kind::Boot => shown(frame::decode::<Boot<'_>>(payload)),
        Kind::Serve => shown(frame::decode::<Serve<'_>>(payload)),
        Kind::Begun | Kind::NotEncoded | Kind::NotBegun => Ok(message.into_text()),
    };
    Some(heard)
}

fn shown<T: Debug, E: ToString>(decoded: Result<T, E>) -> Result<String, String> {
    decoded
        .map(|value| format!("{value:?}"))
        .map_err(|why| why.to_string())
}

/// What a reader made of a packet, written again; `None` when it refuses the packet.
pub fn reread_frame(packet: &[u8]) -> Option<Vec<u8>> {
    let (header, payload) = parse(packet).ok()?;
    let sound = match Kind::from_byte(header.kind).ok()? {
        _ if header.parcel => true,
        Kind::Boot => frame::decode::<Boot<'_>>(payload).is_ok(),
        Kind::Panicked => frame::decode::<TaskPanic>(payload).is_ok(),
        Kind::Serve => frame::decode::<Serve<'_>>(payload).is_ok(),
        Kind::Begun | Kind::Returned | Kind::NotEncoded | Kind::NotBegun => true,
    };
    sound.then(|| [&header.to_bytes()[..], payload].concat())
}

/// What a requester makes of the answer of a fork server, written again; `None` when it refuses it.
pub fn reread_answer(bytes: &[u8]) -> Option<Vec<u8>> {
    Answer::from_bytes(bytes).map(|answer| answer.to_bytes().to_vec())
}

/// What a process makes of an entry in its environment: its parent, a descriptor, and its own process id.
pub fn read_entry(bytes: &[u8]) -> Option<(u64, i32, u32)> {
    boot::read_entry(bytes)
}

/// The function at a place that another process has named; `None` when there is no code of this executable.
pub fn address(place: u64) -> Option<usize> {
    task::address(place)
}

/// The place of a function, as another process names it.
pub fn place(address: usize) -> Option<u64> {
    task::place(address)
}
