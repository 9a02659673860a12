//! Barriers, and what becomes of the copies of those who run an action.

use std::panic::{self, AssertUnwindSafe};

use multiproc::{Barrier, Process, StartError};

use crate::{
    common::{forked, raw, wait_until},
    flag::Flag,
    once::{fork, leave},
    subject::SOON,
};

/// Fault 5. Fault 43.
pub fn a_copy_of_the_last_party_that_panics_does_not_break_its_barrier() {
    raw::expect_in_child(|| {
        let (barrier, seen) = (Barrier::new(2).unwrap(), Flag::new());
        let mut waiting = forked(|| barrier.wait().is_ok());
        wait_until(|| barrier.waiting() == 1);
        let action = || {
            if fork() {
                panic::resume_unwind(Box::new("in the copy"));
            }
            seen.wait();
        };
        let wait = AssertUnwindSafe(|| barrier.wait_with(action).is_ok());
        let Ok(passed) = panic::catch_unwind(wait) else {
            assert!(!barrier.is_broken());
            seen.raise();
            leave();
        };
        assert!(passed && waiting.join_timeout(SOON).unwrap() == Some(true));
    });
}

/// Fault 39.
pub fn who_runs_the_action_of_a_barrier_is_not_forked() {
    let barrier = Barrier::new(1).unwrap();
    let mut refused = false;
    let start = || {
        let error = Process::fork(|()| (), ()).unwrap_err();
        refused = matches!(error, StartError::GuardsHeld { .. });
    };
    barrier.wait_with(start).unwrap();
    assert!(refused);
    assert!(Process::fork(|()| (), ()).unwrap().join().is_ok());
}
