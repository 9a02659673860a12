//! `Value<T>`: a value that is never half-written, whoever dies.
//!
//! A lock, a sequence number and two [slots](crate::Slots): the lock keeps writers apart, readers need none.

use core::{fmt, marker::PhantomData};

use crate::{
    atomic::{AtomicU64, Ordering, fence, spin_loop},
    element::Element,
    error::{LayoutError, Shape},
    header::{HEADER_LEN, Header, Kind, Spec},
    lock::{FOREVER, Lock, NOW, Refused},
    origin::Origin,
    os::Os,
    refusal::LockError,
    region::Region,
    slots::Slots,
    value_guard::ValueGuard,
    wait_timeout::WaitTimeoutResult,
    watch::Watched,
};

#[repr(C)]
#[derive(Debug)]
struct Words {
    lock: Lock,
    sequence: AtomicU64,
    /// What those sleep on who wait for a change.
    turn: AtomicU64,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Words>() == 32);

const WORDS_AT: usize = HEADER_LEN;
const SLOTS_AT: usize = WORDS_AT + size_of::<Words>();

/// A `T` that every process reads without waiting and changes as a transaction.
///
/// * [`get`](Self::get) is a snapshot: never a mixture of two values, and taken without the lock unless 64 changes in a
///   row came between.
/// * [`lock`](Self::lock) gives a private copy to change; dropping the guard publishes it with one store. Whoever is
///   killed, or panics, before that store leaves the old value, whole. A value is therefore never poisoned.
/// * [`wait_while`](Self::wait_while) sleeps until the value is another one. Changes cost no more while nobody does.
pub struct Value<'m, T, O> {
    words: &'m Words,
    slots: [&'m [AtomicU64]; 2],
    pub(crate) os: O,
    _element: PhantomData<T>,
}

impl<'m, T: Element, O: Os> Value<'m, T, O> {
    const SLOT_WORDS: usize = size_of::<T>().div_ceil(8);
    const SLOT_LEN: usize = Self::SLOT_WORDS * 8;

    fn spec() -> Spec {
        let shape = Shape::default();
        Spec::new::<T>(Kind::Value, shape, SLOTS_AT, 2 * Self::SLOT_LEN)
    }

    /// How many bytes it takes.
    #[must_use]
    pub fn required_len() -> usize {
        Self::spec().total()
    }

    /// Places `value` in fresh memory.
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
        value: T,
    ) -> Result<Value<'m, T, O>, LayoutError> {
        let header = Header::write(&region, &Self::spec(), origin)?;
        let place = Value::view(&region, os)?;
        place.words.lock.reset();
        place.words.sequence.store(0, Ordering::Relaxed);
        place.words.turn.store(0, Ordering::Relaxed);
        for (i, word) in place.slots[0].iter().enumerate() {
            word.store(word_of(&value, i), Ordering::Relaxed);
        }
        header.publish();
        Ok(place)
    }

    /// The value that somebody placed in `region`.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] when the bytes do not hold a value of type `T` and of this `origin`.
    pub fn attach(region: Region<'m>, os: O, origin: Origin) -> Result<Self, LayoutError> {
        Header::check::<T>(&region, Kind::Value, Some(origin), |_| Ok(Self::spec()))?;
        Value::view(&region, os)
    }

    /// Declares every process that ever had it open dead: a held lock becomes free; the value stays.
    ///
    /// # Errors
    ///
    /// As [`attach`](Self::attach), except that any origin will do.
    ///
    /// # Safety
    ///
    /// Nobody else has the memory open.
    pub unsafe fn bury(region: Region<'m>, os: O, origin: Origin) -> Result<(), LayoutError> {
        let (header, _) = Header::check::<T>(&region, Kind::Value, None, |_| Ok(Self::spec()))?;
        Value::<T, O>::view(&region, os)?.words.lock.reset();
        header.adopt(origin);
        Ok(())
    }

    fn view(region: &Region<'m>, os: O) -> Result<Self, LayoutError> {
        let too_short = LayoutError::TooShort {
            expected: Self::required_len() as u64,
            found: region.len() as u64,
        };
        // SAFETY: `Words` is atomics alone.
        let words = unsafe { region.words(WORDS_AT) }.ok_or(too_short)?;
        let slot = |i: usize| {
            // SAFETY: the slots are only ever reached as atomics (`slots`, invariant 2).
            unsafe { region.word_slice(SLOTS_AT + i * Self::SLOT_LEN, Self::SLOT_WORDS) }
                .ok_or(too_short)
        };
        Ok(Value {
            words,
            slots: [slot(0)?, slot(1)?],
            os,
            _element: PhantomData,
        })
    }

    #[inline]
    pub(crate) fn protocol(&self) -> Slots<'_> {
        Slots {
            sequence: &self.words.sequence,
            // Taken anew, with a length known at compile time, so that the copies are unrolled.
            slots: self.slots.map(|slot| &slot[..Self::SLOT_WORDS]),
        }
    }

    #[inline]
    pub(crate) fn watched(&self) -> Watched<'_> {
        let Words {
            lock,
            sequence,
            turn,
        } = self.words;
        Watched {
            lock,
            sequence,
            turn,
        }
    }

    /// A snapshot of the value: without a lock, and without waiting unless writers never pause.
    #[inline]
    #[must_use]
    pub fn get(&self) -> T {
        match self.try_get() {
            Some(value) => value,
            None => self.get_beside_writers(true),
        }
    }

    /// As [`get`](Self::get) for memory that may only be read: it never takes the lock, and beside writers that
    /// never pause it may take long.
    #[inline]
    #[must_use]
    pub fn get_unlocked(&self) -> T {
        match self.try_get() {
            Some(value) => value,
            None => self.get_beside_writers(false),
        }
    }

    #[inline]
    fn try_get(&self) -> Option<T> {
        let mut copy = T::zeroed();
        let whole = self
            .protocol()
            .try_read(|i, word| put_word(&mut copy, i, word));
        whole.then_some(copy)
    }

    #[cold]
    fn get_beside_writers(&self, may_lock: bool) -> T {
        const TRIES: u32 = 64;
        /// Nanoseconds. A writer that is stopped while it holds the lock changes nothing, so then a try succeeds.
        const PATIENCE: u64 = 1_000_000;
        loop {
            for _ in 0..TRIES {
                if let Some(value) = self.try_get() {
                    return value;
                }
                spin_loop();
            }
            if may_lock
                && let until = self.os.now().saturating_add(PATIENCE)
                && let Ok(taken) = self.words.lock.lock(&self.os, until)
            {
                let value = self.read_locked();
                self.watched().unlock_mine(&self.os, taken.me);
                return value;
            }
        }
    }

    #[inline]
    pub(crate) fn read_locked(&self) -> T {
        let mut copy = T::zeroed();
        self.protocol()
            .read_locked(|i, word| put_word(&mut copy, i, word));
        copy
    }

    /// Waits for the lock and gives a private copy of the value to change.
    ///
    /// # Errors
    ///
    /// [`LockError::WouldDeadlock`] when this thread holds it already.
    #[inline]
    pub fn lock(&self) -> Result<ValueGuard<'_, T, O>, LockError<ValueGuard<'_, T, O>>> {
        self.lock_until(FOREVER)
    }

    /// As [`lock`](Self::lock), but does not wait.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock), and [`LockError::WouldBlock`].
    #[inline]
    pub fn try_lock(&self) -> Result<ValueGuard<'_, T, O>, LockError<ValueGuard<'_, T, O>>> {
        self.lock_until(NOW)
    }

    /// As [`lock`](Self::lock), until `until` on the clock of [`Os::now`].
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock), and [`LockError::TimedOut`].
    #[inline]
    pub fn lock_until(
        &self,
        until: u64,
    ) -> Result<ValueGuard<'_, T, O>, LockError<ValueGuard<'_, T, O>>> {
        match self.words.lock.lock(&self.os, until) {
            Ok(taken) => Ok(ValueGuard::new(self, taken.me)),
            Err(why) => Err(LockError::refused(why)),
        }
    }

    /// Changes the value by `change`, as one transaction, and returns what `change` returns.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock).
    #[inline]
    pub fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> Result<R, Refused> {
        let taken = self.words.lock.lock(&self.os, FOREVER)?;
        let mut guard = ValueGuard::new(self, taken.me);
        let result = guard.change(change);
        Ok(result)
    }

    /// Makes `value` the value.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock).
    #[inline]
    pub fn set(&self, value: T) -> Result<(), Refused> {
        self.update(|now| *now = value)
    }

    /// Makes `value` the value and returns the one before it.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock).
    #[inline]
    pub fn replace(&self, value: T) -> Result<T, Refused> {
        self.update(|now| core::mem::replace(now, value))
    }

    /// Waits while `pred` holds of the value, and returns the first for which it does not.
    ///
    /// It takes no lock and needs no identity. `pred` is called with a snapshot at once, after changes, and now and then in
    /// between; of several changes in quick succession it may see the last alone. Who waits costs those who change
    /// the value two system calls each time, wakes itself after 5 ms and then every 100 ms to look, and so finds out
    /// what somebody changed who was killed before he woke anybody.
    ///
    /// # Errors
    ///
    /// [`Refused::WouldDeadlock`] when it would wait while this thread holds a guard of the value: nobody else could
    /// change it.
    pub fn wait_while(&self, pred: impl FnMut(&T) -> bool) -> Result<T, Refused> {
        self.wait_until_while(FOREVER, pred).map(|(value, _)| value)
    }

    /// As [`wait_while`](Self::wait_while), until `until` on the clock of [`Os::now`]. The result has timed out if `pred`
    /// still held of the value that is returned.
    ///
    /// # Errors
    ///
    /// As [`wait_while`](Self::wait_while).
    pub fn wait_until_while(
        &self,
        until: u64,
        mut pred: impl FnMut(&T) -> bool,
    ) -> Result<(T, WaitTimeoutResult), Refused> {
        let mut value = self.get();
        if !pred(&value) {
            return Ok((value, WaitTimeoutResult::new(false)));
        }
        if self.words.lock.is_mine(&self.os) {
            return Err(Refused::WouldDeadlock);
        }
        let ready = self.watched().wait(&self.os, until, || {
            value = self.get();
            !pred(&value)
        });
        Ok((value, WaitTimeoutResult::new(!ready)))
    }

    /// How often the value has changed so far.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        let sequence = self.words.sequence.load(Ordering::Relaxed);
        // Acquire: pairs with the Release store in `Slots::write`, so that a `get` after this is not older. A fence and
        // not an Acquire load, which memory that may only be read does not bear in every memory model.
        fence(Ordering::Acquire);
        sequence
    }
}

impl<T, O> fmt::Debug for Value<'_, T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value")
            .field("sequence", &self.words.sequence.load(Ordering::Relaxed))
            .field("owner", &self.words.lock.owner())
            .finish_non_exhaustive()
    }
}

/// The `i`-th 8 bytes of `value`, zeros behind its end.
#[inline]
pub(crate) fn word_of<T: Element>(value: &T, i: usize) -> u64 {
    let rest = &bytemuck::bytes_of(value)[i * 8..];
    match rest.first_chunk() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => {
            let mut bytes = [0; 8];
            bytes[..rest.len()].copy_from_slice(rest);
            u64::from_le_bytes(bytes)
        }
    }
}

/// Stores the `i`-th 8 bytes of `copy`, as many of them as it has.
#[inline]
fn put_word<T: Element>(copy: &mut T, i: usize, word: u64) {
    let rest = &mut bytemuck::bytes_of_mut(copy)[i * 8..];
    match rest.first_chunk_mut() {
        Some(bytes) => *bytes = word.to_le_bytes(),
        None => {
            let len = rest.len();
            rest.copy_from_slice(&word.to_le_bytes()[..len]);
        }
    }
}
