//! A script of records that a few processes put into a ring and take from it, one by one and in batches, which wait, are
//! stopped and die, against a model that is a queue.
//!
//! Checked at every step of every call:
//!
//! 1. Records come out as they went in, in the order in which they were published, each once; as many are in the ring as
//!    it says. What was published is whole, also by who dies in the next moment; what is consumed was read.
//! 2. A call is refused only when there was no room, or no record, since it began or last slept, or somebody who is
//!    stopped may hold the lock that it needs. A record is too large just when it is longer than half the ring.
//! 3. Nothing is put into a closed ring, what is in it can be taken, and then those who take are told.
//! 4. No call sleeps longer than its deadline allows, or goes on without an end.
//! 5. While nobody has died or is stopped, nobody sleeps on who could go on, unless another has been woken of those who
//!    want the same, who goes on or passes it on.

mod book;
mod call;
mod records;
mod sleeper;

use std::{
    cell::{Cell, RefCell},
    sync::atomic::AtomicU64,
};

use multiproc_core::{FOREVER, NOW, Ring, RingError, RingWords, Wait};

use super::stage::{self, Play};

use self::{
    book::Book,
    call::{Call, Deed, LOOKS_AGAIN},
    records::Batch,
    sleeper::Sleeper,
};

const PROCESSES: usize = 4;
const THREADS: u64 = 2;
const MILLISECOND: u64 = 1_000_000;

type Stage<'p> = stage::Stage<'p, Work>;
type Party<'s> = stage::Party<'s, Work>;

/// Runs one input.
///
/// # Panics
///
/// When a promise is broken.
pub fn body(input: &[u8]) {
    let &[size, start, ref script @ ..] = input else {
        return;
    };
    let units = 8usize << (size % 3);
    let (start, records) = stage::start(start);
    let work = Work {
        words: Box::new(RingWords::new(start, records)),
        data: (0..units).map(|_| AtomicU64::new(0)).collect(),
        book: RefCell::new(Book::new(units as u32, start)),
        processes: Cell::default(),
        records: Cell::default(),
        calls: RefCell::default(),
        sleepers: RefCell::default(),
    };
    Stage::play(&work, script);
}

struct Work {
    words: Box<RingWords>,
    data: Box<[AtomicU64]>,
    book: RefCell<Book>,
    /// The processes that act; 0 is yet to be born.
    processes: Cell<[u32; PROCESSES]>,
    /// How many records were ever made.
    records: Cell<usize>,
    calls: RefCell<Vec<Call>>,
    sleepers: RefCell<Vec<Sleeper>>,
}

impl Work {
    fn ring(&self) -> Ring<'_> {
        Ring::new(&self.words, &self.data)
    }

    /// A record of any length, like no other of the last few.
    fn record(&self, stage: &Stage<'_>) -> Vec<u8> {
        let max_len = self.book.borrow().max_len();
        let len = match stage.byte() {
            any @ 0..200 => usize::from(any) % (max_len + 1),
            long @ 200..240 => max_len - usize::from(long) % 4,
            longer => max_len + 1 + usize::from(longer - 240),
        };
        let number = self.records.get() + 1;
        self.records.set(number);
        (0..len).map(|i| (number * 37 + i) as u8).collect()
    }

    /// A party that lives and is not in a call.
    fn party<'s>(&self, stage: &'s Stage<'_>) -> Option<Party<'s>> {
        let which = stage.byte();
        let slot = usize::from(which) % PROCESSES;
        let thread = u64::from(which) / PROCESSES as u64 % THREADS;
        stage.free_thread(stage.living_in(&self.processes, slot)?, thread)
    }

    /// Puts so many records, as a batch or not.
    fn put(&self, stage: &Stage<'_>, count: u8, batch: bool, until: u64) {
        let Some(party) = self.party(stage) else {
            return;
        };
        let mut call = Call::new(party, Deed::Put, until);
        call.records = (0..count).map(|_| self.record(stage)).collect();
        let len = call.records.front().map_or(0, Vec::len);
        let Some((result, call)) = self.call(call, party, |party| {
            if batch {
                self.ring()
                    .put_many(&party, until, || (), &mut Batch(party))
            } else {
                self.ring()
                    .put(&party, until, len, || (), |at| party.write(at))
            }
        }) else {
            return;
        };
        assert_eq!(call.written, 0, "written, and neither put nor forgotten");
        let book = self.book.borrow();
        match result {
            Ok(()) => assert!(call.records.is_empty(), "not all are put"),
            Err(RingError::TooLarge) => assert!(call.records[0].len() > book.max_len()),
            Err(RingError::Closed) => assert!(book.closed),
            Err(why) => check_refusal(&call, why),
        }
    }

    /// Takes one record, or up to `most`.
    fn get(&self, stage: &Stage<'_>, most: Option<usize>, until: u64) {
        let Some(party) = self.party(stage) else {
            return;
        };
        let call = Call::new(party, Deed::Get, until);
        let Some((result, call)) = self.call(call, party, |party| match most {
            None => {
                let take = |shown| party.take(shown);
                self.ring().get(&party, until, || (), take).map(|()| 1)
            }
            Some(most) => {
                let take = |at, len| party.read(at, len);
                self.ring().get_many(&party, until, most, || (), take)
            }
        }) else {
            return;
        };
        assert_eq!(call.shown.len(), 0, "seen, and not taken");
        assert_eq!(call.done, result.unwrap_or(0), "not as many as it says");
        let book = self.book.borrow();
        match result {
            Ok(0) => assert_eq!(most, Some(0)),
            Ok(count) => assert!(count <= most.unwrap_or(1)),
            Err(RingError::Closed) => assert!(book.closed && book.len() == 0),
            Err(why) => check_refusal(&call, why),
        }
    }

    fn close(&self, stage: &Stage<'_>) {
        let until = patience(stage);
        let Some(party) = self.party(stage) else {
            return;
        };
        let call = Call::new(party, Deed::Close, until);
        let Some((result, call)) = self.call(call, party, |party| self.ring().close(&party, until))
        else {
            return;
        };
        let mut book = self.book.borrow_mut();
        match result {
            Ok(()) => assert!(book.closed),
            Err(why) => {
                check_refusal(&call, why);
                book.half_closed = true;
            }
        }
    }

    /// Makes a call. `None` when it came back after all was over.
    fn call<T>(
        &self,
        call: Call,
        party: Party<'_>,
        make: impl FnOnce(Party<'_>) -> T,
    ) -> Option<(T, Call)> {
        self.calls.borrow_mut().push(call);
        self.find_reasons(party.stage);
        let result = party.call(make)?;
        self.enter(party.stage);
        let call = self.calls.borrow_mut().pop()?;
        Some((result, call))
    }

    /// Does something with the call under way, unless all is over.
    fn current<T>(&self, stage: &Stage<'_>, what: impl FnOnce(&mut Call) -> T) -> Option<T> {
        if stage.is_over() {
            return None;
        }
        self.calls.borrow_mut().last_mut().map(what)
    }

    /// Enters into the book what the call under way has done with its last step: nobody else runs between two steps.
    fn enter(&self, stage: &Stage<'_>) {
        let ring = self.ring();
        let (len, closed) = (ring.len(), ring.is_closed());
        assert_eq!(ring.is_empty(), len == 0);
        self.current(stage, |call| {
            call.enter(&mut self.book.borrow_mut(), len, closed)
        });
        self.find_reasons(stage);
    }

    /// Notes which calls could do nothing at this moment.
    fn find_reasons(&self, stage: &Stage<'_>) {
        let (book, mut calls) = (self.book.borrow(), self.calls.borrow_mut());
        for at in 0..calls.len() {
            let call = &calls[at];
            let holds_up = |other: &Call| !stage.is_dead(other.process) && other.may_hold_up(call);
            if !call.could_end(&book) || calls.iter().any(holds_up) {
                calls[at].refusable = true;
            }
        }
    }
}

impl Play for Work {
    fn act(&self, stage: &Stage<'_>, action: u8) {
        match action {
            0 | 1 => self.put(stage, 1, false, NOW),
            2 => self.put(stage, 1, false, patience(stage)),
            3 => self.put(stage, stage.byte() % 6, true, NOW),
            4 => self.put(stage, stage.byte() % 6, true, patience(stage)),
            5 | 6 => self.get(stage, None, NOW),
            7 => self.get(stage, None, patience(stage)),
            8 => self.get(stage, Some(most(stage)), NOW),
            9 => self.get(stage, Some(most(stage)), patience(stage)),
            10 => self.close(stage),
            _ => stage.kill(self.processes.get()[usize::from(stage.byte()) % PROCESSES]),
        }
    }

    fn look(&self, stage: &Stage<'_>) {
        self.check_sleepers(stage);
    }

    fn step(&self, party: Party<'_>, at: &'static str) {
        self.current(party.stage, |call| call.comes_to(at));
        self.enter(party.stage);
    }

    fn stop(&self, party: Party<'_>, stopped: bool) {
        self.current(party.stage, |call| call.stopped = stopped);
    }

    fn sleep(&self, party: Party<'_>, word: &AtomicU64, expected: u64, until: u64) -> Wait {
        self.falls_asleep(party, until);
        let how = self.lies_asleep(party, word, expected);
        self.current(party.stage, Call::wakes_up);
        self.find_reasons(party.stage);
        how
    }

    fn wake(&self, stage: &Stage<'_>, word: &AtomicU64, count: u32) -> u32 {
        self.wake_some(stage, word, count)
    }

    fn spins(&self, party: Party<'_>) -> bool {
        party.stage.step(party, LOOKS_AGAIN);
        party.process.is_multiple_of(2)
    }

    /// One comes who finds just what was put and not taken.
    fn finish(&self, last: Party<'_>) {
        self.sleepers.borrow_mut().clear();
        let (ring, closed) = (self.ring(), self.book.borrow().closed);
        let mut call = Call::new(last, Deed::Get, NOW);
        let left = self.book.borrow().len();
        if left != 0 {
            let all = self.call(call, last, |last| {
                ring.get_many(&last, NOW, usize::MAX, || (), |at, len| last.read(at, len))
            });
            assert!(all.is_some_and(|(taken, _)| taken == Ok(left)));
        }
        call = Call::new(last, Deed::Get, NOW);
        let none = self
            .call(call, last, |last| {
                ring.get(&last, NOW, || (), |shown| last.take(shown))
            })
            .map(|(none, _)| none);
        let told = if closed {
            RingError::Closed
        } else {
            RingError::WouldBlock
        };
        assert_eq!(none, Some(Err(told)));
        let len = ring.max_len();
        call = Call::new(last, Deed::Put, NOW);
        call.records = [vec![7; len]].into();
        let put = self.call(call, last, |last| {
            ring.put(&last, NOW, len, || (), |at| last.write(at))
        });
        let expected = if closed {
            Err(RingError::Closed)
        } else {
            Ok(())
        };
        assert_eq!(put.map(|(put, _)| put), Some(expected));
    }
}

/// Until when somebody waits.
fn patience(stage: &Stage<'_>) -> u64 {
    match stage.byte() {
        _ if stage.is_deep() => NOW,
        short @ 0..200 => stage.now() + 1 + u64::from(short) * 2 * MILLISECOND,
        _ => FOREVER,
    }
}

/// How many records are wanted.
fn most(stage: &Stage<'_>) -> usize {
    match stage.byte() {
        few @ 0..240 => usize::from(few % 8),
        _ => usize::MAX,
    }
}

/// Checks that a call was refused for a reason.
fn check_refusal(call: &Call, why: RingError) {
    let expected = match call.until {
        NOW => RingError::WouldBlock,
        _ => RingError::TimedOut,
    };
    assert_eq!(why, expected, "{:?}", call.deed);
    assert_ne!(call.until, FOREVER, "it was to wait for ever");
    assert!(call.refusable, "{:?}: {why}, and yet it could", call.deed);
}
