//! What a parent and its child send each other: packets of any bytes and descriptors, some of which say that more
//! descriptors follow.
//!
//! Each is heard, or refused; nothing waits, and no descriptor that came is left open.

use std::os::fd::AsFd;

use multiproc::__fuzz;

use super::{
    hostile::{World, show},
    items::{self, Item},
    packets::Packet,
};

/// How many descriptors a packet carries at most.
const BATCH: usize = 250;

/// Runs one input.
///
/// # Panics
///
/// When a promise is broken.
pub fn body(input: &[u8]) {
    let world = World::new(input, &[]);
    while let Some(how) = world.next() {
        let (peer, socket) = __fuzz::connection().expect("a pair of sockets");
        let packet = Packet::of(&world).of_kind(how % 10);
        let Ok(witness) = packet.send(peer.as_fd(), &world) else {
            continue;
        };
        for _ in 0..how / 32 % 4 {
            follow(&world, peer.as_fd());
        }
        let take = |mut items: Vec<Item>| items.iter_mut().for_each(items::use_it);
        while let Some(heard) = __fuzz::hear(socket.as_fd(), take) {
            show(heard);
        }
        // An empty packet is taken for the end: what lies behind that is let go of here.
        drop((socket, peer));
        witness.check();
    }
}

/// What follows a message that has more descriptors than a packet can carry, or says so.
fn follow(world: &World<'_>, peer: std::os::fd::BorrowedFd<'_>) {
    let text: &[u8] = match world.byte() % 4 {
        0 => b"-",
        1 => b"",
        _ => b"+",
    };
    let count = match world.byte() {
        few @ 0..240 => usize::from(few % 8),
        _ => BATCH,
    };
    let _ = __fuzz::send_packet(peer, text, &vec![peer; count]);
}
