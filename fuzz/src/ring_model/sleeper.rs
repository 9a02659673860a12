//! Who sleeps, and who is woken.

use std::{ptr, sync::atomic::AtomicU64};

use multiproc_core::{FOREVER, Wait};

use super::{MILLISECOND, Party, Stage, Work, call::Deed, stage::is_changed};

/// How long who must not wait any more may still wait for a lock.
const GRACE: u64 = 10 * MILLISECOND;

/// Somebody who is asleep, or has been woken and does not run yet.
pub(super) struct Sleeper {
    /// Which of the calls.
    call: usize,
    word: *const AtomicU64,
    awake: bool,
}

impl Work {
    /// Checks that a party may sleep until then.
    pub(super) fn falls_asleep(&self, party: Party<'_>, until: u64) {
        let stage = party.stage;
        let deadline = self.current(stage, |call| call.until).unwrap_or(FOREVER);
        let latest = deadline.max(stage.now()).saturating_add(GRACE);
        assert!(until <= latest, "sleeps on after its deadline");
        self.current(stage, |call| call.falls_asleep(stage.now()));
    }

    /// What a party waits for may happen now: before it falls asleep, and while it sleeps.
    pub(super) fn lies_asleep(&self, party: Party<'_>, word: &AtomicU64, expected: u64) -> Wait {
        let stage = party.stage;
        if stage.is_over() || stage.is_deep() {
            return Wait::TimedOut;
        }
        if stage.byte().is_multiple_of(4) {
            stage.meanwhile(party);
        }
        if is_changed(word, expected) {
            return Wait::Woken;
        }
        let sleeper = Sleeper {
            call: self.calls.borrow().len() - 1,
            word,
            awake: false,
        };
        self.sleepers.borrow_mut().push(sleeper);
        stage.meanwhile(party);
        let slept = self.sleepers.borrow_mut().pop();
        match slept {
            Some(sleeper) if sleeper.awake => Wait::Woken,
            _ => Wait::TimedOut,
        }
    }

    /// Checks, while nobody runs, that whoever is asleep is so for a reason.
    pub(super) fn check_sleepers(&self, stage: &Stage<'_>) {
        let (book, calls, sleepers) = (
            self.book.borrow(),
            self.calls.borrow(),
            self.sleepers.borrow(),
        );
        // What the dead and the stopped should have done is found out when the sleep ends.
        if stage.has_anybody_died() || calls.iter().any(|call| call.stopped) {
            return;
        }
        for call in sleepers
            .iter()
            .filter(|it| !it.awake)
            .map(|it| &calls[it.call])
        {
            let untold = book.half_closed && call.deed == Deed::Put;
            if call.waits_for_others() && call.could_end(&book) && !untold {
                let goes_on = |it: &Sleeper| it.awake && calls[it.call].deed == call.deed;
                assert!(
                    sleepers.iter().any(goes_on),
                    "{:?} sleeps beside what it waits for",
                    call.deed
                );
            }
        }
    }

    /// Wakes up to `count` of those who sleep on `word`, whichever the script says; returns how many.
    pub(super) fn wake_some(&self, stage: &Stage<'_>, word: &AtomicU64, count: u32) -> u32 {
        let mut woken = 0;
        while woken < count && !stage.is_over() {
            let mut sleepers = self.sleepers.borrow_mut();
            let calls = self.calls.borrow();
            let is_asleep = |sleeper: &&mut Sleeper| {
                let sleeps = !sleeper.awake && ptr::eq(sleeper.word, word);
                sleeps && !stage.is_dead(calls[sleeper.call].process)
            };
            let mut asleep: Vec<_> = sleepers.iter_mut().filter(is_asleep).collect();
            let which = match asleep.len() {
                0 => break,
                1 => 0,
                several => usize::from(stage.byte()) % several,
            };
            asleep[which].awake = true;
            woken += 1;
        }
        woken
    }
}
