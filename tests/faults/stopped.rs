//! Processes that stand still.

use std::{
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use multiproc::{Array, Value};

use crate::{
    common::{STUCK, asleep, forked, named, wait_until},
    copies::{for_each_subject, killed_while_holding},
    flag::Flag,
    observe::{go_on, is_in_state, stop},
    subject::{FOREVER, MOMENT, Objects, SOON, SUBJECTS, Subject, Told, of_claim},
};

/// How often the hook lets [`STOP_AT`] pass before the process stops there.
static PASSES: AtomicU64 = AtomicU64::new(0);
/// Where it stops: the start of a step's name.
static STOP_AT: Mutex<&str> = Mutex::new("");

/// Makes this process stop at the step `at`, any one if that is empty, after it has passed there `passes` times.
pub fn stop_at(at: &'static str, passes: u64) {
    *STOP_AT.lock().unwrap() = at;
    PASSES.store(passes, Ordering::Relaxed);
    multiproc::__set_step_hook(Some(|at| {
        if at.starts_with(*STOP_AT.lock().unwrap()) && PASSES.fetch_sub(1, Ordering::Relaxed) == 0 {
            // SAFETY: no memory is involved.
            unsafe { libc::raise(libc::SIGSTOP) };
        }
    }));
}

pub fn is_stopped(pid: u32) -> bool {
    is_in_state(pid, "T")
}

/// Fault 7.
pub fn a_stopped_owner_is_waited_for_and_never_stolen_from() {
    for_each_subject(|subject, objects| {
        let (held, release) = (Flag::new(), Flag::new());
        let owner = forked(|| {
            let mut guard = objects.hold(subject);
            held.raise();
            release.wait();
            guard.add_one();
        });
        held.wait();
        stop(owner.pid());
        let waiter = forked(|| objects.hold(subject).add_one());
        // Several slices.
        let told = objects.told(subject, Duration::from_millis(350));
        assert_eq!(told, Told::TimedOut);
        assert!(waiter.is_alive());
        release.raise();
        go_on(owner.pid());
        owner.join().unwrap();
        waiter.join().unwrap();
        assert_eq!(objects.count(subject), 2);
    });
}

/// Fault 7.
pub fn an_owner_stopped_at_any_step_keeps_what_it_has_and_goes_on() {
    for subject in SUBJECTS {
        let steps = (0..).find(|&step| {
            let what = format!("{subject:?}, step {step}");
            !named(&what, || stopped_at_step(subject, step))
        });
        assert!(
            steps.is_some_and(|steps| steps > 3),
            "{subject:?}: {steps:?} steps"
        );
    }
}

/// Whether there was such a step.
fn stopped_at_step(subject: Subject, step: u64) -> bool {
    let objects = Objects::new();
    let (entered, left) = (Flag::new(), Flag::new());
    let mut victim = forked(|| {
        stop_at("", step);
        let mut guard = objects.hold(subject);
        entered.raise();
        guard.add_one();
        left.raise();
        drop(guard);
        multiproc::__set_step_hook(None);
    });
    wait_until(|| is_stopped(victim.pid()) || !victim.is_alive());
    let stopped = victim.is_alive();
    let begun = Instant::now();
    let (guard, told) = objects.take(subject, Duration::from_millis(20));
    assert!(begun.elapsed() < SOON);
    let mut expected = 1;
    match guard {
        Some(mut guard) => {
            assert_eq!(told, Told::Sound);
            assert_eq!(entered.count(), left.count(), "stolen");
            guard.add_one();
            expected += 1;
        }
        None => assert_eq!(told, Told::TimedOut),
    }
    if stopped {
        go_on(victim.pid());
    }
    assert_eq!(victim.join_timeout(STUCK).unwrap(), Some(()));
    assert_eq!(objects.told(subject, FOREVER), Told::Sound);
    assert_eq!(objects.count(subject), expected);
    stopped
}

/// Fault 7.
pub fn a_value_of_a_stopped_writer_is_still_read() {
    let value = Value::new([1u64; 16]).unwrap();
    let writer = forked(|| {
        stop_at("value: a word", 7);
        value.update(|words| words.fill(2)).unwrap();
    });
    wait_until(|| is_stopped(writer.pid()));
    assert_eq!(value.get(), [1; 16]);
    assert!(value.lock_timeout(MOMENT).unwrap_err().is_timeout());
    go_on(writer.pid());
    writer.join().unwrap();
    assert_eq!(value.get(), [2; 16]);
}

/// Fault 7.
pub fn the_table_of_a_stopped_process_holds_up_timed_claims_no_longer_than_they_said() {
    let array = Array::<u64>::zeroed(10).unwrap();
    let held = array.write(0..2).unwrap();
    let stopped = forked(|| {
        stop_at("claim: row written", 0);
        drop(array.write(8..).unwrap());
    });
    wait_until(|| is_stopped(stopped.pid()));
    let begun = Instant::now();
    assert_eq!(of_claim(array.try_write(4..5)).1, Told::WouldBlock);
    assert_eq!(of_claim(array.read_timeout(4..5, MOMENT)).1, Told::TimedOut);
    // Giving back needs no table.
    drop(held);
    assert!(begun.elapsed() < SOON);
    go_on(stopped.pid());
    stopped.join().unwrap();
    assert!(array.write(..).is_ok());
}

/// The claimant of the next test has entered its row; it may go on, once and twice.
static GATE: OnceLock<(Flag, Flag)> = OnceLock::new();

fn wait_at_the_gate(at: &str) {
    let Some((entered, go)) = GATE.get() else {
        return;
    };
    let needed = match at {
        "claim: row published" => {
            entered.raise();
            1
        }
        "unlock: freed, nobody woken yet" => 2,
        _ => 0,
    };
    wait_until(|| go.count() >= needed);
}

/// Fault 7.
pub fn the_poison_of_an_array_is_told_in_time_though_the_table_is_held_by_a_stopped_process() {
    let objects = Objects::new();
    let dead = killed_while_holding(&objects, Subject::Array);
    assert_eq!(objects.told(Subject::Array, FOREVER), Told::Died(dead));

    // The rival waits for the table while the claimant enters its row, and stops with it before the claimant asks
    // what is poisoned.
    let (entered, go) = *GATE.get_or_init(|| (Flag::new(), Flag::new()));
    let mut claimant = forked(|| {
        multiproc::__set_step_hook(Some(wait_at_the_gate));
        let begun = Instant::now();
        let told = objects.told(Subject::Array, MOMENT);
        (told, begun.elapsed() < SOON)
    });
    entered.wait();
    let rival = forked(|| {
        stop_at("lock: taken", 0);
        drop(objects.array.write(8..));
    });
    wait_until(|| asleep(rival.pid()));
    go.raise();
    wait_until(|| is_stopped(rival.pid()));
    go.raise();
    let told = claimant.join_timeout(SOON).unwrap();
    assert_eq!(told, Some((Told::TimedOut, true)), "it has no end");
    go_on(rival.pid());
    rival.join().unwrap();
    assert_eq!(objects.told(Subject::Array, MOMENT), Told::Died(dead));
}

/// Fault 7.
pub fn a_stopped_waiter_whose_turn_it_is_is_overtaken() {
    for_each_subject(|subject, objects| {
        let held = objects.hold(subject);
        let waiter = || {
            let child = forked(|| objects.hold(subject).add_one());
            wait_until(|| asleep(child.pid()));
            child
        };
        let (first, mut second) = (waiter(), waiter());
        stop(first.pid());
        drop(held);
        let through = second.join_timeout(SOON).unwrap();
        assert!(through.is_some(), "behind one who is stopped");
        assert!(first.is_alive());
        go_on(first.pid());
        first.join().unwrap();
        assert_eq!(objects.count(subject), 2);
    });
}
