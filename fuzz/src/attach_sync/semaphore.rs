//! Permits, of which there may be more without end or not.

use multiproc_core::{HEADER_LEN, LayoutError, NOW, Permit, Region, Semaphore};

use super::super::{
    hostile::{Hostile, World, show},
    memory::{self, Ground, ORIGIN},
    view::{self, View},
};
use super::{GRACE, pick};

type Permits<'w, const BOUNDED: bool> = Semaphore<'static, Hostile<'w>, BOUNDED>;

pub(super) fn play<const BOUNDED: bool>(ground: &Ground, input: &[u8]) {
    let region = ground.region(Permits::<BOUNDED>::required_len(), &[]);
    let words = memory::words_of(region, HEADER_LEN, region.len());
    let world = World::new(input, words);
    let (os, count) = (Hostile(&world), count(&world));
    // SAFETY: memory in which no other layout is in use.
    unsafe { Permits::<BOUNDED>::place(region, os, ORIGIN, count) }.expect("room for it");
    view::play::<Permits<'_, BOUNDED>>(region, &world);
    ground.check(region);
}

impl<'w, const BOUNDED: bool> View<'w> for Permits<'w, BOUNDED> {
    fn attach(region: Region<'static>, os: Hostile<'w>) -> Result<Self, LayoutError> {
        Semaphore::attach(region, os, ORIGIN)
    }

    unsafe fn bury(region: Region<'static>, os: Hostile<'w>) -> Result<(), LayoutError> {
        // SAFETY: promised by the caller.
        unsafe { Self::bury(region, os, ORIGIN) }
    }

    fn use_it(&self, world: &'w World<'w>) -> bool {
        let mut held: Vec<Permit<'_, Hostile<'w>>> = Vec::new();
        while let Some(action) = world.next() {
            match action % 16 {
                0..3 => world.poke(),
                3 => world.lie_in_wait(),
                4 => held.extend(acquire(self, world, 1, NOW)),
                5 => held.extend(acquire(self, world, count(world), NOW)),
                6 => held.extend(acquire(self, world, 1, world.soon())),
                7 => held.extend(acquire(self, world, count(world), world.soon())),
                8 => show(world.call_until(NOW, 0, || self.release(count(world)))),
                9 => show(world.call(|| self.value())),
                10 => show((self, &held)),
                11 => {
                    let permit = pick(&mut held, world);
                    world.call_until(NOW, 0, || drop(permit));
                }
                12 => {
                    let permit = pick(&mut held, world);
                    world.call_until(NOW, 0, || permit.map(Permit::forget));
                }
                13 => {
                    let permit = pick(&mut held, world);
                    world.inherited(|| match action / 16 % 2 {
                        0 => drop(permit),
                        _ => drop(permit.map(Permit::forget)),
                    });
                }
                14 => drop(pick(&mut held, world).map(std::mem::forget)),
                _ => {
                    world.call(|| held.clear());
                    return true;
                }
            }
        }
        world.call(|| held.clear());
        false
    }

    fn check_buried(&self, world: &'w World<'w>) {
        let all = self.permits();
        assert_eq!(self.held(), 0, "everybody is buried");
        assert_eq!(world.call(|| self.value()), Ok(all));
        if let Some(permit) = acquire(self, world, all, NOW) {
            assert_eq!(self.held(), all);
            drop(permit);
        }
        assert_eq!(world.call(|| self.value()), Ok(all), "all are given back");
    }
}

/// Acquires some, until a moment.
fn acquire<'a, 'w, const BOUNDED: bool>(
    permits: &'a Permits<'w, BOUNDED>,
    world: &World<'_>,
    count: u32,
    until: u64,
) -> Option<Permit<'a, Hostile<'w>>> {
    let result = world.call_until(until, GRACE, || permits.acquire_many_until(count, until));
    match result {
        Ok(permit) => {
            assert_eq!(permit.count(), count, "not what was asked for");
            Some(permit)
        }
        Err(why) => {
            show(why);
            None
        }
    }
}

/// How many: most often few.
fn count(world: &World<'_>) -> u32 {
    u32::try_from(world.number()).unwrap_or(u32::MAX)
}
