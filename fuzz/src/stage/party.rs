//! The system as those see it who act on a stage.

use std::{num::NonZeroU32, sync::atomic::AtomicU64};

use multiproc_core::{FOREVER, Liveness, Os, Owner, Wait};

use super::{Play, Stage};

/// A thread of a process.
#[derive(Debug)]
pub struct Party<'s, P> {
    /// Where it acts.
    pub stage: &'s Stage<'s, P>,
    /// The number of its process.
    pub process: u32,
    /// Its own, in that.
    pub thread: u64,
}

impl<P> Clone for Party<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for Party<'_, P> {}

impl<P: Play> Party<'_, P> {
    /// Makes a call. `None` when it came back after all was over.
    pub fn call<T>(self, make: impl FnOnce(Self) -> T) -> Option<T> {
        let own = (self.process, self.thread);
        self.stage.busy.borrow_mut().push(own);
        let result = make(self);
        if self.stage.is_over() {
            return None;
        }
        self.stage.busy.borrow_mut().pop();
        Some(result)
    }
}

// SAFETY: the identity is the number of the process. What is dead never returns from the step in which it died before the
// script has ended and everything is forgotten.
unsafe impl<P: Play> Os for Party<'_, P> {
    fn me(&self) -> Owner {
        // When all is over, nobody: so that no call waits on.
        let process = if self.stage.is_over() {
            0
        } else {
            self.process
        };
        NonZeroU32::new(process)
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
        if self.stage.is_over() {
            FOREVER
        } else {
            self.stage.clock.get()
        }
    }

    fn wait(&self, word: &AtomicU64, expected: u64, until: u64) -> Wait {
        let stage = self.stage;
        let how = stage.play.sleep(*self, word, expected, until);
        let now = stage.clock.get();
        stage.clock.set(match how {
            Wait::Woken => now + 1000,
            Wait::TimedOut => now.max(until),
        });
        how
    }

    fn wake(&self, word: &AtomicU64, count: u32) -> u32 {
        self.stage.play.wake(self.stage, word, count)
    }

    fn runs_beside_others(&self) -> bool {
        self.stage.play.spins(*self)
    }

    fn panicking(&self) -> bool {
        false
    }

    fn step(&self, at: &'static str) {
        self.stage.step(*self, at);
    }
}
