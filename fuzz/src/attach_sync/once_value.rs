//! A value that is made once.

use multiproc_core::{
    HEADER_LEN, InitError, LayoutError, NOW, OnceValue, Refused, Region, SetError,
};

use super::super::{
    hostile::{Hostile, World, show},
    memory::{self, Ground, ORIGIN},
    view::{self, View},
};
use super::{SAMPLE, Sample};

type Once<'w> = OnceValue<'static, Sample, Hostile<'w>>;

pub(super) fn play(ground: &Ground, input: &[u8]) {
    let region = ground.region(Once::required_len(), &[]);
    // The data belongs to whoever makes it and, once it is made, to nobody.
    let words = memory::words_of(region, HEADER_LEN, HEADER_LEN + 24);
    let world = World::new(input, words);
    // SAFETY: memory in which no other layout is in use.
    unsafe { Once::place(region, Hostile(&world), ORIGIN) }.expect("room for the value");
    view::play::<Once<'_>>(region, &world);
    ground.check(region);
}

impl<'w> View<'w> for Once<'w> {
    fn attach(region: Region<'static>, os: Hostile<'w>) -> Result<Self, LayoutError> {
        OnceValue::attach(region, os, ORIGIN)
    }

    unsafe fn bury(region: Region<'static>, os: Hostile<'w>) -> Result<(), LayoutError> {
        // SAFETY: promised by the caller.
        unsafe { Self::bury(region, os, ORIGIN) }
    }

    // No reference to the value is kept: a peer that makes it unmade again has it written anew.
    fn use_it(&self, world: &'w World<'w>) -> bool {
        while let Some(action) = world.next() {
            match action % 12 {
                0..3 => world.poke(),
                3 => world.lie_in_wait(),
                4 => drop(make(self, world, NOW)),
                5 => drop(make(self, world, world.soon())),
                6 => world.at_peace(|| {
                    let made = make(self, world, world.soon());
                    assert!(!made || self.is_initialized(), "it is not made");
                }),
                7 => {
                    let until = world.soon();
                    show(world.call_until(until, 0, || self.set_until(until, SAMPLE)));
                }
                8 => {
                    let until = world.soon();
                    match world.call_until(until, 0, || self.wait_until(until).copied()) {
                        Err(Refused::TimedOut | Refused::WouldBlock) => {
                            assert!(world.now() >= until, "too soon")
                        }
                        result => show(result),
                    }
                }
                9 => {
                    let until = world.soon();
                    let make = || self.set_until(until, SAMPLE);
                    show(world.in_a_fork(make));
                }
                10 => show((self, self.is_initialized())),
                _ => return true,
            }
        }
        false
    }

    fn check_buried(&self, world: &'w World<'w>) {
        let made = self.is_initialized();
        let set = world.call_until(NOW, 0, || self.set_until(NOW, SAMPLE));
        assert_eq!(set.is_ok(), !made, "everybody is buried: {set:?}");
        assert!(self.get().is_some());
        let again = world.call(|| self.set(SAMPLE));
        assert_eq!(again, Err(SetError::AlreadySet(SAMPLE)));
    }
}

/// Asks for the value until a moment, with an initialiser that does as the input says; whether it was there to look at.
fn make(once: &Once<'_>, world: &World<'_>, until: u64) -> bool {
    let init = || match world.byte() % 8 {
        0 => Err("no value"),
        1 => {
            world.lie_in_wait();
            Ok(SAMPLE)
        }
        2 => {
            show(once.get_or_init_until(NOW, || SAMPLE));
            show(once.wait_until(NOW));
            Ok(SAMPLE)
        }
        3 => {
            world.fork();
            Ok(SAMPLE)
        }
        4 => {
            world.fork();
            Err("no value in a child")
        }
        _ => Ok(SAMPLE),
    };
    let result = world.call_until(until, 0, || {
        once.get_or_try_init_until(until, init).copied()
    });
    world.come_back();
    match &result {
        Ok(sample) => show(sample),
        Err(InitError::Failed(error)) => show(error),
        Err(error) => show(error.to_string()),
    }
    result.is_ok()
}
