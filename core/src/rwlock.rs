//! `RwLock<T>`: a table of holders whose readers share, and the data behind it.

use core::{fmt, ptr::NonNull};

use crate::{
    element::Element,
    error::LayoutError,
    header::Kind,
    hold::{Hold, Table},
    holders::{Claim, Holders, Rule},
    lock::{FOREVER, NOW},
    origin::Origin,
    os::Os,
    owner::Owner,
    placed::{self, Placed},
    poison::{Cause, PoisonWord},
    refusal::{LockError, Poisoned},
    region::Region,
    rwlock_guard::{RwLockReadGuard, RwLockWriteGuard},
};

#[repr(C)]
#[derive(Debug)]
pub(crate) struct Words {
    holders: Holders,
    /// Changed only by who has the exclusive claim, or sweeps that of a dead one.
    pub(crate) poison: PoisonWord,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Words>() == size_of::<Holders>() + 8);

// SAFETY: atomics alone.
unsafe impl placed::Words for Words {
    const KIND: Kind = Kind::RwLock;

    fn bury(&self) {
        self.holders.bury(&ReadersShare(&self.poison));
    }
}

/// Readers share, writers do not, and a writer that died leaves poison.
struct ReadersShare<'a>(&'a PoisonWord);

impl Rule for ReadersShare<'_> {
    #[inline]
    fn conflict(&self, a: &Claim, b: &Claim) -> bool {
        a.exclusive || b.exclusive
    }

    fn died(&self, claim: &Claim, owner: Owner) {
        if claim.exclusive {
            self.0.note(Cause::died(owner));
        }
    }
}

/// A `T` that many threads of all processes read at once, or one of them changes.
///
/// Who asks first gets it first: readers that come after a waiting writer wait behind it, so that it is not kept waiting
/// for ever; only a thread that reads already may read again at once. 64 can read or wait in order; who
/// comes while there are so many looks every 10 ms until there is room, and keeps no place in line meanwhile.
///
/// When a process dies that reads, its claim is given back. When it dies while it writes, or a thread panics after it
/// could have changed something, the lock is *poisoned*: whoever locks it next, to read or to write, gets the guard inside
/// an error, until [`clear_poison`](RwLockWriteGuard::clear_poison).
///
/// Locking takes and leaves the lock of a table and fills one row of it; unlocking is one exchange. Who waits wakes
/// itself after 5 ms and then every 100 ms to see whether those in the way still live, and others pass one
/// who died waiting at the end of such a slice.
pub struct RwLock<'m, T, O> {
    pub(crate) words: &'m Words,
    pub(crate) data: NonNull<T>,
    os: O,
}

// SAFETY: the data is reached only through guards, shared ones or one exclusive one over all threads and processes;
// `T: Element` is itself `Send` and `Sync`.
unsafe impl<T: Element, O: Send> Send for RwLock<'_, T, O> {}
// SAFETY: as above; `&RwLock` gives nothing but guards.
unsafe impl<T: Element, O: Sync> Sync for RwLock<'_, T, O> {}

impl<'m, T: Element, O: Os> RwLock<'m, T, O> {
    /// How many bytes it takes.
    #[must_use]
    pub fn required_len() -> usize {
        Placed::<Words, T>::required_len()
    }

    /// Places a lock around `value` in fresh memory.
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
    ) -> Result<RwLock<'m, T, O>, LayoutError> {
        let init = |words: &Words| {
            words.holders.reset();
            words.poison.clear();
        };
        // SAFETY: promised by the caller.
        unsafe { Placed::place(&region, origin, value, init) }
            .map(|placed| RwLock::view(placed, os))
    }

    /// The lock that somebody placed in `region`.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] when the bytes do not hold a reader-writer lock around a `T` of this `origin`.
    pub fn attach(region: Region<'m>, os: O, origin: Origin) -> Result<Self, LayoutError> {
        Placed::attach(&region, origin).map(|placed| RwLock::view(placed, os))
    }

    /// Declares every process that ever had it open dead: nobody reads or writes any more, and it is poisoned if somebody
    /// wrote.
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
        unsafe { Placed::<Words, T>::bury(&region, origin) }
    }

    fn view(placed: Placed<'m, Words, T>, os: O) -> Self {
        let Placed { words, data, .. } = placed;
        RwLock { words, data, os }
    }

    /// Waits until nobody writes, and nobody who asked to write before is waiting, and shares the data with other readers.
    ///
    /// # Errors
    ///
    /// [`LockError::Poisoned`] with the guard inside, [`LockError::WouldDeadlock`] when this thread writes, or
    /// [`LockError::TooManyClaims`] when all 64 places are taken and it has one.
    #[inline]
    pub fn read(&self) -> Result<RwLockReadGuard<'_, T, O>, LockError<RwLockReadGuard<'_, T, O>>> {
        self.read_until(FOREVER)
    }

    /// Waits until nobody else reads or writes, and takes the data for itself.
    ///
    /// # Errors
    ///
    /// [`LockError::Poisoned`] with the guard inside, or [`LockError::WouldDeadlock`] when this thread reads or writes.
    #[inline]
    pub fn write(
        &self,
    ) -> Result<RwLockWriteGuard<'_, T, O>, LockError<RwLockWriteGuard<'_, T, O>>> {
        self.write_until(FOREVER)
    }

    /// As [`read`](Self::read), but does not wait for others who read or write; for a process that is stopped in
    /// the middle of its bookkeeping, up to 10 ms.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), and [`LockError::WouldBlock`].
    #[inline]
    pub fn try_read(
        &self,
    ) -> Result<RwLockReadGuard<'_, T, O>, LockError<RwLockReadGuard<'_, T, O>>> {
        self.read_until(NOW)
    }

    /// As [`write`](Self::write), but does not wait for others who read or write; for a process that is stopped in
    /// the middle of its bookkeeping, up to 10 ms.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write), and [`LockError::WouldBlock`].
    #[inline]
    pub fn try_write(
        &self,
    ) -> Result<RwLockWriteGuard<'_, T, O>, LockError<RwLockWriteGuard<'_, T, O>>> {
        self.write_until(NOW)
    }

    // Guards are built on both ways where they are returned, and never handed to a call: so they stay in registers.

    /// As [`read`](Self::read), until `until` on the clock of [`Os::now`].
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), and [`LockError::TimedOut`].
    #[inline]
    pub fn read_until(
        &self,
        until: u64,
    ) -> Result<RwLockReadGuard<'_, T, O>, LockError<RwLockReadGuard<'_, T, O>>> {
        let hold = self.claim(false, until)?;
        let guard = RwLockReadGuard::new(hold);
        match self.found() {
            None => Ok(guard),
            Some(cause) => Err(LockError::Poisoned(Poisoned::new(guard, cause))),
        }
    }

    /// As [`write`](Self::write), until `until` on the clock of [`Os::now`].
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write), and [`LockError::TimedOut`].
    #[inline]
    pub fn write_until(
        &self,
        until: u64,
    ) -> Result<RwLockWriteGuard<'_, T, O>, LockError<RwLockWriteGuard<'_, T, O>>> {
        let hold = self.claim(true, until)?;
        let guard = RwLockWriteGuard::new(hold);
        match self.found() {
            None => Ok(guard),
            Some(cause) => Err(LockError::Poisoned(Poisoned::new(guard, cause))),
        }
    }

    #[inline]
    fn claim<G>(&self, exclusive: bool, until: u64) -> Result<Hold<'_, Self>, LockError<G>> {
        let want = Claim {
            exclusive,
            start: 0,
            end: 1,
        };
        Hold::acquire(self, want, &ReadersShare(&self.words.poison), until)
            .map_err(LockError::refused)
    }

    /// The poison that whoever has just locked finds.
    #[inline]
    fn found(&self) -> Option<Cause> {
        if self.words.poison.is_clear() {
            None
        } else {
            self.poison()
        }
    }

    /// Why the lock is poisoned at this moment, if it is. The death of a writer shows once somebody has tried to lock.
    #[must_use]
    pub fn poison(&self) -> Option<Cause> {
        self.words.poison.get()
    }

    /// Whether the lock is poisoned at this moment, as [`poison`](Self::poison) says.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.poison().is_some()
    }
}

impl<T, O: Os> Table for RwLock<'_, T, O> {
    type Os = O;

    #[inline]
    fn holders(&self) -> &Holders {
        &self.words.holders
    }

    #[inline]
    fn os(&self) -> &O {
        &self.os
    }
}

impl<T, O> RwLock<'_, T, O> {
    /// Whether somebody reads or writes at this moment. Those who died are counted until somebody has waited for them.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.readers() > 0 || self.words.holders.held(true) > 0
    }

    /// How many read at this moment. Those who died are counted until somebody has waited for them.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.words.holders.held(false)
    }

    /// How many wait to read or to write at this moment, not counting those beyond 64.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.words.holders.waiting()
    }
}

impl<T, O> fmt::Debug for RwLock<'_, T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RwLock")
            .field("is_locked", &self.is_locked())
            .field("readers", &self.readers())
            .field("waiting", &self.waiting())
            .field("poison", &self.words.poison.get())
            .finish_non_exhaustive()
    }
}
