//! How long those who wait for the dead take. The figures are printed; a machine that is busy with other things is given
//! time.

use std::time::{Duration, Instant};

use crate::{
    common::{STUCK, asleep, forked, kill_self, wait_until},
    copies::{for_each_subject, holding},
    observe::kill,
    subject::{FOREVER, SOON},
};

/// Fault 1. Fault 12.
pub fn who_waits_is_through_soon_after_a_death() {
    for_each_subject(|subject, objects| {
        let owner = holding(objects, subject);
        let pid = owner.pid();
        let mut waiter = forked(|| objects.told(subject, FOREVER));
        wait_until(|| asleep(waiter.pid()));
        kill(&owner);
        let dead_since = Instant::now();
        let told = waiter.join_timeout(STUCK).unwrap();
        report(&format!("{subject:?}: one death"), dead_since.elapsed());
        assert_eq!(told, Some(subject.after_death(pid)));
    });
}

/// Fault 1. Fault 3.
pub fn who_waits_behind_a_row_of_deaths_is_through_soon_after_the_last() {
    const DEATHS: u32 = 4;
    for_each_subject(|subject, objects| {
        let owner = holding(objects, subject);
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
        report(
            &format!("{subject:?}: up to {DEATHS} more"),
            dead_since.elapsed(),
        );
        assert_eq!(through, Some(true));
        for child in dying {
            assert!(child.join().unwrap_err().is_killed());
        }
        assert!(objects.take(subject, FOREVER).0.is_some());
    });
}

fn report(what: &str, passed: Duration) {
    println!("{what}: through after {passed:?}");
    assert!(passed < SOON);
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
