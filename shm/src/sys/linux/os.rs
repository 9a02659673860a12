//! The seam to the algorithms.

use std::{sync::atomic::AtomicU64, thread};

use multiproc_core::{Liveness, Os, Owner, Wait};

use super::{futex, identity, liveness, processor, step, thread as slots};

/// Linux, as the algorithms of `multiproc-core` see it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Linux;

// SAFETY: an identity is a process id with its time of birth, found anew in every child (`identity`), and `liveness`
// says that a process is dead only on proof.
unsafe impl Os for Linux {
    #[inline]
    fn me(&self) -> Owner {
        identity::me()
    }

    #[inline]
    fn is_surely_me(&self, owner: Owner) -> bool {
        identity::is_surely_me(owner)
    }

    #[inline]
    fn thread(&self) -> u64 {
        slots::tag()
    }

    fn liveness(&self, owner: Owner) -> Liveness {
        liveness::liveness(owner)
    }

    fn now(&self) -> u64 {
        futex::now()
    }

    fn wait(&self, word: &AtomicU64, expected: u64, until: u64) -> Wait {
        futex::wait(word, expected, until)
    }

    fn wake(&self, word: &AtomicU64, count: u32) -> u32 {
        futex::wake(word, count)
    }

    fn runs_beside_others(&self) -> bool {
        processor::are_several()
    }

    #[inline]
    fn panicking(&self) -> bool {
        thread::panicking()
    }

    #[inline]
    fn guard_made(&self) {
        slots::guard_made();
    }

    #[inline]
    fn guard_dropped(&self) {
        slots::guard_dropped();
    }

    #[inline(always)]
    fn step(&self, at: &'static str) {
        step(at);
    }
}
