//! A script of processes that get handles of the two ends of a channel, send them to each other, give them back, put records
//! and take them, are stopped and die at any step, against a model that says who has what.
//!
//! 1. The channel is closed only when nobody alive has a handle of one of its ends, and none is on its way.
//! 2. Where that is so, whoever asks is told, once a slice has passed.
//! 3. Each record is taken by one, as it was put, and nothing that was put is left when those who take are told that there
//!    will be no more.

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    sync::atomic::AtomicU64,
};

use multiproc_core::{Channel, End, Ends, Entered, Ring, RingError, RingWords};

use super::stage::{Party, Play, Stage};

const PROCESSES: usize = 4;
/// How many handles there can be.
const HANDLES: usize = 20;

#[derive(Default)]
struct Book {
    handles: Vec<(u32, Entered)>,
    /// Handles that are on their way; and to whom, if he is just entering it.
    away: Vec<(End, Option<u32>)>,
    /// How many records were made.
    made: u8,
    taken: HashSet<u8>,
}

struct Talk {
    words: Box<RingWords>,
    data: Box<[AtomicU64]>,
    ends: Box<Ends>,
    processes: Cell<[u32; PROCESSES]>,
    book: RefCell<Book>,
}

/// Runs one input.
///
/// # Panics
///
/// When a promise is broken.
pub fn body(input: &[u8]) {
    let Some((size, script)) = input.split_first() else {
        return;
    };
    let talk = Talk {
        words: Box::new(RingWords::new(0, 0)),
        data: (0..8 << (size % 3)).map(|_| AtomicU64::new(0)).collect(),
        ends: Box::new(Ends::new()),
        processes: Cell::default(),
        book: RefCell::default(),
    };
    // Both are on their way to whoever comes first.
    talk.book.borrow_mut().away = vec![(End::Sender, None), (End::Receiver, None)];
    Stage::play(&talk, script);
}

impl Talk {
    fn channel<'s>(&'s self, party: Party<'s, Talk>) -> Channel<'s, u8, Party<'s, Talk>> {
        let ring = Ring::new(&self.words, &self.data);
        // SAFETY: all are over these same words.
        unsafe { Channel::over(ring, &self.ends, party) }
    }

    /// Some process that is free.
    fn party<'s>(&self, stage: &'s Stage<'_, Talk>) -> Option<Party<'s, Talk>> {
        let slot = usize::from(stage.byte()) % PROCESSES;
        stage.free_in(&self.processes, slot)
    }

    /// Whether a handle of this end is on its way: to nobody yet, or to somebody who lives.
    fn is_away(&self, stage: &Stage<'_, Talk>, end: End) -> bool {
        let book = self.book.borrow();
        let lives = |to: &Option<u32>| to.is_none_or(|process| !stage.is_dead(process));
        book.away.iter().any(|(of, to)| *of == end && lives(to))
    }

    /// Whether nobody alive has a handle of this end, and none is on its way.
    fn is_abandoned(&self, stage: &Stage<'_, Talk>, end: End) -> bool {
        let book = self.book.borrow();
        let has =
            |(process, handle): &(u32, Entered)| handle.end() == end && !stage.is_dead(*process);
        !book.handles.iter().any(has) && !self.is_away(stage, end)
    }

    /// A handle of this end that the process has, and its place.
    fn handle(&self, process: u32, end: End) -> Option<(usize, Entered)> {
        let book = self.book.borrow();
        let at = book
            .handles
            .iter()
            .position(|(of, handle)| *of == process && handle.end() == end)?;
        Some((at, book.handles[at].1))
    }

    /// Receives a handle that is on its way.
    fn enter(&self, stage: &Stage<'_, Talk>) {
        let (which, until) = (usize::from(stage.byte()), stage.patience());
        let Some(party) = self.party(stage) else {
            return;
        };
        let mut book = self.book.borrow_mut();
        let lost: Vec<_> = book.away.iter().filter(|(_, to)| to.is_none()).collect();
        let count = lost.len();
        let at = (0..book.away.len())
            .filter(|at| book.away[*at].1.is_none())
            .nth(which % count.max(1));
        let Some(at) = at else { return };
        let end = book.away[at].0;
        book.away[at].1 = Some(party.process);
        drop(book);
        let Some(entered) = party.call(|party| self.channel(party).enter(end, until)) else {
            return;
        };
        let mut book = self.book.borrow_mut();
        let mine = (end, Some(party.process));
        let at = book.away.iter().position(|it| *it == mine);
        let at = at.expect("it is still on its way");
        match entered {
            Ok(handle) => {
                book.handles.push((party.process, handle));
                book.away.swap_remove(at);
            }
            Err(why) => {
                assert!(is_patient(why), "{why}");
                book.away[at].1 = None;
            }
        }
    }

    /// Sends a copy of a handle to whoever wants it.
    fn send(&self, stage: &Stage<'_, Talk>, end: End) {
        if let Some(party) = self.party(stage)
            && self.handle(party.process, end).is_some()
            && self.book.borrow().away.len() < HANDLES
        {
            self.book.borrow_mut().away.push((end, None));
        }
    }

    fn enter_another(&self, stage: &Stage<'_, Talk>, end: End) {
        if let Some(party) = self.party(stage)
            && let Some((_, handle)) = self.handle(party.process, end)
            && self.book.borrow().handles.len() < HANDLES
            && let Some(another) = party.call(|party| self.channel(party).enter_another(&handle))
        {
            let mut book = self.book.borrow_mut();
            book.handles.push((party.process, another));
        }
    }

    fn leave(&self, stage: &Stage<'_, Talk>, end: End) {
        if let Some(party) = self.party(stage)
            && let Some((at, handle)) = self.handle(party.process, end)
        {
            let _ = self.book.borrow_mut().handles.swap_remove(at);
            party.call(|party| {
                self.channel(party)
                    .leave(handle, || self.is_away(stage, end))
            });
        }
    }

    fn put(&self, stage: &Stage<'_, Talk>) {
        let until = stage.patience();
        let Some(party) = self.party(stage) else {
            return;
        };
        let first = self.book.borrow().made;
        let count = stage.byte() % 3 + 1;
        let (Some(_), Some(end)) = (
            self.handle(party.process, End::Sender),
            first.checked_add(count),
        ) else {
            return;
        };
        self.book.borrow_mut().made = end;
        let records = (first..end).map(record);
        let in_transit = || self.is_away(stage, End::Receiver);
        let put = party.call(|party| self.channel(party).put_many(records, until, in_transit));
        if let Some((_, Err(why))) = put {
            self.check(stage, why, End::Receiver);
        }
    }

    fn get(&self, stage: &Stage<'_, Talk>) {
        let until = stage.patience();
        let Some(party) = self.party(stage) else {
            return;
        };
        if self.handle(party.process, End::Receiver).is_none() {
            return;
        }
        let in_transit = || self.is_away(stage, End::Sender);
        let got = party.call(|party| {
            let take = |bytes: &[u8]| bytes.to_vec();
            self.channel(party).get(until, in_transit, take)
        });
        match got {
            None => {}
            Some(Ok(bytes)) => {
                let mut book = self.book.borrow_mut();
                let number = bytes[0];
                assert!(number < book.made && bytes == record(number), "{bytes:?}");
                assert!(book.taken.insert(number), "{number} is taken twice");
            }
            Some(Err(why)) => {
                self.check(stage, why, End::Sender);
                let is_over = why == RingError::Closed;
                assert!(!is_over || self.channel(party).is_empty(), "there is more");
            }
        }
    }

    /// Checks why somebody was refused, at the other end of which this is.
    fn check(&self, stage: &Stage<'_, Talk>, why: RingError, end: End) {
        match why {
            RingError::Closed => assert!(self.is_abandoned(stage, end), "{end:?} is not"),
            why => assert!(is_patient(why), "{why}"),
        }
    }
}

/// A record like no other.
fn record(number: u8) -> Vec<u8> {
    vec![number; 1 + usize::from(number % 20)]
}

/// Whether it says that nothing could be done in time.
fn is_patient(why: RingError) -> bool {
    matches!(why, RingError::WouldBlock | RingError::TimedOut)
}

impl Play for Talk {
    fn act(&self, stage: &Stage<'_, Talk>, action: u8) {
        let end = match stage.byte() % 2 {
            0 => End::Sender,
            _ => End::Receiver,
        };
        match action {
            0..3 => self.enter(stage),
            3 => self.send(stage, end),
            4 => self.enter_another(stage, end),
            5 => self.leave(stage, end),
            6 | 7 => self.put(stage),
            8 | 9 => self.get(stage),
            10 => {
                if let Some(party) = self.party(stage) {
                    let in_transit = || self.is_away(stage, end);
                    party.call(|party| self.channel(party).is_abandoned(end, in_transit));
                }
            }
            _ => stage.kill(self.processes.get()[usize::from(stage.byte()) % PROCESSES]),
        }
        if let Some(party) = stage.free_in(&self.processes, 0)
            && self.channel(party).is_closed()
        {
            let abandoned = [End::Sender, End::Receiver].map(|end| self.is_abandoned(stage, end));
            assert_ne!(abandoned, [false, false], "closed, and nobody has left");
        }
    }

    fn finish(&self, last: Party<'_, Talk>) {
        self.book.borrow_mut().away.clear();
        let channel = self.channel(last);
        // Somebody may have looked just now, and looks again after a slice.
        let is_told = (0..2).any(|_| {
            last.stage.pass(2000);
            channel.is_abandoned(End::Sender, || false)
        });
        assert!(is_told, "all are dead");
    }
}
