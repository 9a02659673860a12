//! What is made once, and what becomes of those who make it.

use std::{
    io,
    panic::{self, AssertUnwindSafe},
    time::Duration,
};

use multiproc::{Create, OnceValue, Process, Refused, Segment, StartError};

use crate::{
    common::{
        asleep, forked, kill_self,
        raw::{self, new_name},
        wait_until,
    },
    flag::Flag,
    observe::{go_on, idle, kill, stop},
    subject::{MOMENT, SOON},
};

/// Goes on in this process and in a copy of it, where it returns `true`.
pub fn fork() -> bool {
    // SAFETY: these tests have one thread.
    match unsafe { libc::fork() } {
        -1 => panic!("fork: {}", io::Error::last_os_error()),
        child => child == 0,
    }
}

/// Ends this process, and runs nothing of what it has from its parent.
pub fn leave() -> ! {
    // SAFETY: no memory is involved.
    unsafe { libc::_exit(0) }
}

/// Fault 5. Fault 43.
pub fn a_fork_child_that_comes_out_of_an_initialiser_takes_what_its_parent_makes() {
    let (once, seen) = (OnceValue::new().unwrap(), Flag::new());
    raw::expect_in_child(|| {
        let mut is_child = false;
        let value = *once
            .get_or_init(|| {
                is_child = fork();
                if is_child { 99 } else { 7 }
            })
            .unwrap();
        assert_eq!(value, 7);
        if is_child {
            seen.raise();
            leave();
        }
        seen.wait();
    });
    assert_eq!(once.get(), Some(&7));
}

/// Fault 5.
pub fn a_fork_child_gives_what_it_has_made_when_its_parent_dies_over_it() {
    let once = OnceValue::new().unwrap();
    let maker = forked::<()>(|| {
        let made = once.get_or_init(|| {
            if fork() {
                return 99;
            }
            kill_self();
            7
        });
        assert_eq!(made, Ok(&99));
        leave();
    });
    assert!(maker.join().unwrap_err().is_killed());
    assert_eq!(once.wait_timeout(SOON), Ok(&99));
}

/// Fault 5.
pub fn a_panic_in_a_fork_child_gives_up_nothing_of_its_parent() {
    let (once, go) = (OnceValue::new().unwrap(), Flag::new());
    raw::expect_in_child(|| {
        let mut is_child = false;
        let make = || {
            is_child = fork();
            if is_child {
                // Without the hook, which would print it.
                panic::resume_unwind(Box::new(()));
            }
            go.wait();
            7
        };
        let made = panic::catch_unwind(AssertUnwindSafe(|| once.get_or_init(make)));
        if is_child {
            assert!(made.is_err());
            let told = once.get_or_init_timeout(MOMENT, || 99);
            assert_eq!(told, Err(Refused::TimedOut));
            go.raise();
            leave();
        }
        assert_eq!(made.unwrap(), Ok(&7));
    });
}

/// Fault 39.
pub fn who_makes_a_value_is_not_forked() {
    let once = OnceValue::new().unwrap();
    once.get_or_init(|| {
        let refused = Process::fork(|(): ()| (), ()).map(drop);
        assert!(matches!(refused, Err(StartError::GuardsHeld { count: 1 })));
        7
    })
    .unwrap();
    Process::fork(|(): ()| (), ()).unwrap().join().unwrap();
}

/// Fault 7.
pub fn a_stopped_maker_is_waited_for_and_holds_up_no_one_who_comes_later() {
    let (once, making, go) = (OnceValue::new().unwrap(), Flag::new(), Flag::new());
    let maker = forked(|| {
        let make = || {
            making.raise();
            go.wait();
            7
        };
        *once.get_or_init(make).unwrap()
    });
    making.wait();
    stop(maker.pid());
    let waiter = forked(|| *once.get_or_init(|| 99).unwrap());
    // Several slices.
    let long = Duration::from_millis(350);
    assert_eq!(
        once.get_or_init_timeout(long, || 99),
        Err(Refused::TimedOut)
    );
    assert_eq!(once.wait_timeout(MOMENT), Err(Refused::TimedOut));
    // Whoever is stopped while it waits holds up nobody.
    wait_until(|| asleep(waiter.pid()));
    stop(waiter.pid());
    let mut other = forked(|| *once.get_or_init(|| 99).unwrap());
    wait_until(|| asleep(other.pid()));
    go.raise();
    go_on(maker.pid());
    assert_eq!(maker.join().unwrap(), 7);
    assert_eq!(other.join_timeout(SOON).unwrap(), Some(7));
    go_on(waiter.pid());
    assert_eq!(waiter.join().unwrap(), 7);
}

/// Fault 10.
pub fn what_was_made_stays_and_what_was_not_is_begun_anew_when_nobody_was_left() {
    let name = new_name();
    let create = || OnceValue::<u64>::create(Create::named(name.as_str()).persist(true)).unwrap();
    drop(create());
    let making = Flag::new();
    let maker = forked(|| {
        let once = OnceValue::<u64>::open(name.as_str()).unwrap();
        let _ = once.get_or_init(|| {
            making.raise();
            idle();
            99
        });
    });
    making.wait();
    let waiter = forked(|| {
        *OnceValue::<u64>::open(name.as_str())
            .unwrap()
            .wait()
            .unwrap()
    });
    wait_until(|| asleep(waiter.pid()));
    kill(&waiter);
    kill(&maker);
    let once = OnceValue::<u64>::open(name.as_str()).unwrap();
    assert_eq!(once.get(), None);
    assert_eq!(once.set_timeout(7, Duration::ZERO), Ok(()));
    drop(once);
    let once = OnceValue::<u64>::open(name.as_str()).unwrap();
    assert_eq!(once.get(), Some(&7));
    assert!(once.set(8).unwrap_err().is_already_set());
    Segment::remove(&name).unwrap();
}
