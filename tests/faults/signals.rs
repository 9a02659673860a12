//! Waits that are interrupted all the time.

use std::{
    ptr,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    common::{asleep, forked, raw::must, wait_until},
    copies::{for_each_subject, holding},
    flag::Flag,
    observe::kill,
    subject::{FOREVER, SOON, Told},
    waits::{TIMED_WAITS, ends_in_time},
};

/// Raised by each signal that this process gets.
pub static SIGNALS: OnceLock<Flag> = OnceLock::new();

/// Interrupts this process a thousand times a second from now on. What it waits for is not taken up again.
pub fn interrupt() {
    extern "C" fn count(_: i32) {
        if let Some(signals) = SIGNALS.get() {
            signals.raise();
        }
    }
    // SAFETY: zeros are a valid `sigaction`: no flags, so no SA_RESTART, and no signal blocked.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = count as extern "C" fn(i32) as usize;
    // SAFETY: the handler does nothing but count.
    must(unsafe { libc::sigaction(libc::SIGALRM, &raw const action, ptr::null_mut()) });
    let interval = libc::timeval {
        tv_sec: 0,
        tv_usec: 1000,
    };
    let timer = libc::itimerval {
        it_interval: interval,
        it_value: interval,
    };
    // SAFETY: the timer is read.
    must(unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, ptr::null_mut()) });
}

const TIMEOUT: Duration = Duration::from_millis(300);

/// Fault 36.
pub fn a_thousand_signals_a_second_move_no_deadline() {
    for_each_subject(|subject, objects| {
        let _guard = objects.hold(subject);
        let signals = Flag::new();
        let waiter = forked(|| {
            SIGNALS.get_or_init(|| signals);
            interrupt();
            let begun = Instant::now();
            (objects.told(subject, TIMEOUT), begun.elapsed())
        });
        let (told, waited) = waiter.join().unwrap();
        assert_eq!(told, Told::TimedOut);
        assert!(signals.count() > 10, "{} signals", signals.count());
        assert!(waited >= TIMEOUT && waited < TIMEOUT + SOON, "{waited:?}");
    });
}

/// Fault 36.
pub fn a_thousand_signals_a_second_move_no_deadline_of_what_nobody_owns() {
    for (what, wait) in TIMED_WAITS {
        let signals = Flag::new();
        let waiter = forked(|| {
            SIGNALS.get_or_init(|| signals);
            interrupt();
            ends_in_time(what, wait, TIMEOUT);
        });
        waiter.join().unwrap();
        assert!(signals.count() > 10, "{} signals", signals.count());
    }
}

/// The steps before a sleep.
const SLEEPS: [&str; 3] = [
    "lock: about to sleep",
    "claim: about to let go of the table",
    "permits: about to sleep",
];
/// How many of those this process has made.
static SLEPT: AtomicU64 = AtomicU64::new(0);

/// Fault 36.
pub fn a_thousand_signals_a_second_hide_no_death() {
    for_each_subject(|subject, objects| {
        let owner = holding(objects, subject);
        let pid = owner.pid();
        let signals = Flag::new();
        let mut waiter = forked(|| {
            SIGNALS.get_or_init(|| signals);
            multiproc::__set_step_hook(Some(|at| {
                // Not before the second sleep: the first is so short that signals may miss it.
                if SLEEPS.contains(&at) && SLEPT.fetch_add(1, Ordering::Relaxed) == 1 {
                    interrupt();
                }
            }));
            objects.told(subject, FOREVER)
        });
        wait_until(|| signals.count() > 10 && asleep(waiter.pid()));
        kill(&owner);
        let told = waiter.join_timeout(SOON).unwrap();
        assert_eq!(told, Some(subject.after_death(pid)), "it has no end");
    });
}
