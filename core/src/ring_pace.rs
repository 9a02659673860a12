//! How long it pays to look whether the other side moves, before one sleeps: learnt from what came of it before.
//!
//! Falling asleep and being woken takes microseconds, so looking for a moment pays when the other side is at work on another
//! processor. It does not where both share one, and is given up after a few times in vain, for a while. Where it pays, it
//! makes both sides slow if they go in step: each time one record, whose cache lines travel back and forth. Then a longer
//! pause before the first look lets the other side get ahead, and several records are found. Where a longer pause finds
//! one record still, as when two send to and fro, only what comes late would be the result; it is not tried again for a while.
//!
//! ```text
//!  63     32 31        24 23      16 15       8 7            0
//! ┌─────────┬────────────┬──────────┬──────────┬──────────────┐
//! │ (zero)  │ skip       │ in vain  │ hold off │ longer pause │
//! └─────────┴────────────┴──────────┴──────────┴──────────────┘
//! ```
//!
//! All of it is advice: whoever races for the word, or reads foreign bytes, waits a little longer or shorter.

use crate::atomic::{AtomicU64, Ordering, spin_loop};

/// The advice, as it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pace {
    /// Whether to pause before the first look.
    pauses: bool,
    /// For how many waits no longer pause is tried.
    hold_off: u8,
    /// How many times in a row one has looked in vain.
    in_vain: u8,
    /// How many waits are to sleep at once.
    skip: u8,
}

/// The longer pause, in turns of [`spin_loop`]: some microseconds.
const PAUSE: u32 = 128;
/// How many looks there are.
const LOOKS: u32 = 200;
/// After so many times in vain it is given up for [`SKIP`] waits.
const PATIENCE: u8 = 4;
const SKIP: u8 = 255;
/// For how many waits no longer pause is tried after one that was of no use.
const HOLD_OFF: u8 = 15;

impl Pace {
    fn load(word: &AtomicU64) -> Pace {
        // Relaxed: advice.
        let [pauses, hold_off, in_vain, skip, ..] = word.load(Ordering::Relaxed).to_le_bytes();
        Pace {
            pauses: pauses != 0,
            hold_off,
            in_vain,
            skip,
        }
    }

    fn store(self, word: &AtomicU64) {
        let Pace {
            pauses,
            hold_off,
            in_vain,
            skip,
        } = self;
        let bytes = [pauses.into(), hold_off, in_vain, skip, 0, 0, 0, 0];
        word.store(u64::from_le_bytes(bytes), Ordering::Relaxed);
    }

    /// The advice after the other side has been found to have moved on by so many records.
    fn found(self, records: u32) -> Pace {
        let pace = Pace { in_vain: 0, ..self };
        match (records, pace) {
            (2.., _) => pace,
            (_, Pace { pauses: true, .. }) => Pace {
                pauses: false,
                hold_off: HOLD_OFF,
                ..pace
            },
            (_, Pace { hold_off: 0, .. }) => Pace {
                pauses: true,
                ..pace
            },
            _ => Pace {
                hold_off: pace.hold_off - 1,
                ..pace
            },
        }
    }

    /// The advice after one has looked in vain.
    fn missed(self) -> Pace {
        let in_vain = self.in_vain.saturating_add(1);
        if in_vain < PATIENCE {
            return Pace { in_vain, ..self };
        }
        Pace {
            in_vain: 0,
            skip: SKIP,
            ..self
        }
    }
}

/// Looks for a moment, as `word` advises, until `moved` tells by how many records the other side has moved; whether it has.
pub(crate) fn look_for_a_moment(word: &AtomicU64, moved: impl Fn() -> Option<u32>) -> bool {
    let pace = Pace::load(word);
    if pace.skip > 0 {
        let skip = pace.skip - 1;
        Pace { skip, ..pace }.store(word);
        return false;
    }
    if pace.pauses {
        (0..PAUSE).for_each(|_| spin_loop());
    }
    for _ in 0..LOOKS {
        if let Some(records) = moved() {
            let next = pace.found(records);
            if next != pace {
                next.store(word);
            }
            return true;
        }
        spin_loop();
    }
    pace.missed().store(word);
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new() -> AtomicU64 {
        AtomicU64::new(0)
    }

    #[test]
    fn looking_in_vain_is_given_up_for_a_while() {
        let word = new();
        let looks = core::cell::Cell::new(0);
        let look = || {
            looks.set(looks.get() + 1);
            None
        };
        for _ in 0..usize::from(PATIENCE) + usize::from(SKIP) {
            assert!(!look_for_a_moment(&word, look));
        }
        assert_eq!(looks.get(), u32::from(PATIENCE) * LOOKS);
        assert!(!look_for_a_moment(&word, look));
        assert_eq!(looks.get(), (u32::from(PATIENCE) + 1) * LOOKS);
    }

    #[test]
    fn who_goes_in_step_pauses_and_who_finds_one_all_the_same_does_not() {
        let word = new();
        assert!(look_for_a_moment(&word, || Some(1)));
        assert!(Pace::load(&word).pauses, "it goes in step");
        assert!(look_for_a_moment(&word, || Some(5)));
        assert!(Pace::load(&word).pauses, "the pause is of use");
        assert!(look_for_a_moment(&word, || Some(1)));
        for left in (0..HOLD_OFF).rev() {
            assert!(!Pace::load(&word).pauses, "it was of no use");
            assert!(look_for_a_moment(&word, || Some(1)));
            assert_eq!(Pace::load(&word).hold_off, left);
        }
        assert!(look_for_a_moment(&word, || Some(1)));
        assert!(Pace::load(&word).pauses, "it is tried again");
    }

    #[test]
    fn foreign_bytes_are_advice_like_any_other() {
        let word = AtomicU64::new(u64::MAX);
        for _ in 0..300 {
            look_for_a_moment(&word, || Some(u32::MAX));
        }
        assert_eq!(Pace::load(&word).skip, 0);
    }
}
