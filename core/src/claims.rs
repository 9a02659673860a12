//! The claims on one array: who has which range, and which ranges were left half-changed. Knows nothing of elements.

use core::ops::Range;

use crate::{
    error::Shape,
    hold::{Hold, Table},
    holders::{Claim, Holders, Rule},
    lock::{FOREVER, Refused},
    os::Os,
    owner::Owner,
    poison::Cause,
    poison_ranges::{PoisonRanges, PoisonedRanges},
};

/// The tables as they lie in shared memory.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct ClaimWords {
    holders: Holders,
    poison: PoisonRanges,
}

impl ClaimWords {
    /// Empties the tables in memory that nobody else sees yet.
    pub fn reset(&self) {
        self.holders.reset();
        self.poison.reset();
    }
}

/// The tables, the system to wait with, and the shape of what is claimed, which guards find through here.
#[derive(Debug)]
pub(crate) struct Claims<'m, O> {
    pub words: &'m ClaimWords,
    pub os: O,
    pub shape: Shape,
}

/// What is left to do for a claim whose owner died: note its range.
struct NotePoison<'a, O>(&'a Claims<'a, O>);

impl<O: Os> Rule for NotePoison<'_, O> {
    #[inline]
    fn conflict(&self, a: &Claim, b: &Claim) -> bool {
        a.conflicts(b)
    }

    fn died(&self, claim: &Claim, owner: Owner) {
        if claim.exclusive {
            self.0.note(claim.start..claim.end, Cause::died(owner));
        }
    }
}

impl<O: Os> Claims<'_, O> {
    /// Claims a range, waiting until `until`.
    #[inline]
    pub fn claim(
        &self,
        range: Range<usize>,
        exclusive: bool,
        until: u64,
    ) -> Result<Claimed<'_, O>, Refused> {
        let hold = if range.is_empty() {
            // An empty range conflicts with nothing.
            Hold::nothing(self)
        } else {
            let want = Claim {
                exclusive,
                start: range.start as u64,
                end: range.end as u64,
            };
            Hold::acquire(self, want, &NotePoison(self), until)?
        };
        Ok(Claimed {
            start: range.start,
            len: range.len(),
            hold,
        })
    }

    /// Whether there is surely no poison.
    #[inline]
    pub fn is_clean(&self) -> bool {
        self.words.poison.is_clean()
    }

    /// The poisoned ranges that overlap `range`.
    #[cold]
    pub fn poisoned(&self, range: Range<usize>, until: u64) -> Result<PoisonedRanges, Refused> {
        let range = range.start as u64..range.end as u64;
        self.with_table(until, || self.words.poison.overlapping(range))
    }

    /// Removes the poison that `range` covers; how many ranges that was.
    pub fn clear_poison(&self, range: Range<u64>) -> usize {
        self.with_table(FOREVER, || self.words.poison.clear(range))
            .unwrap_or(0)
    }

    /// Runs `work` under the table lock.
    fn with_table<R>(&self, until: u64, work: impl FnOnce() -> R) -> Result<R, Refused> {
        let holders = &self.words.holders;
        let taken = holders.lock_table(&self.os, until)?;
        let result = work();
        holders.unlock_table(&self.os, taken);
        Ok(result)
    }

    /// Notes poison, under the table lock.
    fn note(&self, range: Range<u64>, cause: u64) {
        self.words.poison.add(range, cause, |at| self.os.step(at));
    }

    /// Frees all claims when every owner is known to be dead.
    pub fn bury(&self) {
        self.words.holders.bury(&NotePoison(self));
    }
}

impl<O> Claims<'_, O> {
    /// How many claims are held or waited for at this moment.
    pub fn in_use(&self) -> usize {
        self.words.holders.in_use()
    }
}

impl<O: Os> Table for Claims<'_, O> {
    type Os = O;

    #[inline]
    fn holders(&self) -> &Holders {
        &self.words.holders
    }

    #[inline]
    fn os(&self) -> &O {
        &self.os
    }
}

/// A claimed range; what the guards are made of. Dropping it gives the range back.
pub(crate) struct Claimed<'a, O: Os> {
    start: usize,
    len: usize,
    hold: Hold<'a, Claims<'a, O>>,
}

impl<'a, O: Os> Claimed<'a, O> {
    pub fn claims(&self) -> &'a Claims<'a, O> {
        self.hold.table()
    }

    pub fn range(&self) -> Range<usize> {
        self.start..self.start + self.len
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether this process holds the claim; not so for an empty range, nor in a fork child of the holder.
    pub fn is_mine(&self) -> bool {
        self.hold.is_mine()
    }

    /// Poisons the range if the thread began to unwind since it was claimed; not in a fork child, which holds nothing.
    #[inline]
    pub fn poison_if_unwinding(&mut self) {
        if self.hold.is_unwinding() {
            self.poison();
        }
    }

    #[cold]
    fn poison(&mut self) {
        if !self.is_mine() {
            return;
        }
        let range = self.start as u64..(self.start + self.len) as u64;
        let claims = self.claims();
        let noted = claims.with_table(FOREVER, || claims.note(range, Cause::panicked()));
        if noted.is_err() {
            // What could not be noted must not be given back.
            self.hold.keep();
        }
    }
}
