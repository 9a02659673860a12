//! A stage on which processes act one after the other, as a script says: they are stopped, and die, at any step.
//!
//! Everything runs on one thread. What others do while one waits, or is stopped at a step, runs inside its wait or that
//! step. A process that dies at a step never gets out of it: the rest of the script runs inside it, and then all is over.

mod party;

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use multiproc_core::{NOW, Wait};

pub use party::Party;

/// How many waits and stops may be inside each other.
const DEPTH: usize = 8;
/// How many processes there can be in one script.
const BIRTHS: u32 = 200;
const MILLISECOND: u64 = 1_000_000;

/// What is played: what processes can do, and what must hold.
pub trait Play: Sized {
    /// Something is done, by whom and how the script says.
    fn act(&self, stage: &Stage<'_, Self>, action: u8);

    /// The script has ended and everybody has died; `last` finds out what is left.
    fn finish(&self, last: Party<'_, Self>);

    /// Whether this process never dies.
    fn is_immortal(&self, _process: u32) -> bool {
        false
    }

    /// Looks at how things are, while nobody runs.
    fn look(&self, _stage: &Stage<'_, Self>) {}

    /// Somebody has come to this step.
    fn step(&self, _party: Party<'_, Self>, _at: &'static str) {}

    /// Somebody is stopped, or goes on.
    fn stop(&self, _party: Party<'_, Self>, _stopped: bool) {}

    /// Somebody sleeps on a word, until some moment at the latest; how that ends.
    fn sleep(&self, party: Party<'_, Self>, word: &AtomicU64, expected: u64, _until: u64) -> Wait {
        let stage = party.stage;
        if !stage.is_over() && stage.byte().is_multiple_of(2) {
            stage.meanwhile(party);
        }
        if is_changed(word, expected) {
            Wait::Woken
        } else {
            Wait::TimedOut
        }
    }

    /// Up to so many of those who sleep on a word are woken; how many were.
    fn wake(&self, _stage: &Stage<'_, Self>, _word: &AtomicU64, _count: u32) -> u32 {
        // Who sleeps finds the word changed, or its deadline come.
        0
    }

    /// Whether somebody spins before he sleeps.
    fn spins(&self, _party: Party<'_, Self>) -> bool {
        true
    }
}

/// Whether who wants to sleep on a word does not find there what he expects.
#[must_use]
pub fn is_changed(word: &AtomicU64, expected: u64) -> bool {
    word.load(Ordering::SeqCst) as u32 != expected as u32
}

/// How many units and records were put into a ring before: none to speak of, or so many that both counts wrap soon.
#[must_use]
pub fn start(byte: u8) -> (u32, u32) {
    match byte {
        0..128 => (u32::from(byte), 0),
        _ => (u32::MAX - u32::from(byte - 128), (1 << 30) - 1),
    }
}

/// How many actions a play can have. Further ones are the stage's own.
pub const ACTIONS: u8 = 12;

/// What becomes of whoever makes a step.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Dies,
    IsStopped,
}

/// The stage of a play.
#[derive(Debug)]
pub struct Stage<'p, P> {
    /// What is played.
    pub play: &'p P,
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
    dead: RefCell<HashSet<u32>>,
    /// The threads of processes that are in a call.
    busy: RefCell<Vec<(u32, u64)>>,
    /// How many actions there were.
    actions: Cell<u64>,
}

impl<'p, P: Play> Stage<'p, P> {
    /// Plays a script to its end.
    ///
    /// # Panics
    ///
    /// When a promise is broken.
    pub fn play(play: &'p P, script: &[u8]) {
        let stage = Stage {
            play,
            script: script.to_vec(),
            at: Cell::default(),
            clock: Cell::new(MILLISECOND),
            depth: Cell::default(),
            over: Cell::default(),
            fuse: Cell::default(),
            born: Cell::default(),
            dead: RefCell::default(),
            busy: RefCell::default(),
            actions: Cell::default(),
        };
        stage.run(None);
    }

    /// Acts on until the script ends, or says that the process in whose step or wait this runs goes on.
    fn run(&self, stayer: Option<u32>) {
        while !self.is_over() {
            self.play.look(self);
            let Some(action) = self.next() else {
                return self.finish();
            };
            self.actions.set(self.actions.get() + 1);
            match action % 16 {
                action @ 0..ACTIONS => self.play.act(self, action),
                12 => self.fuse.set(Some((self.byte() % 64, Fate::Dies))),
                13 => self.fuse.set(Some((self.byte() % 64, Fate::IsStopped))),
                14 => self.pass(u64::from(self.byte()) * 2),
                _ if stayer.is_some_and(|process| !self.is_dead(process)) => return,
                _ => {}
            }
        }
    }

    /// Whether nothing counts any more: the script has ended, or a promise is broken and this thread unwinds.
    pub fn is_over(&self) -> bool {
        self.over.get() || thread::panicking()
    }

    fn next(&self) -> Option<u8> {
        let byte = self.script.get(self.at.get()).copied();
        self.at.set(self.at.get() + 1);
        byte
    }

    /// The next byte of the script, or 0.
    pub fn byte(&self) -> u8 {
        self.next().unwrap_or(0)
    }

    /// What time it is.
    pub fn now(&self) -> u64 {
        self.clock.get()
    }

    /// So many milliseconds pass.
    pub fn pass(&self, milliseconds: u64) {
        self.clock
            .set(self.clock.get() + milliseconds * MILLISECOND);
    }

    /// Until when somebody waits: most often not at all.
    pub fn patience(&self) -> u64 {
        match self.byte() {
            _ if self.is_deep() => NOW,
            0..128 => NOW,
            some => self.clock.get() + u64::from(some) * 2 * MILLISECOND,
        }
    }

    /// Whether nobody acts any more while somebody waits.
    pub fn is_deep(&self) -> bool {
        self.depth.get() >= DEPTH
    }

    /// How many actions there were: while it is the same, nobody else has done anything.
    pub fn actions(&self) -> u64 {
        self.actions.get()
    }

    /// Whether there was no process yet.
    pub fn is_newborn(&self) -> bool {
        self.born.get() == 0
    }

    /// A new process, if there can be more.
    pub fn birth(&self) -> Option<u32> {
        let process = self.born.get() + 1;
        (process < BIRTHS && !self.is_over()).then(|| {
            self.born.set(process);
            process
        })
    }

    /// The process, where it lives and is not in a call.
    pub fn free(&self, process: u32) -> Option<Party<'_, P>> {
        self.free_thread(process, 0)
    }

    /// A thread of the process, where that lives and the thread is not in a call.
    pub fn free_thread(&self, process: u32, thread: u64) -> Option<Party<'_, P>> {
        let is_busy = self.busy.borrow().contains(&(process, thread));
        (!self.is_dead(process) && !is_busy).then_some(Party {
            stage: self,
            process,
            thread,
        })
    }

    /// The process in some slot, where it is free; a new one, if the one that was there is dead.
    pub fn free_in<const N: usize>(
        &self,
        slots: &Cell<[u32; N]>,
        slot: usize,
    ) -> Option<Party<'_, P>> {
        self.free(self.living_in(slots, slot)?)
    }

    /// The process in some slot; a new one, if the one that was there is dead.
    pub fn living_in<const N: usize>(&self, slots: &Cell<[u32; N]>, slot: usize) -> Option<u32> {
        let mut processes = slots.get();
        if processes[slot] == 0 || self.is_dead(processes[slot]) {
            processes[slot] = self.birth()?;
            slots.set(processes);
        }
        Some(processes[slot])
    }

    /// Whether it is dead.
    pub fn is_dead(&self, process: u32) -> bool {
        self.dead.borrow().contains(&process)
    }

    /// Whether anybody is dead.
    pub fn has_anybody_died(&self) -> bool {
        !self.dead.borrow().is_empty()
    }

    /// Whether somebody else is in a call, stopped or waiting: what he has is not to be had.
    pub fn is_anybody_busy(&self) -> bool {
        let busy = self.busy.borrow();
        busy.iter().any(|(process, _)| !self.is_dead(*process))
    }

    /// A process ends.
    pub fn kill(&self, process: u32) {
        if process != 0 && !self.play.is_immortal(process) {
            self.dead.borrow_mut().insert(process);
        }
    }

    /// Somebody comes to this step, and may die in it, or be stopped.
    pub fn step(&self, party: Party<'_, P>, at: &'static str) {
        if self.is_over() {
            return;
        }
        self.play.step(party, at);
        match self.fuse.get() {
            None => {}
            Some((0, fate)) => {
                self.fuse.set(None);
                match fate {
                    Fate::Dies if self.play.is_immortal(party.process) => {}
                    Fate::Dies => {
                        self.kill(party.process);
                        self.run(None);
                    }
                    Fate::IsStopped => {
                        self.play.stop(party, true);
                        self.meanwhile(party);
                        self.play.stop(party, false);
                    }
                }
            }
            Some((left, fate)) => self.fuse.set(Some((left - 1, fate))),
        }
    }

    /// Others act while somebody waits or is stopped.
    pub fn meanwhile(&self, party: Party<'_, P>) {
        if !self.is_deep() && !self.is_over() {
            self.depth.set(self.depth.get() + 1);
            self.run(Some(party.process));
            self.depth.set(self.depth.get() - 1);
        }
    }

    fn finish(&self) {
        self.fuse.set(None);
        self.depth.set(DEPTH);
        self.dead.borrow_mut().extend(1..=self.born.get());
        self.play.finish(Party {
            stage: self,
            process: self.born.get() + 1,
            thread: 0,
        });
        self.over.set(true);
    }
}
