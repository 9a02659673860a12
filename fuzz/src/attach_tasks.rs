//! A ring of tasks whose locks, positions, rows and data hold any bytes, and change while it is used.
//!
//! As any ring; and whatever the rows say, a worker is told of a task that it has taken, or nothing is known of it.

use std::{cell::Cell, num::NonZeroU64};

use multiproc_core::{HEADER_LEN, LayoutError, MAX_WORKERS, Progress, Region, RingError, TaskRing};

use super::{
    hostile::{Hostile, World, show},
    memory::{Ground, ORIGIN},
    passing::{ACTIONS, GRACE, Passing, Placed, Take, in_fresh},
    view::{self, View},
};

/// The longest layout, in bytes: each worker has a row.
const ROOM: usize = 8 * HEADER_LEN + 64 * (MAX_WORKERS + 1);
/// Up to where lie the words of the ring and the rows of the first workers, in bytes.
const ROWS_END: usize = 1024 + 64 * 5;
/// How many bytes of a record are the name of its task.
const NAME: usize = 8;

type Ring<'w> = TaskRing<'static, Hostile<'w>>;

/// A ring of tasks, as a worker sees it.
struct Tasks<'w> {
    ring: Ring<'w>,
    /// The name of the last task that was put.
    last: Cell<u64>,
    /// Which row the worker has.
    row: Cell<usize>,
}

/// Runs one input.
///
/// # Panics
///
/// When a promise is broken.
pub fn body(input: &[u8]) {
    thread_local!(static GROUND: Ground = Ground::new(ROOM));
    GROUND.with(|ground| {
        // Room for a few names at least.
        in_fresh(
            ground,
            input,
            3,
            Ring::required_len,
            ROWS_END,
            |region, world, capacity| {
                // SAFETY: memory in which no other layout is in use.
                unsafe { Ring::place(region, Hostile(world), ORIGIN, capacity) }
                    .expect("room for it");
                view::play::<Placed<Tasks<'_>>>(region, world);
            },
        );
    });
}

impl<'w> View<'w> for Placed<Tasks<'w>> {
    fn attach(region: Region<'static>, os: Hostile<'w>) -> Result<Self, LayoutError> {
        let ring = Tasks {
            ring: Ring::attach(region, os, ORIGIN)?,
            last: Cell::new(0),
            row: Cell::new(0),
        };
        Ok(Placed { ring, region })
    }

    unsafe fn bury(region: Region<'static>, os: Hostile<'w>) -> Result<(), LayoutError> {
        // SAFETY: promised by the caller.
        unsafe { Ring::bury(region, os, ORIGIN) }
    }

    fn use_it(&self, world: &'w World<'w>) -> bool {
        let Tasks { ring, row, .. } = &self.ring;
        while let Some(action) = world.next() {
            let until = world.now();
            match action % 26 {
                action @ 0..ACTIONS => self.act(action, world),
                14 => row.set(any_row(world)),
                15 => ring.begin(row.get(), world.number()),
                16 => {
                    let (from, to) = (progress(world), progress(world));
                    show(ring.advance(row.get(), from, to));
                }
                17 => ring.note(row.get(), progress(world)),
                18 => ring.done(row.get()),
                19 => show(ring.condemn(any_row(world), world.number(), world.number())),
                20 => ring.pardon(any_row(world)),
                21 => {
                    let row = any_row(world);
                    let lost = world.call_until(until, GRACE, || ring.lost(row, until));
                    if let Ok(lost) = lost {
                        assert!(
                            lost.is_none_or(|lost| lost.task != 0),
                            "no task has no name"
                        );
                        show(lost);
                    }
                }
                22 => {
                    let task = world.number();
                    show(world.call_until(until, GRACE, || ring.cancel(task, until)));
                }
                23 => show(world.call_until(until, GRACE, || ring.alone(until, || world.poke()))),
                24 => show((ring, ring.in_hand(row.get()), ring.ended(any_row(world)))),
                _ => return true,
            }
        }
        false
    }

    fn check_buried(&self, world: &'w World<'w>) {
        let Tasks { ring, row, .. } = &self.ring;
        row.set(0);
        for row in 0..MAX_WORKERS {
            assert_eq!(ring.in_hand(row), None, "everybody is buried");
        }
        self.check_passing(world);
    }
}

/// Mostly one of the first few; sometimes one that there is not.
fn any_row(world: &World<'_>) -> usize {
    match world.byte() {
        few @ 0..250 => usize::from(few % 4),
        more => MAX_WORKERS - 1 + usize::from(more - 250),
    }
}

fn progress(world: &World<'_>) -> Progress {
    Progress::new(world.number() as u32, world.number() as u32)
}

impl Passing for Tasks<'_> {
    fn capacity(&self) -> usize {
        self.ring.ring().capacity()
    }

    fn max_len(&self) -> usize {
        self.ring.ring().max_len() - NAME
    }

    fn len(&self) -> usize {
        self.ring.ring().len()
    }

    fn put(&self, record: &[u8], until: u64) -> Result<(), RingError> {
        let (_, result) = self.put_many(&[record.to_vec()], until);
        result
    }

    fn put_many(&self, records: &[Vec<u8>], until: u64) -> (usize, Result<(), RingError>) {
        let names = (self.last.get() + 1..).filter_map(NonZeroU64::new);
        let (put, result) = self.ring.put_many(names.zip(records), until);
        self.last.set(self.last.get() + put as u64);
        (put, result)
    }

    fn get(&self, until: u64, take: Take<'_>) -> Result<Vec<u8>, RingError> {
        let row = self.row.get();
        let taken = self.ring.take(row, until, |task, body| {
            assert_ne!(task, 0, "no task has no name");
            take(body)
        });
        if row >= MAX_WORKERS {
            assert_eq!(taken, Err(RingError::TooManyProcesses));
        }
        taken
    }

    fn close(&self, until: u64) -> Result<(), RingError> {
        self.ring.close(until)
    }
}
