//! How long those who wait for the dead take. The figures are printed.

use std::time::{Duration, Instant};

use crate::{
    common::{STUCK, asleep, forked, kill_self, wait_until},
    copies::{for_each_subject, holding},
    observe::kill,
    subject::{FOREVER, Objects},
};

/// From when the kernel shows the owner dead: two slices.
pub const AFTER_A_DEATH: Duration = Duration::from_millis(200);
/// And for each successive death one more.
const A_SLICE: Duration = Duration::from_millis(100);

/// Fault 1. Fault 12.
pub fn who_waits_is_through_soon_after_a_death() {
    for_each_subject(|subject, _| {
        promptly(&format!("{subject:?}: one death"), AFTER_A_DEATH, || {
            let objects = Objects::new();
            let owner = holding(&objects, subject);
            let pid = owner.pid();
            let mut waiter = forked(|| objects.told(subject, FOREVER));
            wait_until(|| asleep(waiter.pid()));
            kill(&owner);
            let dead_since = Instant::now();
            let told = waiter.join_timeout(STUCK).unwrap();
            let passed = dead_since.elapsed();
            assert_eq!(told, Some(subject.after_death(pid)));
            passed
        });
    });
}

/// Fault 1. Fault 3.
pub fn who_waits_behind_a_row_of_deaths_is_through_soon_after_the_last() {
    const DEATHS: u32 = 4;
    let within = AFTER_A_DEATH + DEATHS * A_SLICE;
    for_each_subject(|subject, _| {
        promptly(&format!("{subject:?}: up to {DEATHS} more"), within, || {
            let objects = Objects::new();
            let owner = holding(&objects, subject);
            let dying: Vec<_> = (0..DEATHS)
                .map(|_| {
                    let child = forked(|| {
                        let _guard = objects.take(subject, FOREVER);
                        kill_self();
                    });
                    wait_until(|| asleep(child.pid()));
                    child
                })
                .collect();
            let mut waiter = forked(|| objects.take(subject, FOREVER).0.is_some());
            wait_until(|| asleep(waiter.pid()));
            kill(&owner);
            let dead_since = Instant::now();
            let through = waiter.join_timeout(STUCK).unwrap();
            let passed = dead_since.elapsed();
            assert_eq!(through, Some(true));
            for child in dying {
                assert!(child.join().unwrap_err().is_killed());
            }
            assert!(objects.take(subject, FOREVER).0.is_some());
            passed
        });
    });
}

/// Asserts that the quickest of a few attempts is through within the time that is promised: a machine that is busy with
/// other things makes some of them late, but a promise that is broken makes all of them late.
pub fn promptly(what: &str, within: Duration, attempt: impl Fn() -> Duration) {
    const ATTEMPTS: u32 = 5;
    let in_time = |_| {
        let passed = attempt();
        println!("{what}: through after {passed:?}");
        passed <= within
    };
    assert!(
        (0..ATTEMPTS).any(in_time),
        "{what}: never within {within:?}"
    );
}

/// Fault 1. Fault 12.
pub fn who_does_not_wait_takes_over_from_the_dead() {
    for_each_subject(|subject, objects| {
        let owner = holding(objects, subject);
        kill(&owner);
        let told = objects.told_at_once(subject);
        assert_eq!(told, subject.after_death(owner.pid()));
    });
}
