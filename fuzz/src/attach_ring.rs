//! A ring whose locks, positions and data hold any bytes, and change while it is used.
//!
//! Any call ends, those with a deadline about then; none panics; records lie inside the ring, are no longer than half of
//! it, and never more at once than it has units. Once everybody is buried, what can be taken is taken, and what is put
//! after that comes out as it went in, unless the ring is damaged and says so.

use multiproc_core::{ByteRing, HEADER_LEN, LayoutError, Region, RingError};

use super::{
    hostile::{Hostile, World, show},
    memory::{Ground, ORIGIN},
    passing::{ACTIONS, Passing, Placed, Show, Take, in_fresh},
    view::{self, View},
};

/// The longest layout, in bytes.
const ROOM: usize = 8 * HEADER_LEN;

type Records<'w> = ByteRing<'static, u8, Hostile<'w>>;

/// Runs one input.
///
/// # Panics
///
/// When a promise is broken.
pub fn body(input: &[u8]) {
    thread_local!(static GROUND: Ground = Ground::new(ROOM));
    GROUND.with(|ground| {
        in_fresh(
            ground,
            input,
            4,
            Records::required_len,
            ROOM,
            |region, world, capacity| {
                // SAFETY: memory in which no other layout is in use.
                unsafe { Records::place(region, Hostile(world), ORIGIN, capacity) }
                    .expect("room for it");
                view::play::<Placed<Records<'_>>>(region, world);
            },
        );
    });
}

impl<'w> View<'w> for Placed<Records<'w>> {
    fn attach(region: Region<'static>, os: Hostile<'w>) -> Result<Self, LayoutError> {
        let ring = Records::attach(region, os, ORIGIN)?;
        assert_eq!(Records::required_len(ring.capacity()), Ok(region.len()));
        Ok(Placed { ring, region })
    }

    unsafe fn bury(region: Region<'static>, os: Hostile<'w>) -> Result<(), LayoutError> {
        // SAFETY: promised by the caller.
        unsafe { Records::bury(region, os, ORIGIN) }
    }

    fn use_it(&self, world: &'w World<'w>) -> bool {
        let ring = &self.ring;
        while let Some(action) = world.next() {
            match action % 16 {
                action @ 0..ACTIONS => self.act(action, world),
                14 => show((ring, ring.len(), ring.is_empty(), ring.is_closed())),
                _ => return true,
            }
        }
        false
    }

    fn check_buried(&self, world: &'w World<'w>) {
        self.check_passing(world);
    }
}

impl Passing for Records<'_> {
    fn capacity(&self) -> usize {
        self.capacity()
    }

    fn max_len(&self) -> usize {
        self.max_len()
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn put(&self, record: &[u8], until: u64) -> Result<(), RingError> {
        self.put(record, until)
    }

    fn put_many(&self, records: &[Vec<u8>], until: u64) -> (usize, Result<(), RingError>) {
        self.put_many(records, until)
    }

    fn get(&self, until: u64, take: Take<'_>) -> Result<Vec<u8>, RingError> {
        self.get(until, take)
    }

    fn get_many(&self, until: u64, most: usize, show: Show<'_>) -> Result<usize, RingError> {
        self.get_many(until, most, show)
    }

    fn close(&self, until: u64) -> Result<(), RingError> {
        self.close(until)
    }
}
