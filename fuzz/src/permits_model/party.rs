//! The system as the parties of a script see it.

use std::{num::NonZeroU32, sync::atomic::AtomicU64};

use multiproc_core::{Liveness, Os, Owner, Wait};

use super::Stage;

/// A thread of a process.
#[derive(Clone, Copy)]
pub(super) struct Party<'s> {
    pub(super) stage: &'s Stage,
    pub(super) process: u32,
    pub(super) thread: u64,
}

// SAFETY: the identity is the number of the process. What is dead never returns from the step or the wait in which it
// died before the script has ended and everything is forgotten.
unsafe impl Os for Party<'_> {
    fn me(&self) -> Owner {
        NonZeroU32::new(self.process)
            .and_then(|pid| Owner::new(pid, 7))
            .unwrap_or(Owner::NONE)
    }

    fn thread(&self) -> u64 {
        self.thread + 1
    }

    fn liveness(&self, owner: Owner) -> Liveness {
        if self.stage.is_dead(owner.pid()) {
            Liveness::Dead
        } else {
            Liveness::Alive
        }
    }

    fn now(&self) -> u64 {
        self.stage.clock.get()
    }

    fn wait(&self, word: &AtomicU64, expected: u64, until: u64) -> Wait {
        self.stage.wait(*self, word, expected, until)
    }

    fn wake(&self, word: &AtomicU64, count: u32) -> u32 {
        self.stage.wake(word, count)
    }

    fn panicking(&self) -> bool {
        false
    }

    fn step(&self, _: &'static str) {
        self.stage.step(*self);
    }
}
