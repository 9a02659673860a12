//! A system whose peers write what they like: between two calls, while somebody waits, and between two stores.
//!
//! No time passes but in a wait, which ends at once with the clock at its end. After a few waits of one call
//! whoever is waited for gives back what he has: calls that wait for a lock without a deadline return, too.

use std::{
    cell::Cell,
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
};

use multiproc_core::{Liveness, Os, Owner, Wait};

/// How many waits of one call pass before whoever is waited for gives back what he has.
const WAITS: u32 = 8;
/// How often one call may ask the system for anything: far more than any does that ends.
const QUESTIONS: u32 = 200_000;

const MILLISECOND: u64 = 1_000_000;

/// The bytes of one input, and the world that they make.
#[derive(Debug)]
pub struct World<'a> {
    rest: Cell<&'a [u8]>,
    words: Cell<&'a [AtomicU64]>,
    /// Words of a second layout, to which peers write as well.
    more: Cell<&'a [AtomicU64]>,
    /// Which of the [owners](owner) the process under test is.
    identity: Cell<u32>,
    clock: Cell<u64>,
    /// When the call that is under way began.
    begun: Cell<u64>,
    waits: Cell<u32>,
    questions: Cell<u32>,
    /// How many steps it takes until a peer writes between two stores.
    ambush: Cell<Option<u8>>,
    panicking: Cell<bool>,
    /// Nobody writes but the process under test.
    peace: Cell<bool>,
}

impl<'a> World<'a> {
    /// The world of these bytes, whose peers write to `words`.
    #[must_use]
    pub fn new(input: &'a [u8], words: &'a [AtomicU64]) -> World<'a> {
        World {
            rest: Cell::new(input),
            words: Cell::new(words),
            more: Cell::new(&[]),
            identity: Cell::new(PARENT),
            clock: Cell::new(MILLISECOND),
            begun: Cell::new(0),
            waits: Cell::new(0),
            questions: Cell::new(0),
            ambush: Cell::new(None),
            panicking: Cell::new(false),
            peace: Cell::new(false),
        }
    }

    /// The same world, whose peers write to `more` as well.
    #[must_use]
    pub fn and(self, more: &'a [AtomicU64]) -> World<'a> {
        self.more.set(more);
        self
    }

    /// The next byte, if there is one.
    pub fn next(&self) -> Option<u8> {
        let (first, rest) = self.rest.get().split_first()?;
        self.rest.set(rest);
        Some(*first)
    }

    /// The next byte, or 0.
    pub fn byte(&self) -> u8 {
        self.next().unwrap_or(0)
    }

    /// A number: most often a small one, sometimes one at the border of what a word holds.
    pub fn number(&self) -> u64 {
        match self.byte() {
            255 => u64::from_le_bytes(std::array::from_fn(|_| self.byte())),
            254 => u64::MAX,
            253 => u64::MAX - u64::from(self.byte()),
            252 => 1 << (self.byte() % 64),
            small => u64::from(small),
        }
    }

    /// A word as it may lie in memory: a number, or an owner with or without the bit that says somebody sleeps.
    fn word(&self) -> u64 {
        match self.byte() {
            kind @ 0..8 => owner(u32::from(kind / 2)).to_bits() | u64::from(kind % 2),
            _ => self.number(),
        }
    }

    /// A peer stores one word somewhere.
    pub fn poke(&self) {
        let at = usize::from(self.byte()) | usize::from(self.byte()) << 8;
        let value = self.word();
        let (words, more) = (self.words.get(), self.more.get());
        let word = match at.checked_rem(words.len() + more.len()) {
            None => return,
            Some(at) => words.get(at).unwrap_or_else(|| &more[at - words.len()]),
        };
        word.store(value, Ordering::SeqCst);
    }

    /// Lets a peer write between two stores, after as many steps as the input says.
    pub fn lie_in_wait(&self) {
        self.ambush.set(Some(self.byte() % 32));
    }

    /// What time it is.
    pub fn now(&self) -> u64 {
        self.clock.get()
    }

    /// A deadline up to half a second from now.
    pub fn soon(&self) -> u64 {
        self.clock.get() + u64::from(self.byte()) * 2 * MILLISECOND
    }

    /// Runs one call, which must end.
    pub fn call<T>(&self, call: impl FnOnce() -> T) -> T {
        self.begun.set(self.clock.get());
        self.waits.set(0);
        self.questions.set(0);
        call()
    }

    /// Runs one call that must end when `until` has passed, or `grace` milliseconds after it began or that, at the
    /// latest.
    ///
    /// # Panics
    ///
    /// When it ends later.
    pub fn call_until<T>(&self, until: u64, grace: u64, call: impl FnOnce() -> T) -> T {
        let result = self.call(call);
        let latest = until.max(self.begun.get()) + grace * MILLISECOND;
        let now = self.clock.get();
        assert!(now <= latest, "it is {now}, the deadline was {until}");
        result
    }

    /// Runs `call` as an unwinding thread would.
    pub fn unwinding<T>(&self, call: impl FnOnce() -> T) -> T {
        self.panicking.set(true);
        let result = self.call(call);
        self.panicking.set(false);
        result
    }

    /// From here on the process under test is one that cannot tell who it is.
    pub fn be_nobody(&self) {
        self.identity.set(NOBODY);
    }

    /// Whether the process under test cannot tell who it is.
    #[must_use]
    pub fn is_nobody(&self) -> bool {
        self.identity.get() == NOBODY
    }

    /// From here on the process under test is a fork child of what it was.
    pub fn fork(&self) {
        self.identity.set(CHILD);
    }

    /// From here on it is the parent again, who can tell who he is.
    pub fn come_back(&self) {
        self.identity.set(PARENT);
    }

    /// Runs one call in a fork child.
    pub fn in_a_fork<T>(&self, call: impl FnOnce() -> T) -> T {
        self.fork();
        let result = self.call(call);
        self.come_back();
        result
    }

    /// Runs one call in a fork child on what it has inherited.
    ///
    /// # Panics
    ///
    /// When that changes anything.
    pub fn inherited<T>(&self, call: impl FnOnce() -> T) -> T {
        let all = || -> Vec<u64> {
            let words = self.words.get().iter().chain(self.more.get());
            words.map(|word| word.load(Ordering::SeqCst)).collect()
        };
        let before = all();
        let result = self.at_peace(|| self.in_a_fork(call));
        assert_eq!(all(), before, "a fork child owns nothing");
        result
    }

    /// Runs `calls` while no peer writes anything.
    pub fn at_peace<T>(&self, calls: impl FnOnce() -> T) -> T {
        let before = self.peace.replace(true);
        let result = calls();
        self.peace.set(before);
        result
    }

    fn question(&self) {
        let asked = self.questions.get() + 1;
        self.questions.set(asked);
        assert!(asked < QUESTIONS, "this call never ends");
    }
}

/// Which of the [owners](owner) cannot tell who it is.
const NOBODY: u32 = 0;
/// Which of them the process under test is.
const PARENT: u32 = 1;
/// Which of them its fork child is.
const CHILD: u32 = 5;

/// Nobody, the process under test, one that is dead, or one that lives.
fn owner(which: u32) -> Owner {
    match NonZeroU32::new(which) {
        None => Owner::NONE,
        Some(pid) => Owner::new(pid, 77).unwrap_or(Owner::NONE),
    }
}

/// The system as the process under test sees it.
#[derive(Clone, Copy, Debug)]
pub struct Hostile<'w>(pub &'w World<'w>);

// SAFETY: there is one process, and one thread of it, which stands for its fork child as well, while the parent does
// nothing. Of the others, which are numbers, the dead do nothing; what the
// living do is what this is for, and no reference into a layout is kept while they do it.
unsafe impl Os for Hostile<'_> {
    fn me(&self) -> Owner {
        owner(self.0.identity.get())
    }

    fn thread(&self) -> u64 {
        1
    }

    fn liveness(&self, owner: Owner) -> Liveness {
        self.0.question();
        match owner.pid() % 4 {
            0 | 2 => Liveness::Dead,
            1 => Liveness::Alive,
            _ => Liveness::Unknown,
        }
    }

    fn now(&self) -> u64 {
        self.0.question();
        self.0.clock.get()
    }

    fn wait(&self, word: &AtomicU64, expected: u64, until: u64) -> Wait {
        let world = self.0;
        world.question();
        let waits = world.waits.get() + 1;
        world.waits.set(waits);
        if waits > WAITS {
            word.store(0, Ordering::SeqCst);
            // Where that is not what is waited for, the deadline comes.
            world.clock.set(world.clock.get().max(until));
        } else if !world.peace.get() && world.byte() % 2 == 1 {
            world.poke();
        }
        if word.load(Ordering::SeqCst) as u32 != expected as u32 {
            return Wait::Woken;
        }
        world.clock.set(world.clock.get().max(until));
        Wait::TimedOut
    }

    fn wake(&self, word: &AtomicU64, count: u32) -> u32 {
        // A waker looks at the address only, but it must be one.
        word.load(Ordering::SeqCst);
        self.0.question();
        // Now somebody was asleep, now nobody.
        count * (self.0.questions.get() % 2)
    }

    fn panicking(&self) -> bool {
        self.0.panicking.get()
    }

    fn step(&self, _: &'static str) {
        let world = self.0;
        world.question();
        match world.ambush.get() {
            _ if world.peace.get() => {}
            Some(0) => {
                world.ambush.set(None);
                world.poke();
            }
            Some(left) => world.ambush.set(Some(left - 1)),
            None => {}
        }
    }
}

/// Formats what came from memory that holds anything.
pub fn show(what: impl std::fmt::Debug) {
    std::hint::black_box(format!("{what:?}"));
}
