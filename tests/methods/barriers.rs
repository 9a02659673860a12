//! Barriers.

use std::{
    panic::{self, AssertUnwindSafe},
    time::Duration,
};

use multiproc::{Array, Barrier, BarrierError, BreakCause, Counter};

use crate::{
    common::wait_until,
    parties::{Method, PARTIES, run, start},
};

const ROUNDS: u64 = 500;
const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(20);

fn barrier() -> Barrier {
    Barrier::new(PARTIES).unwrap()
}

pub fn nobody_leaves_a_barrier_before_all_have_come(method: Method) {
    fn meet((barrier, rounds, i): (Barrier, Array<u64>, usize)) -> u64 {
        let mut led = 0;
        for round in 1..=ROUNDS {
            rounds.set(i, round).unwrap();
            let passed = barrier.wait().unwrap();
            led += u64::from(passed.is_leader());
            assert_eq!(passed.is_leader(), passed.index() == PARTIES - 1);
            // Whoever is quick may be on its way to the next round, but no further: that one needs us.
            let seen = rounds.to_vec().unwrap();
            assert!(
                seen.iter().all(|n| (round..=round + 1).contains(n)),
                "{seen:?} in round {round}"
            );
        }
        led
    }
    let (barrier, rounds) = (barrier(), Array::zeroed(PARTIES).unwrap());
    let party = |i| (barrier.clone(), rounds.clone(), i);
    let led = run(method, meet, (0..PARTIES).map(party));
    assert_eq!(led.iter().sum::<u64>(), ROUNDS, "one leader a round");
    assert_eq!((barrier.waiting(), barrier.is_broken()), (0, false));
}

pub fn the_action_of_a_barrier_runs_once_before_anybody_is_let_through(method: Method) {
    fn meet((barrier, count): (Barrier, Counter)) {
        for round in 1..=ROUNDS {
            let add = || {
                count.add(1);
            };
            barrier.wait_with(add).unwrap();
            assert_eq!(count.get(), 2 * round - 1);
            barrier.wait_timeout_with(LONG, add).unwrap();
            assert_eq!(count.get(), 2 * round);
        }
    }
    let count = Counter::new(0).unwrap();
    run(method, meet, vec![(barrier(), count); PARTIES]);
}

pub fn more_than_the_parties_share_a_barrier(method: Method) {
    fn meet((barrier, count): (Barrier, Counter)) {
        for _ in 0..ROUNDS {
            match barrier.wait() {
                Ok(_) => {
                    count.add(1);
                }
                Err(error) => {
                    assert_eq!(error, BarrierError::Broken(BreakCause::Aborted));
                    return;
                }
            }
        }
        // Whoever is left may be alone.
        barrier.abort();
    }
    let (pairs, count) = (Barrier::new(2).unwrap(), Counter::new(0).unwrap());
    run(method, meet, vec![(pairs, count.clone()); PARTIES]);
    assert!(count.get() >= 2 * ROUNDS - 1 && count.get() % 2 == 0);
}

/// Of all parties but one, each waits; returns what they were told after `act`.
fn told(method: Method, act: fn(&Barrier)) -> Vec<Option<String>> {
    fn wait(barrier: Barrier) -> Option<String> {
        barrier.wait().err().map(|error| error.to_string())
    }
    let barrier = barrier();
    let parties = start(method, wait, vec![barrier.clone(); PARTIES - 1]);
    wait_until(|| barrier.waiting() == PARTIES - 1);
    act(&barrier);
    parties.join()
}

fn all_told(cause: BreakCause) -> Vec<Option<String>> {
    let error = BarrierError::Broken(cause);
    vec![Some(error.to_string()); PARTIES - 1]
}

pub fn a_party_that_gives_up_breaks_the_barrier(method: Method) {
    fn wait((barrier, timeout): (Barrier, Duration)) -> String {
        barrier.wait_timeout(timeout).unwrap_err().to_string()
    }
    let barrier = barrier();
    let timeouts = [LONG, LONG, SHORT];
    let told = run(
        method,
        wait,
        timeouts.map(|timeout| (barrier.clone(), timeout)),
    );
    let broken = BarrierError::Broken(BreakCause::TimedOut).to_string();
    let timed_out = BarrierError::TimedOut.to_string();
    assert_eq!(told, [broken.clone(), broken, timed_out]);
    assert!(barrier.is_broken());
    assert_eq!(barrier.broken(), Some(BreakCause::TimedOut));
    barrier.reset();
    assert!(!barrier.is_broken());
    run(
        method,
        |barrier: Barrier| assert!(barrier.wait().is_ok()),
        vec![barrier; PARTIES],
    );
}

pub fn an_abort_is_told_to_all_who_wait_and_all_who_come(method: Method) {
    let told = told(method, |barrier| {
        barrier.abort();
        let error = barrier.wait().unwrap_err();
        assert_eq!(error, BarrierError::Broken(BreakCause::Aborted));
        assert!(barrier.try_wait().unwrap_err().is_broken());
        assert!(barrier.wait_timeout(LONG).unwrap_err().is_broken());
    });
    assert_eq!(told, all_told(BreakCause::Aborted));
}

pub fn a_reset_is_told_to_all_who_wait(method: Method) {
    let told = told(method, |barrier| {
        barrier.reset();
        assert_eq!((barrier.waiting(), barrier.is_broken()), (0, false));
        assert!(barrier.try_wait().unwrap_err().is_would_block());
    });
    assert_eq!(told, all_told(BreakCause::Reset));
}

pub fn an_action_that_panics_breaks_the_barrier(method: Method) {
    let told = told(method, |barrier| {
        let fail = || panic::resume_unwind(Box::new("on purpose"));
        let wait = AssertUnwindSafe(|| barrier.wait_with(fail));
        assert!(panic::catch_unwind(wait).is_err());
        assert!(barrier.is_broken());
    });
    assert_eq!(told, all_told(BreakCause::ActionPanicked));
}

/// Fault 41.
pub fn an_action_that_waits_for_its_own_end_would_deadlock(method: Method) {
    let told = told(method, |barrier| {
        let ask_again = || {
            assert!(barrier.wait().unwrap_err().is_deadlock());
            assert!(barrier.wait_timeout(LONG).unwrap_err().is_deadlock());
        };
        barrier.wait_with(ask_again).unwrap();
        assert!(barrier.try_wait().unwrap_err().is_would_block());
    });
    assert_eq!(told, vec![None; PARTIES - 1]);
}

pub fn of_several_who_mend_a_barrier_exactly_one_does(method: Method) {
    /// How often it has broken the barrier, and how often it has mended it.
    fn break_and_mend(barrier: Barrier) -> (u64, u64) {
        let (mut broken, mut mended) = (0, 0);
        for _ in 0..ROUNDS {
            let fail = || panic::resume_unwind(Box::new("on purpose"));
            let wait = AssertUnwindSafe(|| barrier.wait_with(fail));
            // Err: its action was run, and broke the barrier unless another had mended it meanwhile.
            broken += u64::from(panic::catch_unwind(wait).is_err());
            mended += u64::from(barrier.reset_if_broken());
        }
        (broken, mended)
    }
    let alone = Barrier::new(1).unwrap();
    assert!(!alone.reset_if_broken());
    let counts = run(method, break_and_mend, vec![alone.clone(); PARTIES]);
    let broken: u64 = counts.iter().map(|count| count.0).sum();
    let mended: u64 = counts.iter().map(|count| count.1).sum();
    assert!(mended > 0 && mended <= broken, "{mended} of {broken}");
    assert!(!alone.is_broken());
}

pub fn trying_to_pass_a_barrier_works_for_the_last_alone(method: Method) {
    let told = told(method, |barrier| {
        let passed = barrier.try_wait().unwrap();
        assert!(passed.is_leader());
        assert!(barrier.try_wait().unwrap_err().is_would_block());
        assert_eq!(barrier.waiting(), 0);
    });
    assert_eq!(told, vec![None; PARTIES - 1]);
}
