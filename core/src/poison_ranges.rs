//! Which ranges of an array were left half-changed: a table of sixteen.
//!
//! Changed under the table lock of the holders beside it. The cause is stored last and publishes an entry. When a
//! seventeenth range comes, the two that lie nearest to each other become one that covers both: more may be poisoned
//! than was touched, never less, also when whoever merges them dies between two stores.

use core::{fmt, ops::Range};

use crate::{
    atomic::{AtomicU64, Ordering},
    poison::Cause,
};

/// How many ranges can be told apart.
pub const MAX_POISONED: usize = 16;

#[repr(C)]
#[derive(Debug, Default)]
struct Entry {
    start: AtomicU64,
    end: AtomicU64,
    /// 0: free.
    cause: AtomicU64,
}

/// The table as it lies in shared memory.
#[repr(C)]
#[derive(Debug, Default)]
pub(crate) struct PoisonRanges {
    /// How many entries there may be: no less than there are. Lets a claim on a sound array look at one word only.
    bound: AtomicU64,
    entries: [Entry; MAX_POISONED],
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<PoisonRanges>() == 8 + 24 * MAX_POISONED);

impl<'a> IntoIterator for &'a PoisonedRanges {
    type Item = &'a PoisonedRange;
    type IntoIter = core::iter::Flatten<core::slice::Iter<'a, Option<PoisonedRange>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.ranges.iter().flatten()
    }
}

impl IntoIterator for PoisonedRanges {
    type Item = PoisonedRange;
    type IntoIter = core::iter::Flatten<core::array::IntoIter<Option<PoisonedRange>, MAX_POISONED>>;

    fn into_iter(self) -> Self::IntoIter {
        self.ranges.into_iter().flatten()
    }
}

/// A poisoned range of elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoisonedRange {
    /// The elements that were claimed, at least.
    pub range: Range<usize>,
    /// What happened to whoever had claimed them.
    pub cause: Cause,
}

impl fmt::Display for PoisonedRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "elements {}..{}: {}",
            self.range.start, self.range.end, self.cause
        )
    }
}

/// Up to sixteen poisoned ranges, in no order.
#[derive(Clone, Default)]
pub struct PoisonedRanges {
    ranges: [Option<PoisonedRange>; MAX_POISONED],
}

impl PoisonedRanges {
    /// The ranges.
    pub fn iter(&self) -> impl Iterator<Item = &PoisonedRange> {
        self.ranges.iter().flatten()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl fmt::Debug for PoisonedRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

// Relaxed, where nothing is said: the table lock orders accesses of different processes. Release keeps stores of one
// process in order, for the one that inherits the table lock when this one is killed between them.
impl PoisonRanges {
    pub fn reset(&self) {
        self.bound.store(0, Ordering::Relaxed);
        for entry in &self.entries {
            entry.cause.store(0, Ordering::Relaxed);
        }
    }

    /// Whether there is surely no entry.
    #[inline]
    pub fn is_clean(&self) -> bool {
        self.bound.load(Ordering::Relaxed) == 0
    }

    /// Notes a range; noting it again changes nothing.
    pub fn add(&self, range: Range<u64>, cause: u64, step: impl Fn(&'static str)) {
        self.bound.store(MAX_POISONED as u64, Ordering::Relaxed);
        step("poison: bound raised");
        let is_noted = |entry: &Entry| entry.cause() != 0 && entry.covers(&range);
        if self.entries.iter().any(is_noted) {
            return;
        }
        let free = self.entries.iter().find(|entry| entry.cause() == 0);
        let entry = match free {
            Some(entry) => entry,
            None => match self.make_room(&range, &step) {
                Some(entry) => entry,
                None => return,
            },
        };
        entry.start.store(range.start, Ordering::Relaxed);
        entry.end.store(range.end, Ordering::Relaxed);
        step("poison: range written");
        // Release: keeps the bounds above before what publishes them.
        entry.cause.store(cause, Ordering::Release);
        step("poison: published");
    }

    /// Merges the two nearest of all entries and `new`. Returns the entry that this freed, or `None` when `new` was
    /// one of the two.
    fn make_room(&self, new: &Range<u64>, step: &impl Fn(&'static str)) -> Option<&Entry> {
        let gap =
            |a: &Range<u64>, b: &Range<u64>| a.start.max(b.start).saturating_sub(a.end.min(b.end));
        let beside = self
            .entries
            .iter()
            .min_by_key(|entry| gap(&entry.range(), new))?;
        let pairs = self.entries.iter().enumerate().flat_map(|(i, a)| {
            self.entries[i + 1..]
                .iter()
                .map(move |b| (gap(&a.range(), &b.range()), a, b))
        });
        let (nearest, keep, free) = pairs.min_by_key(|(gap, ..)| *gap)?;
        if gap(&beside.range(), new) <= nearest {
            beside.stretch(new, step);
            return None;
        }
        keep.stretch(&free.range(), step);
        // Release: not before the other has grown.
        free.cause.store(0, Ordering::Release);
        step("poison: merged entry freed");
        Some(free)
    }

    /// The entries that have something in common with `range`.
    pub fn overlapping(&self, range: Range<u64>) -> PoisonedRanges {
        let mut found = PoisonedRanges::default();
        for (slot, entry) in found.ranges.iter_mut().zip(&self.entries) {
            let poisoned = entry.range();
            if let Some(cause) = Cause::from_word(entry.cause())
                && poisoned.start.max(range.start) < poisoned.end.min(range.end)
            {
                *slot = Some(PoisonedRange {
                    // Foreign bytes may say anything here: it is shown, never used to reach memory.
                    range: poisoned.start as usize..poisoned.end as usize,
                    cause,
                });
            }
        }
        found
    }

    /// Removes the entries that `range` covers; how many there were.
    pub fn clear(&self, range: Range<u64>) -> usize {
        let mut cleared = 0;
        let mut left = 0;
        for entry in &self.entries {
            let poisoned = entry.range();
            if entry.cause() == 0 {
                continue;
            }
            if range.start <= poisoned.start && poisoned.end <= range.end {
                entry.cause.store(0, Ordering::Relaxed);
                cleared += 1;
            } else {
                left += 1;
            }
        }
        // Release: not before the entries are cleared.
        self.bound.store(left, Ordering::Release);
        cleared
    }
}

impl Entry {
    fn range(&self) -> Range<u64> {
        self.start.load(Ordering::Relaxed)..self.end.load(Ordering::Relaxed)
    }

    fn cause(&self) -> u64 {
        self.cause.load(Ordering::Relaxed)
    }

    fn covers(&self, range: &Range<u64>) -> bool {
        let own = self.range();
        own.start <= range.start && range.end <= own.end
    }

    /// Grows to cover `range`: the start first, so that it covers its own range at every instant.
    fn stretch(&self, range: &Range<u64>, step: &impl Fn(&'static str)) {
        let own = self.range();
        self.start
            .store(own.start.min(range.start), Ordering::Relaxed);
        step("poison: start of merged entry lowered");
        // Release: keeps that order.
        self.end.store(own.end.max(range.end), Ordering::Release);
        step("poison: end of merged entry raised");
    }
}
