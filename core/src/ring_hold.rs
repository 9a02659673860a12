//! How one has a side of a ring while one changes it: by its lock, or for good.
//!
//! | | [`Locked`] | [`Sole`] |
//! |---|---|---|
//! | who | any number of threads and processes | one at a time, which the caller sees to |
//! | the position changes by | a store, under the lock | an exchange |
//! | who waits for it marks | the lock word, sleeps on the turn | the position itself, and sleeps on it |
//! | a close is | a store under each lock | a bit that the next exchange keeps |
//!
//! In both the sleepers' mark lies in a word that whoever publishes must exchange anyway: to wake nobody costs nothing.

use crate::{
    atomic::{AtomicU64, Ordering},
    lock::{PATIENCE, Refused, Taken, wake_all},
    os::Os,
    ring_words::{CLOSED, Position, RingWords, Side, WAITERS},
};

/// How a side of a ring is held: [`Locked`] or [`Sole`].
pub trait Hold: rules::Hold {
    /// Whether there may be several at a side at the same time.
    const IS_SHARED: bool = <Self as rules::Hold>::SHARED;
}

/// By the lock of the side, from [taking](crate::Ring::producer) it to publishing.
#[derive(Clone, Copy, Debug)]
pub struct Locked(Taken);

/// For good: whoever calls is the only one at this side, in all processes.
#[derive(Clone, Copy, Debug)]
pub struct Sole(());

impl Hold for Locked {}
impl Hold for Sole {}

/// What a wait has marked: the word to sleep on while it is as expected.
pub(crate) type Watch<'a> = (&'a AtomicU64, u64);

pub(crate) mod rules {
    use super::*;

    /// What the two ways differ in. Not to be named outside: there are no others.
    #[expect(
        private_interfaces,
        reason = "the trait is sealed by being unreachable"
    )]
    pub trait Hold: Copy {
        /// Whether others may wait for the same side at the same time.
        const SHARED: bool;

        /// Takes the side.
        fn take<O: Os>(os: &O, side: &Side, until: u64) -> Result<Self, Refused>;

        /// Moves the side on, by one store, and gives it back. Wakes who waits for `records`, or for so much room.
        fn publish<O: Os>(
            self,
            os: &O,
            side: (&Side, &AtomicU64),
            to: Position,
            records: u32,
            step: &'static str,
        );

        /// Gives the side back unchanged.
        fn let_go<O: Os>(self, os: &O, side: &Side);

        /// Makes whoever moves the other side on from `seen` wake the caller. `None` when it has moved already.
        fn watch<'a>(side: &'a Side, word: &'a AtomicU64, seen: Position) -> Option<Watch<'a>>;

        /// Lets nothing more be put.
        fn close<O: Os>(os: &O, words: &RingWords, until: u64) -> Result<(), Refused>;
    }
}

#[expect(
    private_interfaces,
    reason = "the trait is sealed by being unreachable"
)]
impl rules::Hold for Locked {
    const SHARED: bool = true;

    #[inline]
    fn take<O: Os>(os: &O, side: &Side, until: u64) -> Result<Locked, Refused> {
        match side.lock.lock_free(os) {
            Some(taken) => Ok(Locked(taken)),
            None => take_contended(os, side, until),
        }
    }

    #[inline(always)]
    fn publish<O: Os>(
        self,
        os: &O,
        (side, word): (&Side, &AtomicU64),
        to: Position,
        records: u32,
        step: &'static str,
    ) {
        // Release: pairs with the Acquire of the other side, in `Producer::has_room` and `Consumer::next_record`. This
        // one store is the change.
        word.store(to.to_bits(), Ordering::Release);
        os.step(step);
        // One at least: whoever watched is not watching any more.
        side.lock
            .unlock_watched(os, self.0.me, &side.turn, records.max(1));
    }

    #[inline(always)]
    fn let_go<O: Os>(self, os: &O, side: &Side) {
        // A copy of this process, made while it was held, has nothing to give back.
        if os.is_me(self.0.me) {
            side.lock.unlock_watched(os, self.0.me, &side.turn, 1);
        }
    }

    fn watch<'a>(side: &'a Side, word: &'a AtomicU64, seen: Position) -> Option<Watch<'a>> {
        let turn = side.lock.watch(&side.turn);
        // Relaxed: `watch` orders it behind what the last of the other side has stored.
        let still = Position::load(word, Ordering::Relaxed) == seen;
        still.then_some((&side.turn, turn))
    }

    fn close<O: Os>(os: &O, words: &RingWords, until: u64) -> Result<(), Refused> {
        let RingWords {
            producers,
            tail,
            consumers,
            head,
        } = words;
        let close = |side: &Side, word: &AtomicU64, until| {
            let taken = side.lock.lock_table(os, until)?;
            let position = Position::load(word, Ordering::Relaxed);
            // Release: pairs with the Acquire of whoever sees it without the lock.
            word.store(position.closed().to_bits(), Ordering::Release);
            os.step("ring: closed");
            side.lock.unlock_watched(os, taken.me, &side.turn, u32::MAX);
            Ok(())
        };
        close(producers, &tail.position, until)?;
        // Now it is. The other side is only woken, and not waited for if somebody is stopped with it: whoever waits for
        // room and is missed finds out after a slice.
        let patience = until.min(os.now().saturating_add(PATIENCE));
        match close(consumers, &head.position, patience) {
            Err(Refused::TimedOut | Refused::WouldBlock) => wake_all(os, &consumers.turn),
            closed => closed?,
        }
        Ok(())
    }
}

#[expect(
    private_interfaces,
    reason = "the trait is sealed by being unreachable"
)]
impl rules::Hold for Sole {
    const SHARED: bool = false;

    #[inline]
    fn take<O: Os>(_: &O, _: &Side, _: u64) -> Result<Sole, Refused> {
        Ok(Sole(()))
    }

    #[inline(always)]
    fn publish<O: Os>(
        self,
        os: &O,
        (_, word): (&Side, &AtomicU64),
        to: Position,
        _: u32,
        step: &'static str,
    ) {
        // Release: pairs with the Acquire of the other side, as above. This one exchange is the change.
        let before = word.swap(to.to_bits(), Ordering::Release);
        os.step(step);
        if before & (WAITERS | CLOSED & !to.to_bits()) != 0 {
            pass_on(os, word, before);
        }
    }

    #[inline(always)]
    fn let_go<O: Os>(self, _: &O, _: &Side) {}

    fn watch<'a>(_: &'a Side, word: &'a AtomicU64, seen: Position) -> Option<Watch<'a>> {
        let marked = seen.to_bits() | WAITERS;
        // Relaxed: the exchange of whoever moves the word finds the mark, or this finds the word moved.
        match word.compare_exchange(seen.to_bits(), marked, Ordering::Relaxed, Ordering::Relaxed) {
            Err(now) if now != marked => None,
            _ => Some((word, marked)),
        }
    }

    fn close<O: Os>(os: &O, words: &RingWords, _: u64) -> Result<(), Refused> {
        for word in [&words.tail.position, &words.head.position] {
            // Release: pairs with the Acquire of the other side. What was put before is there to be taken.
            let before = word.fetch_or(CLOSED, Ordering::Release);
            os.step("ring: closed");
            if before & WAITERS != 0 {
                wake_all(os, word);
            }
        }
        Ok(())
    }
}

#[cold]
#[inline(never)]
fn take_contended<O: Os>(os: &O, side: &Side, until: u64) -> Result<Locked, Refused> {
    side.lock.lock_table(os, until).map(Locked)
}

/// What an exchange has found in the word beside the position: the mark of a sleeper, and a close that it took away.
#[cold]
#[inline(never)]
fn pass_on<O: Os>(os: &O, word: &AtomicU64, before: u64) {
    if before & CLOSED != 0 {
        // Release: pairs with the Acquire of the other side.
        word.fetch_or(CLOSED, Ordering::Release);
        os.step("ring: closed again");
    }
    wake_all(os, word);
}
