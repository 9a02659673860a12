//! A barrier for up to eight parties.

use std::num::NonZeroUsize;

use multiproc_core::{Barrier, BarrierError, HEADER_LEN, LayoutError, NOW, Region};

use super::super::{
    hostile::{Hostile, World, show},
    memory::{self, Ground, ORIGIN},
    view::{self, View},
};
use super::GRACE;

type Meeting<'w> = Barrier<'static, Hostile<'w>>;

pub(super) fn play(ground: &Ground, input: &[u8]) {
    let (most, rest) = match input.split_first() {
        Some((most, rest)) => (usize::from(most % 8), rest),
        None => return,
    };
    let parties = NonZeroUsize::MIN.saturating_add(most);
    let len = Meeting::required_len(parties).expect("a small list");
    let region = ground.region(len, &[]);
    let words = memory::words_of(region, HEADER_LEN, region.len());
    let world = World::new(rest, words);
    // SAFETY: memory in which no other layout is in use.
    unsafe { Meeting::place(region, Hostile(&world), ORIGIN, parties) }.expect("room for it");
    view::play::<Meeting<'_>>(region, &world);
    ground.check(region);
}

impl<'w> View<'w> for Meeting<'w> {
    fn attach(region: Region<'static>, os: Hostile<'w>) -> Result<Self, LayoutError> {
        Barrier::attach(region, os, ORIGIN)
    }

    unsafe fn bury(region: Region<'static>, os: Hostile<'w>) -> Result<(), LayoutError> {
        // SAFETY: promised by the caller.
        unsafe { Self::bury(region, os, ORIGIN) }
    }

    fn use_it(&self, world: &'w World<'w>) -> bool {
        while let Some(action) = world.next() {
            match action % 13 {
                0..3 => world.poke(),
                3 => world.lie_in_wait(),
                4 => wait(self, world, NOW),
                5..8 => wait(self, world, world.soon()),
                8 => world.call_until(NOW, 0, || self.abort()),
                9 => world.call_until(NOW, 0, || self.reset()),
                10 => drop(world.call_until(NOW, 0, || self.reset_if_broken())),
                11 => {
                    assert!(self.waiting() <= self.parties());
                    show(self);
                }
                _ => return true,
            }
        }
        false
    }

    fn check_buried(&self, world: &'w World<'w>) {
        assert!(!self.is_broken() && self.waiting() == 0, "all are buried");
        let itself = || assert_eq!(self.try_wait(), Err(BarrierError::WouldDeadlock));
        let result = world.call(|| self.wait_until_with(NOW, itself));
        if self.parties() == 1 {
            assert!(result.is_ok_and(|result| result.is_leader()));
        } else {
            assert_eq!(result, Err(BarrierError::WouldBlock));
        }
        self.abort();
        let result = world.call(|| self.try_wait());
        assert!(result.is_err_and(|error| error.is_broken()));
        assert!(self.reset_if_broken() && !self.reset_if_broken());
        assert!(!self.is_broken() && self.waiting() == 0, "it is as new");
    }
}

/// Comes to the barrier until a moment; whoever is last does as the input says before it lets the others go.
fn wait(barrier: &Meeting<'_>, world: &World<'_>, until: u64) {
    let action = || match world.byte() % 8 {
        0 => world.poke(),
        1 => world.fork(),
        2 => show(barrier.try_wait()),
        3 => barrier.abort(),
        4 => barrier.reset(),
        _ => {}
    };
    let result = world.call_until(until, GRACE, || barrier.wait_until_with(until, action));
    world.come_back();
    match result {
        Ok(result) => {
            assert!(result.index() < barrier.parties());
            assert_eq!(result.is_leader(), result.index() + 1 == barrier.parties());
        }
        Err(error) => {
            assert!(!error.is_timeout() || until != NOW);
            show(error.to_string());
        }
    }
}
