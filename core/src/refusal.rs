//! The errors of taking a lock, and what they give back.

use core::fmt;

use crate::{lock::Refused, poison::Cause};

/// Why a lock could not be had, or in which state.
#[derive(PartialEq, Eq)]
#[non_exhaustive]
pub enum LockError<G> {
    /// The lock is held, but whoever held it before did not finish. The guard is inside: the data can be looked at,
    /// mended, and [declared sound](crate::MutexGuard::clear_poison).
    Poisoned(Poisoned<G>),
    /// The deadline passed first.
    TimedOut,
    /// Somebody else holds it, and the call was not to wait.
    WouldBlock,
    /// The calling thread holds it already and would wait for itself.
    WouldDeadlock,
    /// Every place for a holder is taken, and the calling thread has one of them: to wait could last for ever.
    TooManyClaims,
    /// The system cannot tell who the calling process is: `/proc` cannot be read, or shows another PID namespace.
    NoIdentity,
}

/// A guard over data that was left half-changed, and what happened to whoever left it.
#[derive(PartialEq, Eq)]
pub struct Poisoned<G> {
    guard: G,
    cause: Cause,
}

impl<G> Poisoned<G> {
    pub(crate) fn new(guard: G, cause: Cause) -> Poisoned<G> {
        Poisoned { guard, cause }
    }

    /// What happened.
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// The guard, to look at the data as it was left.
    pub fn into_inner(self) -> G {
        self.guard
    }

    /// The guard, still inside, to look through.
    pub fn get_ref(&self) -> &G {
        &self.guard
    }

    /// The guard, still inside.
    pub fn get_mut(&mut self) -> &mut G {
        &mut self.guard
    }
}

impl<G> LockError<G> {
    pub(crate) fn refused(why: Refused) -> LockError<G> {
        match why {
            Refused::TimedOut => LockError::TimedOut,
            Refused::WouldBlock => LockError::WouldBlock,
            Refused::WouldDeadlock => LockError::WouldDeadlock,
            // No lock and no range has permits.
            Refused::TooManyClaims | Refused::TooManyPermits => LockError::TooManyClaims,
            Refused::NoIdentity => LockError::NoIdentity,
        }
    }

    /// The same error without the guard, which is dropped: an error that can be passed on.
    pub fn without_guard(self) -> LockError<()> {
        self.map(drop)
    }

    /// The same error around what `change` makes of the guard.
    pub fn map<H>(self, change: impl FnOnce(G) -> H) -> LockError<H> {
        match self {
            LockError::Poisoned(Poisoned { guard, cause }) => {
                LockError::Poisoned(Poisoned::new(change(guard), cause))
            }
            LockError::TimedOut => LockError::TimedOut,
            LockError::WouldBlock => LockError::WouldBlock,
            LockError::WouldDeadlock => LockError::WouldDeadlock,
            LockError::TooManyClaims => LockError::TooManyClaims,
            LockError::NoIdentity => LockError::NoIdentity,
        }
    }

    /// Whether the data was left half-changed; the guard is then inside.
    pub fn is_poisoned(&self) -> bool {
        matches!(self, LockError::Poisoned(_))
    }

    /// Whether somebody else has it, and the call was not to wait.
    pub fn is_would_block(&self) -> bool {
        matches!(self, LockError::WouldBlock)
    }

    /// Whether the deadline passed.
    pub fn is_timeout(&self) -> bool {
        matches!(self, LockError::TimedOut)
    }

    /// Whether the calling thread holds it already.
    pub fn is_deadlock(&self) -> bool {
        matches!(self, LockError::WouldDeadlock)
    }

    /// The guard, when the only fault is poison.
    ///
    /// # Errors
    ///
    /// This error itself when there is no guard inside.
    pub fn into_guard(self) -> Result<G, LockError<G>> {
        match self {
            LockError::Poisoned(poisoned) => Ok(poisoned.guard),
            other => Err(other),
        }
    }
}

impl<G> fmt::Display for LockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::Poisoned(poisoned) => fmt::Display::fmt(poisoned, f),
            LockError::TimedOut => f.write_str("the lock was not free before the deadline"),
            LockError::WouldBlock => f.write_str("somebody else holds the lock"),
            LockError::WouldDeadlock => f.write_str("this thread holds the lock already"),
            LockError::TooManyClaims => fmt::Display::fmt(&Refused::TooManyClaims, f),
            LockError::NoIdentity => fmt::Display::fmt(&Refused::NoIdentity, f),
        }
    }
}

impl<G> fmt::Debug for LockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::Poisoned(poisoned) => fmt::Debug::fmt(poisoned, f),
            LockError::TimedOut => f.write_str("TimedOut"),
            LockError::WouldBlock => f.write_str("WouldBlock"),
            LockError::WouldDeadlock => f.write_str("WouldDeadlock"),
            LockError::TooManyClaims => f.write_str("TooManyClaims"),
            LockError::NoIdentity => f.write_str("NoIdentity"),
        }
    }
}

impl<G> fmt::Debug for Poisoned<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poisoned")
            .field("cause", &self.cause)
            .finish_non_exhaustive()
    }
}

impl<G> fmt::Display for Poisoned<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the lock is poisoned: {}", self.cause)
    }
}

impl<G> core::error::Error for LockError<G> {}
impl<G> core::error::Error for Poisoned<G> {}
