//! `Semaphore`: permits that come back when whoever has them dies.

use core::{fmt, marker::PhantomData, mem::ManuallyDrop};

use crate::{
    error::LayoutError,
    header::Kind,
    lock::{FOREVER, NOW, Refused},
    origin::Origin,
    os::Os,
    permits::{HeldPermits, Permits, TooManyPermits},
    placed::{self, Placed},
    region::Region,
};

#[repr(transparent)]
struct Words<const BOUNDED: bool>(Permits);

// SAFETY: atomics alone.
unsafe impl<const BOUNDED: bool> placed::Words for Words<BOUNDED> {
    const KIND: Kind = if BOUNDED {
        Kind::BoundedSemaphore
    } else {
        Kind::Semaphore
    };

    fn bury(&self) {
        self.0.bury();
    }
}

/// A number of permits, of which every holder takes some and gives them back.
///
/// Permits belong to the process that took them. When it dies they come back, each exactly once: to whoever waits,
/// within a fifth of a second, and at once to whoever asks without waiting.
///
/// Not fair: when permits become free, whoever comes first gets them, not who has waited longest, and who wants many may
/// be passed again and again by those who want few. A sleeper looks ten times a second for dead holders; giving back costs
/// a system call when somebody sleeps, or has been killed in his sleep, and takes no lock.
///
/// Up to 256 processes can hold permits at the same time; another one waits as if there were none.
///
/// A [`BoundedSemaphore`] never has more permits than it started with.
pub struct Semaphore<'m, O, const BOUNDED: bool = false> {
    permits: &'m Permits,
    os: O,
}

/// A [`Semaphore`] that never has more permits than it started with.
pub type BoundedSemaphore<'m, O> = Semaphore<'m, O, true>;

impl<'m, O: Os, const BOUNDED: bool> Semaphore<'m, O, BOUNDED> {
    /// How many bytes it takes.
    #[must_use]
    pub fn required_len() -> usize {
        Placed::<Words<BOUNDED>, ()>::required_len()
    }

    /// Places a semaphore with `permits` in fresh memory, all free.
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
        permits: u32,
    ) -> Result<Self, LayoutError> {
        let most = if BOUNDED { permits } else { u32::MAX };
        let init = |words: &Words<BOUNDED>| words.0.reset(permits, most);
        // SAFETY: promised by the caller.
        unsafe { Placed::place(&region, origin, (), init) }.map(|placed| Self::view(placed, os))
    }

    /// The semaphore that somebody placed in `region`.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] when the bytes do not hold such a semaphore of this `origin`.
    pub fn attach(region: Region<'m>, os: O, origin: Origin) -> Result<Self, LayoutError> {
        Placed::attach(&region, origin).map(|placed| Self::view(placed, os))
    }

    /// Declares every process that ever had it open dead: all permits are free.
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
        unsafe { Placed::<Words<BOUNDED>, ()>::bury(&region, origin) }
    }

    fn view(placed: Placed<'m, Words<BOUNDED>, ()>, os: O) -> Self {
        let permits = &placed.words.0;
        Semaphore { permits, os }
    }

    /// Waits for a permit.
    ///
    /// A thread that holds all permits itself waits until another releases some: this is not found out, since anybody
    /// may [`release`](Self::release).
    ///
    /// # Errors
    ///
    /// [`Refused`] when there can be none, or the system cannot tell who the calling process is.
    #[inline]
    pub fn acquire(&self) -> Result<Permit<'_, O>, Refused> {
        self.acquire_many_until(1, FOREVER)
    }

    /// Takes a permit if one is free now. Waits up to 10 ms for a process that is stopped in the middle
    /// of its bookkeeping.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire), and [`Refused::WouldBlock`].
    #[inline]
    pub fn try_acquire(&self) -> Result<Permit<'_, O>, Refused> {
        self.acquire_many_until(1, NOW)
    }

    /// Waits for a permit until `until` on the clock of [`Os::now`].
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire), and [`Refused::TimedOut`].
    #[inline]
    pub fn acquire_until(&self, until: u64) -> Result<Permit<'_, O>, Refused> {
        self.acquire_many_until(1, until)
    }

    /// Waits for `count` permits, which it takes all at once. None at all are given to everybody.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire), and [`Refused::TooManyPermits`] for more than there can ever be.
    #[inline]
    pub fn acquire_many(&self, count: u32) -> Result<Permit<'_, O>, Refused> {
        self.acquire_many_until(count, FOREVER)
    }

    /// Takes `count` permits if so many are free now. Waits up to 10 ms for a process that is stopped in the middle
    /// of its bookkeeping.
    ///
    /// # Errors
    ///
    /// As [`acquire_many`](Self::acquire_many), and [`Refused::WouldBlock`].
    #[inline]
    pub fn try_acquire_many(&self, count: u32) -> Result<Permit<'_, O>, Refused> {
        self.acquire_many_until(count, NOW)
    }

    /// As [`acquire_many`](Self::acquire_many), until `until` on the clock of [`Os::now`].
    ///
    /// # Errors
    ///
    /// As [`acquire_many`](Self::acquire_many), and [`Refused::TimedOut`].
    #[inline]
    pub fn acquire_many_until(&self, count: u32, until: u64) -> Result<Permit<'_, O>, Refused> {
        let held = self.permits.take(&self.os, count, until)?;
        if count != 0 {
            self.os.guard_made();
        }
        Ok(Permit {
            permits: self.permits,
            os: self.os,
            held,
            _one_thread: PhantomData,
        })
    }

    /// Adds `count` permits. Whoever calls need not hold any: this is how one process lets another go on. Takes no lock
    /// and never waits.
    ///
    /// To hand over a permit that one holds: [`Permit::forget`] it first, for as long as it exists it counts.
    ///
    /// # Errors
    ///
    /// [`TooManyPermits`] when there would be more than [`u32::MAX`], or more than a [`BoundedSemaphore`] started with;
    /// none is added.
    pub fn release(&self, count: u32) -> Result<(), TooManyPermits> {
        self.permits.release(&self.os, count)
    }

    /// How many permits are free at this moment. Waits for the table of holders, without bound while a process that has it
    /// is stopped, and asks for each of them whether it still lives: some microseconds each.
    ///
    /// # Errors
    ///
    /// [`Refused::NoIdentity`].
    pub fn value(&self) -> Result<u32, Refused> {
        self.permits.free(&self.os)
    }
}

impl<O, const BOUNDED: bool> Semaphore<'_, O, BOUNDED> {
    /// How many permits exist, held or free.
    #[must_use]
    pub fn permits(&self) -> u32 {
        self.permits.total()
    }

    /// How many permits are held, those of the dead among them; roughly, while others take and give back. Does not wait.
    #[must_use]
    pub fn held(&self) -> u32 {
        self.permits.held()
    }
}

impl<O, const BOUNDED: bool> fmt::Debug for Semaphore<'_, O, BOUNDED> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if BOUNDED {
            "BoundedSemaphore"
        } else {
            "Semaphore"
        };
        f.debug_struct(name)
            .field("permits", &self.permits())
            .field("held", &self.held())
            .finish_non_exhaustive()
    }
}

/// Permits that are held; dropping this gives them back.
///
/// It belongs to the thread that acquired it. In a fork child what it inherited gives nothing back. When it is
/// leaked the permits stay held until the process ends.
#[must_use = "the permits are given back when this is dropped"]
pub struct Permit<'a, O: Os> {
    permits: &'a Permits,
    os: O,
    held: HeldPermits,
    _one_thread: PhantomData<*mut ()>,
}

impl<O: Os> Permit<'_, O> {
    /// How many permits these are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.held.count()
    }

    /// Gives nothing back: the permits cease to exist, until somebody [releases](Semaphore::release) new ones. Waits for
    /// no lock. In a fork child, which holds none of what it inherited, this does nothing.
    pub fn forget(self) {
        let permit = ManuallyDrop::new(self);
        if permit.permits.forget(&permit.os, permit.held) {
            permit.os.guard_dropped();
        }
    }
}

impl<O: Os> Drop for Permit<'_, O> {
    #[inline]
    fn drop(&mut self) {
        if self.permits.give_back(&self.os, self.held) {
            self.os.guard_dropped();
        }
    }
}

impl<O: Os> fmt::Debug for Permit<'_, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}
