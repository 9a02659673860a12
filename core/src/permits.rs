//! The permits of a semaphore: how many there are, who has them, and how one waits for them.
//!
//! What is free is the `total` less what the rows of the [tally](crate::tally) say is held, and only whoever takes some
//! counts it, under the table lock. So permits are taken by one exchange and given back by one, and a process that is killed
//! between any two instructions has either: none is ever lost, and none is there twice.
//!
//! Whoever sleeps has left marks in the total and in all known rows. Giving back is an exchange of one of these words, so it
//! cannot miss the mark, and costs nothing more while nobody sleeps. Invariants:
//!
//! 1. A sleeper reads `turn`, then marks and counts, under the table lock. Whoever gives back and finds marks removes
//!    them, then changes `turn`, then wakes. So what came too late to be counted ends that sleep.
//! 2. Who gives back wakes as many as he gave permits; but all if `MANY` is in the total, that is, if one of them may need
//!    several: else the one who is woken could have to go to sleep again while another would have had enough.
//! 3. Removed are the marks of all, woken perhaps fewer. So whoever has slept marks again when he looks again, and when he
//!    leaves without taking all that is free he passes the wake-up on.
//! 4. A row that came into use since the last marking has no marks and needs none: what is given back there was free
//!    when the sleepers counted, and not enough.
//! 5. No sleep is longer than a slice. A wake-up that dies with whoever should have sent it, or passed it on, costs the
//!    others at most one slice.

use core::fmt;

use crate::{
    atomic::{AtomicU64, Ordering},
    lock::{FOREVER, Refused, Slices},
    os::Os,
    owner::Owner,
    tally::{MANY, Marked, Tally, WAITERS},
};

/// More permits were released than there can be. None was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyPermits {
    /// How many were to be released.
    pub released: u32,
    /// How many existed, held or free.
    pub present: u32,
    /// How many can exist.
    pub most: u32,
}

impl fmt::Display for TooManyPermits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TooManyPermits {
            released,
            present,
            most,
        } = self;
        write!(
            f,
            "{released} permits cannot be added to {present}, held or free: there can be {most}"
        )
    }
}

impl core::error::Error for TooManyPermits {}

/// Permits that the caller has.
#[derive(Clone, Copy, Debug)]
#[must_use = "permits that are not given back stay held until their process ends"]
pub struct HeldPermits {
    me: Owner,
    row: usize,
    count: u32,
}

impl HeldPermits {
    /// How many.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }
}

/// The permits as they lie in shared memory.
#[repr(C)]
#[derive(Debug)]
pub struct Permits {
    /// How many exist, held or free: a [`Marked`].
    total: AtomicU64,
    /// What sleepers sleep on; counts the times that they were woken.
    turn: AtomicU64,
    /// How many can exist; never changed.
    most: AtomicU64,
    tally: Tally,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Permits>() == 24 + size_of::<Tally>());

/// What whoever looks under the table lock sees.
struct View {
    free: u64,
    /// The row of whoever looks, if there is one for him.
    row: Option<usize>,
}

impl View {
    /// The row to take `count` permits in, if that many are free.
    #[inline]
    fn row_for(&self, count: u32) -> Option<usize> {
        self.row.filter(|_| self.free >= u64::from(count))
    }
}

impl Permits {
    /// `permits`, all free, of which there can be `most`.
    #[must_use]
    pub fn new(permits: u32, most: u32) -> Permits {
        let new = Permits {
            total: AtomicU64::new(0),
            turn: AtomicU64::new(0),
            most: AtomicU64::new(0),
            tally: Tally::new(),
        };
        new.reset(permits, most);
        new
    }

    /// As [`new`](Self::new), in memory that nobody else sees yet.
    pub(crate) fn reset(&self, permits: u32, most: u32) {
        let total = Marked::new(permits.into(), 0);
        self.total.store(total.to_bits(), Ordering::Relaxed);
        self.turn.store(0, Ordering::Relaxed);
        self.most.store(most.into(), Ordering::Relaxed);
        self.tally.reset();
    }

    /// Frees what is held when every owner is known to be dead.
    pub(crate) fn bury(&self) {
        self.tally.reset();
    }

    /// Takes `count` permits, waiting until `until` on the clock of [`Os::now`]; [`NOW`](crate::NOW) does not wait for
    /// other holders. All at once: while too few are free it holds none of them. None at all are had by everybody.
    ///
    /// # Errors
    ///
    /// [`Refused`] says why not.
    #[inline]
    pub fn take<O: Os>(&self, os: &O, count: u32, until: u64) -> Result<HeldPermits, Refused> {
        if count == 0 {
            let (me, row) = (Owner::NONE, 0);
            return Ok(HeldPermits { me, row, count });
        }
        if u64::from(count) > self.most.load(Ordering::Relaxed) {
            return Err(Refused::TooManyPermits);
        }
        let me = self.tally.lock(os, until)?;
        let row = match self.look(os, me, 0).row_for(count) {
            Some(row) => {
                self.enter(os, row, me, count);
                self.tally.unlock(os, me);
                row
            }
            None => self.take_contended(os, count, until, me)?,
        };
        Ok(HeldPermits { me, row, count })
    }

    /// Counts what is free, and leaves `marks` in every word that changes when more is. The caller has the table lock.
    ///
    /// The total comes last: [`forget`](Self::forget) makes it smaller before it makes a row smaller, so between the two
    /// too few are counted, never too many.
    #[inline]
    fn look<O: Os>(&self, os: &O, me: Owner, marks: u64) -> View {
        let sum = self.tally.sum(me, marks);
        os.step("permits: rows counted, total not yet");
        let total = Marked::mark(&self.total, marks);
        View {
            free: total.number().saturating_sub(sum.held),
            row: sum.row,
        }
    }

    /// Enters `count` permits for `me` in the `row` that a look has found.
    #[inline]
    fn enter<O: Os>(&self, os: &O, row: usize, me: Owner, count: u32) {
        self.tally.add(os, row, me, count.into());
        os.step("permits: taken");
    }

    /// As [`take`](Self::take) when it could not be done at once: returns the row. The caller has the table lock.
    #[cold]
    #[inline(never)]
    fn take_contended<O: Os>(
        &self,
        os: &O,
        count: u32,
        until: u64,
        me: Owner,
    ) -> Result<usize, Refused> {
        let mut marks = if count == 1 { WAITERS } else { WAITERS | MANY };
        let mut slices = Slices::new();
        // Whether this caller may owe others a wake-up: it had one, or found permits of the dead.
        let mut owes = false;
        loop {
            // Acquire: pairs with the Release in `wake`. Whoever reads the turn after a wake-up counts what was given
            // back before it, and marks after the marks were removed.
            let turn = self.turn.load(Ordering::Acquire);
            let now = os.now();
            let late = now >= until;
            // Who has not slept and will not leaves no marks: they would cost the holders a wake-up of nobody.
            let view = self.look(os, me, if late && !owes { 0 } else { marks });
            let row = view.row_for(count);
            if row.is_none() && (late || slices.is_over(now)) && self.tally.sweep(os, me) {
                owes = true;
                continue;
            }
            if view.row.is_none() && marks & MANY == 0 {
                // Who waits for a row is not served by each permit that comes back.
                marks |= MANY;
                continue;
            }
            if let Some(row) = row {
                self.enter(os, row, me, count);
            }
            os.step("permits: about to let go of the table");
            self.tally.unlock(os, me);
            if let Some(row) = row {
                if owes && view.free > u64::from(count) {
                    self.pass_on(os);
                }
                return Ok(row);
            }
            if late {
                if owes {
                    self.pass_on(os);
                }
                return Err(Refused::TimedOut);
            }
            os.step("permits: about to sleep");
            slices.sleep(os, &self.turn, turn, now, until);
            owes = true;
            os.step("permits: awake");
            if let Err(why) = self.tally.lock(os, until) {
                self.pass_on(os);
                return Err(why);
            }
        }
    }

    /// Gives permits back, and says that it did: in a process that did not take them (a fork child) it does nothing.
    /// Takes no lock: a stopped process keeps nobody from giving back.
    #[inline]
    pub fn give_back<O: Os>(&self, os: &O, held: HeldPermits) -> bool {
        let mine = held.count != 0 && os.is_me(held.me);
        if mine {
            self.give_back_mine(os, held);
        }
        mine
    }

    #[inline]
    fn give_back_mine<O: Os>(&self, os: &O, held: HeldPermits) {
        os.step("permits: about to give back");
        if self.tally.subtract(held.row, held.count.into()) {
            self.wake_after(os, held);
        }
    }

    /// Wakes those who have marked the row of what was `held`.
    #[cold]
    #[inline(never)]
    fn wake_after<O: Os>(&self, os: &O, held: HeldPermits) {
        os.step("permits: given back, marks not yet removed");
        // The row may be somebody else's by now, and marked anew. Whose mark that was is woken below, or another one for
        // him, as with any mark that is removed here (invariants 1 and 3).
        self.tally.unmark(held.row);
        os.step("permits: marks removed from the row");
        let marks = Marked::unmark(&self.total);
        os.step("permits: marks removed");
        self.wake(os, marks, held.count);
    }

    /// Lets permits that are held cease to exist. In a fork child of their holder it does nothing; whether it did.
    pub fn forget<O: Os>(&self, os: &O, held: HeldPermits) -> bool {
        let mine = held.count != 0 && os.is_me(held.me);
        if mine {
            let number = Marked::new(held.count.into(), 0).to_bits();
            os.step("permits: about to forget");
            // Relaxed: before the row in the eyes of everybody who counts, by the Release of that.
            self.total.fetch_sub(number, Ordering::Relaxed);
            os.step("permits: forgotten, still held");
            // Nothing becomes free by this; but who has counted in between has counted too few, and may sleep.
            self.give_back_mine(os, held);
        }
        mine
    }

    /// Adds `count` permits, whoever holds any.
    ///
    /// # Errors
    ///
    /// [`TooManyPermits`] when there would be more than can exist; none is added.
    pub fn release<O: Os>(&self, os: &O, count: u32) -> Result<(), TooManyPermits> {
        if count == 0 {
            return Ok(());
        }
        let most = self.most.load(Ordering::Relaxed);
        let mut found = self.total.load(Ordering::Relaxed);
        loop {
            let total = Marked::from_bits(found);
            let more = total.number().saturating_add(count.into());
            if more > most {
                return Err(TooManyPermits {
                    released: count,
                    present: clamp(total.number()),
                    most: clamp(most),
                });
            }
            os.step("permits: about to release");
            // Release: pairs with the Acquire of `look`. The marks go with the same exchange.
            match self.total.compare_exchange_weak(
                found,
                Marked::new(more, 0).to_bits(),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    if total.marks() != 0 {
                        os.step("permits: released, nobody woken yet");
                        self.wake(os, total.marks(), count);
                    }
                    return Ok(());
                }
                Err(now) => found = now,
            }
        }
    }

    /// Wakes those who wait for what has become free, `count` of them or all, as their `marks` say.
    #[cold]
    fn wake<O: Os>(&self, os: &O, marks: u64, count: u32) {
        // Release: pairs with the Acquire in `take_contended`, as said there.
        self.turn.fetch_add(1, Ordering::Release);
        os.step("permits: turn changed, nobody woken yet");
        os.wake(&self.turn, if marks & MANY == 0 { count } else { u32::MAX });
    }

    /// Passes a wake-up on.
    #[cold]
    fn pass_on<O: Os>(&self, os: &O) {
        os.step("permits: about to pass a wake-up on");
        // Relaxed: who needs it has marked before going to sleep, and sleeps no longer than a slice.
        let marks = Marked::from_bits(self.total.load(Ordering::Relaxed)).marks();
        self.wake(os, marks, 1);
    }

    /// How many are free, those of the dead among them.
    ///
    /// # Errors
    ///
    /// [`Refused::NoIdentity`]: they are counted under the table lock.
    pub fn free<O: Os>(&self, os: &O) -> Result<u32, Refused> {
        let me = self.tally.lock(os, FOREVER)?;
        let buried = self.tally.sweep(os, me);
        let free = self.look(os, me, 0).free;
        self.tally.unlock(os, me);
        if buried {
            self.pass_on(os);
        }
        Ok(clamp(free))
    }

    /// How many exist, held or free.
    #[must_use]
    pub fn total(&self) -> u32 {
        // Relaxed: only shown, as in `held`.
        clamp(Marked::from_bits(self.total.load(Ordering::Relaxed)).number())
    }

    /// How many are held, roughly: counted while others take and give back, without waiting for anybody.
    #[must_use]
    pub fn held(&self) -> u32 {
        clamp(self.tally.glance())
    }
}

/// No protocol makes it larger; foreign bytes may.
fn clamp(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
