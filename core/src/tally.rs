//! Who has how many: a row for each process, and a number in it.
//!
//! | change                | by one exchange of | made by                                  |
//! |-----------------------|--------------------|------------------------------------------|
//! | free → in use, more   | count              | whoever takes, under the table lock      |
//! | fewer, in use → free  | count              | whoever gives back, without any lock     |
//! | of the dead → free    | count              | who finds it dead, under the table lock  |
//!
//! Invariants:
//!
//! 1. A row is in use while its number is not 0. Its owner is written before that and not changed meanwhile.
//! 2. All rows in use lie below `high`, which only grows, and is stored before a row above it comes into use.
//! 3. A process has one row at most: who takes more adds to it.
//! 4. Numbers grow only under the table lock, so a sum of them taken under it is never less than what is held. That of a
//!    row in use may also grow without it, where it matters only whether the sum is 0.
//! 5. Whoever dies with the table lock leaves nothing to repair: each change is one exchange.

use crate::{
    atomic::{AtomicU64, Ordering},
    lock::{Lock, Refused, Slices},
    os::{Os, is_dead},
    owner::Owner,
};

/// How many processes can hold permits of one semaphore at a time.
pub(crate) const HOLDERS: usize = if cfg!(loom) { 4 } else { 256 };

/// Below a number: somebody may sleep until it changes.
pub(crate) const WAITERS: u64 = 1;
/// Below a number: somebody may sleep for whom one more is not enough.
pub(crate) const MANY: u64 = 2;
const MARKS: u64 = WAITERS | MANY;
const SHIFT: u32 = 2;

/// A number and, below it, the marks of those who sleep: a word that tells who changes the one about the other.
///
/// ```text
///  63                     2      1       0
/// ┌────────────────────────┬──────┬─────────┐
/// │ number                 │ MANY │ WAITERS │
/// └────────────────────────┴──────┴─────────┘
/// ```
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marked(u64);

impl Marked {
    pub const fn new(number: u64, marks: u64) -> Marked {
        Marked(number << SHIFT | marks)
    }

    pub const fn from_bits(bits: u64) -> Marked {
        Marked(bits)
    }

    pub const fn to_bits(self) -> u64 {
        self.0
    }

    pub const fn number(self) -> u64 {
        self.0 >> SHIFT
    }

    pub const fn marks(self) -> u64 {
        self.0 & MARKS
    }

    /// Sets `marks` in a word, if there are any, and returns what was there.
    #[inline]
    pub fn mark(word: &AtomicU64, marks: u64) -> Marked {
        // Acquire: pairs with the Release of who gives back, and of who adds to the total.
        Marked(if marks == 0 {
            word.load(Ordering::Acquire)
        } else {
            word.fetch_or(marks, Ordering::Acquire)
        })
    }

    /// Removes all marks from a word. Relaxed: whoever does this wakes the marked, by a Release of another word.
    pub fn unmark(word: &AtomicU64) {
        word.fetch_and(!MARKS, Ordering::Relaxed);
    }
}

/// One row as it lies in shared memory.
#[repr(C)]
#[derive(Debug, Default)]
struct Row {
    owner: AtomicU64,
    /// A [`Marked`].
    count: AtomicU64,
}

/// The table as it lies in shared memory.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Tally<const ROWS: usize = HOLDERS> {
    lock: Lock,
    high: AtomicU64,
    /// When a sleeper last asked who of the holders lives.
    swept_at: AtomicU64,
    rows: [Row; ROWS],
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Tally<3>>() == 32 + 16 * 3);

/// What a look at the whole table shows.
pub(crate) struct Sum {
    /// How many all have together.
    pub held: u64,
    /// The row of whoever looks. There is none while each is in use by another.
    pub row: Option<usize>,
}

impl<const ROWS: usize> Tally<ROWS> {
    pub fn new() -> Tally<ROWS> {
        Tally {
            lock: Lock::new(),
            high: AtomicU64::new(0),
            swept_at: AtomicU64::new(0),
            rows: core::array::from_fn(|_| Row::default()),
        }
    }

    /// Empties the table while nobody else sees it, or when all owners are known to be dead. Every row, so that none is
    /// left to somebody when `high` is damaged.
    pub fn reset(&self) {
        for row in &self.rows {
            row.count.store(0, Ordering::Relaxed);
        }
        self.high.store(0, Ordering::Relaxed);
        self.swept_at.store(0, Ordering::Relaxed);
        self.lock.reset();
    }

    /// Takes the table lock; returns who the caller is.
    #[inline]
    pub fn lock<O: Os>(&self, os: &O, until: u64) -> Result<Owner, Refused> {
        match self.try_lock(os) {
            Some(me) => Ok(me),
            None => self.lock_contended(os, until),
        }
    }

    #[cold]
    #[inline(never)]
    fn lock_contended<O: Os>(&self, os: &O, until: u64) -> Result<Owner, Refused> {
        self.lock.lock_table(os, until).map(|taken| taken.me)
    }

    /// Takes the table lock if it is free at first sight.
    #[inline]
    pub fn try_lock<O: Os>(&self, os: &O) -> Option<Owner> {
        self.lock.lock_free(os).map(|taken| taken.me)
    }

    /// Gives the table lock back that `me`, the caller, has taken.
    #[inline]
    pub fn unlock<O: Os>(&self, os: &O, me: Owner) {
        self.lock.unlock_mine(os, me);
    }

    /// The rows that may be in use.
    #[inline]
    fn known(&self) -> impl Iterator<Item = (usize, &Row)> {
        // Relaxed: written under the table lock; who looks without it gets a rough answer. Foreign bytes may say anything.
        let high = self.high.load(Ordering::Relaxed).min(ROWS as u64);
        self.rows.iter().enumerate().take(high as usize)
    }

    /// Adds up all rows and leaves `marks` in those in use; finds the row of `me`. The caller has the table lock.
    #[inline]
    pub fn sum(&self, me: Owner, marks: u64) -> Sum {
        let (mut held, mut own, mut free, mut high) = (0u64, None, None, 0);
        for (at, row) in self.known() {
            high = at + 1;
            let mut number = Marked::mark(&row.count, 0).number();
            // What is 0 grows only under the table lock, which the caller has.
            if marks != 0 && number != 0 {
                number = Marked::mark(&row.count, marks).number();
            }
            held = held.saturating_add(number);
            // Relaxed: written under the table lock.
            if row.owner.load(Ordering::Relaxed) == me.to_bits() {
                own = Some(at);
            } else if number == 0 && free.is_none() {
                free = Some(at);
            }
        }
        let unknown = (high < ROWS).then_some(high);
        Sum {
            held,
            row: own.or(free).or(unknown),
        }
    }

    /// Gives `me` `number` more, in the row that the last [`sum`](Self::sum) under this same lock has found.
    #[inline]
    pub fn add<O: Os>(&self, os: &O, at: usize, me: Owner, number: u64) {
        let row = &self.rows[at];
        // Relaxed throughout: read under the table lock, which orders them.
        if self.high.load(Ordering::Relaxed) <= at as u64 {
            self.high.store(at as u64 + 1, Ordering::Relaxed);
            os.step("tally: row made known");
        }
        row.owner.store(me.to_bits(), Ordering::Relaxed);
        os.step("tally: row has its owner");
        // Marks that were left in the row stay.
        let number = Marked::new(number, 0).to_bits();
        row.count.fetch_add(number, Ordering::Relaxed);
    }

    /// Enters `number` more for the calling process; who that is, and its row. `None` when every row is another living
    /// process's: the dead, whom nobody may have looked for, make room. `step` is where it has entered.
    pub fn enter<O: Os>(
        &self,
        os: &O,
        until: u64,
        number: u64,
        step: &'static str,
    ) -> Result<Option<(Owner, usize)>, Refused> {
        let enter = || {
            let me = self.lock(os, until)?;
            let row = self.sum(me, 0).row;
            if let Some(row) = row {
                self.add(os, row, me, number);
                os.step(step);
            }
            self.unlock(os, me);
            Ok(row.map(|row| (me, row)))
        };
        match enter()? {
            None if self.sweep(os, os.me(), until) => enter(),
            entered => Ok(entered),
        }
    }

    /// Adds one to a row in which the caller has something already, without any lock.
    #[inline]
    pub fn increase(&self, at: usize) {
        // Relaxed: it was not 0 before, and is not after.
        let one = Marked::new(1, 0).to_bits();
        self.rows[at].count.fetch_add(one, Ordering::Relaxed);
    }

    /// Leaves `marks` in a row.
    #[cold]
    pub fn mark(&self, at: usize, marks: u64) {
        Marked::mark(&self.rows[at].count, marks);
    }

    /// Whether a row is marked at this moment.
    #[inline]
    pub fn is_marked(&self, at: usize) -> bool {
        Marked(self.rows[at].count.load(Ordering::Relaxed)).marks() != 0
    }

    /// Takes `number` out of a row again, without any lock; returns the marks of the row.
    #[inline]
    pub fn subtract(&self, at: usize, number: u64) -> u64 {
        let number = Marked::new(number, 0).to_bits();
        // Release: pairs with the Acquire of `mark`; what was done with a permit is seen by the next to get it.
        Marked(self.rows[at].count.fetch_sub(number, Ordering::Release)).marks()
    }

    /// Removes the marks from all rows, without any lock. Whoever does this wakes the marked.
    pub fn unmark<O: Os>(&self, os: &O) {
        for (_, row) in self.known() {
            // Relaxed: a mark that is not seen yet stays, and costs a wake-up.
            if Marked(row.count.load(Ordering::Relaxed)).marks() != 0 {
                Marked::unmark(&row.count);
                os.step("tally: marks removed from a row");
            }
        }
    }

    /// Asks of every holder whether he lives, without the table lock, and frees the rows of the dead under it; whether
    /// there were any. Rows are left that the lock cannot be had for until `until`.
    #[cold]
    pub fn sweep<O: Os>(&self, os: &O, me: Owner, until: u64) -> bool {
        let mut any = false;
        for (_, row) in self.known() {
            // Relaxed: only asked about, and looked at again under the lock.
            if Marked(row.count.load(Ordering::Relaxed)).number() == 0 {
                continue;
            }
            let owner = Owner::from_bits(row.owner.load(Ordering::Relaxed));
            if owner == me || !is_dead(os, owner) {
                continue;
            }
            os.step("tally: owner found dead");
            let Ok(me) = self.lock(os, until) else {
                break;
            };
            // Relaxed: what the dead have done is seen by who knows that they are dead. The row may be another's by now.
            if Owner::from_bits(row.owner.load(Ordering::Relaxed)) == owner {
                row.count.fetch_and(MARKS, Ordering::Relaxed);
                os.step("tally: row of the dead freed");
                any = true;
            }
            self.unlock(os, me);
        }
        any
    }

    /// Whether a sleeper should [sweep](Self::sweep): one of them does it in a slice, for all.
    pub fn is_to_be_swept(&self, now: u64) -> bool {
        let last = self.swept_at.load(Ordering::Relaxed);
        // The clock of a model stands still.
        let is_due = cfg!(loom) || Slices::is_long_ago(last, now);
        // Relaxed: only a duty is shared out. Whoever is killed over it leaves it to another, a slice later.
        is_due
            && self
                .swept_at
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// How many all have together, roughly: without the table lock, while others take and give back.
    pub fn glance(&self) -> u64 {
        self.known()
            .map(|(_, row)| Marked(row.count.load(Ordering::Relaxed)).number())
            .fold(0, u64::saturating_add)
    }
}
