//! A mutex that its thread locks again.

use multiproc_core::{
    FOREVER, HEADER_LEN, LayoutError, NOW, ReentrantMutex, ReentrantMutexGuard, Region,
};

use super::super::{
    hostile::{Hostile, World, show},
    memory::{self, Ground, ORIGIN},
    view::{self, View},
};
use super::{SAMPLE, Sample, admitted, pick};

type Mutex<'w> = ReentrantMutex<'static, Sample, Hostile<'w>>;
type Guard<'a, 'w> = ReentrantMutexGuard<'a, Sample, Hostile<'w>>;

pub(super) fn play(ground: &Ground, input: &[u8]) {
    let region = ground.region(Mutex::required_len(), &[]);
    // The data belongs to whoever holds the lock.
    let words = memory::words_of(region, HEADER_LEN, HEADER_LEN + 32);
    let world = World::new(input, words);
    // SAFETY: memory in which no other layout is in use.
    unsafe { Mutex::place(region, Hostile(&world), ORIGIN, SAMPLE) }.expect("room for the mutex");
    view::play::<Mutex<'_>>(region, &world);
    ground.check(region);
}

impl<'w> View<'w> for Mutex<'w> {
    fn attach(region: Region<'static>, os: Hostile<'w>) -> Result<Self, LayoutError> {
        ReentrantMutex::attach(region, os, ORIGIN)
    }

    unsafe fn bury(region: Region<'static>, os: Hostile<'w>) -> Result<(), LayoutError> {
        // SAFETY: promised by the caller.
        unsafe { Self::bury(region, os, ORIGIN) }
    }

    fn use_it(&self, world: &'w World<'w>) -> bool {
        let mut guards: Vec<Guard<'_, 'w>> = Vec::new();
        while let Some(action) = world.next() {
            match action % 16 {
                0..3 => world.poke(),
                3 => world.lie_in_wait(),
                4 | 5 => guards.extend(admitted(world.call_until(NOW, 0, || self.try_lock()))),
                6 => {
                    let until = world.soon();
                    let result = world.call_until(until, 0, || self.lock_until(until));
                    guards.extend(admitted(result));
                }
                7 => guards.extend(admitted(world.call(|| self.lock_until(FOREVER)))),
                8 => show((self, self.is_locked(), self.poison(), &guards)),
                9 => {
                    if let Some(guard) = guards.last() {
                        guard.update(|mut sample| {
                            sample.flags[1] = sample.flags[1].wrapping_add(1);
                            sample
                        });
                        show(guard.depth());
                    }
                }
                10 => guards.iter().for_each(Guard::clear_poison),
                11 => {
                    let guard = pick(&mut guards, world);
                    world.call(|| drop(guard));
                }
                12 => {
                    let guard = pick(&mut guards, world);
                    world.unwinding(|| drop(guard));
                }
                13 => {
                    if let Some(guard) = pick(&mut guards, world) {
                        world.inherited(|| {
                            guard.clear_poison();
                            assert_eq!(guard.depth(), 0, "this process has no guard");
                            drop(guard);
                        });
                    }
                }
                14 => drop(pick(&mut guards, world).map(std::mem::forget)),
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
        assert!(!self.is_locked(), "everybody is buried");
        let outer = admitted(world.call(|| self.try_lock())).expect("it is free");
        let inner = admitted(world.call(|| self.try_lock())).expect("it is this thread's");
        assert_eq!(inner.depth(), 2);
        drop((outer, inner));
        assert!(!self.is_locked(), "all guards are dropped");
    }
}
