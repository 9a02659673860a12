//! A script of permits that a few processes, and crowds of others, take and give back, which wait and die, against a
//! model of who has how many.
//!
//! Checked at every call:
//!
//! 1. The living never hold more permits than there are, and there are as many as the releases and the forgotten ones
//!    leave.
//! 2. What is told to be free is just what the living do not hold.
//! 3. Permits are refused only when too few are free at that moment, or every row is another living process's; or when
//!    there could never be so many. More are refused only when there would be too many.
//! 4. While nobody has died, nobody sleeps on whose permits are there, unless another has been woken for them.
//!
//! Everything runs on one thread. What other processes do while one waits runs inside its wait. A process that dies
//! at a step of a call never gets out of that step: the rest of the script runs inside it, and then all is over.

mod book;
mod party;

use std::{
    cell::{Cell, RefCell},
    ptr,
    sync::atomic::{AtomicU64, Ordering},
};

use multiproc_core::{FOREVER, HeldPermits, NOW, Permits, Refused, Wait};

use self::{book::Book, party::Party};

const PROCESSES: usize = 3;
const THREADS: u64 = 2;
/// How many processes there can be in one script.
const BIRTHS: u32 = 600;
/// How many waits may be inside each other.
const DEPTH: usize = 8;
const MILLISECOND: u64 = 1_000_000;

/// Runs one input.
///
/// # Panics
///
/// When a promise is broken.
pub fn body(input: &[u8]) {
    let &[bounded, permits, ref script @ ..] = input else {
        return;
    };
    let permits = match permits {
        few @ 0..16 => u32::from(few),
        many @ 16..240 => u32::from(many) * 2,
        nearly_all => u32::MAX - u32::from(u8::MAX - nearly_all),
    };
    let most = if bounded % 2 == 1 { permits } else { u32::MAX };
    let stage = Stage {
        permits: Box::new(Permits::new(permits, most)),
        book: RefCell::new(Book::new(permits, most)),
        script: script.to_vec(),
        at: Cell::default(),
        clock: Cell::new(MILLISECOND),
        depth: Cell::default(),
        over: Cell::default(),
        open: Cell::default(),
        fuse: Cell::default(),
        born: Cell::new(0),
        processes: Cell::default(),
        holds: RefCell::default(),
        calls: RefCell::default(),
        sleepers: RefCell::default(),
    };
    stage.run(None);
}

/// What somebody does.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Take(u32),
    GiveBack,
    Forget(u32),
    Release(u32),
    Count,
}

/// A call that is under way, and that may never return.
#[derive(Clone, Copy, Debug)]
struct Call {
    process: u32,
    thread: u64,
    deed: Deed,
}

/// Permits that a process holds.
struct Hold {
    process: u32,
    held: HeldPermits,
}

struct Stage {
    permits: Box<Permits>,
    book: RefCell<Book>,
    script: Vec<u8>,
    /// How far the script has been played.
    at: Cell<usize>,
    clock: Cell<u64>,
    depth: Cell<usize>,
    over: Cell<bool>,
    /// Whether others may act while the call under way waits.
    open: Cell<bool>,
    /// How many steps it takes until whoever makes it dies.
    fuse: Cell<Option<u8>>,
    /// The number of the youngest process.
    born: Cell<u32>,
    /// The processes that act on their own; 0 is yet to be born.
    processes: Cell<[u32; PROCESSES]>,
    holds: RefCell<Vec<Hold>>,
    calls: RefCell<Vec<Call>>,
    sleepers: RefCell<Vec<Sleeper>>,
}

/// Somebody who is asleep, or has been woken and does not run yet.
struct Sleeper {
    process: u32,
    /// How many permits it wants.
    count: u32,
    word: *const AtomicU64,
    awake: bool,
}

impl Stage {
    fn next(&self) -> Option<u8> {
        let byte = self.script.get(self.at.get()).copied();
        self.at.set(self.at.get() + 1);
        byte
    }

    fn byte(&self) -> u8 {
        self.next().unwrap_or(0)
    }

    /// How many: most often few.
    fn count(&self) -> u32 {
        match self.byte() {
            few @ 0..240 => u32::from(few % 16),
            more @ 240..250 => 1 << (more - 240),
            nearly_all => u32::MAX - u32::from(u8::MAX - nearly_all),
        }
    }

    /// Acts on until the script ends, or says that `waiter`, in whose wait this runs, wakes up.
    fn run(&self, waiter: Option<Party<'_>>) {
        while !self.over.get() {
            let Some(action) = self.next() else {
                self.finish();
                return;
            };
            match action % 16 {
                kind @ 0..6 => {
                    let until = match kind {
                        0..3 => NOW,
                        _ if self.depth.get() >= DEPTH => NOW,
                        _ => self.clock.get() + 1 + u64::from(self.byte()) * 2 * MILLISECOND,
                    };
                    if let Some(party) = self.party() {
                        self.take(party, self.count(), until);
                    }
                }
                6 => {
                    for _ in 0..self.byte() {
                        if let Some(process) = self.birth() {
                            self.take(self.member(process, 0), 1, NOW);
                        }
                    }
                }
                7..10 => self.give_back(false),
                10 => self.give_back(true),
                11 => {
                    if let Some(party) = self.party() {
                        self.release(party, self.count());
                    }
                }
                12 => {
                    if let Some(party) = self.party() {
                        self.kill(party.process);
                    }
                }
                13 => self.fuse.set(Some(self.byte())),
                14 => {
                    if let Some(party) = self.party() {
                        self.look(party);
                    }
                }
                _ if waiter.is_some_and(|party| !self.is_dead(party.process)) => return,
                _ => {}
            }
        }
    }

    fn is_dead(&self, process: u32) -> bool {
        self.book.borrow().is_dead(process)
    }

    fn member(&self, process: u32, thread: u64) -> Party<'_> {
        Party {
            stage: self,
            process,
            thread,
        }
    }

    /// A new process, if there can be more.
    fn birth(&self) -> Option<u32> {
        let process = self.born.get() + 1;
        (process < BIRTHS && !self.over.get()).then(|| {
            self.born.set(process);
            process
        })
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
        free.then(|| self.member(process, thread))
    }

    fn take(&self, party: Party<'_>, count: u32, until: u64) {
        if self.over.get() || self.is_dead(party.process) {
            return;
        }
        let take = || self.permits.take(&party, count, until);
        let Some(result) = self.call(party, Deed::Take(count), take) else {
            return;
        };
        let mut book = self.book.borrow_mut();
        match result {
            Ok(held) => {
                assert_eq!(held.count(), count, "not what was asked for");
                book.took(party.process, count);
                self.holds.borrow_mut().push(Hold {
                    process: party.process,
                    held,
                });
            }
            Err(why @ (Refused::TimedOut | Refused::WouldBlock)) => {
                assert_eq!(why.is_would_block(), until == NOW);
                assert!(!book.could_take(party.process, count), "{count} were free");
            }
            Err(Refused::TooManyPermits) => assert!(count > book.most),
            Err(why) => panic!("{count} permits: {why}"),
        }
    }

    /// Ends one hold of a process of which some thread is in no call; the permits come back, or cease to exist.
    fn give_back(&self, forget: bool) {
        let which = usize::from(self.byte());
        let at = which % self.holds.borrow().len().max(1);
        let Some(process) = self.holds.borrow().get(at).map(|hold| hold.process) else {
            return;
        };
        let is_busy = |thread| {
            let is_its = |call: &Call| call.process == process && call.thread == thread;
            self.calls.borrow().iter().any(is_its)
        };
        let Some(thread) = (0..THREADS).find(|thread| !is_busy(*thread)) else {
            return;
        };
        let held = self.holds.borrow_mut().swap_remove(at).held;
        let (party, count) = (self.member(process, thread), held.count());
        let done = if forget {
            let call = || self.permits.forget(&party, held);
            self.call(party, Deed::Forget(count), call)
        } else {
            let call = || self.permits.give_back(&party, held);
            self.call(party, Deed::GiveBack, call)
        };
        if let Some(done) = done {
            assert_eq!(done, count != 0, "whose are they?");
            let forgotten = if forget { count } else { 0 };
            self.book.borrow_mut().gave_back(process, count, forgotten);
        }
    }

    fn release(&self, party: Party<'_>, count: u32) {
        let release = || self.permits.release(&party, count);
        let Some(result) = self.call(party, Deed::Release(count), release) else {
            return;
        };
        let mut book = self.book.borrow_mut();
        match result {
            Ok(()) => book.released(count),
            Err(error) => {
                assert!(u64::from(book.total) + u64::from(count) > book.most.into());
                let found = (error.released, error.present, error.most);
                assert_eq!(found, (count, book.total, book.most));
            }
        }
    }

    /// Compares what is told with what the book says.
    fn look(&self, party: Party<'_>) {
        let free = || self.permits.free(&party);
        let Some(free) = self.call(party, Deed::Count, free) else {
            return;
        };
        let book = self.book.borrow();
        assert_eq!(free, Ok(book.free()));
        assert_eq!(self.permits.total(), book.total);
        // The rows of the dead are swept now.
        assert_eq!(self.permits.held(), book.held());
    }

    /// Makes a call. `None` when it came back after all was over.
    fn call<T>(&self, party: Party<'_>, deed: Deed, make: impl FnOnce() -> T) -> Option<T> {
        self.calls.borrow_mut().push(Call {
            process: party.process,
            thread: party.thread,
            deed,
        });
        self.open.set(matches!(deed, Deed::Take(_)));
        let result = make();
        self.open.set(false);
        if self.over.get() {
            return None;
        }
        self.calls.borrow_mut().pop();
        Some(result)
    }

    /// What `party` waits for may happen now: before it falls asleep, and while it sleeps.
    fn wait(&self, party: Party<'_>, word: &AtomicU64, expected: u64, until: u64) -> Wait {
        let is_changed = || word.load(Ordering::SeqCst) as u32 != expected as u32;
        let open = self.open.get() && self.depth.get() < DEPTH;
        if open && self.byte().is_multiple_of(4) {
            self.meanwhile(party);
        }
        if is_changed() {
            self.clock.set(self.clock.get() + 1000);
            return Wait::Woken;
        }
        let process = party.process;
        let deed = self.calls.borrow().last().map(|call| call.deed);
        if let Some(Deed::Take(count)) = deed
            && open
        {
            self.sleepers.borrow_mut().push(Sleeper {
                process,
                count,
                word,
                awake: false,
            });
            self.meanwhile(party);
            let slept = self.sleepers.borrow_mut().pop();
            if slept.is_some_and(|sleeper| sleeper.awake) {
                self.clock.set(self.clock.get() + 1000);
                return Wait::Woken;
            }
            self.check_sleep(process, count);
        }
        self.clock.set(self.clock.get().max(until));
        Wait::TimedOut
    }

    /// Others act while `party` waits.
    fn meanwhile(&self, party: Party<'_>) {
        self.open.set(false);
        self.depth.set(self.depth.get() + 1);
        self.run(Some(party));
        self.depth.set(self.depth.get() - 1);
        self.open.set(true);
    }

    /// Checks that a process that wants `count` permits, and was not woken, has slept for a reason.
    fn check_sleep(&self, process: u32, count: u32) {
        let book = self.book.borrow();
        // What the dead should have done is found out when the sleep ends.
        if !book.anybody_died() && book.could_take(process, count) {
            let sleepers = self.sleepers.borrow();
            let takes = |one: &Sleeper| one.awake && book.could_take(one.process, one.count);
            assert!(
                sleepers.iter().any(takes),
                "{count} are free, and nobody is woken"
            );
        }
    }

    /// Wakes up to `count` of those who sleep on `word`, whichever the script says; returns how many.
    fn wake(&self, word: &AtomicU64, count: u32) -> u32 {
        let mut woken = 0;
        while woken < count {
            let mut sleepers = self.sleepers.borrow_mut();
            let is_asleep = |sleeper: &&mut Sleeper| !sleeper.awake && ptr::eq(sleeper.word, word);
            let mut asleep: Vec<_> = sleepers.iter_mut().filter(is_asleep).collect();
            let which = match asleep.len() {
                0 => break,
                1 => 0,
                several => usize::from(self.byte()) % several,
            };
            asleep[which].awake = true;
            woken += 1;
        }
        woken
    }

    /// Whoever makes this step may die in it.
    fn step(&self, party: Party<'_>) {
        match self.fuse.get() {
            _ if self.over.get() => {}
            None => {}
            Some(0) => {
                self.fuse.set(None);
                let deed = self.calls.borrow().last().map(|call| call.deed);
                self.book.borrow_mut().adopt(self.permits.total(), deed);
                self.kill(party.process);
                self.run(None);
            }
            Some(left) => self.fuse.set(Some(left - 1)),
        }
    }

    /// A process ends. What it held is free.
    fn kill(&self, process: u32) {
        self.holds
            .borrow_mut()
            .retain(|hold| hold.process != process);
        self.book.borrow_mut().died(process);
    }

    /// Everybody dies, and one comes who takes all that there is.
    fn finish(&self) {
        self.fuse.set(None);
        let open = self.open.replace(false);
        self.holds.borrow_mut().clear();
        for process in 1..=self.born.get() {
            self.book.borrow_mut().died(process);
        }
        let last = self.member(self.born.get() + 1, 0);
        let book = self.book.borrow();
        let all = self.permits.take(&last, book.total, NOW);
        let all = all.expect("all others are dead");
        assert_eq!(self.permits.free(&last), Ok(0));
        assert_eq!(self.permits.give_back(&last, all), book.total != 0);
        assert_eq!(self.permits.free(&last), Ok(book.total));
        assert_eq!(self.permits.held(), 0, "a row was left behind");
        let again = self.permits.take(&last, book.total, FOREVER);
        let again = again.expect("they were given back");
        self.permits.give_back(&last, again);
        self.open.set(open);
        self.over.set(true);
    }
}
