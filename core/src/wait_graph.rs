//! Who waits for whom among the rows of a holders table: plain functions over a private copy of it.

use core::mem::MaybeUninit;

use crate::{
    holders::{Claim, ROWS, Rule},
    owner::Owner,
};

/// A set of rows: bit `i` stands for row `i`.
pub(crate) type RowSet = u64;

/// The numbers of the rows in a set, lowest first.
pub(crate) fn rows_of(mut set: RowSet) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let row = set.trailing_zeros() as usize;
        set &= set.wrapping_sub(1);
        (row < ROWS).then_some(row)
    })
}

/// A thread of a process, as the rows name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Party {
    pub owner: Owner,
    pub thread: u64,
}

/// One row as it was copied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// The owner word, its `WAITERS` bit included.
    pub word: u64,
    pub party: Party,
    pub ticket: u64,
    pub waiting: bool,
    pub claim: Claim,
}

impl Entry {
    const EMPTY: Entry = Entry {
        word: 0,
        party: Party {
            owner: Owner::NONE,
            thread: 0,
        },
        ticket: 0,
        waiting: false,
        claim: Claim {
            exclusive: false,
            start: 0,
            end: 0,
        },
    };
}

/// A copy of the table, taken under its lock. Rows may have been released since; none has been entered but the copier's
/// own, which is left out.
#[derive(Debug)]
pub(crate) struct WaitGraph {
    /// Written where `used` has the bit. One is made at each look, and to write all takes longer than the look.
    entries: [MaybeUninit<Entry>; ROWS],
    used: RowSet,
    /// Shared claims with lower tickets come before all exclusive ones in line.
    door: u64,
}

impl WaitGraph {
    /// Without any rows.
    #[inline(always)]
    pub fn new() -> WaitGraph {
        WaitGraph {
            entries: [const { MaybeUninit::uninit() }; ROWS],
            used: 0,
            door: 0,
        }
    }

    /// Forgets all rows.
    pub fn clear(&mut self, door: u64) {
        (self.used, self.door) = (0, door);
    }

    /// The rows that were copied.
    pub fn used(&self) -> RowSet {
        self.used
    }

    #[inline]
    pub fn insert(&mut self, row: usize, entry: Entry) {
        self.entries[row].write(entry);
        self.used |= 1 << row;
    }

    /// What was copied of a row.
    pub fn entry(&self, row: usize) -> &Entry {
        if self.used >> row & 1 == 0 {
            return &Entry::EMPTY;
        }
        // SAFETY: `insert` alone sets bits of `used`, after it has written the entry.
        unsafe { self.entries[row].assume_init_ref() }
    }

    /// The rows of `set` that satisfy `test`.
    pub fn select(&self, set: RowSet, test: impl Fn(&Entry) -> bool) -> RowSet {
        rows_of(set)
            .filter(|&row| test(self.entry(row)))
            .fold(0, |rows, row| rows | 1 << row)
    }

    /// The place in line of a claim with `ticket`, lowest first: the ticket, or 0 for one that was let in.
    fn place(&self, claim: &Claim, ticket: u64) -> u64 {
        let let_in = !claim.exclusive && ticket < self.door;
        if let_in { 0 } else { ticket }
    }

    /// The place in line of a waiting row.
    pub fn place_of(&self, row: usize) -> u64 {
        let entry = self.entry(row);
        self.place(&entry.claim, entry.ticket)
    }

    /// The rows that keep `claim` waiting when it stands in line with `ticket`: whatever conflicts and is held, or
    /// waits in an earlier place.
    pub fn blockers(&self, rule: &impl Rule, claim: &Claim, ticket: u64) -> RowSet {
        let place = self.place(claim, ticket);
        self.select(self.used, |entry| {
            (!entry.waiting || self.place(&entry.claim, entry.ticket) < place)
                && rule.conflict(&entry.claim, claim)
        })
    }

    fn blockers_of(&self, rule: &impl Rule, row: usize) -> RowSet {
        let entry = self.entry(row);
        self.blockers(rule, &entry.claim, entry.ticket) & !(1 << row)
    }

    /// `blockers` and, for those of them that wait in line themselves, whatever holds those up; without `passed`.
    pub fn ahead(&self, rule: &impl Rule, blockers: RowSet, passed: RowSet) -> RowSet {
        let (mut seen, mut open): (RowSet, RowSet) = (0, blockers & !passed);
        while let Some(row) = rows_of(open & !seen).next() {
            seen |= 1 << row;
            if self.entry(row).waiting {
                open |= self.blockers_of(rule, row) & !passed;
            }
        }
        seen
    }

    /// Whether nothing but its own row, and those in `passed`, keeps a waiting row waiting.
    pub fn is_its_turn(&self, rule: &impl Rule, row: usize, passed: RowSet) -> bool {
        self.blockers_of(rule, row) & !passed == 0
    }

    /// Whether whoever has `row` waits, over however many others, for `party`.
    ///
    /// With `held_only` the places in line do not count, only what is held: a cycle of such waits never ends, while
    /// a place in line is given up to those who are waited for.
    pub fn waits_for(&self, rule: &impl Rule, row: usize, party: Party, held_only: bool) -> bool {
        let countable = if held_only {
            self.select(self.used, |entry| !entry.waiting)
        } else {
            self.used
        };
        let (mut seen, mut open): (RowSet, RowSet) = (0, 1 << row);
        while let Some(row) = rows_of(open & !seen).next() {
            seen |= 1 << row;
            let entry = self.entry(row);
            if entry.party == party {
                return true;
            }
            let waiting = if entry.waiting {
                1 << row
            } else {
                self.select(self.used, |other| {
                    other.waiting && other.party == entry.party
                })
            };
            for row in rows_of(waiting) {
                open |= self.blockers_of(rule, row) & countable;
            }
        }
        false
    }
}
