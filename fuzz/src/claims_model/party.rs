//! The system as the parties of a script see it.

use std::{num::NonZeroU32, sync::atomic::AtomicU64};

use multiproc_core::{Liveness, Os, Owner, Wait};

use super::STAGE;

/// A thread of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Party {
    pub(super) process: usize,
    pub(super) thread: usize,
}

// SAFETY: the identity is the number of the process. What is dead never returns from the step or the wait in which it
// died before the script has ended and everything is forgotten.
unsafe impl Os for Party {
    fn me(&self) -> Owner {
        NonZeroU32::new(self.process as u32 + 1)
            .and_then(|pid| Owner::new(pid, 7))
            .unwrap_or(Owner::NONE)
    }

    fn thread(&self) -> u64 {
        self.thread as u64 + 1
    }

    fn liveness(&self, owner: Owner) -> Liveness {
        let dead = STAGE.with(|stage| stage.is_dead(owner.pid() as usize - 1));
        if dead {
            Liveness::Dead
        } else {
            Liveness::Alive
        }
    }

    fn now(&self) -> u64 {
        STAGE.with(|stage| stage.clock.get())
    }

    fn wait(&self, word: &AtomicU64, expected: u64, until: u64) -> Wait {
        STAGE.with(|stage| stage.wait(*self, word, expected, until))
    }

    fn wake(&self, _: &AtomicU64, _: u32) -> u32 {
        0
    }

    fn panicking(&self) -> bool {
        STAGE.with(|stage| stage.panicking.get())
    }

    fn step(&self, _: &'static str) {
        STAGE.with(|stage| stage.step(*self));
    }
}
