//! An event.

use multiproc_core::{Event, HEADER_LEN, LayoutError, NOW, Region};

use super::super::{
    hostile::{Hostile, World, show},
    memory::{self, Ground, ORIGIN},
    view::{self, View},
};

type Flag<'w> = Event<'static, Hostile<'w>>;

pub(super) fn play(ground: &Ground, input: &[u8]) {
    let region = ground.region(Flag::required_len(), &[]);
    let words = memory::words_of(region, HEADER_LEN, region.len());
    let world = World::new(input, words);
    // SAFETY: memory in which no other layout is in use.
    unsafe { Flag::place(region, Hostile(&world), ORIGIN) }.expect("room for the event");
    view::play::<Flag<'_>>(region, &world);
    ground.check(region);
}

impl<'w> View<'w> for Flag<'w> {
    fn attach(region: Region<'static>, os: Hostile<'w>) -> Result<Self, LayoutError> {
        Event::attach(region, os, ORIGIN)
    }

    unsafe fn bury(region: Region<'static>, os: Hostile<'w>) -> Result<(), LayoutError> {
        // SAFETY: promised by the caller.
        unsafe { Self::bury(region, os, ORIGIN) }
    }

    fn use_it(&self, world: &'w World<'w>) -> bool {
        while let Some(action) = world.next() {
            match action % 10 {
                0 | 1 => world.poke(),
                2 => world.lie_in_wait(),
                3 => world.call_until(NOW, 0, || self.set()),
                4 => drop(world.call_until(NOW, 0, || self.clear())),
                5..8 => {
                    let until = world.soon();
                    let set = world.call_until(until, 0, || self.wait_until(until));
                    assert!(set || world.now() >= until, "too soon");
                }
                8 => show(self),
                _ => return true,
            }
        }
        false
    }

    fn check_buried(&self, world: &'w World<'w>) {
        let set = self.is_set();
        let until = world.now() + 1;
        assert_eq!(world.call_until(until, 0, || self.wait_until(until)), set);
        assert_eq!(self.clear(), set);
        assert!(!self.is_set());
        self.set();
        assert!(world.call_until(NOW, 0, || self.wait_until(NOW)));
    }
}
