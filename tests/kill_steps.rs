//! A process is killed between any two shared stores of locking and unlocking, updating a value, claiming and releasing
//! a range: nobody is stuck, nothing is torn, what was half-done is told. Faults 1, 2, 3, 11 and 12.
//!
//! Exhaustive: the victim runs once for each step of its work and is killed at that one; this is done for a victim that
//! comes first and for one that waits, with 0, 1 and 2 sleepers behind it, and with and without a thief who takes what
//! he can at the very moment of the kill.

mod common;

use std::{
    hint, process, ptr,
    sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use common::{SharedPage, asleep, forked};
use multiproc::{Array, Cause, Child, Mutex, Value};

/// Far longer than anything here takes: whoever is not through by then is stuck.
const STUCK: Duration = Duration::from_secs(30);

const PAIR: usize = 2;

/// What the processes of one run share.
struct Objects {
    mutex: Mutex<[u64; PAIR]>,
    value: Value<[u64; PAIR]>,
    array: Array<u64>,
}

/// One of the three things that can be held.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Subject {
    Mutex,
    Value,
    Array,
}

/// What all processes of a run see, beside the objects: plain words, so that looking at them is no step.
#[derive(Default)]
#[repr(C)]
struct Board {
    /// The step at which the victim is.
    at: AtomicPtr<u8>,
    at_len: AtomicUsize,
    /// 1: the victim holds what it came for.
    holding: AtomicU64,
    /// 1: it need not hold it any longer.
    go_on: AtomicU64,
    /// 1: the victim has reached the step at which it dies. With a thief it waits there to be killed.
    doomed: AtomicU64,
}

static BOARD: AtomicPtr<Board> = AtomicPtr::new(ptr::null_mut());
/// How many steps the victim still has to live, and whether it waits there for the thief.
static STEPS_LEFT: AtomicU64 = AtomicU64::new(u64::MAX);
static WAITS_TO_BE_KILLED: AtomicU64 = AtomicU64::new(0);

fn board() -> &'static Board {
    // SAFETY: set before anything else happens, to a page that stays mapped.
    unsafe { &*BOARD.load(Ordering::Relaxed) }
}

impl Board {
    /// The step at which the last victim died.
    fn step(&self) -> &'static str {
        let at = self.at.load(Ordering::SeqCst);
        let len = self.at_len.load(Ordering::SeqCst);
        // SAFETY: the place of a &'static str of this very image, which the victim was a copy of.
        let bytes = unsafe { std::slice::from_raw_parts(at, len) };
        std::str::from_utf8(bytes).unwrap()
    }
}

/// Called at every step of the victim.
fn at_step(at: &'static str) {
    if STEPS_LEFT.fetch_sub(1, Ordering::Relaxed) != 0 {
        return;
    }
    board().at.store(at.as_ptr().cast_mut(), Ordering::Relaxed);
    board().at_len.store(at.len(), Ordering::Relaxed);
    board().doomed.store(1, Ordering::SeqCst);
    while WAITS_TO_BE_KILLED.load(Ordering::Relaxed) != 0 {
        hint::spin_loop();
    }
    common::kill_self();
}

impl Objects {
    fn new() -> Objects {
        Objects {
            mutex: Mutex::new([0; PAIR]).unwrap(),
            value: Value::new([0; PAIR]).unwrap(),
            array: Array::zeroed(10).unwrap(),
        }
    }

    /// Adds one to both numbers of a pair, under what the subject holds; `middle` happens between the two.
    /// Returns whether it was told of a death.
    fn work(&self, subject: Subject, middle: impl FnOnce()) -> bool {
        match subject {
            Subject::Mutex => {
                let (mut guard, told) = match self.mutex.lock() {
                    Ok(guard) => (guard, false),
                    Err(error) => (error.into_guard().unwrap(), true),
                };
                guard[0] += 1;
                middle();
                guard[1] += 1;
                told
            }
            Subject::Value => {
                let mut guard = self.value.lock().unwrap();
                guard[0] += 1;
                middle();
                guard[1] += 1;
                false
            }
            Subject::Array => {
                let (mut guard, told) = match self.array.write(3..7) {
                    Ok(guard) => (guard, false),
                    Err(error) => (error.into_guard().unwrap(), true),
                };
                guard[0] += 1;
                middle();
                guard[3] += 1;
                told
            }
        }
    }

    /// Takes what it can get at this moment, without waiting, and gives it back when `hold` is over.
    fn steal(&self, subject: Subject, hold: impl FnOnce()) {
        match subject {
            Subject::Mutex => {
                let _guard = self.mutex.try_lock();
                hold();
            }
            Subject::Value => {
                let _guard = self.value.try_lock();
                hold();
            }
            Subject::Array => {
                let _guard = self.array.try_write(5..8);
                hold();
            }
        }
    }

    /// After a run: `done` workers have finished; the victim has or has not been killed.
    fn check(&self, subject: Subject, done: u64, killed: bool) {
        match subject {
            Subject::Mutex => {
                let (pair, cause) = match self.mutex.lock() {
                    Ok(guard) => (*guard, None),
                    Err(error) => (*error.into_guard().unwrap(), self.mutex.poison()),
                };
                assert_pair(pair, done, killed);
                // Half-done work is always told.
                assert!(pair[0] == pair[1] || cause.is_some(), "{pair:?} untold");
                assert!(killed || cause.is_none(), "poisoned without a death");
                assert!(!matches!(cause, Some(Cause::Panicked)));
            }
            Subject::Value => {
                let pair = self.value.get();
                assert_eq!(pair[0], pair[1], "torn");
                assert_pair(pair, done, killed);
                self.value.update(|pair| pair[0] += 1).unwrap();
            }
            Subject::Array => {
                let whole = self.array.write(..);
                let (guard, poisoned) = match whole {
                    Ok(guard) => (guard, None),
                    Err(error) => {
                        let guard = error.into_guard().unwrap();
                        let ranges: Vec<_> = guard
                            .poisoned()
                            .iter()
                            .map(|one| one.range.clone())
                            .collect();
                        (guard, Some(ranges))
                    }
                };
                let pair = [guard[3], guard[6]];
                assert_pair(pair, done, killed);
                assert!(pair[0] == pair[1] || poisoned.is_some(), "{pair:?} untold");
                if let Some(ranges) = poisoned {
                    assert!(killed, "poisoned without a death");
                    let claimed = 3..7;
                    assert!(
                        ranges.iter().eq([&claimed]),
                        "{ranges:?} is not what it had claimed"
                    );
                }
                drop(guard);
                assert!(
                    self.array.try_write(0..3).is_ok(),
                    "disjoint claims never notice"
                );
            }
        }
    }
}

/// Each of a pair counts those who are done, and the victim if it got that far.
fn assert_pair(pair: [u64; PAIR], done: u64, killed: bool) {
    let most = done + u64::from(killed);
    for count in pair {
        assert!(
            (done..=most).contains(&count),
            "{pair:?} after {done} workers"
        );
    }
}

#[derive(Clone, Copy, Debug)]
struct Run {
    subject: Subject,
    /// Whether the victim has to wait for what it wants.
    waits: bool,
    sleepers: usize,
    thief: bool,
}

/// One run, in which the victim dies at step `step`. Returns the name of that step, or `None` when the victim was
/// through before.
fn run(run: Run, step: u64) -> Option<&'static str> {
    let Run { subject, .. } = run;
    let objects = Objects::new();
    let board = board();
    for word in [&board.holding, &board.go_on, &board.doomed] {
        word.store(0, Ordering::SeqCst);
    }
    let worker = |objects: &Objects| {
        objects.work(subject, || ());
    };
    let victim = |objects: &Objects| {
        STEPS_LEFT.store(step, Ordering::Relaxed);
        WAITS_TO_BE_KILLED.store(run.thief.into(), Ordering::Relaxed);
        multiproc::__set_step_hook(Some(at_step));
        objects.work(subject, || {
            board.holding.store(1, Ordering::SeqCst);
            common::wait_until(|| board.go_on.load(Ordering::SeqCst) == 1);
        });
        multiproc::__set_step_hook(None);
    };
    // The parent is the first holder where the victim is to wait; its own work is counted as done.
    let mut done = 0;
    let mut sleepers = Vec::new();
    let mut dying = None;
    if run.waits {
        objects.work(subject, || {
            let child = forked(|| victim(&objects));
            common::wait_until(|| {
                asleep(child.pid()) || board.doomed.load(Ordering::SeqCst) == 1 || !child.is_alive()
            });
            sleepers = put_to_sleep(run.sleepers, || worker(&objects));
            dying = Some(child);
        });
        done += 1;
    } else {
        let child = forked(|| victim(&objects));
        common::wait_until(|| {
            board.holding.load(Ordering::SeqCst) == 1
                || board.doomed.load(Ordering::SeqCst) == 1
                || !child.is_alive()
        });
        sleepers = if board.holding.load(Ordering::SeqCst) == 1 {
            put_to_sleep(run.sleepers, || worker(&objects))
        } else {
            (0..run.sleepers)
                .map(|_| forked(|| worker(&objects)))
                .collect()
        };
        dying = Some(child);
    }
    let dying: Option<Child<()>> = dying;
    let mut dying = dying.unwrap();
    board.go_on.store(1, Ordering::SeqCst);
    if run.thief {
        common::wait_until(|| board.doomed.load(Ordering::SeqCst) == 1 || !dying.is_alive());
        objects.steal(subject, || {
            if board.doomed.load(Ordering::SeqCst) == 1 {
                dying.kill().unwrap();
                common::wait_until(|| !dying.is_alive());
            }
        });
    }
    let killed = match dying.join_timeout(STUCK) {
        Ok(Some(())) => false,
        Ok(None) => panic!("the victim is stuck"),
        Err(error) if error.is_killed() => true,
        Err(error) => panic!("the victim: {error}"),
    };
    let dead_since = Instant::now();
    for mut sleeper in sleepers {
        match sleeper.join_timeout(STUCK) {
            Ok(Some(())) => done += 1,
            Ok(None) => panic!("a sleeper is stuck after {:?}", dead_since.elapsed()),
            Err(error) => panic!("a sleeper: {error}"),
        }
    }
    objects.check(subject, done + u64::from(!killed), killed);
    killed.then(|| board.step())
}

/// Children that have begun to wait for what somebody holds.
fn put_to_sleep(count: usize, work: impl Fn() + Copy) -> Vec<Child<()>> {
    (0..count)
        .map(|_| {
            let child = forked(work);
            common::wait_until(|| asleep(child.pid()) || !child.is_alive());
            child
        })
        .collect()
}

/// All runs of one subject; returns the steps at which its victim died.
fn all_runs(subject: Subject) -> Vec<&'static str> {
    let mut steps = Vec::new();
    for waits in [false, true] {
        for sleepers in 0..=2 {
            for thief in [false, true] {
                let what = Run {
                    subject,
                    waits,
                    sleepers,
                    thief,
                };
                let mut step = 0;
                while let Some(at) =
                    common::named(&format!("{what:?}, step {step}"), || run(what, step))
                {
                    steps.push(at);
                    step += 1;
                    assert!(step < 200, "{what:?} has no end");
                }
            }
        }
    }
    steps.sort_unstable();
    steps.dedup();
    steps
}

fn killed_everywhere(subject: Subject, must_pass: &[&str]) {
    let steps = all_runs(subject);
    for step in must_pass {
        assert!(
            steps.contains(step),
            "nobody died at {step:?}, only at {steps:#?}"
        );
    }
}

fn a_kill_at_any_step_of_a_mutex_sticks_nobody_and_is_told() {
    killed_everywhere(
        Subject::Mutex,
        &[
            "lock: taken",
            "lock: about to sleep",
            "lock: awake",
            "lock: taken after a wait",
            "unlock: begun",
            "unlock: thread cleared",
            "unlock: freed, nobody woken yet",
        ],
    );
}

fn a_kill_at_any_step_of_a_value_leaves_the_old_or_the_new_one() {
    killed_everywhere(
        Subject::Value,
        &[
            "lock: taken",
            "value: a word of the hidden slot written",
            "value: published",
            "unlock: freed, nobody woken yet",
        ],
    );
}

fn a_kill_at_any_step_of_a_claim_poisons_its_range_and_no_other() {
    killed_everywhere(
        Subject::Array,
        &[
            "claim: row written",
            "claim: row marked used",
            "claim: row published",
            "claim: about to let go of the table",
            "claim: awake",
            "claim: granted",
            "claim: about to release",
            "claim: freed, nobody woken yet",
        ],
    );
}

/// The first owner is killed while it holds; then each who recovers from a death is killed at each step of that, four
/// deep.
fn a_recovery_that_is_killed_too_is_recovered_from(subject: Subject, must_pass: &[&str]) {
    let mut steps = Vec::new();
    for step in 0.. {
        let objects = Objects::new();
        let hold_and_die = || {
            objects.work(subject, common::kill_self);
        };
        assert!(forked(hold_and_die).join().unwrap_err().is_killed());
        let mut through = false;
        for _depth in 0..4 {
            let recover = || {
                STEPS_LEFT.store(step, Ordering::Relaxed);
                WAITS_TO_BE_KILLED.store(0, Ordering::Relaxed);
                multiproc::__set_step_hook(Some(at_step));
                objects.work(subject, || ());
                multiproc::__set_step_hook(None);
            };
            match forked(recover).join() {
                Ok(()) => through = true,
                Err(error) => {
                    assert!(error.is_killed(), "{error}");
                    steps.push(board().step());
                }
            }
        }
        let told = objects.work(subject, || ());
        assert_eq!(
            told,
            subject != Subject::Value,
            "still poisoned, still recoverable"
        );
        if through {
            break;
        }
    }
    for step in must_pass {
        assert!(
            steps.contains(step),
            "nobody died at {step:?}, only at {steps:#?}"
        );
    }
}

fn a_killed_recovery_of_a_mutex() {
    a_recovery_that_is_killed_too_is_recovered_from(
        Subject::Mutex,
        &["lock: owner found dead", "lock: taken after a wait"],
    );
}

fn a_killed_recovery_of_a_value() {
    a_recovery_that_is_killed_too_is_recovered_from(
        Subject::Value,
        &["lock: owner found dead", "lock: taken after a wait"],
    );
}

fn a_killed_recovery_of_a_claim() {
    a_recovery_that_is_killed_too_is_recovered_from(
        Subject::Array,
        &[
            "claim: owner found dead",
            "poison: range written",
            "poison: published",
            "claim: death noted",
        ],
    );
}

/// Seventeen dead writers, for whom there are sixteen entries: whoever merges two of them is killed at each step of that.
fn a_kill_while_poison_is_merged_loses_none() {
    let ranges: Vec<_> = (0..17).map(|i| i * 10..i * 10 + 3 + i % 3).collect();
    let mut steps = Vec::new();
    for step in 0.. {
        let array = Array::<u64>::zeroed(200).unwrap();
        for range in &ranges {
            let dying = forked(|| {
                let _claimed = array.write(range.clone());
                common::kill_self();
            });
            assert!(dying.join().unwrap_err().is_killed());
        }
        let (last, noted) = ranges.split_last().unwrap();
        for range in noted {
            assert!(array.try_read(range.clone()).unwrap_err().is_poisoned());
        }
        let merging = forked(|| {
            STEPS_LEFT.store(step, Ordering::Relaxed);
            WAITS_TO_BE_KILLED.store(0, Ordering::Relaxed);
            multiproc::__set_step_hook(Some(at_step));
            assert!(array.try_read(last.clone()).unwrap_err().is_poisoned());
            multiproc::__set_step_hook(None);
        });
        let through = match merging.join() {
            Ok(()) => true,
            Err(error) => {
                assert!(error.is_killed(), "{error}");
                steps.push(board().step());
                false
            }
        };
        assert!(array.try_read(last.clone()).unwrap_err().is_poisoned());
        let poisoned = array.poisoned().unwrap();
        for range in &ranges {
            let covers = |other: &std::ops::Range<usize>| {
                other.start <= range.start && range.end <= other.end
            };
            assert!(
                poisoned.iter().any(|one| covers(&one.range)),
                "{range:?} is lost: {poisoned:?}"
            );
        }
        if through {
            break;
        }
    }
    for step in [
        "poison: start of merged entry lowered",
        "poison: end of merged entry raised",
    ] {
        assert!(
            steps.contains(&step),
            "nobody died at {step:?}, only at {steps:#?}"
        );
    }
}

fn main() -> process::ExitCode {
    multiproc::init();
    let page = SharedPage::<Board>::new();
    BOARD.store(page.as_ptr(), Ordering::Relaxed);
    let _ = thread::available_parallelism();
    common::run(&[
        (
            "a_kill_at_any_step_of_a_mutex_sticks_nobody_and_is_told",
            a_kill_at_any_step_of_a_mutex_sticks_nobody_and_is_told,
        ),
        (
            "a_kill_at_any_step_of_a_value_leaves_the_old_or_the_new_one",
            a_kill_at_any_step_of_a_value_leaves_the_old_or_the_new_one,
        ),
        (
            "a_kill_at_any_step_of_a_claim_poisons_its_range_and_no_other",
            a_kill_at_any_step_of_a_claim_poisons_its_range_and_no_other,
        ),
        ("a_killed_recovery_of_a_mutex", a_killed_recovery_of_a_mutex),
        ("a_killed_recovery_of_a_value", a_killed_recovery_of_a_value),
        ("a_killed_recovery_of_a_claim", a_killed_recovery_of_a_claim),
        (
            "a_kill_while_poison_is_merged_loses_none",
            a_kill_while_poison_is_merged_loses_none,
        ),
    ])
}
