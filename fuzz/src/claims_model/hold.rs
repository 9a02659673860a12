//! A claim: what the model knows of it, and the guard of the one that is held.

use std::ops::Range;

use multiproc_core::{PoisonedRanges, ReadGuard, WriteGuard};

use super::party::Party;

/// A claim as the model sees it.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub(super) party: Party,
    pub(super) range: Range<usize>,
    pub(super) exclusive: bool,
}

impl Claim {
    pub(super) fn conflicts(&self, other: &Claim) -> bool {
        (self.exclusive || other.exclusive)
            && self.range.start < other.range.end
            && other.range.start < self.range.end
    }
}

pub(super) enum Guard {
    Read(ReadGuard<'static, u16, Party>),
    Write(WriteGuard<'static, u16, Party>),
}

impl Guard {
    pub(super) fn elements(&self) -> &[u16] {
        match self {
            Guard::Read(guard) => guard,
            Guard::Write(guard) => guard,
        }
    }

    pub(super) fn poisoned(&self) -> PoisonedRanges {
        match self {
            Guard::Read(guard) => guard.poisoned(),
            Guard::Write(guard) => guard.poisoned(),
        }
    }
}

/// A claim that is held, and what its elements were when it began.
pub(super) struct Hold {
    pub(super) claim: Claim,
    pub(super) guard: Guard,
    pub(super) elements: Vec<u16>,
}

impl Hold {
    pub(super) fn check(&self) {
        assert_eq!(
            self.guard.elements(),
            self.elements,
            "changed under a claim"
        );
    }
}
