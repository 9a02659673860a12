//! Where parties wait for one another: the protocol of a barrier, over words.
//!
//! The state is one word, so that a generation ends, or breaks, by one compare-exchange:
//!
//! ```text
//!  63       42 41     36 35          4 3     1       0
//! ┌───────────┬─────────┬─────────────┬───────┬─────────┐
//! │ released  │ history │ generation  │ break │ WAITERS │
//! └───────────┴─────────┴─────────────┴───────┴─────────┘
//! ```
//!
//! `break` is 0, or says why the generation is broken. Whoever is slow to look still learns how his own ended, while
//! others are many generations ahead: `released` counts how many were released since the last reset (its greatest number:
//! never reset; the one below it: that many or more), and `history` says of the last six which were reset, its lowest bit
//! of the latest. Only of one who sleeps through more than six generations and a reset after his own is it not known; he
//! is told of the reset.
//!
//! Invariants:
//!
//! 1. The list of arrivals is written under the lock only, an owner before the count that includes it. It belongs to
//!    the generation `epoch`; when that is not the current one, the list counts as empty.
//! 2. A generation that is broken is never released. Only a reset ends it.
//! 3. Each who waits watches whoever arrived before him, the first watches the last: whichever party dies, the next
//!    living one after it notices. So a death costs one question a slice and not one for every pair.

use core::{fmt, mem};

use crate::{
    atomic::{AtomicU64, Ordering},
    lock::{self, Lock, NOW, Refused, Slices, WAITERS, mark},
    os::{Os, is_dead},
    owner::Owner,
};

const BREAK_SHIFT: u32 = 1;
/// The bits of a state that say why it is broken.
const BREAK: u64 = 7 << BREAK_SHIFT;
const GENERATION_SHIFT: u32 = 4;
const HISTORY_SHIFT: u32 = 36;
const HISTORY_LEN: u32 = RELEASED_SHIFT - HISTORY_SHIFT;
const RELEASED_SHIFT: u32 = 42;
const NEVER_RESET: u64 = u64::MAX >> RELEASED_SHIFT;

/// How long a generation may have been open before its last arrival asks whether all others still live, in
/// nanoseconds. Asking takes a few microseconds for each.
const FRESH: u64 = 1_000_000;

/// Why a barrier is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BreakCause {
    /// A process died while one of its threads was waiting.
    PartyDied {
        /// The id that the process had.
        pid: u32,
    },
    /// A party did not want to wait any longer.
    TimedOut,
    /// The action of the party that came last panicked.
    ActionPanicked,
    /// Somebody called `abort`.
    Aborted,
    /// Somebody called `reset` while this party was waiting.
    Reset,
}

/// Why a generation breaks, as it stands in the state.
#[derive(Clone, Copy)]
#[repr(u64)]
enum Break {
    Died = 1,
    TimedOut = 2,
    Panicked = 3,
    Aborted = 4,
}

impl fmt::Display for BreakCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BreakCause::PartyDied { pid } => write!(f, "process {pid} died while waiting"),
            BreakCause::TimedOut => f.write_str("a party gave up waiting"),
            BreakCause::ActionPanicked => f.write_str("the action of the last party panicked"),
            BreakCause::Aborted => f.write_str("it was aborted"),
            BreakCause::Reset => f.write_str("it was reset"),
        }
    }
}

/// The words of a barrier as they lie in shared memory.
#[repr(C)]
#[derive(Debug)]
pub struct RendezvousWords {
    /// Guards the list of arrivals.
    lock: Lock,
    state: AtomicU64,
    /// The generation that the list belongs to.
    epoch: AtomicU64,
    /// How many have arrived in it.
    arrived: AtomicU64,
    /// When the first of them did.
    since: AtomicU64,
    /// The party whose death broke the barrier; means something while that is why it is broken.
    died: AtomicU64,
    /// The mark of the thread that runs an action, as in a lock: it must not wait for itself.
    actor: AtomicU64,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<RendezvousWords>() == 64);

impl RendezvousWords {
    /// Nobody has arrived, and `generation` generations have passed.
    #[must_use]
    pub fn new(generation: u32) -> RendezvousWords {
        RendezvousWords {
            lock: Lock::new(),
            state: AtomicU64::new(fresh(generation)),
            epoch: AtomicU64::new(generation.into()),
            arrived: AtomicU64::new(0),
            since: AtomicU64::new(0),
            died: AtomicU64::new(0),
            actor: AtomicU64::new(0),
        }
    }

    /// Makes it new, when nobody else sees it or everybody is dead.
    pub(crate) fn reset(&self) {
        self.lock.reset();
        let RendezvousWords {
            epoch,
            arrived,
            since,
            died,
            actor,
            ..
        } = self;
        for word in [epoch, arrived, since, died, actor] {
            word.store(0, Ordering::Relaxed);
        }
        self.state.store(fresh(0), Ordering::Relaxed);
    }
}

/// The words of a barrier and its list of arrivals. Public for embedders and for models; most use
/// [`Barrier`](crate::Barrier).
#[derive(Clone, Copy, Debug)]
pub struct Rendezvous<'m> {
    /// The words.
    pub words: &'m RendezvousWords,
    /// Who has arrived; as long as there are parties.
    pub owners: &'m [AtomicU64],
}

/// Why a party was not let through a barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BarrierError {
    /// Not all parties came before the deadline. If this one had arrived, it has broken the barrier for the others.
    TimedOut,
    /// Not all others are waiting, and the call was not to wait.
    WouldBlock,
    /// The barrier is broken until it is reset; or it was reset while this party waited.
    Broken(BreakCause),
    /// The calling thread runs the action for which all others wait.
    WouldDeadlock,
    /// The system cannot tell who the calling process is: `/proc` cannot be read, or shows another PID namespace.
    NoIdentity,
}

impl BarrierError {
    /// For one who has not arrived before `until`.
    fn late(until: u64) -> BarrierError {
        if until == NOW {
            BarrierError::WouldBlock
        } else {
            BarrierError::TimedOut
        }
    }

    /// Whether the deadline passed.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        *self == BarrierError::TimedOut
    }

    /// Whether others are missing, and the call was not to wait.
    #[must_use]
    pub fn is_would_block(&self) -> bool {
        *self == BarrierError::WouldBlock
    }

    /// Whether the calling thread would wait for itself.
    #[must_use]
    pub fn is_deadlock(&self) -> bool {
        *self == BarrierError::WouldDeadlock
    }

    /// Whether the barrier is broken, or was reset.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        matches!(self, BarrierError::Broken(_))
    }
}

impl fmt::Display for BarrierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BarrierError::TimedOut => {
                f.write_str("not all parties came to the barrier before the deadline")
            }
            BarrierError::WouldBlock => f.write_str("not all other parties are at the barrier"),
            BarrierError::Broken(cause) => write!(f, "the barrier is broken: {cause}"),
            BarrierError::WouldDeadlock => {
                f.write_str("this thread runs the action that all parties of the barrier wait for")
            }
            BarrierError::NoIdentity => fmt::Display::fmt(&Refused::NoIdentity, f),
        }
    }
}

impl core::error::Error for BarrierError {}

fn generation(state: u64) -> u32 {
    (state >> GENERATION_SHIFT) as u32
}

/// The state of a barrier that was never reset.
fn fresh(generation: u32) -> u64 {
    NEVER_RESET << RELEASED_SHIFT | u64::from(generation) << GENERATION_SHIFT
}

fn released(state: u64) -> u64 {
    state >> RELEASED_SHIFT
}

/// The state in which the current generation has just ended.
fn next(state: u64, by_reset: bool) -> u64 {
    let generation = u64::from(generation(state).wrapping_add(1)) << GENERATION_SHIFT;
    let history = state >> HISTORY_SHIFT << 1 | u64::from(by_reset);
    let history = (history % (1 << HISTORY_LEN)) << HISTORY_SHIFT;
    let released = match released(state) {
        _ if by_reset => 0,
        NEVER_RESET => NEVER_RESET,
        released => (NEVER_RESET - 1).min(released + 1),
    };
    released << RELEASED_SHIFT | history | generation
}

/// Whether the generation that ended `past` generations ago, from 1, was released and not reset.
fn was_released(state: u64, past: u32) -> bool {
    let released = released(state);
    if released == NEVER_RESET || u64::from(past) <= released {
        return true;
    }
    past <= HISTORY_LEN && state >> HISTORY_SHIFT >> (past - 1) & 1 == 0
}

impl Rendezvous<'_> {
    /// Waits until as many have arrived as there are parties; whoever is last runs `action` before anybody is
    /// released. Returns the place in the order of arrival. With [`NOW`] it arrives only if it is the last.
    ///
    /// # Errors
    ///
    /// [`BarrierError`] says why not.
    pub fn wait<O: Os>(
        &self,
        os: &O,
        until: u64,
        action: impl FnOnce(),
    ) -> Result<usize, BarrierError> {
        let (me, mine, place) = self.arrive(os, until)?;
        if place + 1 < self.owners.len() {
            self.wait_for_release(os, mine, place, until)?;
        } else {
            let acting = Acting::new(self, os, me, mine);
            action();
            acting.done();
            self.release(os, me, mine)?;
        }
        Ok(place)
    }

    /// Enters the calling process into the list of the current generation; returns who it is, that generation, and
    /// its place.
    fn arrive<O: Os>(&self, os: &O, until: u64) -> Result<(Owner, u32, usize), BarrierError> {
        let Rendezvous { words, owners } = self;
        loop {
            let taken = words.lock.lock_table(os, until).map_err(|why| match why {
                Refused::NoIdentity => BarrierError::NoIdentity,
                _ => BarrierError::late(until),
            })?;
            // Acquire: pairs with the Release in `change`, by whoever ended the last generation.
            let state = words.state.load(Ordering::Acquire);
            let mine = generation(state);
            // Relaxed, here and below: under the lock.
            if words.epoch.load(Ordering::Relaxed) != mine.into() {
                words.arrived.store(0, Ordering::Relaxed);
                os.step("barrier: list emptied");
                // Release: not before the list is empty, should this process be killed in between.
                words.epoch.store(mine.into(), Ordering::Release);
                os.step("barrier: list of a new generation");
            }
            let place = self.arrived();
            let missing = owners.len() - place;
            let enters = state & BREAK == 0 && missing > 0 && (missing == 1 || until != NOW);
            if enters {
                if place == 0 {
                    words.since.store(os.now(), Ordering::Relaxed);
                }
                owners[place].store(taken.me.to_bits(), Ordering::Relaxed);
                os.step("barrier: owner written");
                // Release: pairs with the Acquire in `arrived`. This one store is the arrival.
                words.arrived.store(place as u64 + 1, Ordering::Release);
                os.step("barrier: arrived");
            }
            words.lock.unlock(os, taken.me);
            os.step("barrier: let go of the list");
            if enters {
                return Ok((taken.me, mine, place));
            }
            if state & BREAK != 0 {
                return Err(BarrierError::Broken(self.cause(state)));
            }
            if missing > 0 {
                return Err(BarrierError::WouldBlock);
            }
            // Relaxed: a thread looks for its own mark.
            if words.actor.load(Ordering::Relaxed) == mark(os, taken.me) {
                return Err(BarrierError::WouldDeadlock);
            }
            // All are here, and the last of them is about to release them.
            self.wait_for_end(os, mine, until)?;
        }
    }

    /// How many there are in the list.
    fn arrived(&self) -> usize {
        // Acquire: pairs with the Release in `arrive`; so many owners are written.
        let arrived = self.words.arrived.load(Ordering::Acquire);
        usize::try_from(arrived).map_or(self.owners.len(), |n| n.min(self.owners.len()))
    }

    /// Lets all go who have arrived in the generation `mine`, whose last is `me`.
    fn release<O: Os>(&self, os: &O, me: Owner, mine: u32) -> Result<(), BarrierError> {
        if !os.is_me(me) {
            // A copy of the last party, made by a fork in its action, is no party.
            return Err(BarrierError::Broken(BreakCause::Aborted));
        }
        // Relaxed: written under the lock before this process entered the list.
        let since = self.words.since.load(Ordering::Relaxed);
        if os.now().saturating_sub(since) >= FRESH {
            let mut asked = me;
            for owner in self.owners {
                let owner = Owner::from_bits(owner.load(Ordering::Relaxed));
                if owner != asked && is_dead(os, owner) {
                    self.break_by_death(os, mine, owner);
                }
                asked = owner;
            }
        }
        os.step("barrier: about to release");
        match self.change(os, |state| is_open(state, mine).then(|| next(state, false))) {
            Ok(()) => Ok(()),
            Err(state) => self.judge(state, mine),
        }
    }

    /// Waits, as the one at `place`, until the generation `mine` is released.
    fn wait_for_release<O: Os>(
        &self,
        os: &O,
        mine: u32,
        place: usize,
        until: u64,
    ) -> Result<(), BarrierError> {
        // The first watches the last; should the list be another's by now, its own generation has ended.
        let last = || self.arrived().wrapping_sub(1);
        let before = || place.checked_sub(1).unwrap_or_else(last);
        match self.sleep(os, mine, before, until) {
            Some(state) => self.judge(state, mine),
            None if self.break_open(os, mine, Break::TimedOut) => Err(BarrierError::TimedOut),
            // It has ended, or was broken by another, in the very last moment. Acquire: as in `sleep`.
            None => self.judge(self.words.state.load(Ordering::Acquire), mine),
        }
    }

    /// Waits, as one who comes when all are there, until the generation `mine` ends.
    fn wait_for_end<O: Os>(&self, os: &O, mine: u32, until: u64) -> Result<(), BarrierError> {
        match self.sleep(os, mine, || self.owners.len().wrapping_sub(1), until) {
            None => Err(BarrierError::late(until)),
            Some(state) if generation(state) == mine => {
                Err(BarrierError::Broken(self.cause(state)))
            }
            Some(_) => Ok(()),
        }
    }

    /// Sleeps until the generation `mine` is no longer open, and returns the state; `None` when that is not so before
    /// `until`. Breaks it if the party at `watched` dies.
    fn sleep<O: Os>(
        &self,
        os: &O,
        mine: u32,
        watched: impl Fn() -> usize,
        until: u64,
    ) -> Option<u64> {
        let word = &self.words.state;
        let mut slices = Slices::new();
        loop {
            // Acquire: pairs with the Release in `change`; what all parties wrote before they came is seen.
            let state = word.load(Ordering::Acquire);
            if !is_open(state, mine) {
                return Some(state);
            }
            let now = os.now();
            let late = now >= until;
            if late || slices.is_over(now) {
                let other = self.owners.get(watched());
                // Relaxed: only asked about; should it belong to a later generation, nothing is broken.
                let other = other.map(|owner| Owner::from_bits(owner.load(Ordering::Relaxed)));
                if let Some(other) = other.filter(|other| !os.is_surely_me(*other))
                    && is_dead(os, other)
                {
                    os.step("barrier: party found dead");
                    self.break_by_death(os, mine, other);
                    continue;
                }
            }
            if late {
                return None;
            }
            let marked = state | WAITERS;
            // Relaxed: whoever ends the generation exchanges this word, so the bit cannot be missed.
            if state != marked
                && word
                    .compare_exchange(state, marked, Ordering::Relaxed, Ordering::Relaxed)
                    .is_err()
            {
                continue;
            }
            os.step("barrier: about to sleep");
            slices.sleep(os, word, marked, now, until);
            os.step("barrier: awake");
        }
    }

    /// What a party of the generation `mine`, which is no longer open, is told.
    fn judge(&self, state: u64, mine: u32) -> Result<(), BarrierError> {
        match generation(state).wrapping_sub(mine) {
            0 => Err(BarrierError::Broken(self.cause(state))),
            past if was_released(state, past) => Ok(()),
            _ => Err(BarrierError::Broken(BreakCause::Reset)),
        }
    }

    fn cause(&self, state: u64) -> BreakCause {
        const DIED: u64 = Break::Died as u64;
        const TIMED_OUT: u64 = Break::TimedOut as u64;
        const PANICKED: u64 = Break::Panicked as u64;
        match (state & BREAK) >> BREAK_SHIFT {
            DIED => {
                // Relaxed: only told.
                let owner = self.words.died.load(Ordering::Relaxed);
                BreakCause::PartyDied {
                    pid: Owner::from_bits(owner).pid(),
                }
            }
            TIMED_OUT => BreakCause::TimedOut,
            PANICKED => BreakCause::ActionPanicked,
            _ => BreakCause::Aborted,
        }
    }

    /// Breaks the generation `mine` if it is still open; whether it was.
    fn break_open<O: Os>(&self, os: &O, mine: u32, why: Break) -> bool {
        let why = (why as u64) << BREAK_SHIFT;
        self.change(os, |state| is_open(state, mine).then_some(state | why))
            .is_ok()
    }

    /// Breaks the generation `mine`, if it is still open, because of a party that died.
    fn break_by_death<O: Os>(&self, os: &O, mine: u32, dead: Owner) {
        // Relaxed: only a guess, so that another's name is not written over in vain.
        if !is_open(self.words.state.load(Ordering::Relaxed), mine) {
            return;
        }
        // Relaxed: `change` orders it before the state.
        self.words.died.store(dead.to_bits(), Ordering::Relaxed);
        os.step("barrier: death noted");
        self.break_open(os, mine, Break::Died);
    }

    /// Makes of the state what `to` makes of it, without `WAITERS`, and wakes all sleepers. The state itself is the
    /// error when `to` wants no change.
    fn change<O: Os>(&self, os: &O, to: impl Fn(u64) -> Option<u64>) -> Result<(), u64> {
        let word = &self.words.state;
        // Acquire, here and where the exchange fails: pairs with the Release below, of whoever was first.
        let mut state = word.load(Ordering::Acquire);
        loop {
            let next = to(state).ok_or(state)? & !WAITERS;
            // Release: pairs with the Acquire in `sleep` and `arrive`.
            match word.compare_exchange(state, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break,
                Err(now) => state = now,
            }
        }
        os.step("barrier: state changed, nobody woken yet");
        if state & WAITERS != 0 {
            lock::wake_all(os, word);
        }
        Ok(())
    }

    /// Breaks the barrier for all who wait and all who come, until it is [`reset`](Self::reset).
    pub fn abort<O: Os>(&self, os: &O) {
        const ABORTED: u64 = (Break::Aborted as u64) << BREAK_SHIFT;
        // No change is wanted, and so told as an error, where it is broken already.
        let _ = self.change(os, |state| (state & BREAK == 0).then_some(state | ABORTED));
    }

    /// Makes the barrier as new if it is broken; whether it was.
    pub fn reset_if_broken<O: Os>(&self, os: &O) -> bool {
        self.change(os, |state| (state & BREAK != 0).then(|| next(state, true)))
            .is_ok()
    }

    /// Makes the barrier as new; those who wait are told [`BreakCause::Reset`].
    pub fn reset<O: Os>(&self, os: &O) {
        let _ = self.change(os, |state| Some(next(state, true)));
    }

    /// Whether it is broken at this moment.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        // Relaxed: only told.
        self.words.state.load(Ordering::Relaxed) & BREAK != 0
    }

    /// Why it is broken at this moment, if it is.
    #[must_use]
    pub fn broken(&self) -> Option<BreakCause> {
        // Acquire: pairs with the Release in `change`; who died was written before.
        let state = self.words.state.load(Ordering::Acquire);
        (state & BREAK != 0).then(|| self.cause(state))
    }

    /// How many have arrived and are waiting at this moment.
    #[must_use]
    pub fn waiting(&self) -> usize {
        // Acquire: pairs with the Release in `change`; a list of this generation is not older than it.
        let state = self.words.state.load(Ordering::Acquire);
        let epoch = self.words.epoch.load(Ordering::Acquire);
        if state & BREAK != 0 || epoch != generation(state).into() {
            return 0;
        }
        self.arrived()
    }
}

fn is_open(state: u64, mine: u32) -> bool {
    generation(state) == mine && state & BREAK == 0
}

/// The last party runs its action; dropping this, when that unwinds, breaks the barrier.
struct Acting<'a, O: Os> {
    rendezvous: &'a Rendezvous<'a>,
    os: &'a O,
    me: Owner,
    mine: u32,
}

impl<'a, O: Os> Acting<'a, O> {
    fn new(rendezvous: &'a Rendezvous<'a>, os: &'a O, me: Owner, mine: u32) -> Self {
        // Relaxed: only ever compared by a thread with its own mark.
        rendezvous
            .words
            .actor
            .store(mark(os, me), Ordering::Relaxed);
        // What a guard is to those who ask before they fork.
        os.guard_made();
        Acting {
            rendezvous,
            os,
            me,
            mine,
        }
    }

    /// The action has come to its end; whether by the party itself, and not by a copy of it made by a fork.
    fn end(&self) -> bool {
        let mine = self.os.is_me(self.me);
        if mine {
            self.os.guard_dropped();
            self.rendezvous.words.actor.store(0, Ordering::Relaxed);
        }
        mine
    }

    fn done(self) {
        self.end();
        mem::forget(self);
    }
}

impl<O: Os> Drop for Acting<'_, O> {
    fn drop(&mut self) {
        if self.end() {
            self.rendezvous
                .break_open(self.os, self.mine, Break::Panicked);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_generation_ended_is_known_long_afterwards() {
        let end =
            |state, outcomes: &[bool]| outcomes.iter().fold(state, |s, reset| next(s, *reset));
        let (released, reset) = (false, true);
        let never_reset = end(fresh(u32::MAX), &[released; 100]);
        assert!((1..=100).all(|past| was_released(never_reset, past)));
        assert_eq!(generation(never_reset), 99);

        let state = end(never_reset, &[released, reset, released, reset, released]);
        let known = [1, 2, 3, 4, 5].map(|past| was_released(state, past));
        assert_eq!(known, [true, false, true, false, true]);

        let state = end(state, &[released; 99]);
        assert!((1..=100).all(|past| was_released(state, past)));
        assert!(!was_released(state, 101), "the reset itself");
        assert!(!was_released(state, 102), "not known");

        // As many as can be counted, and more.
        let uncounted = next(state, reset) | (NEVER_RESET - 1) << RELEASED_SHIFT;
        let state = end(uncounted, &[released; 9]);
        let past = NEVER_RESET as u32;
        assert!(was_released(state, past - 1) && !was_released(state, past));
    }
}
