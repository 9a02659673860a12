//! What the model knows of poison.

use std::ops::Range;

use multiproc_core::{MAX_POISONED, PoisonedRanges};

use super::LEN;

/// What those left who died or panicked.
#[derive(Default)]
pub(super) struct Damage {
    /// Everything that must be told to whoever claims something of it.
    pub(super) must: Vec<Range<usize>>,
    /// Everything that may be told.
    pub(super) may: Vec<Range<usize>>,
    /// Entries may have been merged.
    pub(super) merged: bool,
}

impl Damage {
    pub(super) fn may(&mut self, range: Range<usize>) {
        self.may.push(range);
        self.merged |= self.may.len() > MAX_POISONED;
    }

    /// What a writer of `range` is about to declare sound.
    pub(super) fn clearing(&mut self, range: &Range<usize>) {
        self.must.retain(|one| !covers(range, one));
    }

    /// It has been declared sound.
    pub(super) fn cleared(&mut self, range: &Range<usize>) {
        if !self.merged {
            self.may.retain(|one| !covers(range, one));
        }
        if *range == (0..LEN) {
            *self = Damage::default();
        }
    }

    /// Checks what was told to whoever has claimed `range`.
    pub(super) fn check(&self, told: &PoisonedRanges, range: &Range<usize>) {
        for one in self.must.iter().filter(|one| overlap(one, range)) {
            let found = told.iter().any(|entry| covers(&entry.range, one));
            assert!(found, "{one:?} is lost to {range:?}: {told:?}");
        }
        for entry in told.iter() {
            assert!(overlap(&entry.range, range), "{range:?} was told {entry}");
            let known = if self.merged {
                self.may.iter().any(|one| one.start == entry.range.start)
                    && self.may.iter().any(|one| one.end == entry.range.end)
            } else {
                self.may.contains(&entry.range)
            };
            assert!(known, "nobody left this: {entry}");
        }
    }
}

pub(super) fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

pub(super) fn covers(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}
