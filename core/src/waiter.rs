//! One claim that could not be had at once: what it waits for, whom it passes, whom it buries.
//!
//! Everything here but [asking](Waiter::ask) who lives happens under the lock of the [holders](crate::Holders) table,
//! between two sleeps. Asking takes microseconds for each, so others must not have to wait for it.

use crate::{
    atomic::Ordering,
    holders::{Claim, EXCLUSIVE, Held, Holders, ROWS, Rule, TURN_SHIFT, WAITING},
    lock::{Refused, Slices, WAITERS},
    os::{Os, is_dead},
    owner::Owner,
    wait_graph::{Party, RowSet, WaitGraph, rows_of},
};

/// What a waiter does next.
pub(crate) enum Next {
    Granted(Held),
    Refused(Refused),
    /// It was not free at the last look.
    Late,
    /// Without the lock, [ask](Waiter::ask) about these rows, and look again.
    Ask(RowSet),
    /// Sleep on the owner word of `row` while it is `word`; `full`: there was no row to stand in line, so nobody keeps a
    /// place for the claim.
    Wait {
        row: usize,
        word: u64,
        full: bool,
    },
}

/// One claim that could not be had at once.
pub(crate) struct Waiter<'a, O: Os, R: Rule> {
    table: &'a Holders,
    os: &'a O,
    rule: &'a R,
    want: Claim,
    party: Party,
    /// The row in which the claim stands in line, and its ticket. There is none while the table is full.
    seat: Option<(Held, u64)>,
    // Both are filled when they are first needed: most waits need neither, and are over in a microsecond.
    /// The tickets of those whose place in line is not waited for, each at its row (invariant 4).
    passed: Option<[u64; ROWS]>,
    /// About whom it has asked since it last slept.
    asked: Option<Asked>,
}

/// What was learnt about the owners of rows.
struct Asked {
    /// How often it has asked.
    times: u32,
    rows: RowSet,
    dead: RowSet,
    /// Whom the rows belonged to then.
    owners: [Owner; ROWS],
}

/// What came of looking for the dead.
enum Swept {
    /// Rows were freed: look again.
    Some,
    None,
    /// It is not known of these who has them now.
    Unknown(RowSet),
}

impl<'a, O: Os, R: Rule> Waiter<'a, O, R> {
    pub fn new(table: &'a Holders, os: &'a O, rule: &'a R, want: Claim, me: Owner) -> Self {
        Waiter {
            table,
            os,
            rule,
            want,
            party: Party {
                owner: me,
                thread: os.thread(),
            },
            seat: None,
            passed: None,
            asked: None,
        }
    }

    /// Looks at the table, whose lock the caller has. `late`: the deadline has passed, this is the last look. `bury`:
    /// ask whether those in the way still live.
    pub fn look(&mut self, now: u64, late: bool, bury: bool) -> Next {
        let mut graph = WaitGraph::new();
        loop {
            let others = !self.seat.map_or(0, |(held, _)| 1 << held.row);
            self.table.copy(others, &mut graph);
            let passed = graph.used() & self.passed_in(&graph);
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
            if bury {
                match self.sweep(&graph, ahead) {
                    Swept::Some => continue,
                    Swept::Unknown(rows) => return Next::Ask(rows),
                    Swept::None => (),
                }
            }
            let in_line = graph.select(blockers, |entry| entry.waiting);
            let held = blockers & !in_line;
            if rows_of(held).any(|row| graph.waits_for(self.rule, row, self.party, true)) {
                // The dead wait for nobody: bury them before judging.
                match self.sweep(&graph, graph.used()) {
                    Swept::Some => continue,
                    Swept::Unknown(rows) => return Next::Ask(rows),
                    Swept::None => return Next::Refused(Refused::WouldDeadlock),
                }
            }
            if let Some(row) = rows_of(in_line)
                .find(|&row| graph.waits_for(self.rule, row, self.party, false))
                .or_else(|| self.ignores_its_turn(&graph, ahead, passed, now))
            {
                self.passed.get_or_insert([0; ROWS])[row] = graph.entry(row).ticket;
                continue;
            }
            let first_in_line = rows_of(in_line).min_by_key(|&row| graph.place_of(row));
            // Behind one who was let in it is his row that is slept on: he may not have slept yet on the row of whoever let
            // him in, and would if its word became again what it was when he marked it.
            let let_in = first_in_line.filter(|&row| graph.place_of(row) == 0);
            let held = rows_of(held).next();
            let Some(row) = let_in.or(held).or(first_in_line) else {
                continue;
            };
            if late {
                return Next::Late;
            }
            if self.must_not_wait_for_room(&graph) {
                match self.sweep(&graph, graph.used()) {
                    Swept::Some => continue,
                    Swept::Unknown(rows) => return Next::Ask(rows),
                    Swept::None => return Next::Refused(Refused::TooManyClaims),
                }
            }
            self.stand_in_line(&graph);
            if let Some(word) = self.mark(row, &graph) {
                let full = self.seat.is_none();
                return Next::Wait { row, word, full };
            }
        }
    }

    /// The rows whose place in line is not waited for.
    fn passed_in(&self, graph: &WaitGraph) -> RowSet {
        let Some(passed) = &self.passed else {
            return 0;
        };
        rows_of(graph.used())
            .filter(|&row| {
                let entry = graph.entry(row);
                entry.waiting && entry.ticket == passed[row]
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
            let found = state.load(Ordering::Relaxed);
            let since = found >> TURN_SHIFT;
            if since == 0 {
                let mode = found & (WAITING | EXCLUSIVE);
                state.store(mode | now << TURN_SHIFT, Ordering::Relaxed);
                return false;
            }
            Slices::is_long_ago(since, now)
        })
    }

    /// Nothing is in the way: the claim becomes held, unless there is no row for it. `None`: look again.
    fn grant(&self, graph: &WaitGraph, late: bool, bury: bool) -> Option<Next> {
        if let Some((held, _)) = self.seat {
            return Some(Next::Granted(self.grant_seat(held)));
        }
        if graph.used() != RowSet::MAX {
            let (held, _) =
                self.table
                    .enter(self.os, graph.used(), self.party.owner, &self.want, 0);
            return Some(Next::Granted(held));
        }
        let has_others = self.must_not_wait_for_room(graph);
        if bury || has_others {
            // The dead need no rows: bury them before judging.
            match self.sweep(graph, graph.used()) {
                Swept::Some => return None,
                Swept::Unknown(rows) => return Some(Next::Ask(rows)),
                Swept::None => (),
            }
        }
        if has_others {
            return Some(Next::Refused(Refused::TooManyClaims));
        }
        if late {
            return Some(Next::Late);
        }
        let row = rows_of(graph.used()).min_by_key(|&row| graph.entry(row).ticket)?;
        let word = self.mark(row, graph)?;
        Some(Next::Wait {
            row,
            word,
            full: true,
        })
    }

    /// Makes the claim in line a held one.
    fn grant_seat(&self, held: Held) -> Held {
        // Relaxed: read under the table lock only. This one store is the change.
        self.table.rows[held.row]
            .state
            .store(self.want.mode(), Ordering::Relaxed);
        self.os.step("claim: granted");
        held
    }

    /// As [`look`](Self::look), but only whether nobody at all is in the way, held or in line, of a claim that stands in
    /// line: so most find it who were woken, without a copy and without the time.
    pub fn look_free(&self) -> Option<Held> {
        let (held, _) = self.seat?;
        let mut others = self.table.in_use_but(held.row);
        let is_free = |claim: Claim| !self.rule.conflict(&claim, &self.want);
        others.all(is_free).then(|| self.grant_seat(held))
    }

    /// Whether there is no row to stand in line, for one who holds others. Two such threads would wait for each other
    /// for ever, and neither could see it, because who waits without a row is not in the graph.
    fn must_not_wait_for_room(&self, graph: &WaitGraph) -> bool {
        let is_own = |row: usize| graph.entry(row).party == self.party;
        self.seat.is_none() && graph.used() == RowSet::MAX && rows_of(graph.used()).any(is_own)
    }

    /// Takes a place in line, if there is room; in the place it has, whoever looks shows that it is not stopped.
    fn stand_in_line(&mut self, graph: &WaitGraph) {
        if let Some((held, _)) = self.seat {
            // Relaxed: read and written under the table lock only.
            self.table.rows[held.row]
                .state
                .store(self.want.mode() | WAITING, Ordering::Relaxed);
        } else if graph.used() != RowSet::MAX {
            self.seat = Some(self.table.enter(
                self.os,
                graph.used(),
                self.party.owner,
                &self.want,
                WAITING,
            ));
        }
    }

    /// Sets the `WAITERS` bit of a row so that its release wakes us; returns the word to sleep on, or `None` when the
    /// row has been released meanwhile.
    fn mark(&self, row: usize, graph: &WaitGraph) -> Option<u64> {
        let word = graph.entry(row).word;
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

    /// Asks of rows whether those who have them live. Not under the table lock.
    pub fn ask(&mut self, rows: RowSet) {
        let asked = self.asked.get_or_insert(Asked {
            times: 0,
            rows: 0,
            dead: 0,
            owners: [Owner::NONE; ROWS],
        });
        asked.times += 1;
        // Rows of one owner are often neighbours.
        let mut last = (self.party.owner, false);
        for row in rows_of(rows) {
            // Relaxed: only asked about. What is freed is looked at again under the lock.
            let word = self.table.rows[row].owner.load(Ordering::Relaxed);
            let owner = Owner::from_bits(word);
            if owner != last.0 {
                last = (owner, is_dead(self.os, owner));
            }
            let bit = 1 << row;
            asked.owners[row] = owner;
            asked.rows |= bit;
            asked.dead &= !bit;
            // A free row is nobody's, and nobody is dead.
            if word != 0 && last.1 {
                asked.dead |= bit;
            }
        }
    }

    /// Forgets what it has learnt: a slice later the living may be dead.
    pub fn forget_answers(&mut self) {
        self.asked = None;
    }

    /// Frees those rows of `set` whose owner was found dead.
    fn sweep(&self, graph: &WaitGraph, set: RowSet) -> Swept {
        /// After so many times whoever is new is taken for alive: some come and go all the time.
        const TIMES: u32 = 3;
        let others = graph.select(set, |entry| entry.party.owner != self.party.owner);
        let Some(Asked {
            times,
            rows,
            dead,
            owners,
        }) = &self.asked
        else {
            return match others {
                0 => Swept::None,
                others => Swept::Unknown(others),
            };
        };
        let known = rows_of(others & rows)
            .filter(|&row| owners[row] == graph.entry(row).party.owner)
            .fold(0, |known, row| known | 1 << row);
        if others != known && *times < TIMES {
            return Swept::Unknown(others & !known);
        }
        for row in rows_of(known & dead) {
            let (entry, owner) = (graph.entry(row), owners[row]);
            self.os.step("claim: owner found dead");
            // Relaxed: what the dead stored is visible. It may have given the claim back before it ended, after the row
            // was copied; nobody else can have taken the row since.
            let word = self.table.rows[row].owner.load(Ordering::Relaxed);
            if Owner::from_bits(word) == owner && !entry.waiting {
                self.rule.died(&entry.claim, owner);
                self.os.step("claim: death noted");
            }
            self.table.free(self.os, row, owner);
        }
        if known & dead == 0 {
            Swept::None
        } else {
            Swept::Some
        }
    }

    /// Gives the place in line up.
    pub fn leave(self) {
        if let Some((held, _)) = self.seat {
            self.table.release(self.os, held);
        }
    }
}
