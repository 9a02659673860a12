//! A mutex that is locked again by whoever holds it.

use multiproc::{ReentrantMutex, ReentrantMutexGuard};

use crate::{
    engine::{
        End,
        Order::{First, Waits},
        Scenario, killed_everywhere, killed_while_recovering,
    },
    locks::{Pair, assert_told},
};

struct OfReentrantMutex(ReentrantMutex<Pair>);

impl OfReentrantMutex {
    fn new() -> OfReentrantMutex {
        OfReentrantMutex(ReentrantMutex::new([0; 2]).unwrap())
    }

    /// Locks once more than `depth` times; poison or not.
    fn lock(&self, depth: u64) -> ReentrantMutexGuard<'_, Pair> {
        let guard = self.0.lock().or_else(|error| error.into_guard()).unwrap();
        assert_eq!(guard.depth(), depth + 1, "as deep as this thread has gone");
        guard
    }
}

impl Scenario for OfReentrantMutex {
    type Told = ();

    fn work(&self, middle: impl FnOnce()) {
        let outer = self.lock(0);
        outer.update(|[a, b]| [a + 1, b]);
        let inner = self.lock(1);
        drop(outer);
        drop(self.lock(1));
        middle();
        inner.update(|[a, b]| [a, b + 1]);
        assert_eq!(inner.depth(), 1);
    }

    fn steal(&self, hold: impl FnOnce()) {
        let _guard = self.0.try_lock();
        let _again = self.0.try_lock();
        hold();
    }

    fn check(&self, end: &End<()>) {
        let pair = self.lock(0).get();
        assert_told(pair, self.0.poison(), end);
        assert!(!self.0.is_locked());
    }
}

/// Fault 1. Fault 2.
pub fn a_kill_at_any_step_of_a_reentrant_mutex_frees_it_however_deep_it_was_held() {
    killed_everywhere(
        &[First, Waits],
        |_| OfReentrantMutex::new(),
        &[
            "lock: taken",
            "reentrant: about to count",
            "lock: about to sleep",
            "lock: awake",
            "lock: taken after a wait",
            "reentrant: about to count after a wait",
            "reentrant: about to leave",
            "unlock: begun",
            "unlock: freed, nobody woken yet",
        ],
    );
}

/// Fault 3.
pub fn a_killed_recovery_of_a_reentrant_mutex() {
    killed_while_recovering(
        OfReentrantMutex::new,
        &[
            "lock: owner found dead",
            "lock: taken after a wait",
            "reentrant: about to count after a wait",
        ],
    );
}
