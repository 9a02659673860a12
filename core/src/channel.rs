//! `Channel`: a ring of records whose two ends know whether there is anybody at the other one.
//!
//! Beside the ring lie two tables of which processes have how many handles of an end (see [`tally`](crate::tally)). The
//! ring is closed once one of them is empty: by whoever has left last, or, when that one was killed, by whoever waits at
//! the other end and finds the owners dead.
//!
//! A handle that is on its way to another process is in neither table for a moment. The embedder says whether there are
//! such: it keeps something that lives as long as the message. Invariants:
//!
//! 1. A handle enters its table before whatever stood for it on its way is gone.
//! 2. That an end is abandoned is judged under the lock of its table: no row, and then nothing on its way. While the lock is
//!    held nobody enters, and who is on the way has not entered: so neither was missed.
//! 3. An end that was once abandoned stays so: who could send or enter a handle has one, or is on the way.
//! 4. Where there is one handle at an end, a word says whether it is with somebody or on its way. It is handed over by one
//!    exchange and taken over by one: so of several who claim to have received it one has, whatever they were told.

use core::{fmt, marker::PhantomData};

use crate::{
    atomic::{Ordering, fence},
    channel_ends::{AWAY, End, Ends, Entered, HERE},
    element::Element,
    error::LayoutError,
    lock::{NOW, PATIENCE, Refused},
    origin::Origin,
    os::Os,
    region::Region,
    ring::Ring,
    ring_bytes::{Strings, read, write},
    ring_copy::Shown,
    ring_error::RingError,
    ring_hold::{Hold, Locked, Sole},
    ring_layout::RingPlace,
    ring_slot::{RecvSlot, SendSlot},
};

/// A bounded queue of records, byte strings of any length up to half its capacity, between two ends: whoever waits at
/// one of them is told when nobody is left at the other.
///
/// With [`Locked`] any number of handles are at each end. With [`Sole`] there is one at each: the caller sees to that, in
/// all processes, and gets rings without locks whose records can be written and read in place.
///
/// `in_transit` says of an end whether handles of it are on their way from one process to another.
pub struct Channel<'m, T, O, H = Locked> {
    ring: Ring<'m, H>,
    ends: &'m Ends<H>,
    os: O,
    _records: PhantomData<T>,
}

// SAFETY: a view of shared atomics; of `T` and `H` there is none.
unsafe impl<T, O: Send, H> Send for Channel<'_, T, O, H> {}
// SAFETY: as above.
unsafe impl<T, O: Sync, H> Sync for Channel<'_, T, O, H> {}

impl<'m, T: Element, O: Os, H: Hold> Channel<'m, T, O, H> {
    /// How many bytes it takes in memory.
    ///
    /// # Errors
    ///
    /// [`LayoutError::RingTooLarge`] for more than 4 GiB.
    pub fn required_len(capacity: usize) -> Result<usize, LayoutError> {
        Ok(RingPlace::<Ends<H>>::spec::<T>(capacity)?.total())
    }

    /// Places an empty channel for at least `capacity` bytes in fresh memory, with nobody at either end; they are rounded
    /// up to a power of two. Records take 8 bytes more than their own, rounded up to 8.
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

    /// The channel that somebody placed in `region`.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] when the bytes do not hold such a channel of this `origin`.
    pub fn attach(region: Region<'m>, os: O, origin: Origin) -> Result<Self, LayoutError> {
        let place = RingPlace::attach::<T>(&region, origin)?;
        Ok(Self::view(&place, os))
    }

    /// Declares every process that ever had it open dead: nobody is at either end, its records stay.
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
        unsafe { RingPlace::<Ends<H>>::bury::<T>(&region, origin) }
    }

    fn view(place: &RingPlace<'m, Ends<H>>, os: O) -> Self {
        // SAFETY: of one layout.
        unsafe { Channel::over(Ring::new(place.words, place.data), place.kind, os) }
    }

    /// The channel of a ring and the tables of its ends, wherever they are: for models.
    ///
    /// # Safety
    ///
    /// Whoever reaches the data of this ring does so through channels over these same words and tables.
    pub unsafe fn over(ring: Ring<'m, H>, ends: &'m Ends<H>, os: O) -> Self {
        Channel {
            ring,
            ends,
            os,
            _records: PhantomData,
        }
    }

    /// Enters a handle of the calling process.
    ///
    /// # Errors
    ///
    /// [`RingError::TooManyProcesses`] when there is no row, or what waiting for the table gives.
    pub fn enter(&self, end: End, until: u64) -> Result<Entered, RingError> {
        let table = self.ends.of(end);
        let entered = table.enter(&self.os, until, 1, "channel: entered")?;
        let (me, row) = entered.ok_or(RingError::TooManyProcesses)?;
        Ok(Entered { me, end, row })
    }

    /// Enters another handle beside one that the calling process has. Takes no lock, and never fails: the row is in use, so
    /// nobody takes the end for abandoned meanwhile.
    pub fn enter_another(&self, handle: &Entered) -> Entered {
        self.ends.of(handle.end).increase(handle.row);
        self.os.step("channel: entered another");
        *handle
    }

    /// The only handle of an end is about to be sent to another process; `false` when it is on its way already. The caller
    /// does not use it any more.
    pub fn hand_over(&self, end: End) -> bool {
        // Release: pairs with the Acquire of `take_over`: what was done with it is seen by whoever gets it.
        self.ends
            .away(end)
            .compare_exchange(HERE, AWAY, Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }

    /// The only handle of an end has arrived, or was not sent after all; `false` when it was not on its way, or another has
    /// it. Only after `true` the caller uses it.
    pub fn take_over(&self, end: End) -> bool {
        // Acquire: pairs with the Release of `hand_over`.
        self.ends
            .away(end)
            .compare_exchange(AWAY, HERE, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// Whether a handle was entered by the calling process, which is not so in a fork child of it.
    #[inline]
    pub fn is_mine(&self, handle: &Entered) -> bool {
        self.os.is_me(handle.me)
    }

    /// A handle is gone. In a process that did not enter it (a fork child) this does nothing.
    pub fn leave(&self, handle: Entered, in_transit: impl Fn() -> bool) {
        if !self.is_mine(&handle) {
            return;
        }
        self.ends.of(handle.end).subtract(handle.row, 1);
        self.os.step("channel: left");
        // SeqCst: pairs with that of another one who leaves at the same moment: one of them finds that nobody is left.
        fence(Ordering::SeqCst);
        // What cannot be done here is done by who waits at the other end.
        let until = self.os.now().saturating_add(PATIENCE);
        let _ = self.close_if_abandoned(handle.end, &in_transit, until);
    }

    /// Closes the ring if nobody is at `end`.
    fn close_if_abandoned(
        &self,
        end: End,
        in_transit: &impl Fn() -> bool,
        until: u64,
    ) -> Result<(), Refused> {
        let table = self.ends.of(end);
        // A glance first: mostly there are others.
        if table.glance() != 0 {
            return Ok(());
        }
        let me = table.lock(&self.os, until)?;
        let abandoned = table.sum(me, 0).held == 0 && !in_transit();
        table.unlock(&self.os, me);
        if abandoned {
            self.os.step("channel: found abandoned");
            H::close(&self.os, self.ring.words, until)?;
        }
        Ok(())
    }

    /// Looks whether anybody lives at `end`, and closes the ring if not. For one who waits until `until`; so long it may take
    /// at most if somebody is stopped who has the locks, and no longer than one is patient.
    fn look(&self, end: End, in_transit: &impl Fn() -> bool, until: u64) {
        if self.ring.is_closed() {
            return;
        }
        let until = until.min(self.os.now().saturating_add(PATIENCE));
        self.ends.of(end).sweep(&self.os, self.os.me(), until);
        // Whoever cannot do it now does it a slice later.
        let _ = self.close_if_abandoned(end, in_transit, until);
    }

    /// As [`look`](Self::look), for those who do not wait for a slice, or are late already, and so not for locks either:
    /// one of all does it, once in a slice.
    #[cold]
    fn look_now_and_then(&self, end: End, in_transit: &impl Fn() -> bool) -> bool {
        let table = self.ends.of(end);
        if table.glance() == 0 || table.is_to_be_swept(self.os.now()) {
            self.look(end, in_transit, NOW);
        }
        self.ring.is_closed()
    }

    /// Whether nobody is at `end` any more. Asks whether those live that are, unless somebody has done so a moment ago.
    pub fn is_abandoned(&self, end: End, in_transit: impl Fn() -> bool) -> bool {
        self.ring.is_closed() || self.look_now_and_then(end, &in_transit)
    }

    /// Puts a record, waiting for room until `until` on the clock of [`Os::now`].
    ///
    /// # Errors
    ///
    /// [`RingError`]; then nothing was put. [`RingError::Closed`] when nobody is left to take it.
    ///
    /// # Safety
    ///
    /// With [`Sole`], nothing else is put meanwhile, by whomever. With [`Locked`] nothing is asked.
    #[inline]
    pub unsafe fn put_alone(
        &self,
        record: &[u8],
        until: u64,
        in_transit: impl Fn() -> bool,
    ) -> Result<(), RingError> {
        let Ring { data, .. } = self.ring;
        let look = || self.look(End::Receiver, &in_transit, until);
        let fill = |at| write(data, at, record);
        let result = self.ring.put(&self.os, until, record.len(), look, fill);
        match result {
            Err(why) => Err(self.why_not_put(why, &in_transit)),
            put => put,
        }
    }

    #[cold]
    fn why_not_put(&self, why: RingError, in_transit: &impl Fn() -> bool) -> RingError {
        match why {
            RingError::TimedOut | RingError::WouldBlock
                if self.look_now_and_then(End::Receiver, in_transit) =>
            {
                RingError::Closed
            }
            why => why,
        }
    }

    /// Puts records, as many at once as there is room for; returns how many were put, and why not all.
    ///
    /// # Safety
    ///
    /// As [`put_alone`](Self::put_alone).
    #[inline]
    pub unsafe fn put_many_alone<R: AsRef<[u8]>>(
        &self,
        records: impl IntoIterator<Item = R>,
        until: u64,
        in_transit: impl Fn() -> bool,
    ) -> (usize, Result<(), RingError>) {
        let mut records = Strings::new(self.ring.data, records);
        let look = || self.look(End::Receiver, &in_transit, until);
        let result = self.ring.put_many(&self.os, until, look, &mut records);
        let result = result.map_err(|why| self.why_not_put(why, &in_transit));
        (records.put, result)
    }

    /// Takes a record, waiting for one until `until` on the clock of [`Os::now`].
    ///
    /// `take` runs while others cannot take anything: it should copy and return. If it panics, the record stays.
    ///
    /// # Errors
    ///
    /// [`RingError`]; then nothing was taken. [`RingError::Closed`] when the ring is empty and nobody is left to put.
    ///
    /// # Safety
    ///
    /// As [`put_alone`](Self::put_alone), of what is taken.
    #[inline]
    pub unsafe fn get_alone<R>(
        &self,
        until: u64,
        in_transit: impl Fn() -> bool,
        mut take: impl FnMut(&[u8]) -> R,
    ) -> Result<R, RingError> {
        let Ring { data, .. } = self.ring;
        let mut get = |until| {
            let look = || self.look(End::Sender, &in_transit, until);
            let take = |record: Shown| take(record.bytes(data));
            self.ring.get(&self.os, until, look, take)
        };
        match get(until) {
            Err(why) if self.is_closed_after_all(why, &in_transit) => get(until),
            result => result,
        }
    }

    /// Whether a get that found nothing in time has since found out that nobody is left to put anything. It is then
    /// tried again: the last may have put something before it left.
    #[cold]
    fn is_closed_after_all(&self, why: RingError, in_transit: &impl Fn() -> bool) -> bool {
        matches!(why, RingError::TimedOut | RingError::WouldBlock)
            && self.look_now_and_then(End::Sender, in_transit)
    }

    /// Takes up to `most` records at once, waiting for one until `until`; returns how many.
    ///
    /// # Errors
    ///
    /// As [`get_alone`](Self::get_alone).
    ///
    /// # Safety
    ///
    /// As [`put_alone`](Self::put_alone), of what is taken.
    #[inline]
    pub unsafe fn get_many_alone(
        &self,
        until: u64,
        most: usize,
        in_transit: impl Fn() -> bool,
        mut take: impl FnMut(&[u8]),
    ) -> Result<usize, RingError> {
        let Ring { data, .. } = self.ring;
        let mut get = |until| {
            let look = || self.look(End::Sender, &in_transit, until);
            let take = |at, len| take(read(data, at, len));
            self.ring.get_many(&self.os, until, most, look, take)
        };
        match get(until) {
            Err(why) if self.is_closed_after_all(why, &in_transit) => get(until),
            result => result,
        }
    }

    /// Waits until there is a record to take or nobody is left to put one, without taking anything; `false` when neither
    /// was so before `until`. Whenever the caller wakes `stop` may end the wait.
    ///
    /// # Errors
    ///
    /// As [`get_alone`](Self::get_alone).
    pub fn wait_until_some(
        &self,
        until: u64,
        in_transit: impl Fn() -> bool,
        mut stop: impl FnMut() -> bool,
    ) -> Result<bool, RingError> {
        let look = |slice| {
            if slice {
                self.look(End::Sender, &in_transit, until);
            }
            stop()
        };
        self.ring.wait_until_some(&self.os, until, look)
    }
}

impl<'m, T: Element, O: Os> Channel<'m, T, O, Sole> {
    /// Makes room for a record of `len` bytes, waiting for it until `until`: a place in the ring, at a multiple of 8
    /// bytes, to be filled and [sent](SendSlot::send).
    ///
    /// # Errors
    ///
    /// As [`put_alone`](Self::put_alone).
    ///
    /// # Safety
    ///
    /// Until the slot is gone nothing else is put, by whomever.
    pub unsafe fn reserve(
        &self,
        len: usize,
        until: u64,
        in_transit: impl Fn() -> bool,
    ) -> Result<SendSlot<'_, 'm, O>, RingError> {
        let look = || self.look(End::Receiver, &in_transit, until);
        SendSlot::reserve(&self.ring, &self.os, len, until, look)
            .map_err(|why| self.why_not_put(why, &in_transit))
    }

    /// The next record in its place in the ring, waiting for one until `until`. It is taken when the slot is dropped.
    ///
    /// # Errors
    ///
    /// As [`get_alone`](Self::get_alone).
    ///
    /// # Safety
    ///
    /// Until the slot is gone nothing else is taken, by whomever.
    pub unsafe fn next(
        &self,
        until: u64,
        in_transit: impl Fn() -> bool,
    ) -> Result<RecvSlot<'_, 'm, O>, RingError> {
        let next = || {
            let look = || self.look(End::Sender, &in_transit, until);
            RecvSlot::next(&self.ring, &self.os, until, look)
        };
        match next() {
            Err(why) if self.is_closed_after_all(why, &in_transit) => next(),
            result => result,
        }
    }
}

impl<'m, T: Element, O: Os> Channel<'m, T, O> {
    /// The ring between the ends.
    pub fn ring(&self) -> &Ring<'m> {
        &self.ring
    }

    /// Puts a record, waiting for room until `until` on the clock of [`Os::now`].
    ///
    /// # Errors
    ///
    /// [`RingError`]; then nothing was put. [`RingError::Closed`] when nobody is left to take it.
    pub fn put(
        &self,
        record: &[u8],
        until: u64,
        in_transit: impl Fn() -> bool,
    ) -> Result<(), RingError> {
        // SAFETY: the sides have locks.
        unsafe { self.put_alone(record, until, in_transit) }
    }

    /// Puts records, as many at once as there is room for; returns how many were put, and why not all.
    pub fn put_many<R: AsRef<[u8]>>(
        &self,
        records: impl IntoIterator<Item = R>,
        until: u64,
        in_transit: impl Fn() -> bool,
    ) -> (usize, Result<(), RingError>) {
        // SAFETY: the sides have locks.
        unsafe { self.put_many_alone(records, until, in_transit) }
    }

    /// Takes a record, waiting for one until `until` on the clock of [`Os::now`].
    ///
    /// `take` runs while others cannot take anything: it should copy and return. If it panics, the record stays.
    ///
    /// # Errors
    ///
    /// [`RingError`]; then nothing was taken. [`RingError::Closed`] when the ring is empty and nobody is left to put.
    pub fn get<R>(
        &self,
        until: u64,
        in_transit: impl Fn() -> bool,
        take: impl FnMut(&[u8]) -> R,
    ) -> Result<R, RingError> {
        // SAFETY: the sides have locks.
        unsafe { self.get_alone(until, in_transit, take) }
    }

    /// Takes up to `most` records at once, waiting for one until `until`; returns how many.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn get_many(
        &self,
        until: u64,
        most: usize,
        in_transit: impl Fn() -> bool,
        take: impl FnMut(&[u8]),
    ) -> Result<usize, RingError> {
        // SAFETY: the sides have locks.
        unsafe { self.get_many_alone(until, most, in_transit, take) }
    }
}

impl<T, O, H: Hold> Channel<'_, T, O, H> {
    /// How many records are in it at this moment.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// Whether no record is in it at this moment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// Whether nobody is left at one of its ends, as far as somebody has found out.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.ring.is_closed()
    }

    /// Whether there is no room at this moment for a record of `len` bytes.
    #[must_use]
    pub fn is_full_for(&self, len: usize) -> bool {
        self.ring.is_full_for(len)
    }

    /// How many bytes of records and their lengths it holds.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.ring.capacity()
    }

    /// How many bytes the longest record may have.
    #[must_use]
    pub fn max_len(&self) -> usize {
        self.ring.max_len()
    }

    /// Wakes all who wait for a record, so that they look again.
    pub fn wake_receivers(&self)
    where
        O: Os,
    {
        self.ring.wake_consumers(&self.os);
    }

    /// How many handles are at an end, those of the dead that nobody has found yet among them; roughly, while others come
    /// and go.
    #[must_use]
    pub fn handles(&self, end: End) -> u64 {
        self.ends.of(end).glance()
    }
}

impl<T, O, H: Hold> fmt::Debug for Channel<'_, T, O, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("capacity", &self.ring.capacity())
            .field("len", &self.ring.len())
            .field("senders", &self.handles(End::Sender))
            .field("receivers", &self.handles(End::Receiver))
            .field("is_closed", &self.ring.is_closed())
            .finish_non_exhaustive()
    }
}
