//! A lock that the thread which holds it may take again: a [`Lock`] and a count beside it.
//!
//! Invariants:
//!
//! 1. Only the holding thread reads or writes `depth`. While nobody holds the lock it means nothing: whoever takes the
//!    lock, from a dead owner as well, starts it at 1.
//! 2. The lock is given back when `depth` comes to 0, so a thread that holds it never waits for it.

use crate::{
    atomic::{AtomicU64, Ordering},
    lock::{Lock, Refused, Taken},
    os::Os,
    owner::Owner,
};

/// The words of a reentrant lock as they lie in shared memory. Public for embedders and for models; most use
/// [`ReentrantMutex`](crate::ReentrantMutex).
#[repr(C)]
#[derive(Debug, Default)]
pub struct ReentrantLock {
    lock: Lock,
    /// How often its holder has entered and not left.
    depth: AtomicU64,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<ReentrantLock>() == 24);

impl ReentrantLock {
    /// A free lock.
    #[must_use]
    pub fn new() -> ReentrantLock {
        ReentrantLock::default()
    }

    /// Frees the lock in memory that nobody else sees.
    pub(crate) fn reset(&self) {
        self.depth.store(0, Ordering::Relaxed);
        self.lock.reset();
    }

    /// Who holds the lock at this moment.
    #[must_use]
    pub fn owner(&self) -> Owner {
        self.lock.owner()
    }

    /// How often the calling thread has entered and not left.
    #[must_use]
    pub fn depth<O: Os>(&self, os: &O) -> u64 {
        if self.lock.is_mine(os) {
            self.depth.load(Ordering::Relaxed)
        } else {
            0
        }
    }

    /// Takes the lock, or takes it once more, waiting as [`Lock::lock`] does.
    ///
    /// # Errors
    ///
    /// [`Refused`] says why not; never [`Refused::WouldDeadlock`]. A lock whose owner died is taken all the same: see
    /// [`Taken::died`].
    #[inline]
    pub fn enter<O: Os>(&self, os: &O, until: u64) -> Result<Taken, Refused> {
        match self.enter_free(os) {
            Some(taken) => Ok(taken),
            None => self.enter_contended(os, until),
        }
    }

    /// Takes the lock if it is free at first sight or held by the calling thread; its last holder did not die.
    #[inline]
    pub(crate) fn enter_free<O: Os>(&self, os: &O) -> Option<Taken> {
        // Relaxed throughout: invariant 1, and the lock orders one holder after the other.
        let (taken, depth) = if self.lock.is_mine(os) {
            let taken = Taken {
                me: os.me(),
                died: Owner::NONE,
            };
            // Wraps after centuries of forgotten guards.
            let depth = self.depth.load(Ordering::Relaxed).wrapping_add(1);
            (taken, depth)
        } else {
            (self.lock.lock_free(os)?, 1)
        };
        os.step("reentrant: about to count");
        self.depth.store(depth, Ordering::Relaxed);
        Some(taken)
    }

    /// Takes the lock after [`enter_free`](Self::enter_free) has failed.
    #[cold]
    pub(crate) fn enter_contended<O: Os>(&self, os: &O, until: u64) -> Result<Taken, Refused> {
        let taken = self.lock.lock_contended(os, until)?;
        os.step("reentrant: about to count after a wait");
        self.depth.store(1, Ordering::Relaxed);
        Ok(taken)
    }

    /// Leaves what `me` has [entered](Self::enter), once for each time. In a process that did not enter (a fork child
    /// with its parent's guard) this does nothing.
    #[inline(always)]
    pub fn leave<O: Os>(&self, os: &O, me: Owner) {
        if os.is_me(me) {
            self.leave_mine(os, me);
        }
    }

    /// Leaves what `me`, the caller, has entered.
    #[inline(always)]
    pub(crate) fn leave_mine<O: Os>(&self, os: &O, me: Owner) {
        os.step("reentrant: about to leave");
        // Relaxed: invariant 1.
        let depth = self.depth.load(Ordering::Relaxed).wrapping_sub(1);
        self.depth.store(depth, Ordering::Relaxed);
        if depth == 0 {
            self.lock.unlock_mine(os, me);
        }
    }
}
