//! The errors of claiming a range, and what they give back.

use core::fmt;

use crate::{
    lock::Refused,
    poison_ranges::{PoisonedRange, PoisonedRanges},
};

/// Why a range could not be claimed, or in which state.
#[derive(PartialEq, Eq)]
#[non_exhaustive]
pub enum ClaimError<G> {
    /// The range is claimed, but somebody who had claimed elements of it for writing did not finish. The guard is
    /// inside: the elements can be looked at, mended, and
    /// [declared sound](crate::WriteGuard::clear_poison).
    Poisoned(PoisonedClaim<G>),
    /// The range does not lie within the array.
    OutOfBounds {
        /// Where the range starts, in elements.
        start: usize,
        /// Where it ends.
        end: usize,
        /// How many elements the array has.
        len: usize,
    },
    /// The deadline passed first.
    TimedOut,
    /// Somebody else holds a claim in the way, and the call was not to wait.
    WouldBlock,
    /// The calling thread would wait for itself, directly or round others who wait for it.
    WouldDeadlock,
    /// The calling thread holds claims already, and as many claims as an array can have are held or waited for.
    /// Those who hold one do not wait for room: two of them could wait for ever.
    TooManyClaims,
    /// The system cannot tell who the calling process is: `/proc` cannot be read, or shows another PID namespace.
    NoIdentity,
}

/// One poisoned range, and how many others there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Poison {
    first: PoisonedRange,
    more: usize,
}

impl Poison {
    /// `None` when there is none.
    pub fn of(poisoned: &PoisonedRanges) -> Option<Poison> {
        poisoned.iter().next().map(|first| Poison {
            first: first.clone(),
            more: poisoned.len() - 1,
        })
    }
}

/// A guard over elements of which some were left half-changed.
#[derive(PartialEq, Eq)]
pub struct PoisonedClaim<G> {
    guard: G,
    poison: Poison,
}

impl<G> PoisonedClaim<G> {
    pub(crate) fn new(guard: G, poison: Poison) -> PoisonedClaim<G> {
        PoisonedClaim { guard, poison }
    }

    /// One of the poisoned ranges, and what happened there. The guard's `poisoned()` tells them all.
    pub fn first(&self) -> &PoisonedRange {
        &self.poison.first
    }

    /// How many other poisoned ranges there are in the claim.
    pub fn more(&self) -> usize {
        self.poison.more
    }

    /// The guard, to look at the elements as they were left.
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

impl<G> ClaimError<G> {
    pub(crate) fn refused(why: Refused) -> ClaimError<G> {
        match why {
            Refused::TimedOut => ClaimError::TimedOut,
            Refused::WouldBlock => ClaimError::WouldBlock,
            Refused::WouldDeadlock => ClaimError::WouldDeadlock,
            // No lock and no range has permits.
            Refused::TooManyClaims | Refused::TooManyPermits => ClaimError::TooManyClaims,
            Refused::NoIdentity => ClaimError::NoIdentity,
        }
    }

    /// The same error with another guard inside.
    pub fn map<H>(self, change: impl FnOnce(G) -> H) -> ClaimError<H> {
        match self {
            ClaimError::Poisoned(poisoned) => ClaimError::Poisoned(PoisonedClaim {
                guard: change(poisoned.guard),
                poison: poisoned.poison,
            }),
            ClaimError::OutOfBounds { start, end, len } => {
                ClaimError::OutOfBounds { start, end, len }
            }
            ClaimError::TimedOut => ClaimError::TimedOut,
            ClaimError::WouldBlock => ClaimError::WouldBlock,
            ClaimError::WouldDeadlock => ClaimError::WouldDeadlock,
            ClaimError::TooManyClaims => ClaimError::TooManyClaims,
            ClaimError::NoIdentity => ClaimError::NoIdentity,
        }
    }

    /// The same error without the guard, whose range is given back: an error that can be passed on.
    pub fn without_guard(self) -> ClaimError<()> {
        self.map(drop)
    }

    /// Whether elements were left half-changed; the guard is then inside.
    pub fn is_poisoned(&self) -> bool {
        matches!(self, ClaimError::Poisoned(_))
    }

    /// Whether somebody else has it, and the call was not to wait.
    pub fn is_would_block(&self) -> bool {
        matches!(self, ClaimError::WouldBlock)
    }

    /// Whether the deadline passed.
    pub fn is_timeout(&self) -> bool {
        matches!(self, ClaimError::TimedOut)
    }

    /// Whether the calling thread would have waited for itself.
    pub fn is_deadlock(&self) -> bool {
        matches!(self, ClaimError::WouldDeadlock)
    }

    /// The guard, when the only fault is poison.
    ///
    /// # Errors
    ///
    /// This error itself when there is no guard inside.
    pub fn into_guard(self) -> Result<G, ClaimError<G>> {
        match self {
            ClaimError::Poisoned(poisoned) => Ok(poisoned.guard),
            other => Err(other),
        }
    }
}

impl<G> fmt::Display for ClaimError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClaimError::Poisoned(poisoned) => fmt::Display::fmt(poisoned, f),
            ClaimError::OutOfBounds { start, end, .. } if start > end => {
                write!(f, "the range {start}..{end} ends before it starts")
            }
            ClaimError::OutOfBounds { start, end, len } => write!(
                f,
                "elements {start}..{end} do not lie within the array, which has {len}"
            ),
            ClaimError::TimedOut => f.write_str("the range was not free before the deadline"),
            ClaimError::WouldBlock => f.write_str("somebody else holds a claim in the way"),
            ClaimError::WouldDeadlock => fmt::Display::fmt(&Refused::WouldDeadlock, f),
            ClaimError::TooManyClaims => fmt::Display::fmt(&Refused::TooManyClaims, f),
            ClaimError::NoIdentity => fmt::Display::fmt(&Refused::NoIdentity, f),
        }
    }
}

impl<G> fmt::Debug for ClaimError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClaimError::Poisoned(poisoned) => fmt::Debug::fmt(poisoned, f),
            other => write!(f, "ClaimError({other})"),
        }
    }
}

impl<G> fmt::Debug for PoisonedClaim<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poisoned")
            .field("first", &self.poison.first)
            .field("more", &self.poison.more)
            .finish_non_exhaustive()
    }
}

impl<G> fmt::Display for PoisonedClaim<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "poisoned: {}", self.poison.first)?;
        match self.poison.more {
            0 => Ok(()),
            more => write!(f, " (and {more} more)"),
        }
    }
}

impl<G> core::error::Error for ClaimError<G> {}
impl<G> core::error::Error for PoisonedClaim<G> {}
