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
//!
//! Everything runs on one thread. What other processes do while one waits, or is stopped at a step, runs inside its wait
//! or that step. A process that dies at a step never gets out of it: the rest of the script runs inside it, and then all
//! is over.

mod book;
mod call;
mod party;
mod sleeper;

use std::{
    cell::{Cell, RefCell},
    sync::atomic::AtomicU64,
    thread,
};

use multiproc_core::{FOREVER, NOW, Ring, RingError, RingWords};

use super::stage;

use self::{
    book::Book,
    call::{Call, Deed},
    party::{Batch, Party},
    sleeper::Sleeper,
};

const PROCESSES: usize = 4;
const THREADS: u64 = 2;
/// How many processes there can be in one script.
const BIRTHS: u32 = 200;
/// How many waits and stops may be inside each other.
const DEPTH: usize = 8;
const MILLISECOND: u64 = 1_000_000;

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
    let stage = Stage {
        words: Box::new(RingWords::new(start, records)),
        data: (0..units).map(|_| AtomicU64::new(0)).collect(),
        book: RefCell::new(Book::new(units as u32, start)),
        script: script.to_vec(),
        at: Cell::default(),
        clock: Cell::new(MILLISECOND),
        depth: Cell::default(),
        over: Cell::default(),
        fuse: Cell::default(),
        born: Cell::new(0),
        processes: Cell::default(),
        records: Cell::default(),
        calls: RefCell::default(),
        sleepers: RefCell::default(),
    };
    stage.run(None);
}

/// What becomes of whoever makes a step.
#[derive(Clone, Copy)]
enum Fate {
    Dies,
    IsStopped,
}

struct Stage {
    words: Box<RingWords>,
    data: Box<[AtomicU64]>,
    book: RefCell<Book>,
    script: Vec<u8>,
    /// How far the script has been played.
    at: Cell<usize>,
    clock: Cell<u64>,
    depth: Cell<usize>,
    over: Cell<bool>,
    /// How many steps it takes until something becomes of whoever makes it.
    fuse: Cell<Option<(u8, Fate)>>,
    /// The number of the youngest process.
    born: Cell<u32>,
    /// The processes that act; 0 is yet to be born.
    processes: Cell<[u32; PROCESSES]>,
    /// How many records were ever made.
    records: Cell<usize>,
    calls: RefCell<Vec<Call>>,
    sleepers: RefCell<Vec<Sleeper>>,
}

impl Stage {
    fn ring(&self) -> Ring<'_> {
        Ring::new(&self.words, &self.data)
    }

    /// Whether nothing counts any more: the script has ended, or a promise is broken and this thread unwinds.
    fn is_over(&self) -> bool {
        self.over.get() || thread::panicking()
    }

    fn next(&self) -> Option<u8> {
        let byte = self.script.get(self.at.get()).copied();
        self.at.set(self.at.get() + 1);
        byte
    }

    fn byte(&self) -> u8 {
        self.next().unwrap_or(0)
    }

    /// Acts on until the script ends, or says that `stayer`, in whose wait or step this runs, goes on.
    fn run(&self, stayer: Option<Party<'_>>) {
        while !self.is_over() {
            self.check_sleepers();
            let Some(action) = self.next() else {
                self.finish();
                return;
            };
            match action % 16 {
                0 | 1 => self.put(1, false, NOW),
                2 => self.put(1, false, self.patience()),
                3 => self.put(self.byte() % 6, true, NOW),
                4 => self.put(self.byte() % 6, true, self.patience()),
                5 | 6 => self.get(None, NOW),
                7 => self.get(None, self.patience()),
                8 => self.get(Some(self.most()), NOW),
                9 => self.get(Some(self.most()), self.patience()),
                10 => self.close(),
                11 => {
                    let process = self.processes.get()[usize::from(self.byte()) % PROCESSES];
                    self.kill(process);
                }
                12 => self.fuse.set(Some((self.byte(), Fate::Dies))),
                13 => self.fuse.set(Some((self.byte(), Fate::IsStopped))),
                14 => self.pass(u64::from(self.byte()) * 2 * MILLISECOND),
                _ if stayer.is_some_and(|party| !self.is_dead(party.process)) => return,
                _ => {}
            }
        }
    }

    /// Time passes.
    fn pass(&self, nanoseconds: u64) {
        self.clock.set(self.clock.get() + nanoseconds);
    }

    /// Until when somebody waits.
    fn patience(&self) -> u64 {
        match self.byte() {
            _ if self.depth.get() >= DEPTH => NOW,
            short @ 0..200 => self.clock.get() + 1 + u64::from(short) * 2 * MILLISECOND,
            _ => FOREVER,
        }
    }

    /// How many records are wanted.
    fn most(&self) -> usize {
        match self.byte() {
            few @ 0..240 => usize::from(few % 8),
            _ => usize::MAX,
        }
    }

    /// A record of any length, like no other of the last few.
    fn record(&self) -> Vec<u8> {
        let max_len = self.book.borrow().max_len();
        let len = match self.byte() {
            any @ 0..200 => usize::from(any) % (max_len + 1),
            long @ 200..240 => max_len - usize::from(long) % 4,
            longer => max_len + 1 + usize::from(longer - 240),
        };
        let number = self.records.get() + 1;
        self.records.set(number);
        (0..len).map(|i| (number * 37 + i) as u8).collect()
    }

    fn is_dead(&self, process: u32) -> bool {
        self.book.borrow().is_dead(process)
    }

    /// A party that lives and is not in a call.
    fn party(&self) -> Option<Party<'_>> {
        let which = self.byte();
        let slot = usize::from(which) % PROCESSES;
        let thread = u64::from(which) / PROCESSES as u64 % THREADS;
        let mut processes = self.processes.get();
        if processes[slot] == 0 || self.is_dead(processes[slot]) {
            processes[slot] = self.birth()?;
            self.processes.set(processes);
        }
        let process = processes[slot];
        let busy = |call: &Call| call.process == process && call.thread == thread;
        let free = !self.calls.borrow().iter().any(busy);
        free.then_some(Party {
            stage: self,
            process,
            thread,
        })
    }

    /// A new process, if there can be more.
    fn birth(&self) -> Option<u32> {
        let process = self.born.get() + 1;
        (process < BIRTHS && !self.is_over()).then(|| {
            self.born.set(process);
            process
        })
    }

    /// Puts so many records, as a batch or not.
    fn put(&self, count: u8, batch: bool, until: u64) {
        let Some(party) = self.party() else {
            return;
        };
        let mut call = Call::new(party.process, party.thread, Deed::Put, until);
        call.records = (0..count).map(|_| self.record()).collect();
        let len = call.records.front().map_or(0, Vec::len);
        let Some((result, call)) = self.call(call, || {
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
    fn get(&self, most: Option<usize>, until: u64) {
        let Some(party) = self.party() else {
            return;
        };
        let call = Call::new(party.process, party.thread, Deed::Get, until);
        let Some((result, call)) = self.call(call, || match most {
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

    fn close(&self) {
        let until = self.patience();
        let Some(party) = self.party() else {
            return;
        };
        let call = Call::new(party.process, party.thread, Deed::Close, until);
        let Some((result, call)) = self.call(call, || self.ring().close(&party, until)) else {
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
    fn call<T>(&self, call: Call, make: impl FnOnce() -> T) -> Option<(T, Call)> {
        self.calls.borrow_mut().push(call);
        self.find_reasons();
        let result = make();
        if self.is_over() {
            return None;
        }
        self.enter();
        let call = self.calls.borrow_mut().pop()?;
        Some((result, call))
    }

    /// Does something with the call under way, unless all is over.
    fn current<T>(&self, what: impl FnOnce(&mut Call) -> T) -> Option<T> {
        if self.is_over() {
            return None;
        }
        self.calls.borrow_mut().last_mut().map(what)
    }

    /// Enters into the book what the call under way has done with its last step: nobody else runs between two steps.
    fn enter(&self) {
        let ring = self.ring();
        let (len, closed) = (ring.len(), ring.is_closed());
        assert_eq!(ring.is_empty(), len == 0);
        self.current(|call| call.enter(&mut self.book.borrow_mut(), len, closed));
        self.find_reasons();
    }

    /// Notes which calls could do nothing at this moment.
    fn find_reasons(&self) {
        let (book, mut calls) = (self.book.borrow(), self.calls.borrow_mut());
        for at in 0..calls.len() {
            let call = &calls[at];
            let holds_up = |other: &Call| !book.is_dead(other.process) && other.may_hold_up(call);
            if !call.could_end(&book) || calls.iter().any(holds_up) {
                calls[at].refusable = true;
            }
        }
    }

    /// Whoever makes this step may die in it, or be stopped.
    fn step(&self, party: Party<'_>, at: &'static str) {
        if self.is_over() {
            return;
        }
        self.current(|call| call.comes_to(at));
        self.enter();
        match self.fuse.get() {
            None => {}
            Some((0, fate)) => {
                self.fuse.set(None);
                match fate {
                    Fate::Dies => {
                        self.kill(party.process);
                        self.run(None);
                    }
                    Fate::IsStopped if self.depth.get() < DEPTH => {
                        self.current(|call| call.stopped = true);
                        self.meanwhile(party);
                        self.current(|call| call.stopped = false);
                    }
                    Fate::IsStopped => {}
                }
            }
            Some((left, fate)) => self.fuse.set(Some((left - 1, fate))),
        }
    }

    /// Others act while `party` waits or is stopped.
    fn meanwhile(&self, party: Party<'_>) {
        self.depth.set(self.depth.get() + 1);
        self.run(Some(party));
        self.depth.set(self.depth.get() - 1);
    }

    fn kill(&self, process: u32) {
        if process != 0 {
            self.book.borrow_mut().died(process);
        }
    }

    /// Everybody dies, and one comes who finds just what was put and not taken.
    fn finish(&self) {
        self.fuse.set(None);
        self.depth.set(DEPTH);
        self.sleepers.borrow_mut().clear();
        for process in 1..=self.born.get() {
            self.kill(process);
        }
        let last = Party {
            stage: self,
            process: self.born.get() + 1,
            thread: 0,
        };
        let (ring, closed) = (self.ring(), self.book.borrow().closed);
        let mut call = Call::new(last.process, last.thread, Deed::Get, NOW);
        let left = self.book.borrow().len();
        let take = |at, len| last.read(at, len);
        if left != 0 {
            let all = self.call(call, || ring.get_many(&last, NOW, usize::MAX, || (), take));
            assert!(all.is_some_and(|(taken, _)| taken == Ok(left)));
        }
        call = Call::new(last.process, last.thread, Deed::Get, NOW);
        let none = self
            .call(call, || {
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
        call = Call::new(last.process, last.thread, Deed::Put, NOW);
        call.records = [vec![7; len]].into();
        let put = self.call(call, || {
            ring.put(&last, NOW, len, || (), |at| last.write(at))
        });
        let expected = if closed {
            Err(RingError::Closed)
        } else {
            Ok(())
        };
        assert_eq!(put.map(|(put, _)| put), Some(expected));
        self.over.set(true);
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
