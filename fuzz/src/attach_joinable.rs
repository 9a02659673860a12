//! A ring that knows what is done, whose locks, positions, counts, rows and data hold any bytes, and change while it is used.
//!
//! As any ring; and whoever joins is told by his deadline, whatever the counts say.

use std::cell::RefCell;

use multiproc_core::{InHand, JoinableRing, LayoutError, NOW, Region, RingError};

use super::{
    hostile::{Hostile, World, show},
    memory::{Ground, ORIGIN},
    passing::{ACTIONS, CAPACITY, GRACE, Passing, Placed, Take, in_fresh},
    view::{self, View},
};

/// The longest layout, in bytes.
const ROOM: usize = 4096 + CAPACITY;
/// Up to where lie the words of the ring, what is done, and the first rows of who has what in hand, in bytes.
const ROWS_END: usize = 1024 + 8 + 32 + 16 * 4;

type Ring<'w> = JoinableRing<'static, u8, Hostile<'w>>;

/// A ring, and what the process under test has in hand.
struct Work<'w> {
    ring: Ring<'w>,
    in_hand: RefCell<Vec<InHand>>,
}

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
            Ring::required_len,
            ROWS_END,
            |region, world, capacity| {
                // SAFETY: memory in which no other layout is in use.
                unsafe { Ring::place(region, Hostile(world), ORIGIN, capacity) }
                    .expect("room for it");
                view::play::<Placed<Work<'_>>>(region, world);
            },
        );
    });
}

impl<'w> View<'w> for Placed<Work<'w>> {
    fn attach(region: Region<'static>, os: Hostile<'w>) -> Result<Self, LayoutError> {
        let ring = Work {
            ring: Ring::attach(region, os, ORIGIN)?,
            in_hand: RefCell::default(),
        };
        Ok(Placed { ring, region })
    }

    unsafe fn bury(region: Region<'static>, os: Hostile<'w>) -> Result<(), LayoutError> {
        // SAFETY: promised by the caller.
        unsafe { Ring::bury(region, os, ORIGIN) }
    }

    fn use_it(&self, world: &'w World<'w>) -> bool {
        let Work { ring, in_hand } = &self.ring;
        let next = || in_hand.borrow_mut().pop();
        while let Some(action) = world.next() {
            match action % 22 {
                action @ 0..ACTIONS => self.act(action, world),
                14 | 15 => drop(next().map(|record| world.call(|| ring.done(record)))),
                16 => drop(next().map(|record| world.call(|| ring.give_up(record)))),
                17 => drop(next().map(|record| world.inherited(|| ring.done(record)))),
                18 => show(world.call_until(NOW, GRACE, || ring.join(NOW))),
                19 => {
                    let until = world.soon();
                    let joined = world.call_until(until, GRACE, || ring.join(until));
                    if joined == Ok(None) {
                        assert!(world.now() >= until, "too soon");
                    }
                }
                20 => show((ring, ring.unfinished(), ring.lost())),
                _ => return true,
            }
        }
        false
    }

    fn check_buried(&self, world: &'w World<'w>) {
        let Work { ring, in_hand } = &self.ring;
        in_hand.borrow_mut().clear();
        self.check_passing(world);
        while let Some(record) = in_hand.borrow_mut().pop() {
            ring.done(record);
        }
        // What is in the ring may be damaged, and what was counted may be more than was put. But what can be found lost is
        // found by who looks often enough, and then there is nothing to wait for, or too little was ever put.
        let until = world.now() + 1;
        show(world.call_until(until, GRACE, || ring.join(until)));
    }
}

impl Passing for Work<'_> {
    fn capacity(&self) -> usize {
        self.ring.ring().capacity()
    }

    fn max_len(&self) -> usize {
        self.ring.ring().max_len()
    }

    fn len(&self) -> usize {
        self.ring.ring().len()
    }

    fn put(&self, record: &[u8], until: u64) -> Result<(), RingError> {
        self.ring.put(record, until)
    }

    fn put_many(&self, records: &[Vec<u8>], until: u64) -> (usize, Result<(), RingError>) {
        self.ring.put_many(records, until)
    }

    fn get(&self, until: u64, take: Take<'_>) -> Result<Vec<u8>, RingError> {
        let (record, in_hand) = self.ring.get(until, take)?;
        self.in_hand.borrow_mut().push(in_hand);
        Ok(record)
    }

    fn close(&self, until: u64) -> Result<(), RingError> {
        self.ring.close(until)
    }
}
