//! A script of records that processes put into a ring, take, and are done with or give up, join, are stopped and die at any
//! step, against a model that counts what is in hand.
//!
//! 1. Each record is taken by one, as it was put.
//! 2. Who joins is told only once nothing is in the ring or in the hand of anybody alive; and where that is so, by his
//!    deadline, unless somebody is stopped.
//! 3. No more is told to be lost than was given up or in the hand of the dead, and at the end no less.

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    sync::atomic::AtomicU64,
};

use multiproc_core::{InHand, JoinableRing, NOW, Ring, RingError, RingWords, Unfinished};

use super::stage::{self, Party, Play, Stage};

const PROCESSES: usize = 4;

#[derive(Default)]
struct Book {
    /// How many records were made.
    made: u8,
    taken: HashSet<u8>,
    in_hand: Vec<(u32, InHand)>,
    /// How many were given up.
    given_up: u32,
    /// How many calls have begun, and not returned, that take a record or are done with one.
    open: u32,
}

struct Work {
    words: Box<RingWords>,
    data: Box<[AtomicU64]>,
    unfinished: Box<Unfinished>,
    processes: Cell<[u32; PROCESSES]>,
    book: RefCell<Book>,
}

/// Runs one input.
///
/// # Panics
///
/// When a promise is broken.
pub fn body(input: &[u8]) {
    let &[size, start, ref script @ ..] = input else {
        return;
    };
    let (start, records) = stage::start(start);
    let work = Work {
        words: Box::new(RingWords::new(start, records)),
        data: (0..8 << (size % 3)).map(|_| AtomicU64::new(0)).collect(),
        unfinished: Box::new(Unfinished::new(records)),
        processes: Cell::default(),
        book: RefCell::default(),
    };
    Stage::play(&work, script);
}

impl Work {
    fn ring<'s>(&'s self, party: Party<'s, Work>) -> JoinableRing<'s, u8, Party<'s, Work>> {
        let ring = Ring::new(&self.words, &self.data);
        // SAFETY: all are over these same words.
        unsafe { JoinableRing::over(ring, &self.unfinished, party) }
    }

    /// Some process that is free.
    fn party<'s>(&self, stage: &'s Stage<'_, Work>) -> Option<Party<'s, Work>> {
        let slot = usize::from(stage.byte()) % PROCESSES;
        stage.free_in(&self.processes, slot)
    }

    fn put(&self, stage: &Stage<'_, Work>) {
        let until = stage.patience();
        let Some(party) = self.party(stage) else {
            return;
        };
        let count = stage.byte() % 3 + 1;
        let first = self.book.borrow().made;
        // Few enough that each is like no other.
        let Some(end) = first.checked_add(count) else {
            return;
        };
        self.book.borrow_mut().made = end;
        let records = (first..end).map(record);
        party.call(|party| self.ring(party).put_many(records, until));
    }

    fn get(&self, stage: &Stage<'_, Work>) {
        let until = stage.patience();
        let Some(party) = self.party(stage) else {
            return;
        };
        self.book.borrow_mut().open += 1;
        let taken = party.call(|party| self.ring(party).get(until, <[u8]>::to_vec));
        let Some(taken) = taken else { return };
        self.book.borrow_mut().open -= 1;
        match taken {
            Ok((bytes, in_hand)) => {
                self.took(&bytes);
                let mut book = self.book.borrow_mut();
                book.in_hand.push((party.process, in_hand));
            }
            Err(why) => assert!(is_patient(why), "{why}"),
        }
    }

    /// A record has been taken.
    fn took(&self, bytes: &[u8]) {
        let mut book = self.book.borrow_mut();
        let number = bytes[0];
        assert!(number < book.made && bytes == record(number), "{bytes:?}");
        assert!(book.taken.insert(number), "{number} is taken twice");
    }

    /// Something that is in hand is so no longer.
    fn let_go(&self, stage: &Stage<'_, Work>, give_up: bool) {
        let which = usize::from(stage.byte());
        let mut book = self.book.borrow_mut();
        let is_free = |(process, _): &(u32, InHand)| stage.free(*process).is_some();
        let count = book.in_hand.iter().filter(|it| is_free(it)).count();
        let at = (0..book.in_hand.len())
            .filter(|at| is_free(&book.in_hand[*at]))
            .nth(which % count.max(1));
        let Some((process, record)) = at.map(|at| book.in_hand.swap_remove(at)) else {
            return;
        };
        book.given_up += u32::from(give_up);
        book.open += u32::from(!give_up);
        drop(book);
        let Some(party) = stage.free(process) else {
            return;
        };
        let done = party.call(|party| match give_up {
            true => self.ring(party).give_up(record),
            false => self.ring(party).done(record),
        });
        if done.is_some() {
            self.book.borrow_mut().open -= u32::from(!give_up);
        }
    }

    fn join(&self, stage: &Stage<'_, Work>) {
        let until = stage.patience();
        let Some(party) = self.party(stage) else {
            return;
        };
        let (actions, busy) = (stage.actions(), stage.is_anybody_busy());
        let Some(joined) = party.call(|party| self.ring(party).join(until)) else {
            return;
        };
        let joined = joined.expect("it knows who it is");
        // What others do meanwhile may end it, or begin anew.
        if actions == stage.actions() && !busy {
            assert_eq!(joined.is_some(), self.is_all_done(party), "{joined:?}");
        }
    }

    /// Whether nothing is in the ring, or in the hand of anybody alive.
    fn is_all_done(&self, party: Party<'_, Work>) -> bool {
        let in_hand = &self.book.borrow().in_hand;
        let lives = |(process, _): &(u32, InHand)| !party.stage.is_dead(*process);
        self.ring(party).ring().is_empty() && !in_hand.iter().any(lives)
    }

    /// Checks how many are told to be lost.
    fn check_lost(&self, party: Party<'_, Work>) -> u32 {
        let book = self.book.borrow();
        let dead = |(process, _): &&(u32, InHand)| party.stage.is_dead(*process);
        let lost = book.given_up + book.in_hand.iter().filter(dead).count() as u32;
        let told = self.ring(party).lost();
        assert!(told <= lost + book.open, "{told} are told, {lost} are lost");
        lost
    }
}

/// A record like no other.
fn record(number: u8) -> Vec<u8> {
    vec![number; 1 + usize::from(number % 20)]
}

/// Whether it says that nothing could be done in time, or that the record does not fit.
fn is_patient(why: RingError) -> bool {
    matches!(why, RingError::WouldBlock | RingError::TimedOut)
}

impl Play for Work {
    fn act(&self, stage: &Stage<'_, Work>, action: u8) {
        match action {
            0..3 => self.put(stage),
            3..6 => self.get(stage),
            6 | 7 => self.let_go(stage, false),
            8 => self.let_go(stage, true),
            9 | 10 => self.join(stage),
            _ => stage.kill(self.processes.get()[usize::from(stage.byte()) % PROCESSES]),
        }
        if let Some(party) = stage.free_in(&self.processes, 0) {
            self.check_lost(party);
        }
    }

    fn finish(&self, last: Party<'_, Work>) {
        let ring = self.ring(last);
        while let Ok((bytes, record)) = ring.get(NOW, <[u8]>::to_vec) {
            self.took(&bytes);
            ring.done(record);
        }
        let joined = ring.join(last.stage.now() + 1);
        assert!(
            matches!(joined, Ok(Some(_))),
            "all others are dead: {joined:?}"
        );
        assert_eq!(ring.unfinished(), 0);
        let lost = self.check_lost(last);
        assert!(
            ring.lost() >= lost,
            "{} are told, {lost} are lost",
            ring.lost()
        );
    }
}
