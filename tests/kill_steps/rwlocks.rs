//! Reader-writer locks: what a dead writer left is told, a dead reader is in nobody's way.

use multiproc::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::{
    engine::{
        End,
        Order::{First, Waits},
        Scenario, killed_everywhere, killed_while_recovering,
    },
    locks::{Pair, assert_told},
};

/// What a party does with the lock.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Use {
    Read,
    Write,
    /// Writes and, without letting go, reads; what is to come in the middle comes when it writes.
    Downgrade,
    /// The same, but it comes when it reads.
    Downgraded,
}
use Use::{Downgrade, Downgraded, Read, Write};

struct OfRwLock {
    lock: RwLock<Pair>,
    victim: Use,
    others: [Use; 2],
}

impl OfRwLock {
    fn new(victim: Use, others: [Use; 2]) -> OfRwLock {
        OfRwLock {
            lock: RwLock::new([0; 2]).unwrap(),
            victim,
            others,
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Pair> {
        let guard = self.lock.read();
        guard.or_else(|error| error.into_guard()).unwrap()
    }

    /// A pair that is half done is only ever seen by who is told of a death.
    fn look(&self) {
        let (pair, told) = match self.lock.read() {
            Ok(guard) => (*guard, false),
            Err(error) => (*error.into_guard().unwrap(), true),
        };
        assert!(pair[0] == pair[1] || told, "{pair:?} untold");
    }

    /// Whether it has written.
    fn act(&self, how: Use, middle: impl FnOnce()) -> bool {
        if how == Read {
            let _guard = self.read();
            middle();
            return false;
        }
        let guard = self.lock.write();
        let mut guard = guard.or_else(|error| error.into_guard()).unwrap();
        guard[0] += 1;
        let late = match how {
            Downgraded => Some(middle),
            _ => {
                middle();
                None
            }
        };
        guard[1] += 1;
        if how == Write {
            return true;
        }
        let pair = *guard;
        let shared = RwLockWriteGuard::downgrade(guard);
        if let Some(middle) = late {
            middle();
        }
        assert_eq!(*shared, pair, "there was a writer in between");
        true
    }
}

impl Scenario for OfRwLock {
    /// Whether it has written.
    type Told = bool;

    fn work(&self, middle: impl FnOnce()) -> bool {
        self.act(Write, middle)
    }

    fn victim(&self, middle: impl FnOnce()) {
        self.act(self.victim, middle);
    }

    fn other(&self, index: usize) -> bool {
        self.look();
        self.act(self.others[index], || ())
    }

    fn steal(&self, hold: impl FnOnce()) {
        let _reading = self.lock.try_read();
        let _writing = self.lock.try_write();
        hold();
    }

    fn check(&self, end: &End<bool>) {
        let pair = *self.read();
        let cause = self.lock.poison();
        let not_counted = end.told.iter().filter(|wrote| !**wrote).count() as u64;
        let done = end.done - not_counted;
        if self.victim == Read {
            // Whether the victim was through or not, it has not counted.
            let done = done - u64::from(end.dead.is_empty());
            assert_eq!((pair, cause), ([done; 2], None));
        } else {
            let end = End {
                told: Vec::<bool>::new(),
                done,
                dead: end.dead.clone(),
                inside: end.inside,
                at: end.at,
            };
            assert_told(pair, cause, &end);
        }
        // A writer has everybody's claim out of its way.
        let all = self.lock.try_write().or_else(|error| error.into_guard());
        assert!(all.is_ok(), "somebody is still there");
        assert_eq!((self.lock.readers(), self.lock.waiting()), (0, 0));
    }
}

const CLAIM: [&str; 8] = [
    "claim: row written",
    "claim: row marked used",
    "claim: row published",
    "claim: marked as waited for",
    "claim: about to let go of the table",
    "claim: awake",
    "claim: granted",
    "claim: about to release",
];

/// Fault 20.
pub fn a_kill_at_any_step_of_a_writer_is_told_to_readers_and_writers() {
    for others in [[Write, Write], [Read, Write]] {
        killed_everywhere(&[First, Waits], |_| OfRwLock::new(Write, others), &CLAIM);
    }
}

/// Fault 20.
pub fn a_kill_at_any_step_of_a_reader_keeps_nobody_out_and_poisons_nothing() {
    for others in [[Write, Read], [Read, Write]] {
        killed_everywhere(&[First, Waits], |_| OfRwLock::new(Read, others), &CLAIM);
    }
}

/// Fault 20.
pub fn a_kill_at_any_step_of_a_downgrade_lets_readers_in_or_is_told() {
    for others in [[Read, Write], [Write, Read]] {
        killed_everywhere(
            &[First, Waits],
            |_| OfRwLock::new(Downgrade, others),
            &[
                "downgrade: door open",
                "downgrade: shared",
                "downgrade: about to let go of the table",
                "downgrade: nobody woken yet",
                "claim: about to release",
            ],
        );
    }
}

/// Fault 20.
pub fn a_kill_at_any_step_of_one_who_wrote_and_reads_keeps_nobody_out() {
    killed_everywhere(
        &[First],
        |_| OfRwLock::new(Downgraded, [Write, Read]),
        &["claim: about to release", "claim: freed, nobody woken yet"],
    );
}

/// Fault 3. Fault 20.
pub fn a_killed_recovery_of_a_writer() {
    killed_while_recovering(
        || OfRwLock::new(Write, [Write; 2]),
        &["claim: owner found dead", "claim: death noted"],
    );
}

/// Fault 3. Fault 20.
pub fn a_killed_recovery_of_one_who_wrote_and_read() {
    killed_while_recovering(
        || OfRwLock::new(Downgrade, [Write; 2]),
        &["claim: owner found dead", "downgrade: shared"],
    );
}
