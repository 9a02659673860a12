//! What the peer of a pipe sends: packets of any bytes and descriptors, shared objects among them whose memory holds anything.
//!
//! Receiving gives an item that can be used, or an error. A message longer than this end takes is refused, nothing waits, and no descriptor that
//! came is left open.

use std::os::fd::AsFd;

use multiproc::{PipeReceiver, one_way};

use super::{
    hostile::{World, show},
    items::{self, Item},
    packets::Packet,
};

/// Runs one input.
///
/// # Panics
///
/// When a promise is broken.
pub fn body(input: &[u8]) {
    let world = World::new(input, &[]);
    let (peer, mut pipe) = one_way::<Vec<Item>>().expect("a pair of sockets");
    while let Some(how) = world.next() {
        // Longer than any whole message here, or so short that some are refused.
        let limit = match how % 4 {
            0 => u64::from(world.byte()),
            _ => 1 << 20,
        };
        pipe.set_max_message(limit);
        let packet = Packet::of(&world);
        let len = packet.payload();
        let Ok(witness) = packet.send(peer.as_fd(), &world) else {
            continue;
        };
        let came = receive(&pipe, how / 4);
        assert!(!came || len <= limit, "{len} bytes, this end takes {limit}");
        witness.check();
    }
}

/// Receives in one of the ways that there are; whether something came.
fn receive(pipe: &PipeReceiver<Vec<Item>>, how: u8) -> bool {
    match how % 8 {
        0 => came(pipe.try_recv_bytes()),
        1 => came(pipe.recv_bytes_into(&mut [0; 64])),
        _ => {
            let mut items = pipe.try_recv();
            if let Ok(Some(items)) = &mut items {
                items.iter_mut().for_each(items::use_it);
            }
            came(items)
        }
    }
}

fn came<T: std::fmt::Debug>(result: Result<Option<T>, multiproc::PipeError>) -> bool {
    let came = matches!(result, Ok(Some(_)));
    show(result.map_err(|why| why.to_string()));
    came
}
