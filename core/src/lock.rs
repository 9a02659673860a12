//! The lock: one word that says who holds it, and that outlives its holder.
//!
//! | word                | meaning                        | left by                                              |
//! |---------------------|--------------------------------|------------------------------------------------------|
//! | `0`                 | free                           | lock: `0 → me`                                       |
//! | `WAITERS`           | free, but watched              | lock: `→ me + WAITERS`                               |
//! | `owner`             | held, nobody sleeps            | unlock: `owner → 0`; a sleeper: `→ owner + WAITERS`  |
//! | `owner + WAITERS`   | held, somebody may sleep       | unlock: `→ 0`, then wakes one                        |
//! | `dead` (+ `WAITERS`)| its owner has ended            | any waiter that proves it: `→ me` (+ `WAITERS`)      |
//!
//! Invariants:
//!
//! 1. Only the owner, or who proved it dead, takes a word from an owner to anything else but its `WAITERS` twin.
//! 2. Whoever has slept takes the lock with `WAITERS`, or passes the wake-up on when it gives up: others may sleep that
//!    nobody else knows of.
//! 3. The bit is also set by who [watches](crate::Watched) what the lock guards, without ever taking it: then the next unlock
//!    takes the way on which sleepers are woken.
//! 4. No sleep is longer than a slice. A wake-up that dies with whoever should have passed it on costs the others
//!    at most one slice.
//!
//! The waiting follows the futex mutex of Rust's standard library (itself after Drepper, "Futexes Are Tricky"); the
//! owner in the word and its recovery are this crate's.

use core::fmt;

use crate::{
    atomic::{AtomicU64, Ordering, fence, spin_loop},
    os::{Os, Wait, is_dead},
    owner::Owner,
};

/// In a word that holds an owner: somebody may be asleep on it.
pub(crate) const WAITERS: u64 = 1;

/// A deadline that never comes, on the clock of [`Os::now`].
pub const FOREVER: u64 = u64::MAX;
/// A deadline that has always passed: do not wait.
pub const NOW: u64 = 0;

/// The first sleep, in nanoseconds: a dead owner is usually found after it. Longer than the tick of most kernels (4 ms):
/// a timer that would end before the next tick is set and taken back in the hardware with each sleep, which takes
/// longer than the sleep itself where the hardware is a virtual machine.
const FIRST_SLICE: u64 = 5_000_000;
/// Every later sleep, in nanoseconds.
const SLICE: u64 = 100_000_000;
/// How long those wait for a lock that somebody may be stopped with who can do without, in nanoseconds.
pub(crate) const PATIENCE: u64 = SLICE;
/// A sleep that nobody ends by a wake-up, in nanoseconds.
const UNWOKEN_SLICE: u64 = 10_000_000;

/// How long a call that must not wait puts up with somebody else's work on the table, in nanoseconds. That work takes
/// tens of nanoseconds, and when many stand in line a fraction of a millisecond, unless whoever does it is stopped.
const TABLE_GRACE: u64 = 10_000_000;

/// Why a lock, a claim, a permit or a turn was not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// The deadline passed.
    TimedOut,
    /// It is not free, and the call was not to wait.
    WouldBlock,
    /// The calling thread would wait for itself.
    WouldDeadlock,
    /// The calling thread holds claims, and no row is free to enter another one.
    TooManyClaims,
    /// More permits were asked for than there can be.
    TooManyPermits,
    /// The system cannot tell who the calling process is.
    NoIdentity,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refused::TimedOut => "it was not free before the deadline",
            Refused::WouldBlock => "it is not free, and the call was not to wait",
            Refused::WouldDeadlock => {
                "this thread would wait for itself: it holds a guard that is in the way, which must be dropped first"
            }
            Refused::TooManyClaims => {
                "this thread holds claims and every row is taken: to wait for one could last for ever"
            }
            Refused::TooManyPermits => "more permits were asked for than there can be",
            Refused::NoIdentity => {
                "the system cannot tell who this process is: /proc is not readable, or of another PID namespace"
            }
        })
    }
}

impl core::error::Error for Refused {}

impl Refused {
    /// For one who has found nothing free by `until`.
    pub(crate) fn late(until: u64) -> Refused {
        if until == NOW {
            Refused::WouldBlock
        } else {
            Refused::TimedOut
        }
    }

    /// The same refusal for one who was to wait until `until`, and was given another deadline.
    pub(crate) fn of(self, until: u64) -> Refused {
        match self {
            Refused::TimedOut => Refused::late(until),
            other => other,
        }
    }

    /// Whether it was not free, and the call was not to wait.
    #[must_use]
    pub fn is_would_block(self) -> bool {
        self == Refused::WouldBlock
    }

    /// Whether the deadline passed.
    #[must_use]
    pub fn is_timeout(self) -> bool {
        self == Refused::TimedOut
    }

    /// Whether the calling thread would wait for itself.
    #[must_use]
    pub fn is_deadlock(self) -> bool {
        self == Refused::WouldDeadlock
    }
}

/// A lock that has been taken.
#[derive(Clone, Copy, Debug)]
#[must_use = "a lock that is not unlocked stays held until its process ends"]
pub struct Taken {
    /// Who took it.
    pub me: Owner,
    /// Who had it before and died, or [`Owner::NONE`].
    pub died: Owner,
}

/// What a thread of `me` leaves in the locks that it holds. The number of a thread alone would not do: a fork child
/// has its parent's, and leaves it behind when it dies. Multiplied (by Knuth's constant, which is odd, so that nothing is
/// lost), since numbers of neighbouring threads and owners of neighbouring processes differ in few, low bits.
#[inline]
pub(crate) fn mark<O: Os>(os: &O, me: Owner) -> u64 {
    os.thread().wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ me.to_bits()
}

/// The lock as it lies in shared memory.
#[repr(C)]
#[derive(Debug)]
pub struct Lock {
    /// See the table above.
    word: AtomicU64,
    /// The [mark](mark) of the holding thread, only ever compared by a thread with its own: never that unless it holds
    /// the lock.
    thread: AtomicU64,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Lock>() == 16 && align_of::<Lock>() == 8);

impl Lock {
    /// A free lock.
    #[cfg(not(loom))]
    #[must_use]
    pub const fn new() -> Lock {
        Lock {
            word: AtomicU64::new(0),
            thread: AtomicU64::new(0),
        }
    }

    /// A free lock.
    #[cfg(loom)]
    #[must_use]
    pub fn new() -> Lock {
        Lock {
            word: AtomicU64::new(0),
            thread: AtomicU64::new(0),
        }
    }

    /// Frees the lock in memory that nobody else sees.
    pub(crate) fn reset(&self) {
        self.thread.store(0, Ordering::Relaxed);
        // Release: not before what was noted of its dead owner, should the caller be killed.
        self.word.store(0, Ordering::Release);
    }

    /// Who holds the lock at this moment.
    #[must_use]
    pub fn owner(&self) -> Owner {
        // Relaxed: only shown or compared, nothing is read on the strength of it.
        Owner::from_bits(self.word.load(Ordering::Relaxed))
    }

    /// Takes the lock, waiting until `until` on the clock of [`Os::now`]; [`NOW`] does not wait, [`FOREVER`] does.
    ///
    /// # Errors
    ///
    /// [`Refused`] says why not. A lock whose owner died is taken all the same: see [`Taken::died`].
    #[inline]
    pub fn lock<O: Os>(&self, os: &O, until: u64) -> Result<Taken, Refused> {
        match self.lock_free(os) {
            Some(taken) => Ok(taken),
            None => self.lock_contended(os, until),
        }
    }

    /// Takes the lock of a table; also gives who must not wait the moment that others need to finish with it.
    #[inline]
    pub(crate) fn lock_table<O: Os>(&self, os: &O, until: u64) -> Result<Taken, Refused> {
        match self.lock(os, until) {
            Err(Refused::TimedOut | Refused::WouldBlock) => self
                .lock(os, os.now().saturating_add(TABLE_GRACE))
                .map_err(|why| why.of(until)),
            result => result,
        }
    }

    /// Takes the lock if it is free at first sight; its last holder did not die.
    #[inline]
    pub(crate) fn lock_free<O: Os>(&self, os: &O) -> Option<Taken> {
        let me = os.me();
        if me.is_none() {
            return None;
        }
        // Acquire: pairs with the Release of `unlock`, so that what the last holder wrote is seen.
        self.word
            .compare_exchange(0, me.to_bits(), Ordering::Acquire, Ordering::Relaxed)
            .ok()?;
        os.step("lock: taken");
        // Relaxed: other threads never find their own mark here, whenever they look.
        self.thread.store(mark(os, me), Ordering::Relaxed);
        Some(Taken {
            me,
            died: Owner::NONE,
        })
    }

    /// Takes the lock after [`lock_free`](Self::lock_free) has failed.
    #[cold]
    pub(crate) fn lock_contended<O: Os>(&self, os: &O, until: u64) -> Result<Taken, Refused> {
        let me = os.me();
        if me.is_none() {
            return Err(Refused::NoIdentity);
        }
        let mut slept = 0;
        let died = match self.wait_and_take(os, me, until, &mut slept) {
            Ok(died) => died,
            Err(why) => {
                if slept != 0 {
                    // The wake-up that ended the sleep may have been meant for whoever gets the lock next.
                    os.wake(&self.word, 1);
                }
                return Err(why);
            }
        };
        os.step("lock: taken after a wait");
        self.thread.store(mark(os, me), Ordering::Relaxed);
        Ok(Taken { me, died })
    }

    /// Puts `me` into the word; returns the dead owner it was taken from, if any. `slept` becomes `WAITERS` with the
    /// first sleep.
    fn wait_and_take<O: Os>(
        &self,
        os: &O,
        me: Owner,
        until: u64,
        slept: &mut u64,
    ) -> Result<Owner, Refused> {
        let mut word = if until == NOW {
            self.word.load(Ordering::Relaxed)
        } else {
            match self.spin(me.to_bits()) {
                Ok(()) => return Ok(Owner::NONE),
                Err(word) => word,
            }
        };
        let mut slices = Slices::new();
        loop {
            // The orderings are those of `lock_free`: Acquire where the lock changes hands, else Relaxed.
            let mine = me.to_bits() | *slept;
            let owner = Owner::from_bits(word);
            if owner.is_none() {
                match self.word.compare_exchange(
                    word,
                    mine | word,
                    Ordering::Acquire,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => return Ok(Owner::NONE),
                    Err(now) => word = now,
                }
                continue;
            }
            if owner == me && self.has_mark_of(os, me) {
                return Err(Refused::WouldDeadlock);
            }
            let now = os.now();
            if slices.is_over(now) || now >= until {
                if owner != me && is_dead(os, owner) {
                    os.step("lock: owner found dead");
                    match self.word.compare_exchange(
                        word,
                        mine | (word & WAITERS),
                        Ordering::Acquire,
                        Ordering::Relaxed,
                    ) {
                        Ok(_) => return Ok(owner),
                        Err(now) => word = now,
                    }
                    continue;
                }
                if now >= until {
                    return Err(Refused::late(until));
                }
            }
            if word & WAITERS == 0
                && let Err(now) = self.word.compare_exchange(
                    word,
                    word | WAITERS,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
            {
                word = now;
                continue;
            }
            os.step("lock: about to sleep");
            slices.sleep(os, &self.word, word | WAITERS, now, until);
            *slept = WAITERS;
            os.step("lock: awake");
            word = match self.spin(me.to_bits() | WAITERS) {
                Ok(()) => return Ok(Owner::NONE),
                Err(word) => word,
            };
        }
    }

    /// Tries for a moment to put `mine` into a free word, with pauses that double (Anderson, "The Performance of Spin
    /// Lock Alternatives", 1990): most holds are shorter than falling asleep, and who looks all the time takes the cache
    /// line from the holder each time. Gives up early, with the word that was seen last, when others sleep already.
    fn spin(&self, mine: u64) -> Result<(), u64> {
        const ROUNDS: u32 = if cfg!(loom) { 0 } else { 9 };
        let mut word = self.word.load(Ordering::Relaxed);
        for round in 0..ROUNDS {
            if word & WAITERS != 0 {
                break;
            }
            if word == 0 {
                // The orderings of `lock_free`.
                match self
                    .word
                    .compare_exchange(0, mine, Ordering::Acquire, Ordering::Relaxed)
                {
                    Ok(_) => return Ok(()),
                    Err(now) => word = now,
                }
            } else {
                for _ in 0..1 << round {
                    spin_loop();
                }
                word = self.word.load(Ordering::Relaxed);
            }
        }
        Err(word)
    }

    /// Whether the calling thread holds the lock.
    #[inline]
    pub(crate) fn is_mine<O: Os>(&self, os: &O) -> bool {
        let owner = self.owner();
        !owner.is_none() && os.is_me(owner) && self.has_mark_of(os, owner)
    }

    #[inline]
    fn has_mark_of<O: Os>(&self, os: &O, me: Owner) -> bool {
        // Relaxed: a thread looks for its own mark, which it alone writes.
        self.thread.load(Ordering::Relaxed) == mark(os, me)
    }

    /// Makes whoever [unlocks](Self::unlock_watched) next wake those who sleep on `turn`; returns what to compare it with.
    ///
    /// What is waited for is looked at again after this. If it is unchanged then, the change that comes is made by one who
    /// unlocks after this: he, or one who unlocked in between, found the bit and has moved, or will move, `turn`.
    pub(crate) fn watch(&self, turn: &AtomicU64) -> u64 {
        // Relaxed: whoever finds the bit moves it after this load, because of the Release below.
        let seen = turn.load(Ordering::Relaxed);
        // Acquire: pairs with the Release of `release`. If that unlock comes first in the order of the word, what was
        // changed before it is seen after this, also when the lock has been taken again since: every later change of
        // the word is an exchange, which goes on what the Release began.
        // Release: pairs with the Acquire fence of `wake_watchers`. If the unlock comes second, it finds the bit.
        self.word.fetch_or(WAITERS, Ordering::AcqRel);
        seen
    }

    /// Gives the lock back that `me` has [taken](Taken::me), once. In a process that did not take it (a fork child with
    /// its parent's guard) this does nothing.
    #[inline(always)]
    pub fn unlock<O: Os>(&self, os: &O, me: Owner) {
        if os.is_me(me) {
            self.unlock_mine(os, me);
        }
    }

    /// Gives the lock back that `me`, the caller, has taken.
    #[inline(always)]
    pub(crate) fn unlock_mine<O: Os>(&self, os: &O, me: Owner) {
        os.step("unlock: begun");
        // Before the word is freed: no thread may find its own mark here without holding the lock.
        self.thread.store(0, Ordering::Relaxed);
        os.step("unlock: thread cleared");
        if release(&self.word, me) {
            os.step("unlock: freed, nobody woken yet");
            wake_one(os, &self.word);
        }
    }

    /// As [`unlock_mine`](Self::unlock_mine), and wakes `count` of those who sleep on `turn` after a
    /// [`watch`](Self::watch).
    #[inline(always)]
    pub(crate) fn unlock_watched<O: Os>(&self, os: &O, me: Owner, turn: &AtomicU64, count: u32) {
        os.step("unlock: begun");
        self.thread.store(0, Ordering::Relaxed);
        os.step("unlock: thread cleared");
        if release(&self.word, me) {
            os.step("unlock: freed, nobody woken yet");
            wake_watchers(os, &self.word, turn, count);
        }
    }
}

#[cold]
#[inline(never)]
fn wake_watchers<O: Os>(os: &O, word: &AtomicU64, turn: &AtomicU64, count: u32) {
    os.wake(word, 1);
    // Acquire: pairs with the Release of `watch`, whose load of `turn` is therefore older than the next line.
    fence(Ordering::Acquire);
    // Relaxed: the kernel compares it with what was read before the bit was set. Whoever is not asleep yet, and whose
    // bit is gone, finds it changed.
    turn.fetch_add(1, Ordering::Relaxed);
    os.step("unlock: turn moved, no watcher woken yet");
    os.wake(turn, count);
}

#[cold]
fn wake_one<O: Os>(os: &O, word: &AtomicU64) {
    os.wake(word, 1);
}

#[cold]
pub(crate) fn wake_all<O: Os>(os: &O, word: &AtomicU64) {
    os.wake(word, u32::MAX);
}

impl Default for Lock {
    fn default() -> Lock {
        Lock::new()
    }
}

/// Frees a word that holds `me`; says whether somebody may sleep on it and must be woken.
///
/// A load and an exchange rather than one compare-exchange: it costs a cycle less, and never runs twice.
#[inline(always)]
pub(crate) fn release(word: &AtomicU64, me: Owner) -> bool {
    // Relaxed: while it holds `me`, nobody else changes more of it than the WAITERS bit (invariant 1).
    if Owner::from_bits(word.load(Ordering::Relaxed)) != me {
        return false;
    }
    // Release: pairs with the Acquire of whoever finds the word free.
    word.swap(0, Ordering::Release) & WAITERS != 0
}

/// The bounded sleeps of one wait.
pub(crate) struct Slices {
    length: u64,
    /// Whether the last sleep ran its whole length.
    ran_out: bool,
    /// When the slice began; `None` before the first sleep.
    since: Option<u64>,
}

impl Slices {
    pub fn new() -> Slices {
        Slices {
            length: FIRST_SLICE,
            ran_out: false,
            since: None,
        }
    }

    /// Whether it is time to ask if the owner still lives: a slice has passed in one sleep or, for one whom signals or
    /// wake-ups never let sleep so long, in many.
    pub fn is_over(&self, now: u64) -> bool {
        let long_ago = |since| Slices::is_long_ago(since, now);
        self.ran_out || self.since.is_some_and(long_ago)
    }

    /// Makes the next sleep short: nobody will end it by a wake-up.
    pub fn look_often(&mut self) {
        self.length = UNWOKEN_SLICE;
    }

    /// Whether `since` is at least a whole slice ago. So is a moment that far ahead, which only foreign bytes can name:
    /// nobody waits for it to come.
    pub fn is_long_ago(since: u64, now: u64) -> bool {
        now.abs_diff(since) >= SLICE
    }

    /// Sleeps on `word` while it is `expected`, for a slice, and not beyond `until`.
    pub fn sleep<O: Os>(&mut self, os: &O, word: &AtomicU64, expected: u64, now: u64, until: u64) {
        if self.since.is_none() || self.is_over(now) {
            self.since = Some(now);
        }
        let end = now.saturating_add(self.length).min(until);
        self.ran_out = os.wait(word, expected, end) == Wait::TimedOut;
        if self.ran_out {
            self.length = SLICE;
        }
    }
}
