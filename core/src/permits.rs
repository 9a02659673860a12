//! The permits of a semaphore: how many there are, who has them, and how one waits for them.
//!
//! What is free is the `total` less what the rows of the [tally](crate::tally) say is held, and only whoever takes some
//! counts it, under the table lock. So permits are taken by one exchange and given back by one, and a process that is killed
//! between any two instructions has either: none is ever lost, and none is there twice.
//!
//! Whoever sleeps has left marks in the total and in all rows in use. Giving back is an exchange of one of these words, so it
//! cannot miss the mark, and costs nothing more while nobody sleeps. Invariants:
//!
//! 1. A sleeper reads `turn`, then marks and counts, under the table lock. Whoever gives back and finds marks changes
//!    `turn`, then wakes. So what came too late to be counted ends that sleep.
//! 2. Who gives back wakes as many as he gave permits, and leaves the marks to the others; but if `MANY` is among them, that
//!    is, if one of them may need several, he wakes all: else the one who is woken could have to go to sleep again while
//!    another would have had enough.
//! 3. Marks are removed, from all words, only before a change of `turn` after which all are woken: by one who needs to
//!    wake all, and by one who found fewer asleep than he gave permits. Whoever still has to wait then marks anew.
//! 4. So does, without waking anybody, a sleeper that was alone: it found the total unmarked when it marked, and nobody
//!    has gone to sleep since. Whoever slept at the former moment was about to be woken.
//! 5. Whoever takes permits marks his row as the total is marked: it may have come into use since the sleepers marked all
//!    in use, and what he took when it was given back elsewhere is given back there.
//! 6. No sleep is longer than a slice. A wake-up that dies with whoever should have sent it, or used it, costs the
//!    others at most one slice.

use core::fmt;

use crate::{
    atomic::{AtomicU64, Ordering},
    lock::{FOREVER, Refused, Slices, wake_all},
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
    /// Counts the sleeps, under the table lock.
    sleeps: AtomicU64,
    tally: Tally,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Permits>() == 32 + size_of::<Tally>());

/// What whoever looks under the table lock sees.
struct View {
    free: u64,
    /// The row of whoever looks, if there is one for him.
    row: Option<usize>,
    /// The marks of the total.
    marks: u64,
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
            sleeps: AtomicU64::new(0),
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
        self.sleeps.store(0, Ordering::Relaxed);
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
        let view = self.look(os, me, 0);
        let row = match view.row_for(count) {
            Some(row) => {
                self.enter(os, row, me, count, view.marks);
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
            marks: total.marks(),
        }
    }

    /// Enters `count` permits for `me` in the `row` that a look has found, and the `marks` that it has found (invariant 5).
    #[inline]
    fn enter<O: Os>(&self, os: &O, row: usize, me: Owner, count: u32, marks: u64) {
        if marks != 0 {
            self.tally.mark(row, marks);
            os.step("permits: row marked");
        }
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
        // Whether this caller may have found what is free without a wake-up, so that others sleep beside it.
        let mut owes = false;
        // Whether all marks are this caller's (invariant 4).
        let mut alone = false;
        // Whether it has seen to it, since it last slept, that the dead are found.
        let mut asked = false;
        loop {
            // Acquire: pairs with the Release in `wake`. Whoever reads the turn after a wake-up counts what was given
            // back before it, and marks after marks were removed.
            let turn = self.turn.load(Ordering::Acquire);
            let now = os.now();
            let late = now >= until;
            // Who will not sleep leaves no marks: they would cost the holders a wake-up of nobody.
            let view = self.look(os, me, if late { 0 } else { marks });
            alone |= !late && view.marks == 0;
            let row = view.row_for(count);
            if row.is_none() && !asked && (late || slices.is_over(now)) {
                asked = true;
                // Asking takes long, so others have the table meanwhile.
                let sleeps = self.sleeps.load(Ordering::Relaxed);
                self.tally.unlock(os, me);
                if late || self.tally.is_to_be_swept(now) {
                    owes |= self.tally.sweep(os, me, until);
                }
                self.tally.lock(os, until).inspect_err(|_| {
                    if owes {
                        self.pass_on(os);
                    }
                })?;
                alone &= self.sleeps.load(Ordering::Relaxed) == sleeps;
                continue;
            }
            if view.row.is_none() && marks & MANY == 0 {
                // Who waits for a row is not served by each permit that comes back.
                marks |= MANY;
                continue;
            }
            if row.is_some() || late {
                let row = self.end_wait(os, count, me, &view, alone, owes);
                return row.ok_or(Refused::late(until));
            }
            // Relaxed: read and written under the table lock only.
            let sleep = self.sleeps.load(Ordering::Relaxed).wrapping_add(1);
            self.sleeps.store(sleep, Ordering::Relaxed);
            os.step("permits: about to let go of the table");
            self.tally.unlock(os, me);
            os.step("permits: about to sleep");
            slices.sleep(os, &self.turn, turn, now, until);
            (owes, asked) = (true, false);
            os.step("permits: awake");
            if let Err(why) = self.tally.lock(os, until) {
                self.pass_on(os);
                return Err(why);
            }
            alone &= self.sleeps.load(Ordering::Relaxed) == sleep;
            // Most find what they were woken for, and need neither marks nor the time.
            let view = self.look(os, me, 0);
            if view.row_for(count).is_some() {
                let row = self.end_wait(os, count, me, &view, alone, owes);
                return row.ok_or(Refused::late(until));
            }
        }
    }

    /// Takes what was seen if it is enough, and lets go of the table.
    fn end_wait<O: Os>(
        &self,
        os: &O,
        count: u32,
        me: Owner,
        view: &View,
        alone: bool,
        owes: bool,
    ) -> Option<usize> {
        if alone {
            self.unmark(os);
        }
        let row = view.row_for(count);
        if let Some(row) = row {
            self.enter(os, row, me, count, if alone { 0 } else { view.marks });
        }
        os.step("permits: about to let go of the table");
        self.tally.unlock(os, me);
        let left = view.free - row.map_or(0, |_| count.into());
        if owes && left > 0 {
            self.pass_on(os);
        }
        row
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
        let marks = self.tally.subtract(held.row, held.count.into());
        if marks != 0 {
            os.step("permits: given back, nobody woken yet");
            self.wake(os, marks, held.count);
        }
    }

    /// Lets permits that are held cease to exist. In a fork child of their holder it does nothing; whether it did.
    pub fn forget<O: Os>(&self, os: &O, held: HeldPermits) -> bool {
        let mine = held.count != 0 && os.is_me(held.me);
        if mine {
            let number = Marked::new(held.count.into(), 0).to_bits();
            // Whoever counts between the two changes below counts too few, and may fall asleep. With the table lock
            // nobody does; but it is not waited for, and not needed if nobody sleeps.
            let table = match self.tally.is_marked(held.row) {
                true => self.tally.try_lock(os),
                false => None,
            };
            os.step("permits: about to forget");
            // Relaxed: before the row in the eyes of everybody who counts, by the Release of that.
            self.total.fetch_sub(number, Ordering::Relaxed);
            os.step("permits: forgotten, still held");
            match table {
                Some(me) => {
                    let marks = self.tally.subtract(held.row, held.count.into());
                    os.step("permits: forgotten, about to let go of the table");
                    self.tally.unlock(os, me);
                    if marks & MANY != 0 {
                        // It may be the row that somebody waits for.
                        self.wake(os, marks, held.count);
                    }
                }
                None => self.give_back_mine(os, held),
            }
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
            // Release: pairs with the Acquire of `look`.
            match self.total.compare_exchange_weak(
                found,
                Marked::new(more, total.marks()).to_bits(),
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

    /// Wakes those who wait for what has become free, `count` of them or all, as the `marks` say that were found there.
    #[cold]
    #[inline(never)]
    fn wake<O: Os>(&self, os: &O, marks: u64, count: u32) {
        if marks & MANY == 0 {
            // Release: pairs with the Acquire in `take_contended`, as said there.
            self.turn.fetch_add(1, Ordering::Release);
            os.step("permits: turn changed, nobody woken yet");
            if os.wake(&self.turn, count) >= count {
                return;
            }
            // Nobody was asleep any more, so the marks may go. But somebody may have fallen asleep since.
            os.step("permits: nobody is left, the marks are");
        }
        self.unmark(os);
        // Release: as above.
        self.turn.fetch_add(1, Ordering::Release);
        os.step("permits: turn changed, none of all woken yet");
        wake_all(os, &self.turn);
    }

    /// Removes the marks from all words.
    fn unmark<O: Os>(&self, os: &O) {
        self.tally.unmark(os);
        os.step("permits: marks removed from the rows");
        Marked::unmark(&self.total);
        os.step("permits: marks removed");
    }

    /// Wakes another one for what is free beside the caller's own.
    #[cold]
    fn pass_on<O: Os>(&self, os: &O) {
        os.step("permits: about to pass a wake-up on");
        // Relaxed: who needs it has marked before going to sleep, and sleeps no longer than a slice.
        let marks = Marked::from_bits(self.total.load(Ordering::Relaxed)).marks();
        if marks != 0 {
            self.wake(os, marks, 1);
        }
    }

    /// How many are free, those of the dead among them.
    ///
    /// # Errors
    ///
    /// [`Refused::NoIdentity`]: they are counted under the table lock.
    pub fn free<O: Os>(&self, os: &O) -> Result<u32, Refused> {
        let buried = self.tally.sweep(os, os.me(), FOREVER);
        let me = self.tally.lock(os, FOREVER)?;
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
