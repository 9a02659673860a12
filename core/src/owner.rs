//! Who holds something: a process, by identity and not by number.

use core::{fmt, num::NonZeroU32};

/// The identity of a process in one word: its process id and its time of birth, so that an id that is given out
/// again names somebody else.
///
/// ```text
///  63                    23 22         1      0
/// ┌────────────────────────┬────────────┬─────────┐
/// │ birth, in clock ticks  │ process id │ WAITERS │
/// └────────────────────────┴────────────┴─────────┘
/// ```
///
/// The lowest bit is always 0 here; lock words use it for "somebody sleeps". It lies in the half that a futex
/// compares. 22 bits hold every process id that Linux gives out (at most 4,194,304); 41 bits hold 697 years of
/// ticks of 10 ms since boot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Owner(u64);

const PID_BITS: u32 = 22;
const BIRTH_BITS: u32 = 64 - 1 - PID_BITS;

impl Owner {
    /// Nobody; also the answer of an [`Os`](crate::Os) that cannot tell who it is.
    pub const NONE: Owner = Owner(0);

    /// The owner with this process id, born at this tick; `None` when either does not fit its bits.
    #[must_use]
    pub const fn new(pid: NonZeroU32, birth: u64) -> Option<Owner> {
        if pid.get() >> PID_BITS != 0 || birth >> BIRTH_BITS != 0 {
            return None;
        }
        Some(Owner((birth << (PID_BITS + 1)) | ((pid.get() as u64) << 1)))
    }

    /// The owner in a word of shared memory, whatever else its lowest bit says.
    #[inline]
    #[must_use]
    pub const fn from_bits(bits: u64) -> Owner {
        Owner(bits & !1)
    }

    /// The word, its lowest bit 0.
    #[inline]
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// Whether this is [`Owner::NONE`].
    #[inline]
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The process id; 0 for [`Owner::NONE`].
    #[must_use]
    pub const fn pid(self) -> u32 {
        ((self.0 >> 1) & ((1 << PID_BITS) - 1)) as u32
    }

    /// The time of birth in clock ticks since boot.
    #[must_use]
    pub const fn birth(self) -> u64 {
        self.0 >> (PID_BITS + 1)
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return f.write_str("Owner::NONE");
        }
        write!(f, "Owner({}, born at tick {})", self.pid(), self.birth())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_its_pid_and_birth_and_leaves_the_lowest_bit_free() {
        let pid = NonZeroU32::new(4_194_303).unwrap();
        let owner = Owner::new(pid, (1 << 41) - 1).unwrap();
        assert_eq!((owner.pid(), owner.birth()), (4_194_303, (1 << 41) - 1));
        assert_eq!(owner.to_bits() & 1, 0);
        assert_eq!(Owner::from_bits(owner.to_bits() | 1), owner);
    }

    #[test]
    fn what_does_not_fit_is_no_owner() {
        assert!(Owner::new(NonZeroU32::new(1 << 22).unwrap(), 0).is_none());
        assert!(Owner::new(NonZeroU32::MIN, 1 << 41).is_none());
    }
}
