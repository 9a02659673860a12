//! A lock that readers share.

use multiproc_core::{
    FOREVER, HEADER_LEN, Holders, LayoutError, LockError, NOW, Region, RwLock, RwLockReadGuard,
    RwLockWriteGuard,
};

use super::super::{
    hostile::{Hostile, World, show},
    memory::{self, Ground, ORIGIN},
    view::{self, View},
};
use super::{GRACE, SAMPLE, Sample, admitted, pick};

type Lock<'w> = RwLock<'static, Sample, Hostile<'w>>;

#[derive(Debug)]
enum Guard<'a, 'w> {
    Read(RwLockReadGuard<'a, Sample, Hostile<'w>>),
    Write(RwLockWriteGuard<'a, Sample, Hostile<'w>>),
}

pub(super) fn play(ground: &Ground, input: &[u8]) {
    let region = ground.region(Lock::required_len(), &[]);
    // The data belongs to whoever reads or writes.
    let words = memory::words_of(region, HEADER_LEN, HEADER_LEN + size_of::<Holders>() + 8);
    let world = World::new(input, words);
    // SAFETY: memory in which no other layout is in use.
    unsafe { Lock::place(region, Hostile(&world), ORIGIN, SAMPLE) }.expect("room for the lock");
    view::play::<Lock<'_>>(region, &world);
    ground.check(region);
}

impl<'w> View<'w> for Lock<'w> {
    fn attach(region: Region<'static>, os: Hostile<'w>) -> Result<Self, LayoutError> {
        RwLock::attach(region, os, ORIGIN)
    }

    unsafe fn bury(region: Region<'static>, os: Hostile<'w>) -> Result<(), LayoutError> {
        // SAFETY: promised by the caller.
        unsafe { Self::bury(region, os, ORIGIN) }
    }

    fn use_it(&self, world: &'w World<'w>) -> bool {
        let mut guards: Vec<Guard<'_, 'w>> = Vec::new();
        while let Some(action) = world.next() {
            match action % 18 {
                0..3 => world.poke(),
                3 => world.lie_in_wait(),
                4 => guards.extend(lock(self, world, NOW, false)),
                5 => guards.extend(lock(self, world, NOW, true)),
                6 => guards.extend(lock(self, world, world.soon(), false)),
                7 => guards.extend(lock(self, world, world.soon(), true)),
                8 => guards.extend(lock(self, world, FOREVER, action / 18 % 2 == 0)),
                9 => show((self, self.poison(), &guards)),
                10 => {
                    if let Some(Guard::Write(guard)) = guards.last_mut() {
                        guard.flags[1] = guard.flags[1].wrapping_add(1);
                    }
                }
                11 => {
                    if let Some(Guard::Write(guard)) = guards.last_mut() {
                        guard.clear_poison();
                    }
                }
                12 => {
                    if let Some(guard) = pick(&mut guards, world) {
                        guards.push(world.call(|| downgrade(guard)));
                    }
                }
                13 => {
                    let guard = pick(&mut guards, world);
                    world.call_until(NOW, 0, || drop(guard));
                }
                14 => {
                    let guard = pick(&mut guards, world);
                    world.unwinding(|| drop(guard));
                }
                15 => {
                    if let Some(guard) = pick(&mut guards, world) {
                        world.inherited(|| end_in_a_fork(guard));
                    }
                }
                16 => drop(pick(&mut guards, world).map(std::mem::forget)),
                _ => {
                    world.call(|| guards.clear());
                    return true;
                }
            }
        }
        world.call(|| guards.clear());
        false
    }

    fn check_buried(&self, world: &'w World<'w>) {
        assert!(!self.is_locked() && self.waiting() == 0, "all are buried");
        let write = admitted(world.call(|| self.try_write())).expect("nobody else reads or writes");
        let read = RwLockWriteGuard::downgrade(write);
        assert_eq!(self.readers(), 1);
        let other = admitted(world.call(|| self.try_read())).expect("readers share");
        drop((read, other));
        assert!(!self.is_locked(), "all guards are dropped");
    }
}

fn lock<'a, 'w>(
    lock: &'a Lock<'w>,
    world: &World<'_>,
    until: u64,
    exclusive: bool,
) -> Option<Guard<'a, 'w>> {
    if exclusive {
        let result = in_time(world, until, || lock.write_until(until));
        admitted(result).map(Guard::Write)
    } else {
        let result = in_time(world, until, || lock.read_until(until));
        admitted(result).map(Guard::Read)
    }
}

fn in_time<G>(
    world: &World<'_>,
    until: u64,
    call: impl FnOnce() -> Result<G, LockError<G>>,
) -> Result<G, LockError<G>> {
    match until {
        FOREVER => world.call(call),
        _ => world.call_until(until, GRACE, call),
    }
}

fn downgrade<'a, 'w>(guard: Guard<'a, 'w>) -> Guard<'a, 'w> {
    match guard {
        Guard::Write(guard) => Guard::Read(RwLockWriteGuard::downgrade(guard)),
        Guard::Read(guard) => Guard::Read(guard),
    }
}

/// What a fork child may do with a guard.
fn end_in_a_fork(guard: Guard<'_, '_>) {
    match guard {
        Guard::Write(mut guard) => {
            guard.clear_poison();
            drop(RwLockWriteGuard::downgrade(guard));
        }
        Guard::Read(guard) => drop(guard),
    }
}
