//! Who has what: one table for everything that several parties hold at once.
//!
//! A row is a claim of a thread of a process. Its owner word is a small lock word of its own (see
//! [`lock`](crate::Lock)): 0 is a free row, else the owner, with `WAITERS` while somebody sleeps until it is freed.
//!
//! | change                     | by one store to | made by                                    |
//! |----------------------------|-----------------|--------------------------------------------|
//! | free → waiting, or held    | owner           | the claimant, under the table lock         |
//! | waiting → held             | state           | the claimant, under the table lock         |
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

use crate::{
    atomic::{AtomicU64, Ordering},
    lock::{self, Lock, Refused, Slices, Taken, WAITERS},
    os::{Os, is_dead},
    owner::Owner,
    wait_graph::{Entry, Party, RowSet, WaitGraph, rows_of},
};

/// How many claims can be held or waited for at once.
pub const ROWS: usize = 64;

/// In a row's state: the claim is waited for, not held.
const WAITING: u64 = 1;
/// In a row's state: the claim shares with no other.
const EXCLUSIVE: u64 = 2;
/// In a waiting row's state, above this bit: since when it has been this claim's turn, as others saw it; 0 is not yet.
const TURN_SHIFT: u32 = 2;

/// How long a call that must not wait puts up with somebody else's work on the table, in nanoseconds. That work takes
/// tens of nanoseconds, and when many stand in line a fraction of a millisecond, unless whoever does it is stopped.
const TABLE_GRACE: u64 = 10_000_000;

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
struct Row {
    /// Published last, by Release; 0 when free.
    owner: AtomicU64,
    thread: AtomicU64,
    ticket: AtomicU64,
    state: AtomicU64,
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
    rows: [Row; ROWS],
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Row>() == 48 && size_of::<Holders>() == 32 + 48 * ROWS);

/// A row that the caller has.
#[derive(Clone, Copy, Debug)]
#[must_use = "a row that is not released stays held until its process ends"]
pub struct Held {
    me: Owner,
    row: usize,
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
        }
    }

    /// Empties the table in memory that nobody else sees yet.
    pub(crate) fn reset(&self) {
        self.lock.reset();
        self.used.store(0, Ordering::Relaxed);
        self.tickets.store(1, Ordering::Relaxed);
        for row in &self.rows {
            row.owner.store(0, Ordering::Relaxed);
        }
    }

    /// Frees every row when all owners are known to be dead.
    pub(crate) fn bury(&self, rule: &impl Rule) {
        // Every row is looked at, so that none is left to somebody when the bitmap is damaged.
        self.used.store(RowSet::MAX, Ordering::Relaxed);
        let graph = self.copy(u64::MAX);
        for row in rows_of(graph.used) {
            let entry = &graph.entries[row];
            if !entry.waiting {
                rule.died(&entry.claim, entry.party.owner);
            }
            // Release: not before what the rule noted; whoever is killed in between is followed by another burial.
            self.rows[row].owner.store(0, Ordering::Release);
        }
        self.used.store(0, Ordering::Relaxed);
        self.lock.reset();
    }

    /// Takes the table lock; also gives who must not wait the moment that others need to finish with it.
    #[inline]
    pub(crate) fn lock_table<O: Os>(&self, os: &O, until: u64) -> Result<Taken, Refused> {
        match self.lock.lock(os, until) {
            Err(Refused::TimedOut) => self.lock.lock(os, os.now().saturating_add(TABLE_GRACE)),
            result => result,
        }
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
    fn enter<O: Os>(
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
        let exclusive = if want.exclusive { EXCLUSIVE } else { 0 };
        row.state.store(exclusive | waiting, Ordering::Relaxed);
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
        let mut waiter = Waiter {
            table: self,
            os,
            rule,
            want,
            party: Party {
                owner: taken.me,
                thread: os.thread(),
            },
            seat: None,
            passed: [0; ROWS],
        };
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
                Next::Wait { row, word, full } => {
                    if full {
                        // Whichever row is freed first will do, but one can sleep on one row only.
                        slices.look_often();
                    }
                    slices.sleep(os, &self.rows[row].owner, word, now, until);
                }
            }
            os.step("claim: awake");
            taken = match self.lock_table(os, until) {
                Ok(taken) => taken,
                Err(why) => {
                    waiter.leave();
                    return Err(why);
                }
            };
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
    fn free<O: Os>(&self, os: &O, row: usize, owner: Owner) {
        let word = &self.rows[row].owner;
        if lock::release(word, owner) {
            os.step("claim: freed, nobody woken yet");
            wake_all(os, word);
        }
    }

    /// A private copy of the rows in `of` that are in use. The caller has the table lock.
    fn copy(&self, of: RowSet) -> WaitGraph {
        let mut graph = WaitGraph {
            entries: [Entry::EMPTY; ROWS],
            used: 0,
        };
        for row in rows_of(self.used.load(Ordering::Relaxed) & of) {
            // Acquire: pairs with the Release of `release` and `enter`.
            let word = self.rows[row].owner.load(Ordering::Acquire);
            if word != 0 {
                graph.entries[row] = self.rows[row].entry(word);
                graph.used |= 1 << row;
            }
        }
        graph
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
}

#[cold]
fn wake_all<O: Os>(os: &O, word: &AtomicU64) {
    os.wake(word, u32::MAX);
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

/// What a waiter does next.
enum Next {
    Granted(Held),
    Refused(Refused),
    /// Sleep on the owner word of `row` while it is `word`; `full`: not because of a conflict, but for lack of rows.
    Wait {
        row: usize,
        word: u64,
        full: bool,
    },
}

/// One claim that could not be had at once.
struct Waiter<'a, O: Os, R: Rule> {
    table: &'a Holders,
    os: &'a O,
    rule: &'a R,
    want: Claim,
    party: Party,
    /// The row in which the claim stands in line, and its ticket. There is none while the table is full.
    seat: Option<(Held, u64)>,
    /// The tickets of those whose place in line is not waited for, each at its row (invariant 4).
    passed: [u64; ROWS],
}

impl<O: Os, R: Rule> Waiter<'_, O, R> {
    /// Looks at the table, whose lock the caller has. `late`: the deadline has passed, this is the last look. `bury`:
    /// ask whether those in the way still live.
    fn look(&mut self, now: u64, late: bool, bury: bool) -> Next {
        loop {
            let others = !self.seat.map_or(0, |(held, _)| 1 << held.row);
            let graph = self.table.copy(others);
            let passed = graph.used & self.passed_in(&graph);
            let ticket = self.seat.map_or(u64::MAX, |(_, ticket)| ticket);
            let blockers = graph.blockers(self.rule, &self.want, ticket) & !passed;
            if blockers == 0 {
                match self.grant(&graph, late, bury) {
                    Some(next) => return next,
                    None => continue,
                }
            }
            // Whoever holds up those who stand in line before us holds us up, too.
            let ahead = graph.ahead(self.rule, blockers, passed);
            if bury && self.sweep(&graph, ahead) {
                continue;
            }
            let in_line = graph.select(blockers, |entry| entry.waiting);
            let held = blockers & !in_line;
            if rows_of(held).any(|row| graph.waits_for(self.rule, row, self.party, true)) {
                // The dead wait for nobody: bury them before judging.
                if self.sweep(&graph, graph.used) {
                    continue;
                }
                return Next::Refused(Refused::WouldDeadlock);
            }
            if let Some(row) = rows_of(in_line)
                .find(|&row| graph.waits_for(self.rule, row, self.party, false))
                .or_else(|| self.ignores_its_turn(&graph, ahead, passed, now))
            {
                self.passed[row] = graph.entries[row].ticket;
                continue;
            }
            let first_in_line = || rows_of(in_line).min_by_key(|&row| graph.entries[row].ticket);
            let Some(row) = rows_of(held).next().or_else(first_in_line) else {
                continue;
            };
            if late {
                return Next::Refused(Refused::TimedOut);
            }
            if self.must_not_wait_for_room(&graph) {
                if self.sweep(&graph, graph.used) {
                    continue;
                }
                return Next::Refused(Refused::TooManyClaims);
            }
            self.stand_in_line(&graph);
            if let Some(word) = self.mark(row, &graph) {
                return Next::Wait {
                    row,
                    word,
                    full: false,
                };
            }
        }
    }

    /// The rows whose place in line is not waited for.
    fn passed_in(&self, graph: &WaitGraph) -> RowSet {
        rows_of(graph.used)
            .filter(|&row| {
                let entry = &graph.entries[row];
                entry.waiting && entry.ticket == self.passed[row]
            })
            .fold(0, |rows, row| rows | 1 << row)
    }

    /// A row of `ahead` that has not taken its turn for a whole slice. Since when is noted in the row itself, so that
    /// many short waits find it out as well as a long one.
    fn ignores_its_turn(
        &self,
        graph: &WaitGraph,
        ahead: RowSet,
        passed: RowSet,
        now: u64,
    ) -> Option<usize> {
        let in_line = graph.select(ahead & !passed, |entry| entry.waiting);
        rows_of(in_line).find(|&row| {
            if !graph.is_its_turn(self.rule, row, passed) {
                return false;
            }
            // Relaxed: read and written under the table lock only.
            let state = &self.table.rows[row].state;
            let now_state = state.load(Ordering::Relaxed);
            let since = now_state >> TURN_SHIFT;
            if since == 0 {
                let mode = now_state & (WAITING | EXCLUSIVE);
                state.store(mode | now << TURN_SHIFT, Ordering::Relaxed);
                return false;
            }
            Slices::is_long_ago(since, now)
        })
    }

    /// Nothing is in the way: the claim becomes held, unless there is no row for it. `None`: look again.
    fn grant(&self, graph: &WaitGraph, late: bool, bury: bool) -> Option<Next> {
        if let Some((held, _)) = self.seat {
            let exclusive = if self.want.exclusive { EXCLUSIVE } else { 0 };
            // Relaxed: read under the table lock only. This one store is the change.
            self.table.rows[held.row]
                .state
                .store(exclusive, Ordering::Relaxed);
            self.os.step("claim: granted");
            return Some(Next::Granted(held));
        }
        if graph.used != RowSet::MAX {
            let (held, _) = self
                .table
                .enter(self.os, graph.used, self.party.owner, &self.want, 0);
            return Some(Next::Granted(held));
        }
        if bury && self.sweep(graph, graph.used) {
            return None;
        }
        if self.must_not_wait_for_room(graph) {
            // The dead need no rows: bury them before judging.
            if self.sweep(graph, graph.used) {
                return None;
            }
            return Some(Next::Refused(Refused::TooManyClaims));
        }
        if late {
            return Some(Next::Refused(Refused::TimedOut));
        }
        let row = rows_of(graph.used).min_by_key(|&row| graph.entries[row].ticket)?;
        let word = self.mark(row, graph)?;
        Some(Next::Wait {
            row,
            word,
            full: true,
        })
    }

    /// Whether there is no row to stand in line, for one who holds others. Two such threads would wait for each other
    /// for ever, and neither could see it, because who waits without a row is not in the graph.
    fn must_not_wait_for_room(&self, graph: &WaitGraph) -> bool {
        let is_own = |row: usize| graph.entries[row].party == self.party;
        self.seat.is_none() && graph.used == RowSet::MAX && rows_of(graph.used).any(is_own)
    }

    fn stand_in_line(&mut self, graph: &WaitGraph) {
        if self.seat.is_none() && graph.used != RowSet::MAX {
            self.seat =
                Some(
                    self.table
                        .enter(self.os, graph.used, self.party.owner, &self.want, WAITING),
                );
        }
    }

    /// Sets the `WAITERS` bit of a row so that its release wakes us; returns the word to sleep on, or `None` when the
    /// row has been released meanwhile.
    fn mark(&self, row: usize, graph: &WaitGraph) -> Option<u64> {
        let word = graph.entries[row].word;
        if word & WAITERS == 0 {
            // Relaxed: the release of this row is an exchange of the same word, so it cannot miss the bit.
            self.table.rows[row]
                .owner
                .compare_exchange(word, word | WAITERS, Ordering::Relaxed, Ordering::Relaxed)
                .ok()?;
        }
        self.os.step("claim: marked as waited for");
        Some(word | WAITERS)
    }

    /// Frees those rows of `set` whose owner is dead; whether there were any.
    fn sweep(&self, graph: &WaitGraph, set: RowSet) -> bool {
        let mut any = false;
        // Rows of one owner are often neighbours, and asking the system costs microseconds.
        let mut asked = (self.party.owner, false);
        for row in rows_of(set) {
            let entry = &graph.entries[row];
            let owner = entry.party.owner;
            if owner != asked.0 {
                asked = (owner, is_dead(self.os, owner));
            }
            if !asked.1 {
                continue;
            }
            self.os.step("claim: owner found dead");
            if !entry.waiting {
                self.rule.died(&entry.claim, owner);
                self.os.step("claim: death noted");
            }
            self.table.free(self.os, row, owner);
            any = true;
        }
        any
    }

    /// Gives the place in line up.
    fn leave(self) {
        if let Some((held, _)) = self.seat {
            self.table.release(self.os, held);
        }
    }
}
