//! Who has what: one table for everything that several parties hold at once.
//!
//! A row is a claim of a thread of a process. Its owner word is a small lock word of its own (see
//! [`lock`](crate::Lock)): 0 is a free row, else the owner, with `WAITERS` while somebody sleeps until it is freed.
//!
//! | change                     | by one store to | made by                                    |
//! |----------------------------|-----------------|--------------------------------------------|
//! | free → waiting, or held    | owner           | the claimant, under the table lock         |
//! | waiting → held             | state           | the claimant, under the table lock         |
//! | held alone → held shared   | state           | the claimant, under the table lock         |
//! | waiting, or held → free    | owner           | the claimant, without any lock             |
//! | dead → free                | owner           | who finds it dead, under the table lock    |
//!
//! Invariants:
//!
//! 1. The fields of a row are written before its owner, and not changed while it has one (the state apart).
//! 2. The bit of a row in `used` is set before its owner and cleared only under the table lock, after the row was
//!    seen free. So `used` holds at least the rows in use at every instant, and a holder of the table lock who dies
//!    leaves nothing to repair.
//! 3. A claim is granted only under the table lock, when no held row conflicts with it. Whoever waits asks again after
//!    each sleep; nobody is granted anything by another. So a dead waiter held nothing.
//! 4. Claims are served in the order of their tickets, except that nobody waits for the place in line of one who
//!    waits for him, or of one who has not taken his turn for a whole slice (he may be stopped). A sleeper finds out
//!    about either when his own slice ends.
//! 5. Shared claims with tickets below `door` come before all exclusive ones in line. It is opened to those in line when
//!    an exclusive claim is made a shared one, and never closed: tickets only grow.

use crate::{
    atomic::{AtomicU64, Ordering},
    lock::{self, Lock, Refused, Slices, Taken},
    os::Os,
    owner::Owner,
    wait_graph::{Entry, Party, RowSet, WaitGraph, rows_of},
    waiter::{Next, Waiter},
};

/// How many claims can be held or waited for at once.
pub const ROWS: usize = 64;

/// In a row's state: the claim is waited for, not held.
pub(crate) const WAITING: u64 = 1;
/// In a row's state: the claim shares with no other.
pub(crate) const EXCLUSIVE: u64 = 2;
/// In a waiting row's state, above this bit: since when it has been this claim's turn, as others saw it; 0 is not yet.
pub(crate) const TURN_SHIFT: u32 = 2;

/// What is asked for: a range, shared or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Whether it conflicts with shared claims too.
    pub exclusive: bool,
    /// Where the range starts.
    pub start: u64,
    /// Where the range ends; not part of it.
    pub end: u64,
}

impl Claim {
    /// Whether the two have something in common that one of them wants for itself.
    #[inline]
    #[must_use]
    pub fn conflicts(&self, other: &Claim) -> bool {
        (self.exclusive || other.exclusive) && self.start < other.end && other.start < self.end
    }

    /// The state of a row that holds it.
    #[inline]
    pub(crate) fn mode(&self) -> u64 {
        if self.exclusive { EXCLUSIVE } else { 0 }
    }
}

/// What the claims of a table mean.
pub trait Rule {
    /// Whether two claims cannot be held at the same time.
    fn conflict(&self, a: &Claim, b: &Claim) -> bool;

    /// A claim was found held by a process that died. Called under the table lock, before the row is freed; called
    /// again for the same claim when the caller dies in between.
    fn died(&self, claim: &Claim, owner: Owner);
}

/// One row as it lies in shared memory.
#[repr(C)]
#[derive(Debug, Default)]
pub(crate) struct Row {
    /// Published last, by Release; 0 when free.
    pub(crate) owner: AtomicU64,
    thread: AtomicU64,
    ticket: AtomicU64,
    pub(crate) state: AtomicU64,
    start: AtomicU64,
    end: AtomicU64,
}

/// The table as it lies in shared memory.
#[repr(C)]
#[derive(Debug)]
pub struct Holders {
    lock: Lock,
    /// Which rows may be in use.
    used: AtomicU64,
    tickets: AtomicU64,
    pub(crate) rows: [Row; ROWS],
    /// See invariant 5.
    door: AtomicU64,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Row>() == 48 && size_of::<Holders>() == 40 + 48 * ROWS);

/// A row that the caller has.
#[derive(Clone, Copy, Debug)]
#[must_use = "a row that is not released stays held until its process ends"]
pub struct Held {
    me: Owner,
    pub(crate) row: usize,
}

impl Held {
    /// Who holds it.
    #[inline]
    #[must_use]
    pub fn owner(&self) -> Owner {
        self.me
    }
}

impl Holders {
    /// An empty table.
    #[must_use]
    pub fn new() -> Holders {
        Holders {
            lock: Lock::new(),
            used: AtomicU64::new(0),
            tickets: AtomicU64::new(1),
            rows: core::array::from_fn(|_| Row::default()),
            door: AtomicU64::new(0),
        }
    }

    /// Empties the table in memory that nobody else sees yet.
    pub(crate) fn reset(&self) {
        self.lock.reset();
        self.used.store(0, Ordering::Relaxed);
        self.tickets.store(1, Ordering::Relaxed);
        self.door.store(0, Ordering::Relaxed);
        for row in &self.rows {
            row.owner.store(0, Ordering::Relaxed);
        }
    }

    /// Frees every row when all owners are known to be dead.
    pub(crate) fn bury(&self, rule: &impl Rule) {
        // Every row is looked at, so that none is left to somebody when the bitmap is damaged.
        self.used.store(RowSet::MAX, Ordering::Relaxed);
        let mut graph = WaitGraph::new();
        self.copy(RowSet::MAX, &mut graph);
        for row in rows_of(graph.used()) {
            let entry = graph.entry(row);
            if !entry.waiting {
                rule.died(&entry.claim, entry.party.owner);
            }
            // Release: not before what the rule noted; whoever is killed in between is followed by another burial.
            self.rows[row].owner.store(0, Ordering::Release);
        }
        self.used.store(0, Ordering::Relaxed);
        self.lock.reset();
    }

    /// Takes the table lock.
    #[inline]
    pub(crate) fn lock_table<O: Os>(&self, os: &O, until: u64) -> Result<Taken, Refused> {
        self.lock.lock_table(os, until)
    }

    #[inline]
    pub(crate) fn unlock_table<O: Os>(&self, os: &O, taken: Taken) {
        self.lock.unlock(os, taken.me);
    }

    /// Claims `want`, waiting until `until` on the clock of [`Os::now`]; [`NOW`](crate::NOW) does not wait for other claims.
    ///
    /// # Errors
    ///
    /// [`Refused`] says why not.
    #[inline]
    pub fn acquire<O: Os>(
        &self,
        os: &O,
        want: Claim,
        rule: &impl Rule,
        until: u64,
    ) -> Result<Held, Refused> {
        let taken = self.lock_table(os, until)?;
        let mut used = self.used.load(Ordering::Relaxed);
        let mut blocked = false;
        for row in rows_of(used) {
            let entry = &self.rows[row];
            // Acquire: pairs with the Release of `release`; what the last holder wrote is seen by the next.
            if entry.owner.load(Ordering::Acquire) == 0 {
                used &= !(1 << row);
            } else if rule.conflict(&entry.claim(), &want) {
                blocked = true;
                break;
            }
        }
        if !blocked && used != RowSet::MAX {
            let (held, _) = self.enter(os, used, taken.me, &want, 0);
            self.unlock_table(os, taken);
            return Ok(held);
        }
        self.acquire_contended(os, want, rule, until, taken)
    }

    /// Enters a claim into the first row that is not in `used`; returns it and its ticket.
    ///
    /// The caller has the table lock, and `used` is not all rows.
    #[inline]
    pub(crate) fn enter<O: Os>(
        &self,
        os: &O,
        used: RowSet,
        me: Owner,
        want: &Claim,
        waiting: u64,
    ) -> (Held, u64) {
        let free = used.trailing_ones() as usize;
        let row = &self.rows[free];
        let ticket = self.tickets.load(Ordering::Relaxed);
        // Relaxed: the table lock orders these for everybody who reads them.
        self.tickets
            .store(ticket.wrapping_add(1), Ordering::Relaxed);
        row.thread.store(os.thread(), Ordering::Relaxed);
        row.ticket.store(ticket, Ordering::Relaxed);
        row.state.store(want.mode() | waiting, Ordering::Relaxed);
        row.start.store(want.start, Ordering::Relaxed);
        row.end.store(want.end, Ordering::Relaxed);
        os.step("claim: row written");
        self.used.store(used | 1 << free, Ordering::Relaxed);
        os.step("claim: row marked used");
        // Release: pairs with the Acquire in `copy`, for readers that come by a dead holder's table lock.
        row.owner.store(me.to_bits(), Ordering::Release);
        os.step("claim: row published");
        (Held { me, row: free }, ticket)
    }

    #[cold]
    fn acquire_contended<O: Os>(
        &self,
        os: &O,
        want: Claim,
        rule: &impl Rule,
        until: u64,
        mut taken: Taken,
    ) -> Result<Held, Refused> {
        let mut waiter = Waiter::new(self, os, rule, want, taken.me);
        let mut slices = Slices::new();
        loop {
            let now = os.now();
            let late = now >= until;
            let next = waiter.look(now, late, late || slices.is_over(now));
            os.step("claim: about to let go of the table");
            self.unlock_table(os, taken);
            match next {
                Next::Granted(held) => return Ok(held),
                Next::Refused(why) => {
                    waiter.leave();
                    return Err(why);
                }
                Next::Late => {
                    waiter.leave();
                    return Err(Refused::late(until));
                }
                Next::Wait { row, word, full } => {
                    if full {
                        // Whichever row is freed first will do, but one can sleep on one row only.
                        slices.look_often();
                    }
                    slices.sleep(os, &self.rows[row].owner, word, now, until);
                    waiter.forget_answers();
                }
                Next::Ask(rows) => waiter.ask(rows),
            }
            os.step("claim: awake");
            taken = match self.lock_table(os, until) {
                Ok(taken) => taken,
                Err(why) => {
                    waiter.leave();
                    return Err(why);
                }
            };
            if let Some(held) = waiter.look_free() {
                os.step("claim: about to let go of the table");
                self.unlock_table(os, taken);
                return Ok(held);
            }
        }
    }

    /// Gives a claim back, and says that it did: in a process that did not make it (a fork child) it does nothing.
    #[inline]
    pub fn release<O: Os>(&self, os: &O, held: Held) -> bool {
        let mine = os.is_me(held.me);
        if mine {
            os.step("claim: about to release");
            self.free(os, held.row, held.me);
        }
        mine
    }

    /// Frees a row that `owner` has and wakes all who sleep on it: shared claims may go on together.
    #[inline]
    pub(crate) fn free<O: Os>(&self, os: &O, row: usize, owner: Owner) {
        let word = &self.rows[row].owner;
        if lock::release(word, owner) {
            os.step("claim: freed, nobody woken yet");
            lock::wake_all(os, word);
        }
    }

    /// Makes an exclusive claim that the caller holds a shared one, lets in whoever waits for a shared one at this moment,
    /// before those who wait for an exclusive one, and wakes all. In a process that did not make the claim (a fork
    /// child) it does nothing.
    ///
    /// # Errors
    ///
    /// [`Refused`], never unless foreign bytes have got into the table lock. The claim then stays exclusive.
    pub fn downgrade<O: Os>(&self, os: &O, held: Held) -> Result<(), Refused> {
        if !os.is_me(held.me) {
            return Ok(());
        }
        let taken = self.lock_table(os, lock::FOREVER)?;
        // Relaxed throughout: read under the table lock only, which also orders what the holder wrote before those who
        // are granted a share.
        let row = &self.rows[held.row];
        // Whoever is killed behind this has only changed the order of those in line.
        self.door
            .store(self.tickets.load(Ordering::Relaxed), Ordering::Relaxed);
        os.step("downgrade: door open");
        // 0: held, shared. This one store is the change.
        row.state.store(0, Ordering::Relaxed);
        os.step("downgrade: shared");
        // Without the bit, whoever has set it and is about to sleep looks again. Nobody sets it meanwhile: that is done
        // under the table lock. Nobody sets it afterwards before those let in have looked: see `Waiter::look`.
        let word = row.owner.swap(held.me.to_bits(), Ordering::Relaxed);
        os.step("downgrade: about to let go of the table");
        self.unlock_table(os, taken);
        if word & lock::WAITERS != 0 {
            os.step("downgrade: nobody woken yet");
            lock::wake_all(os, &row.owner);
        }
        Ok(())
    }

    /// Makes `graph`, which is large and never moved, a private copy of the rows in `of` that are in use. The caller
    /// has the table lock.
    pub(crate) fn copy(&self, of: RowSet, graph: &mut WaitGraph) {
        graph.clear(self.door.load(Ordering::Relaxed));
        for row in rows_of(self.used.load(Ordering::Relaxed) & of) {
            // Acquire: pairs with the Release of `release` and `enter`.
            let word = self.rows[row].owner.load(Ordering::Acquire);
            if word != 0 {
                graph.insert(row, self.rows[row].entry(word));
            }
        }
    }

    /// The claims in all rows in use but one. The caller has the table lock.
    pub(crate) fn in_use_but(&self, row: usize) -> impl Iterator<Item = Claim> {
        rows_of(self.used.load(Ordering::Relaxed) & !(1 << row))
            .map(|row| &self.rows[row])
            // Acquire: pairs with the Release of `release`.
            .filter(|row| row.owner.load(Ordering::Acquire) != 0)
            .map(Row::claim)
    }

    /// How many claims are held or waited for at this moment.
    #[must_use]
    pub fn in_use(&self) -> usize {
        // Relaxed: only shown.
        self.rows
            .iter()
            .filter(|row| row.owner.load(Ordering::Relaxed) != 0)
            .count()
    }

    /// How many claims are held at this moment: exclusive ones, or shared ones.
    #[must_use]
    pub fn held(&self, exclusive: bool) -> usize {
        self.count(if exclusive { EXCLUSIVE } else { 0 }, WAITING | EXCLUSIVE)
    }

    /// How many claims are waited for at this moment, not counting those for which there is no row.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.count(WAITING, WAITING)
    }

    /// How many rows in use have this `mode` in the bits `of` their state.
    fn count(&self, mode: u64, of: u64) -> usize {
        // Relaxed: only shown.
        rows_of(self.used.load(Ordering::Relaxed))
            .map(|row| &self.rows[row])
            .filter(|row| row.owner.load(Ordering::Relaxed) != 0)
            .filter(|row| row.state.load(Ordering::Relaxed) & of == mode)
            .count()
    }
}

impl Default for Holders {
    fn default() -> Holders {
        Holders::new()
    }
}

impl Row {
    #[inline]
    fn claim(&self) -> Claim {
        Claim {
            exclusive: self.state.load(Ordering::Relaxed) & EXCLUSIVE != 0,
            start: self.start.load(Ordering::Relaxed),
            end: self.end.load(Ordering::Relaxed),
        }
    }

    fn entry(&self, word: u64) -> Entry {
        Entry {
            word,
            party: Party {
                owner: Owner::from_bits(word),
                thread: self.thread.load(Ordering::Relaxed),
            },
            ticket: self.ticket.load(Ordering::Relaxed),
            waiting: self.state.load(Ordering::Relaxed) & WAITING != 0,
            claim: self.claim(),
        }
    }
}
