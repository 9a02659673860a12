//! Why something is poisoned, and the word that says so.

use core::fmt;

use crate::{
    atomic::{AtomicU64, Ordering},
    owner::Owner,
};

/// What happened to whoever held the lock or the claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The process that held it ended without giving it back.
    OwnerDied {
        /// The id that the process had.
        pid: u32,
    },
    /// The thread that held it panicked.
    Panicked,
}

/// The word of a cause whose owner panicked; no owner has this number.
const PANICKED: u64 = 1;

impl Cause {
    pub(crate) fn died(owner: Owner) -> u64 {
        owner.to_bits()
    }

    pub(crate) const fn panicked() -> u64 {
        PANICKED
    }

    /// The cause in a word of shared memory; 0 is none.
    pub(crate) fn from_word(word: u64) -> Option<Cause> {
        match word {
            0 => None,
            PANICKED => Some(Cause::Panicked),
            owner => Some(Cause::OwnerDied {
                pid: Owner::from_bits(owner).pid(),
            }),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::OwnerDied { pid } => write!(f, "process {pid} died while holding it"),
            Cause::Panicked => write!(f, "a thread panicked while holding it"),
        }
    }
}

/// The cause as it lies in shared memory, changed only by who holds the lock beside it.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct PoisonWord(AtomicU64);

impl PoisonWord {
    // Relaxed throughout: the lock beside it orders all accesses that act on it.

    /// Notes a cause, unless there is one: the first stays, since whoever has the lock may have just been told of it.
    pub fn note(&self, cause: u64) {
        if self.is_clear() {
            self.0.store(cause, Ordering::Relaxed);
        }
    }

    #[inline]
    pub fn is_clear(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    pub fn get(&self) -> Option<Cause> {
        Cause::from_word(self.0.load(Ordering::Relaxed))
    }

    pub fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}
