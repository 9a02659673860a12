//! A condition variable and, before it in the same memory, its mutex.

use multiproc_core::{
    ALIGN, Condvar, FOREVER, HEADER_LEN, LayoutError, LockError, Mutex, MutexGuard, NOW, Region,
    WaitTimeoutResult,
};

use super::super::{
    hostile::{Hostile, World, show},
    memory::{self, Ground, ORIGIN},
    view::{self, View},
};
use super::{SAMPLE, Sample, admitted};

type Locked<'w> = Mutex<'static, Sample, Hostile<'w>>;
type Guard<'a, 'w> = MutexGuard<'a, Sample, Hostile<'w>>;

struct Pair<'w> {
    mutex: Locked<'w>,
    condvar: Condvar<'static, Hostile<'w>>,
}

/// Where the condition variable lies, in bytes.
fn condvar_at() -> usize {
    Locked::required_len().next_multiple_of(ALIGN)
}

/// The memory of the mutex, and that of the condition variable.
fn halves(region: Region<'static>) -> (Region<'static>, Region<'static>) {
    let at = condvar_at();
    // SAFETY: the region is longer than that.
    let second = unsafe { region.as_ptr().add(at) };
    // SAFETY: part of a region.
    let first = unsafe { Region::new(region.as_ptr(), at) };
    // SAFETY: the other part of it.
    let second = unsafe { Region::new(second, region.len() - at) };
    (first.expect("aligned"), second.expect("aligned"))
}

pub(super) fn play(ground: &Ground, input: &[u8]) {
    let at = condvar_at();
    let region = ground.region(at + Condvar::<Hostile<'_>>::required_len(), &[]);
    // The data belongs to whoever holds the lock.
    let lock = memory::words_of(region, HEADER_LEN, HEADER_LEN + 24);
    let word = memory::words_of(region, at + HEADER_LEN, region.len());
    let world = World::new(input, lock).and(word);
    let os = Hostile(&world);
    let (first, second) = halves(region);
    // SAFETY: memory in which no other layout is in use.
    unsafe { Locked::place(first, os, ORIGIN, SAMPLE) }.expect("room for the mutex");
    // SAFETY: as above.
    unsafe { Condvar::place(second, os, ORIGIN) }.expect("room for the condition variable");
    view::play::<Pair<'_>>(region, &world);
    ground.check(region);
}

impl<'w> View<'w> for Pair<'w> {
    fn attach(region: Region<'static>, os: Hostile<'w>) -> Result<Self, LayoutError> {
        let (first, second) = halves(region);
        Ok(Pair {
            mutex: Mutex::attach(first, os, ORIGIN)?,
            condvar: Condvar::attach(second, os, ORIGIN)?,
        })
    }

    unsafe fn bury(region: Region<'static>, os: Hostile<'w>) -> Result<(), LayoutError> {
        let (first, second) = halves(region);
        // SAFETY: promised by the caller.
        unsafe { Locked::bury(first, os, ORIGIN) }?;
        // SAFETY: promised by the caller.
        unsafe { Condvar::bury(second, os, ORIGIN) }
    }

    fn use_it(&self, world: &'w World<'w>) -> bool {
        let Pair { mutex, condvar } = self;
        let mut held: Option<Guard<'_, 'w>> = None;
        while let Some(action) = world.next() {
            match action % 16 {
                0..3 => world.poke(),
                3 => world.lie_in_wait(),
                4 => held = admitted(world.call_until(NOW, 0, || mutex.try_lock())).or(held),
                // Waits are for the mutex as well, and nobody says how long that takes.
                5 => {
                    held = held.and_then(|guard| admitted(world.call(|| condvar.wait(guard))));
                }
                6 => {
                    let until = world.soon();
                    held = held.and_then(|guard| {
                        let result = world.call(|| condvar.wait_until(guard, until));
                        waited(result, world, until)
                    });
                }
                7 => {
                    held = held.and_then(|guard| {
                        let waits = |_: &mut Sample| !world.byte().is_multiple_of(4);
                        admitted(world.call(|| condvar.wait_while(guard, waits)))
                    });
                }
                8 => {
                    let until = world.soon();
                    held = held.and_then(|guard| {
                        let waits = |_: &mut Sample| !world.byte().is_multiple_of(4);
                        let result = world.call(|| condvar.wait_until_while(guard, until, waits));
                        waited(result, world, until)
                    });
                }
                9 => world.call_until(NOW, 0, || condvar.notify_one()),
                10 => world.call_until(NOW, 0, || condvar.notify_n(u32::from(world.byte()))),
                11 => world.call_until(NOW, 0, || condvar.notify_all()),
                12 => {
                    show((condvar, mutex, &held));
                    world.call(|| drop(held.take()));
                }
                13 => {
                    // The child waits for the parent's lock, which it then takes for itself.
                    if let Some(guard) = held.take() {
                        world.in_a_fork(|| drop(admitted(condvar.wait_until(guard, FOREVER))));
                    }
                }
                14 => std::mem::forget(held.take()),
                _ => {
                    world.call(|| drop(held.take()));
                    return true;
                }
            }
        }
        world.call(|| drop(held.take()));
        false
    }

    fn check_buried(&self, world: &'w World<'w>) {
        let guard = admitted(world.call(|| self.mutex.try_lock())).expect("it is free");
        let until = world.now() + 1;
        let result = world.call_until(until, 0, || self.condvar.wait_until(guard, until));
        let (_guard, how) = admitted(result).expect("it is free again");
        assert!(how.timed_out(), "nobody is left to notify");
    }
}

/// The guard that a wait gave back.
fn waited<'a, 'w>(
    result: Result<
        (Guard<'a, 'w>, WaitTimeoutResult),
        LockError<(Guard<'a, 'w>, WaitTimeoutResult)>,
    >,
    world: &World<'_>,
    until: u64,
) -> Option<Guard<'a, 'w>> {
    let (guard, how) = admitted(result)?;
    assert!(!how.timed_out() || world.now() >= until, "too soon");
    Some(guard)
}
