//! `JoinableRing`: a ring that knows of each record taken whether it is done.
//!
//! Beside the ring lie a word that counts the records that are done, and a table of how many each process has in hand
//! (see [`tally`](crate::tally)). What was lost is nowhere written down until it is told: it is how many were taken, less
//! those that are done, less what the living have in hand. Invariants:
//!
//! 1. A record is in its taker's row before the head passes it, and counted as done before it leaves the row. So what is
//!    found lost is never more than what is: whoever is killed in between has one too many in his row, which goes with
//!    him.
//! 2. That records were lost, and that therefore they are done, is one exchange of one word.
//! 3. A joiner marks the word that counts, and sleeps on it. Whoever counts the last one, or gives one up, finds the mark,
//!    removes it, and wakes all; whoever then finds it gone looks for what was lost.

use core::{fmt, marker::PhantomData};

use crate::{
    atomic::{AtomicU64, Ordering},
    consumer::Consumer,
    element::Element,
    error::LayoutError,
    header::Kind,
    lock::{PATIENCE, Refused, Slices, wake_all},
    origin::Origin,
    os::Os,
    owner::Owner,
    region::Region,
    ring::Ring,
    ring_bytes::{Strings, read, write},
    ring_error::RingError,
    ring_layout::{KindWords, RingPlace},
    ring_wait::Sleeper,
    ring_words::{Position, RECORDS_MASK},
    tally::Tally,
};

/// How many processes can have records in hand at a time.
pub const MAX_TAKERS: usize = if cfg!(loom) { 4 } else { 189 };

/// How many records are done and how many were lost.
///
/// ```text
///  63                      34 33                       2      1       0
/// ┌──────────────────────────┬──────────────────────────┬────────┬─────────┐
/// │ done, mod 2^30           │ lost, mod 2^32           │ (zero) │ WAITERS │
/// └──────────────────────────┴──────────────────────────┴────────┴─────────┘
/// ```
///
/// What was lost counts as done, too; after 2^32 losses, one more record would. The half that a futex compares changes when the mark goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Done(u64);

impl Done {
    const WAITERS: u64 = 1;
    const LOST: u64 = 1 << 2;
    const DONE: u64 = 1 << 34;

    fn done(self) -> u32 {
        (self.0 >> 34) as u32
    }

    fn lost(self) -> u32 {
        (self.0 >> 2) as u32
    }

    fn is_marked(self) -> bool {
        self.0 & Done::WAITERS != 0
    }
}

/// What was taken from a ring and is not done, as it lies in shared memory. Public for embedders and for models.
#[repr(C)]
#[derive(Debug)]
pub struct Unfinished {
    /// A [`Done`].
    done: AtomicU64,
    in_hand: Tally<MAX_TAKERS>,
}

impl Unfinished {
    /// Nothing was taken yet from a ring in which `records` have been put and taken before.
    #[must_use]
    pub fn new(records: u32) -> Unfinished {
        Unfinished {
            done: AtomicU64::new(u64::from(records).wrapping_mul(Done::DONE)),
            in_hand: Tally::new(),
        }
    }
}

impl Default for Unfinished {
    fn default() -> Unfinished {
        Unfinished::new(0)
    }
}

// SAFETY: atomics alone.
unsafe impl KindWords for Unfinished {
    const KIND: Kind = Kind::JoinableRing;

    fn reset(&self) {
        self.done.store(0, Ordering::Relaxed);
        self.in_hand.reset();
    }

    fn bury(&self) {
        // What they had in hand is found lost by the next who joins.
        self.in_hand.reset();
        self.done.fetch_and(!Done::WAITERS, Ordering::Relaxed);
    }
}

/// A bounded queue of records, byte strings of any length up to half its capacity, whose takers say when they are done
/// with each.
pub struct JoinableRing<'m, T, O> {
    ring: Ring<'m>,
    unfinished: &'m Unfinished,
    os: O,
    _records: PhantomData<T>,
}

// SAFETY: a view of shared atomics; of `T` there is none.
unsafe impl<T, O: Send> Send for JoinableRing<'_, T, O> {}
// SAFETY: as above.
unsafe impl<T, O: Sync> Sync for JoinableRing<'_, T, O> {}

/// Records that the caller has taken and is not done with.
#[derive(Debug)]
#[must_use = "records that are not done stay unfinished until their process ends, and are then lost"]
pub struct InHand {
    me: Owner,
    row: usize,
}

/// What was lost while one waited: so many records were taken by processes that died before they were done, or given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joined {
    /// How many.
    pub lost: u32,
}

impl<'m, T: Element, O: Os> JoinableRing<'m, T, O> {
    /// How many bytes it takes in memory.
    ///
    /// # Errors
    ///
    /// [`LayoutError::RingTooLarge`] for more than 4 GiB.
    pub fn required_len(capacity: usize) -> Result<usize, LayoutError> {
        Ok(RingPlace::<Unfinished>::spec::<T>(capacity)?.total())
    }

    /// Places an empty ring for at least `capacity` bytes in fresh memory; they are rounded up to a power of two. Records
    /// take 8 bytes more than their own, rounded up to 8.
    ///
    /// # Errors
    ///
    /// [`LayoutError::TooShort`] when the memory is shorter than [`required_len`](Self::required_len).
    ///
    /// # Safety
    ///
    /// No process uses a layout that overlaps `region`.
    pub unsafe fn place(
        region: Region<'m>,
        os: O,
        origin: Origin,
        capacity: usize,
    ) -> Result<Self, LayoutError> {
        // SAFETY: promised by the caller.
        let place = unsafe { RingPlace::place::<T>(&region, origin, capacity) }?;
        Ok(Self::view(&place, os))
    }

    /// The ring that somebody placed in `region`.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] when the bytes do not hold such a ring of this `origin`.
    pub fn attach(region: Region<'m>, os: O, origin: Origin) -> Result<Self, LayoutError> {
        let place = RingPlace::attach::<T>(&region, origin)?;
        Ok(Self::view(&place, os))
    }

    /// Declares every process that ever had it open dead: what they had in hand is lost, what is in the ring stays.
    ///
    /// # Errors
    ///
    /// As [`attach`](Self::attach), except that any origin will do.
    ///
    /// # Safety
    ///
    /// Nobody else has the memory open.
    pub unsafe fn bury(region: Region<'m>, _: O, origin: Origin) -> Result<(), LayoutError> {
        // SAFETY: promised by the caller.
        unsafe { RingPlace::<Unfinished>::bury::<T>(&region, origin) }
    }

    fn view(place: &RingPlace<'m, Unfinished>, os: O) -> Self {
        // SAFETY: of one layout.
        unsafe { JoinableRing::over(Ring::new(place.words, place.data), place.kind, os) }
    }

    /// The joinable ring of these parts, wherever they are: for models.
    ///
    /// # Safety
    ///
    /// Whoever reaches the data of this ring does so through joinable rings over these same words.
    pub unsafe fn over(ring: Ring<'m>, unfinished: &'m Unfinished, os: O) -> Self {
        JoinableRing {
            ring,
            unfinished,
            os,
            _records: PhantomData,
        }
    }

    /// Puts a record, waiting for room until `until` on the clock of [`Os::now`].
    ///
    /// # Errors
    ///
    /// [`RingError`]; then nothing was put.
    #[inline]
    pub fn put(&self, record: &[u8], until: u64) -> Result<(), RingError> {
        let Ring { data, .. } = self.ring;
        let fill = |at| write(data, at, record);
        self.ring.put(&self.os, until, record.len(), || (), fill)
    }

    /// Puts records, as many at once as there is room for; returns how many were put, and why not all.
    pub fn put_many<R: AsRef<[u8]>>(
        &self,
        records: impl IntoIterator<Item = R>,
        until: u64,
    ) -> (usize, Result<(), RingError>) {
        let mut records = Strings::new(self.ring.data, records);
        let result = self.ring.put_many(&self.os, until, || (), &mut records);
        (records.put, result)
    }

    /// Takes a record, waiting for one until `until` on the clock of [`Os::now`].
    ///
    /// `take` runs under the lock of those who take: it should copy and return. If it panics, the record stays.
    ///
    /// # Errors
    ///
    /// [`RingError`]; then nothing was taken.
    pub fn get<R>(
        &self,
        until: u64,
        mut take: impl FnMut(&[u8]) -> R,
    ) -> Result<(R, InHand), RingError> {
        let mut wait = Sleeper::for_records(&self.ring, &self.os);
        loop {
            let mut consumer = self.ring.consumer(&self.os, until)?;
            if let Some((at, len)) = consumer.next_record()? {
                let taken = take(read(self.ring.data, at, len));
                let in_hand = self.enter(&consumer, until)?;
                consumer.consume();
                return Ok((taken, in_hand));
            }
            let tail = consumer.seen();
            drop(consumer);
            wait.sleep(tail, until)?;
        }
    }

    /// Enters what the consumer has been shown into the row of the calling process.
    fn enter(&self, consumer: &Consumer<'_, 'm, O>, until: u64) -> Result<InHand, RingError> {
        let table = &self.unfinished.in_hand;
        let number = consumer.shown().into();
        let entered = table.enter(&self.os, until, number, "joinable: in hand")?;
        let (me, row) = entered.ok_or(RingError::TooManyProcesses)?;
        Ok(InHand { me, row })
    }

    /// A record that was in hand is done. In a process that did not take it (a fork child) this does nothing.
    pub fn done(&self, record: InHand) {
        if self.os.is_me(record.me) {
            self.os.step("joinable: about to be done");
            self.count(Done::DONE);
            self.os.step("joinable: done, still in hand");
            self.unfinished.in_hand.subtract(record.row, 1);
        }
    }

    /// A record that was in hand will never be done: it is lost, and told to who joins next. In a process that did not take
    /// it (a fork child) this does nothing.
    pub fn give_up(&self, record: InHand) {
        if self.os.is_me(record.me) {
            self.unfinished.in_hand.subtract(record.row, 1);
            self.os.step("joinable: given up, nobody woken yet");
            // An exchange that changes nothing. Release: pairs with the Acquire of who marks the word after this, and
            // then finds that it is in hand no longer. Before this, the mark is found here.
            if Done(self.unfinished.done.fetch_or(0, Ordering::Release)).is_marked() {
                self.wake_joiners();
            }
        }
    }

    fn count(&self, more: u64) {
        let word = &self.unfinished.done;
        // AcqRel: a Release for who joins, whose load of the word is an Acquire; and the last one to be done passes on
        // what the others did before.
        let before = Done(word.fetch_add(more, Ordering::AcqRel));
        if before.is_marked() && self.left(Done(before.0.wrapping_add(more))) == 0 {
            self.os.step("joinable: all done, nobody woken yet");
            self.wake_joiners();
        }
    }

    #[cold]
    fn wake_joiners(&self) {
        let word = &self.unfinished.done;
        // Relaxed: who sees the mark gone looks at everything again.
        word.fetch_and(!Done::WAITERS, Ordering::Relaxed);
        self.os.step("joinable: mark removed, nobody woken yet");
        wake_all(&self.os, word);
    }

    /// How many of the records put are not done, when so many are done.
    fn left(&self, done: Done) -> u32 {
        // Acquire: pairs with the Release of `publish`. What is counted as done was put before.
        let tail = Position::load(&self.ring.words.tail.position, Ordering::Acquire);
        tail.records().wrapping_sub(done.done()) & RECORDS_MASK
    }

    /// Waits until every record that was put is done, lost or given up; `None` when that was not so before `until`.
    ///
    /// What the dead had in hand is found lost here, and told to those who wait then.
    ///
    /// # Errors
    ///
    /// [`Refused`] when the system cannot tell who the calling process is.
    pub fn join(&self, until: u64) -> Result<Option<Joined>, Refused> {
        let word = &self.unfinished.done;
        let before = Done(word.load(Ordering::Relaxed));
        let mut slices = Slices::new();
        let mut looked = false;
        loop {
            let now = self.os.now();
            // Acquire: pairs with the Release of `count`: what was done with the records is seen.
            let mut seen = Done(word.load(Ordering::Acquire));
            if self.left(seen) != 0 {
                seen = Done(word.fetch_or(Done::WAITERS, Ordering::Acquire));
                if self.left(seen) == 0 {
                    // The mark must not make another, who marked before and is about to sleep, find the half that he
                    // compares as it was.
                    self.wake_joiners();
                }
            }
            if self.left(seen) == 0 {
                let lost = seen.lost().wrapping_sub(before.lost());
                return Ok(Some(Joined { lost }));
            }
            if !looked || !seen.is_marked() || slices.is_over(now) || now >= until {
                looked = true;
                if self.look(until)? {
                    continue;
                }
                if now >= until {
                    return Ok(None);
                }
            }
            self.os.step("joinable: about to sleep");
            slices.sleep(&self.os, word, seen.0 | Done::WAITERS, now, until);
            self.os.step("joinable: awake");
        }
    }

    /// Looks for what the dead had in hand; whether anything was lost. While somebody is stopped with the table nothing is
    /// found, but what is done meanwhile is not waited for any longer.
    fn look(&self, until: u64) -> Result<bool, Refused> {
        let Unfinished { done, in_hand } = self.unfinished;
        let until = until.min(self.os.now().saturating_add(PATIENCE));
        in_hand.sweep(&self.os, self.os.me(), until);
        let me = match in_hand.lock(&self.os, until) {
            Ok(me) => me,
            Err(Refused::TimedOut | Refused::WouldBlock) => return Ok(false),
            Err(why) => return Err(why),
        };
        // In this order (invariant 1): nobody enters his row meanwhile, so whoever takes later is not counted as having
        // taken; and who is found to have left his row has been counted as done.
        let held = in_hand.sum(me, 0).held;
        let so_far = Done(done.load(Ordering::Acquire));
        let head = Position::load(&self.ring.words.head.position, Ordering::Acquire);
        let taken = head.records().wrapping_sub(so_far.done()) & RECORDS_MASK;
        // More in hand than taken: somebody is just taking, or just done.
        let lost = u64::from(taken)
            .saturating_sub(held)
            .min(u64::from(RECORDS_MASK / 2));
        if lost > 0 {
            self.os.step("joinable: lost found");
            self.count(lost * (Done::DONE + Done::LOST));
        }
        in_hand.unlock(&self.os, me);
        Ok(lost > 0)
    }

    /// Lets nothing more be put. What is in the ring can still be taken.
    ///
    /// # Errors
    ///
    /// [`RingError`] when its locks cannot be had before `until`.
    pub fn close(&self, until: u64) -> Result<(), RingError> {
        self.ring.close(&self.os, until)
    }
}

impl<'m, T, O> JoinableRing<'m, T, O> {
    /// The ring.
    pub fn ring(&self) -> &Ring<'m> {
        &self.ring
    }

    /// How many records were put and are neither done nor told to be lost, at this moment.
    #[must_use]
    pub fn unfinished(&self) -> u32 {
        // Acquire: pairs with the Release of `count`: what is done was put before.
        let done = Done(self.unfinished.done.load(Ordering::Acquire));
        let tail = Position::load(&self.ring.words.tail.position, Ordering::Relaxed);
        tail.records().wrapping_sub(done.done()) & RECORDS_MASK
    }

    /// How many records were ever told to be lost, modulo 2^32.
    #[must_use]
    pub fn lost(&self) -> u32 {
        Done(self.unfinished.done.load(Ordering::Relaxed)).lost()
    }
}

impl<T, O> fmt::Debug for JoinableRing<'_, T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinableRing")
            .field("capacity", &self.ring.capacity())
            .field("len", &self.ring.len())
            .field("unfinished", &self.unfinished())
            .field("lost", &self.lost())
            .field("is_closed", &self.ring.is_closed())
            .finish_non_exhaustive()
    }
}
