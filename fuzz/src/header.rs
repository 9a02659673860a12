//! A segment of any bytes: attaching to it as anything gives an error, or a view that stays inside, of a header that is
//! just what placing the same layout would have written.

mod data;
mod placing;
mod rings;
mod sync;

use std::ops::Range;

use multiproc_core::{HEADER_LEN, LayoutError, MAX_WORKERS, Region, record};

use super::{
    hostile::{Hostile, World, show},
    memory::{self, Ground},
};

record! {
    /// Any record.
    struct Sample { x: f64, n: u32, flags: [u16; 2] }
}

const ZERO: Sample = Sample {
    x: 0.0,
    n: 0,
    flags: [0; 2],
};

/// Where a header says whose it is, which may be another's where nobody owns anything.
const ORIGIN_AT: Range<usize> = 136..160;

/// The longest segment, in bytes, but for a ring of tasks.
const ROOM: usize = 16 << 10;
/// The longest ring of tasks, in bytes.
const TASKS_ROOM: usize = ROOM + 64 * (MAX_WORKERS + 1);

/// Runs one input.
///
/// # Panics
///
/// When a promise is broken.
pub fn body(input: &[u8]) {
    thread_local!(static GROUND: Ground = Ground::new(TASKS_ROOM));
    GROUND.with(|ground| {
        let world = World::new(input, &[]);
        let how = world.byte();
        let region = if how.is_multiple_of(4) {
            raw(ground, &world)
        } else {
            damaged(ground, &world, how)
        };
        if how & 64 != 0 {
            sum_up(region);
        }
        attach_as_everything(region, &world);
        ground.check(region);
    });
}

/// A segment that is the rest of the input.
fn raw(ground: &Ground, world: &World<'_>) -> Region<'static> {
    let bytes: Vec<u8> = std::iter::from_fn(|| world.next()).take(ROOM).collect();
    ground.region(bytes.len(), &bytes)
}

/// A sound segment in which some bytes were changed, and that may have been cut or have grown.
fn damaged<'w>(ground: &Ground, world: &'w World<'w>, how: u8) -> Region<'static> {
    let os = Hostile(world);
    let dims: Vec<usize> = (0..how / 4 % 4)
        .map(|_| usize::from(world.byte()) % 12)
        .collect();
    let kind = world.byte();
    let room = if kind < placing::TASKS {
        ROOM
    } else {
        TASKS_ROOM
    };
    let sound = ground.region(room, &[]);
    let (placed, len) = placing::place(kind, sound, os, &dims, how / 4 % 4);
    if let Err(error) = placed {
        // Too many elements for the room: the header is not there, then.
        show(error);
    }
    let bytes = memory::bytes_of(sound);
    for _ in 0..world.byte() % 8 {
        // Half of the places are the header's, and all of its numbers begin at one.
        let at = usize::from(world.byte()) * 4;
        let value = world.number().to_le_bytes();
        let width = 1 << (world.byte() % 4);
        bytes[at..at + width].copy_from_slice(&value[..width]);
    }
    let len = match world.byte() {
        0..200 => len.min(room),
        cut => len.saturating_sub(usize::from(cut - 200) * 16).min(room),
    };
    let bytes = bytes[..len].to_vec();
    ground.region(len, &bytes)
}

/// Makes the checksum right.
fn sum_up(region: Region<'static>) {
    let bytes = memory::bytes_of(region);
    if bytes.len() < HEADER_LEN {
        return;
    }
    let sum = [&bytes[..120], &bytes[192..HEADER_LEN]]
        .concat()
        .as_chunks()
        .0
        .iter()
        .map(|word| u64::from_le_bytes(*word))
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, word| {
            (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3)
        });
    bytes[120..128].copy_from_slice(&sum.to_le_bytes());
}

/// Attaches to the segment as every kind of thing, uses what that gives, and buries it.
fn attach_as_everything<'w>(region: Region<'static>, world: &'w World<'w>) {
    data::attach(region, Hostile(world));
    sync::attach(region, Hostile(world));
    rings::attach(region, Hostile(world));
}

/// What attaching gave. An error is shown; of a view, the header is compared with the one that `place` makes for it.
fn attached<V>(
    region: Region<'static>,
    result: Result<V, LayoutError>,
    place: impl FnOnce(&V, Region<'static>) -> Result<(), LayoutError>,
) -> Option<V> {
    thread_local!(static GROUND: Ground = Ground::new(TASKS_ROOM));
    let view = match result {
        Ok(view) => view,
        Err(error) => {
            show(error);
            show(error.to_string());
            return None;
        }
    };
    GROUND.with(|ground| {
        let fresh = ground.region(region.len(), &[]);
        place(&view, fresh).expect("there was room for it");
        let (found, expected) = (memory::bytes_of(region), memory::bytes_of(fresh));
        for part in [0..ORIGIN_AT.start, ORIGIN_AT.end..HEADER_LEN] {
            assert_eq!(found[part.clone()], expected[part], "nobody writes this");
        }
    });
    Some(view)
}
