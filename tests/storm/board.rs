//! What all workers and their overseer see beside the objects: plain words, so that looking at them asks no lock.
//!
//! They say less than is so: whoever is noted to have something has it, but one who has it may not have noted it yet, and
//! one who is about to be killed counts as dead. So what they show to be wrong is wrong.

use std::{
    hint, ptr,
    sync::atomic::{
        AtomicPtr, AtomicU64, AtomicUsize,
        Ordering::{Relaxed, SeqCst},
    },
};

use crate::{
    common::{self, SharedPage},
    work::{KINDS, Kind},
};

pub const WORKERS: usize = 8;
/// How many things there are that are made once.
pub const ONCES: usize = 120;

/// Things of which at most so much can be had.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    Mutex,
    Reentrant,
    Writing,
    Reading,
    Stock,
    Seats,
    Bounded,
    ArrayWritten,
    ArrayRead,
}
const PLACES: usize = Place::ArrayRead as usize + 1;

/// How many low bits of a note say how much, or what, is had; those above say in which life of the worker.
const LIFE_SHIFT: u32 = 16;

/// One worker, through all its lives.
#[repr(C)]
pub struct Slot {
    /// How often it was started.
    pub life: AtomicU64,
    /// Which of its lives is ended by a kill, now or before; so are all before that.
    pub killed: AtomicU64,
    /// In how many steps it is killed; 0: not so.
    pub doom: AtomicU64,
    /// Counts what it has begun.
    pub heartbeat: AtomicU64,
    /// At which [`Kind`] of work it is.
    pub at: AtomicUsize,
    notes: [AtomicU64; PLACES],
}

#[repr(C)]
pub struct Board {
    pub slots: [Slot; WORKERS],
    /// 1: all come to an end.
    pub stop: AtomicU64,
    /// How much of each [`Kind`] of work was done, and how often it was told of a death.
    pub done: [AtomicU64; KINDS],
    pub told: [AtomicU64; KINDS],
    /// How many have killed themselves at a step.
    pub killed_at_steps: AtomicU64,
    /// Which of the things that are made once is the present one.
    pub once: AtomicUsize,
    pub onces: [Seen; ONCES],
    /// How many tokens were released, and used up: begun, and done.
    pub released: Span,
    pub used_up: Span,
    /// What went through the queues.
    pub queue: Flow,
    pub channel: Flow,
    pub jobs: Flow,
}

const _: () = assert!(size_of::<Board>() <= 4096);

/// What is seen of something that is made once.
#[repr(C)]
pub struct Seen {
    /// What was first seen there.
    pub value: AtomicU64,
    /// How many were told that it was they who did it.
    pub did: AtomicU64,
}

/// How many items went through a queue. What came of those that the killed were putting, or taking, is not known.
#[repr(C)]
pub struct Flow {
    /// The number of the next item.
    pub number: AtomicU64,
    /// How many were begun to be put, and how many were put.
    pub begun: AtomicU64,
    pub put: AtomicU64,
    /// How many may be in the hands of those who are just taking, and how many were taken.
    pub taking: AtomicU64,
    pub taken: AtomicU64,
}

/// How often something was begun, and done: what came of those in between who were killed is not known.
#[repr(C)]
pub struct Span {
    begun: AtomicU64,
    done: AtomicU64,
}

impl Span {
    pub fn count<R>(&self, body: impl FnOnce() -> R) -> R {
        self.begun.fetch_add(1, SeqCst);
        let result = body();
        self.done.fetch_add(1, SeqCst);
        result
    }

    pub fn begun(&self) -> u64 {
        self.begun.load(SeqCst)
    }

    pub fn done(&self) -> u64 {
        self.done.load(SeqCst)
    }
}

static BOARD: AtomicPtr<Board> = AtomicPtr::new(ptr::null_mut());
/// Which worker this process is.
static MYSELF: AtomicUsize = AtomicUsize::new(0);

pub fn hang_up() {
    BOARD.store(SharedPage::<Board>::new().as_ptr(), Relaxed);
}

pub fn board() -> &'static Board {
    // SAFETY: a zeroed page that stays mapped, set before anybody looks.
    unsafe { &*BOARD.load(Relaxed) }
}

/// Makes this process the worker of this number.
pub fn become_worker(number: usize) {
    MYSELF.store(number, Relaxed);
    multiproc::__set_step_hook(Some(|_| me().step()));
}

pub fn me() -> &'static Slot {
    &board().slots[MYSELF.load(Relaxed)]
}

impl Slot {
    /// Begins a life, as the overseer: nothing of an earlier one is left.
    pub fn begin_life(&self) {
        self.doom.store(0, SeqCst);
        self.life.fetch_add(1, SeqCst);
    }

    /// Counts this life as ended. Before it is, so that nobody finds out about the end first.
    pub fn count_as_killed(&self) {
        self.killed.store(self.life.load(SeqCst), SeqCst);
    }

    pub fn is_counted_as_killed(&self) -> bool {
        self.killed.load(SeqCst) == self.life.load(SeqCst)
    }

    /// A number, not 0, that no other worker has, in no life.
    pub fn name(&self) -> u64 {
        let number = ptr::from_ref(self).addr() as u64;
        (self.life.load(SeqCst) << LIFE_SHIFT) | (number % (1 << LIFE_SHIFT))
    }

    /// Between two stores of any protocol.
    fn step(&self) {
        if self.doom.load(Relaxed) != 0 && self.doom.fetch_sub(1, Relaxed) == 1 {
            self.count_as_killed();
            board().killed_at_steps.fetch_add(1, SeqCst);
            common::kill_self();
        }
    }

    pub fn begin(&self, kind: Kind) {
        self.at.store(kind as usize, Relaxed);
        self.heartbeat.fetch_add(1, Relaxed);
    }

    /// What the living worker here has noted.
    fn note(&self, place: Place) -> u64 {
        let note = self.notes[place as usize].load(SeqCst);
        let is_alive = note >> LIFE_SHIFT > self.killed.load(SeqCst);
        if is_alive {
            note % (1 << LIFE_SHIFT)
        } else {
            0
        }
    }
}

/// Notes that this worker has `what` of a place while it does `body`.
pub fn having<R>(place: Place, what: u64, body: impl FnOnce() -> R) -> R {
    let note = &me().notes[place as usize];
    note.store((me().life.load(SeqCst) << LIFE_SHIFT) | what, SeqCst);
    let result = body();
    note.store(0, SeqCst);
    result
}

/// What the other workers have of a place.
pub fn others(place: Place) -> impl Iterator<Item = u64> {
    let slots = board().slots.iter();
    slots
        .filter(|slot| !ptr::eq(*slot, me()))
        .map(move |slot| slot.note(place))
}

/// Panics if another worker has anything of a place.
pub fn expect_no_other(place: Place) {
    let having = others(place).filter(|note| *note != 0).count();
    assert_eq!(having, 0, "others have {place:?}");
}

/// Takes some time.
pub fn linger(turns: u64) {
    for _ in 0..turns {
        hint::spin_loop();
    }
}
