//! A script of claims by a few processes, which wait, die and panic, against a model of what is held.
//!
//! Checked at every call:
//!
//! 1. No two claims that conflict are held by the living at the same time, and nobody else changes what is claimed.
//! 2. A claim is refused only for a reason that the model knows: somebody living holds or waits for what is in the
//!    way, or every row is taken. `WouldDeadlock` comes when a thread's own claim is in the way, and only to threads
//!    that hold something.
//! 3. Who is admitted is told of every range that somebody dead, or panicking, had claimed for writing, and of
//!    nothing else; of no more than their hulls when there are too many to tell apart.
//!
//! Everything runs on one thread. What other processes do while one waits runs inside its wait. A process that dies
//! at a step of a call never gets out of that step: the rest of the script runs inside it, and then all is over.

mod damage;
mod hold;
mod party;

use std::{
    cell::{Cell, RefCell},
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

use multiproc_core::{Array, ClaimError, FOREVER, NOW, ROWS, Wait};

use self::{
    damage::Damage,
    hold::{Claim, Guard, Hold},
    party::Party,
};
use super::memory::{Ground, ORIGIN};

/// More elements than rows, so that all rows can be taken.
const LEN: usize = ROWS + 8;
const PROCESSES: usize = 3;
const THREADS: usize = 2;
/// How often each process can die.
const LIVES: usize = 4;
/// The process that looks at what the others left.
const LAST: Party = Party {
    process: PROCESSES * LIVES,
    thread: 0,
};
/// How many waits may be inside each other.
const DEPTH: usize = 8;
const MILLISECOND: u64 = 1_000_000;

type Numbers = Array<'static, u16, Party>;

/// Runs one input.
///
/// # Panics
///
/// When a promise is broken.
pub fn body(input: &[u8]) {
    STAGE.with(|stage| stage.play(input));
}

thread_local! {
    /// It lives for ever, because guards borrow from it and it keeps them.
    static STAGE: &'static Stage = Box::leak(Box::new(Stage::new()));
}

/// A call that is under way, and that may never return.
struct Call {
    claim: Claim,
    /// Whether it waits for the claim; else it gives the claim up, or works under it.
    waits: bool,
}

struct Stage {
    ground: Ground,
    arrays: RefCell<Vec<&'static Numbers>>,
    script: RefCell<Vec<u8>>,
    /// How far the script has been played.
    at: Cell<usize>,
    clock: Cell<u64>,
    depth: Cell<usize>,
    over: Cell<bool>,
    panicking: Cell<bool>,
    /// Whether others may act while the call under way waits.
    open: Cell<bool>,
    /// How many steps it takes until whoever makes it dies.
    fuse: Cell<Option<u8>>,
    dead: RefCell<Vec<usize>>,
    holds: RefCell<Vec<Hold>>,
    calls: RefCell<Vec<Call>>,
    damage: RefCell<Damage>,
    mark: Cell<u16>,
}

impl Stage {
    fn new() -> Stage {
        Stage {
            ground: Ground::new(2 * 4096),
            arrays: RefCell::default(),
            script: RefCell::default(),
            at: Cell::default(),
            clock: Cell::default(),
            depth: Cell::default(),
            over: Cell::default(),
            panicking: Cell::default(),
            open: Cell::default(),
            fuse: Cell::default(),
            dead: RefCell::default(),
            holds: RefCell::default(),
            calls: RefCell::default(),
            damage: RefCell::default(),
            mark: Cell::default(),
        }
    }

    fn play(&self, input: &[u8]) {
        let len = Numbers::required_len(&[LEN]).expect("a small shape");
        let region = self.ground.region(len, &[]);
        // SAFETY: memory in which no other layout is in use.
        unsafe { Numbers::place(region, LAST, ORIGIN, &[LEN]) }.expect("room for the array");
        if self.arrays.borrow().is_empty() {
            let parties = (0..=LAST.process)
                .flat_map(|process| (0..THREADS).map(move |thread| Party { process, thread }));
            for party in parties {
                let array = Numbers::attach(region, party, ORIGIN).expect("a sound header");
                self.arrays.borrow_mut().push(Box::leak(Box::new(array)));
            }
        }
        *self.script.borrow_mut() = input.to_vec();
        self.at.set(0);
        self.clock.set(MILLISECOND);
        self.depth.set(0);
        self.over.set(false);
        self.panicking.set(false);
        self.open.set(false);
        self.fuse.set(None);
        self.dead.borrow_mut().clear();
        self.calls.borrow_mut().clear();
        *self.damage.borrow_mut() = Damage::default();
        self.run(None);
        self.ground.check(region);
    }

    fn next(&self) -> Option<u8> {
        let byte = self.script.borrow().get(self.at.get()).copied();
        self.at.set(self.at.get() + 1);
        byte
    }

    fn byte(&self) -> u8 {
        self.next().unwrap_or(0)
    }

    fn is_dead(&self, process: usize) -> bool {
        self.dead.borrow().contains(&process)
    }

    fn array(&self, party: Party) -> &'static Numbers {
        self.arrays.borrow()[party.process * THREADS + party.thread]
    }

    /// Acts on until the script ends, or says that `waiter`, in whose wait this runs, wakes up.
    fn run(&self, waiter: Option<Party>) {
        while !self.over.get() {
            let Some(action) = self.next() else {
                self.finish();
                return;
            };
            match action % 16 {
                kind @ 0..6 => {
                    let until = match kind {
                        0..4 => NOW,
                        _ if self.depth.get() >= DEPTH => NOW,
                        _ => self.clock.get() + 1 + u64::from(self.byte()) * 2 * MILLISECOND,
                    };
                    if let Some(party) = self.party() {
                        let (start, len) = (self.byte() as usize % LEN, self.byte() as usize);
                        let end = start + 1 + len % (LEN - start);
                        self.claim(party, start..end, kind % 2 == 0, until);
                    }
                }
                6 | 7 => {
                    if let Some(party) = self.party() {
                        for i in 0..usize::from(self.byte()) % (LEN + 1) {
                            self.claim(party, i..i + 1, action % 16 == 6, NOW);
                        }
                    }
                }
                8..11 => self.release(false),
                11 => self.release(true),
                12 => {
                    if let Some(party) = self.party() {
                        self.kill(party.process);
                    }
                }
                13 => self.fuse.set(Some(self.byte())),
                14 => self.declare_sound(),
                _ if waiter.is_some_and(|party| !self.is_dead(party.process)) => return,
                _ => {}
            }
        }
    }

    /// A party that lives and is not in a call.
    fn party(&self) -> Option<Party> {
        let which = usize::from(self.byte());
        let (slot, thread) = (which % PROCESSES, which / PROCESSES % THREADS);
        let process = (0..LIVES)
            .map(|life| slot * LIVES + life)
            .find(|process| !self.is_dead(*process))?;
        let party = Party { process, thread };
        let free = |call: &Call| call.claim.party != party;
        self.calls.borrow().iter().all(free).then_some(party)
    }

    /// One claim, and whether its outcome is what the model allows.
    fn claim(&self, party: Party, range: Range<usize>, exclusive: bool, until: u64) {
        if self.over.get() || self.is_dead(party.process) {
            return;
        }
        let want = Claim {
            party,
            range: range.clone(),
            exclusive,
        };
        let array = self.array(party);
        let own = self
            .holds
            .borrow()
            .iter()
            .any(|hold| hold.claim.party == party && hold.claim.conflicts(&want));
        let result = self.call(&want, true, || {
            if exclusive {
                array
                    .write_until(range, until)
                    .map(Guard::Write)
                    .map_err(|error| error.map(Guard::Write))
            } else {
                array
                    .read_until(range, until)
                    .map(Guard::Read)
                    .map_err(|error| error.map(Guard::Read))
            }
        });
        let Some(result) = result else { return };
        let in_the_way = self.in_the_way(&want);
        let holds_any = self
            .holds
            .borrow()
            .iter()
            .any(|hold| hold.claim.party == party);
        match result {
            Ok(guard) => self.admit(want, guard, false),
            Err(ClaimError::Poisoned(poisoned)) => self.admit(want, poisoned.into_inner(), true),
            Err(ClaimError::WouldBlock | ClaimError::TimedOut) => {
                assert!(!own, "{want:?} waited for itself");
                assert!(in_the_way.any(), "{want:?} was free: {in_the_way:?}");
            }
            Err(ClaimError::WouldDeadlock) => {
                assert!(
                    own || in_the_way.held && holds_any,
                    "{want:?} is in no circle"
                );
            }
            Err(ClaimError::TooManyClaims) => {
                assert!(in_the_way.full && holds_any, "{want:?}: there were rows");
            }
            Err(error) => panic!("{want:?}: {error}"),
        }
    }

    fn admit(&self, claim: Claim, mut guard: Guard, was_told: bool) {
        let way = self.in_the_way(&claim);
        assert!(!way.held, "{claim:?} while that is held");
        let told = self.call(&claim, false, || guard.poisoned());
        let Some(told) = told else {
            std::mem::forget(guard);
            return;
        };
        assert_eq!(was_told, !told.is_empty(), "{claim:?}: {told:?}");
        self.damage.borrow().check(&told, &claim.range);
        if let Guard::Write(guard) = &mut guard {
            self.mark.set(self.mark.get().wrapping_add(1));
            guard.fill(self.mark.get());
        }
        let elements = guard.elements().to_vec();
        assert_eq!(elements.len(), claim.range.len());
        self.holds.borrow_mut().push(Hold {
            claim,
            guard,
            elements,
        });
    }

    fn in_the_way(&self, want: &Claim) -> InTheWay {
        let holds = self.holds.borrow();
        let calls = self.calls.borrow();
        let waiting = || {
            calls
                .iter()
                .filter(|call| call.waits && !self.is_dead(call.claim.party.process))
        };
        InTheWay {
            held: holds.iter().any(|hold| hold.claim.conflicts(want)),
            waiting: waiting().any(|call| call.claim.conflicts(want)),
            full: holds.len() + waiting().count() >= ROWS,
        }
    }

    /// Gives back one claim, as an unwinding thread would if `panicking`.
    fn release(&self, panicking: bool) {
        let Some(hold) = self.take() else { return };
        hold.check();
        let Hold { claim, guard, .. } = hold;
        let poisons = panicking && claim.exclusive;
        if poisons {
            self.damage.borrow_mut().may(claim.range.clone());
        }
        self.panicking.set(panicking);
        let done = self.call(&claim, false, || drop(guard));
        self.panicking.set(false);
        if done.is_some() && poisons {
            self.damage.borrow_mut().must.push(claim.range);
        }
    }

    /// Declares sound what one writer has.
    fn declare_sound(&self) {
        let Some(mut hold) = self.take() else { return };
        if let Guard::Write(guard) = &mut hold.guard {
            let range = hold.claim.range.clone();
            self.damage.borrow_mut().clearing(&range);
            let done = self.call(&hold.claim, false, || guard.clear_poison());
            if done.is_none() {
                std::mem::forget(hold.guard);
                return;
            }
            self.damage.borrow_mut().cleared(&range);
        }
        self.holds.borrow_mut().push(hold);
    }

    /// Takes one hold of a party that is in no call.
    fn take(&self) -> Option<Hold> {
        let which = usize::from(self.byte());
        let mut holds = self.holds.borrow_mut();
        let at = which % holds.len().max(1);
        let party = holds.get(at)?.claim.party;
        let free = |call: &Call| call.claim.party != party;
        if !self.calls.borrow().iter().all(free) {
            return None;
        }
        Some(holds.swap_remove(at))
    }

    /// Makes a call for a claim. `None` when it came back after all was over.
    fn call<T>(&self, claim: &Claim, waits: bool, make: impl FnOnce() -> T) -> Option<T> {
        self.calls.borrow_mut().push(Call {
            claim: claim.clone(),
            waits,
        });
        self.open.set(waits);
        let result = make();
        self.open.set(false);
        if self.over.get() {
            std::mem::forget(result);
            return None;
        }
        self.calls.borrow_mut().pop();
        Some(result)
    }

    /// What `party` waits for may happen now.
    fn wait(&self, party: Party, word: &AtomicU64, expected: u64, until: u64) -> Wait {
        if self.open.replace(false) && self.depth.get() < DEPTH {
            self.depth.set(self.depth.get() + 1);
            self.run(Some(party));
            self.depth.set(self.depth.get() - 1);
            self.open.set(true);
        }
        if word.load(Ordering::SeqCst) as u32 != expected as u32 {
            self.clock.set(self.clock.get() + 1000);
            return Wait::Woken;
        }
        self.clock.set(self.clock.get().max(until));
        Wait::TimedOut
    }

    /// Whoever makes this step may die in it.
    fn step(&self, party: Party) {
        match self.fuse.get() {
            _ if self.over.get() => {}
            None => {}
            Some(0) => {
                self.fuse.set(None);
                let exposed = self.calls.borrow().last().map(|call| call.claim.clone());
                if let Some(claim) = exposed.filter(|claim| claim.exclusive) {
                    self.damage.borrow_mut().may(claim.range);
                }
                self.kill(party.process);
                self.panicking.set(false);
                self.run(None);
            }
            Some(left) => self.fuse.set(Some(left - 1)),
        }
    }

    /// A process ends. What it held for writing is damaged.
    fn kill(&self, process: usize) {
        self.dead.borrow_mut().push(process);
        let mut holds = self.holds.borrow_mut();
        let mut damage = self.damage.borrow_mut();
        for hold in holds.extract_if(.., |hold| hold.claim.party.process == process) {
            if hold.claim.exclusive {
                damage.may(hold.claim.range.clone());
                damage.must.push(hold.claim.range);
            }
            std::mem::forget(hold.guard);
        }
    }

    /// Everybody dies, and one comes who looks at what is left.
    fn finish(&self) {
        self.fuse.set(None);
        for process in 0..LAST.process {
            if !self.is_dead(process) {
                self.kill(process);
            }
        }
        let open = self.open.replace(false);
        let array = self.array(LAST);
        let mut all = match array.try_write(..) {
            Ok(all) => all,
            Err(error) => error.into_guard().expect("all others are dead"),
        };
        let told = all.poisoned();
        self.damage.borrow().check(&told, &(0..LEN));
        assert_eq!(all.clear_poison(), told.len());
        assert!(all.poisoned().is_empty());
        drop(all);
        assert_eq!(array.claims(), 0, "a row was left behind");
        drop(array.write_until(.., FOREVER).expect("sound and free"));
        self.open.set(open);
        self.over.set(true);
    }
}

/// Why a claim may have been refused.
#[derive(Debug)]
struct InTheWay {
    held: bool,
    waiting: bool,
    full: bool,
}

impl InTheWay {
    fn any(&self) -> bool {
        self.held || self.waiting || self.full
    }
}
