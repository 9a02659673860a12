//! The engine: one process, the victim, is killed at each step of its work, and everybody else must get through.
//!
//! What is done is a [`Scenario`]. It is run once for each step of its victim, and all that again for a victim that comes
//! first, that waits, or that comes last; with 0, 1 and 2 others beside it; with and without a thief who takes what he
//! can at the very moment of the kill.

use std::{
    cell::Cell,
    fmt::Debug,
    process, ptr,
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    thread,
    time::Instant,
};

use multiproc::Child;
use serde::{Serialize, de::DeserializeOwned};

use crate::common::{self, STUCK, SharedPage, asleep, forked, wait_until};

/// What the parties of a run do with objects that are made for it. Each method but [`check`](Self::check) may be
/// called in a process of its own.
pub trait Scenario {
    /// What one who got through says of it.
    type Told: Serialize + DeserializeOwned + Debug;

    /// A step of the victim of which [`relieve`](Self::relieve) wants to know whether it was reached.
    const NOTED: &str = "";

    /// Takes what all are after, and gives it back; `middle` comes in between.
    fn work(&self, middle: impl FnOnce()) -> Self::Told;

    /// What the victim does; `middle` comes while it has what it came for.
    fn victim(&self, middle: impl FnOnce()) {
        self.work(middle);
    }

    /// What another one does.
    fn other(&self, _index: usize) -> Self::Told {
        self.work(|| ())
    }

    /// Has what a victim that [waits](Order::Waits) and the others are after; they come in `middle`. Counts as work that
    /// was done.
    fn hold(&self, middle: impl FnOnce()) {
        self.work(middle);
    }

    /// All are asleep, or through, or the victim is where it is to die: lets them go on. Must not wait for the victim;
    /// processes that it starts may, and are joined as the others are.
    fn let_go(&self) -> Vec<Child<Self::Told>> {
        Vec::new()
    }

    /// Takes what it can get at this moment, without waiting, and gives it back when `hold` is over.
    fn steal(&self, hold: impl FnOnce()) {
        hold();
    }

    /// The victim has ended: does what is still needed for the others to get through, and nothing that they can do
    /// without. `noted` says whether the victim has reached the step [`NOTED`](Self::NOTED).
    fn relieve(&self, noted: bool) -> Vec<Child<Self::Told>> {
        let _ = noted;
        Vec::new()
    }

    /// Panics unless all is as it should be.
    fn check(&self, end: &End<Self::Told>);
}

/// How a run ended. All others got through.
#[derive(Debug)]
pub struct End<T> {
    /// What they said, and those whom the scenario itself has started.
    pub told: Vec<T>,
    /// How many have done their work: the others, the victim unless it was killed, and who held it before.
    pub done: u64,
    /// Who was killed.
    pub dead: Vec<u32>,
    /// Whether somebody was killed while it had what it came for, without any doubt.
    pub inside: bool,
    /// At which step the victim was killed.
    pub at: Option<&'static str>,
}

impl<T> End<T> {
    /// What at least, and at most, was done by those who each count to one.
    pub fn counts(&self) -> std::ops::RangeInclusive<u64> {
        self.done..=self.done + self.dead.len() as u64
    }
}

/// When the victim comes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Order {
    /// Before the others, who wait for what it has.
    First,
    /// Before the others, but it has to wait for what this process [holds](Scenario::hold).
    Waits,
    /// When the others are asleep.
    Last,
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
    /// The step that is noted, and 1: the victim has reached it.
    to_note: AtomicPtr<u8>,
    to_note_len: AtomicUsize,
    noted: AtomicU64,
}

static BOARD: AtomicPtr<Board> = AtomicPtr::new(ptr::null_mut());
/// How many steps the victim still has to live, and whether it waits there for the thief.
static STEPS_LEFT: AtomicU64 = AtomicU64::new(u64::MAX);
static WAITS_TO_BE_KILLED: AtomicU64 = AtomicU64::new(0);
/// Where that was written down, and whether the victim is that process, or a child that it starts.
static WRITTEN_BY: AtomicU32 = AtomicU32::new(0);
static IS_A_CHILD: AtomicBool = AtomicBool::new(false);

/// A step, and what is done there, once.
type Middle = (&'static str, *mut dyn FnMut());

thread_local! {
    static MIDDLE: Cell<Option<Middle>> = const { Cell::new(None) };
}

/// Does `work`, and `middle` when that comes to this step: for what has no place of its own for it.
pub fn in_the_middle(at: &'static str, middle: impl FnOnce(), work: impl FnOnce()) {
    let mut middle = Some(middle);
    let mut once = || {
        if let Some(middle) = middle.take() {
            middle();
        }
    };
    let once: *mut (dyn FnMut() + '_) = &raw mut once;
    // SAFETY: the pointer is gone from `MIDDLE` before what it points to is.
    let once: *mut dyn FnMut() = unsafe { std::mem::transmute(once) };
    MIDDLE.set(Some((at, once)));
    multiproc::__set_step_hook(Some(at_step));
    work();
    MIDDLE.set(None);
}

/// Hangs up the board of this test, which its children see.
fn hang_up_board() {
    BOARD.store(SharedPage::<Board>::new().as_ptr(), Ordering::Relaxed);
    board().clear("");
}

fn board() -> &'static Board {
    // SAFETY: set before anything else happens, to a page that stays mapped.
    unsafe { &*BOARD.load(Ordering::Relaxed) }
}

impl Board {
    fn clear(&self, to_note: &'static str) {
        for word in [&self.holding, &self.go_on, &self.doomed, &self.noted] {
            word.store(0, Ordering::SeqCst);
        }
        write(&self.to_note, &self.to_note_len, to_note);
    }

    fn is_set(word: &AtomicU64) -> bool {
        word.load(Ordering::SeqCst) == 1
    }

    fn is_doomed(&self) -> bool {
        Board::is_set(&self.doomed)
    }
}

fn write(at: &AtomicPtr<u8>, len: &AtomicUsize, name: &'static str) {
    at.store(name.as_ptr().cast_mut(), Ordering::SeqCst);
    len.store(name.len(), Ordering::SeqCst);
}

fn read(at: &AtomicPtr<u8>, len: &AtomicUsize) -> &'static str {
    let (at, len) = (at.load(Ordering::SeqCst), len.load(Ordering::SeqCst));
    // SAFETY: the place of a &'static str of this very image, which every child is a copy of.
    let bytes = unsafe { std::slice::from_raw_parts(at, len) };
    std::str::from_utf8(bytes).unwrap()
}

/// Called at every step of the victim.
fn at_step(at: &'static str) {
    if let Some((_, middle)) = MIDDLE.get().filter(|(middle_at, _)| *middle_at == at) {
        MIDDLE.set(None);
        // SAFETY: `in_the_middle` has not come to its end, and this is called once.
        unsafe { (*middle)() };
    }
    let is_a_child = process::id() != WRITTEN_BY.load(Ordering::Relaxed);
    if is_a_child != IS_A_CHILD.load(Ordering::Relaxed) {
        return;
    }
    let board = board();
    if at == read(&board.to_note, &board.to_note_len) {
        board.noted.store(1, Ordering::SeqCst);
    }
    if STEPS_LEFT.fetch_sub(1, Ordering::Relaxed) != 0 {
        return;
    }
    write(&board.at, &board.at_len, at);
    board.doomed.store(1, Ordering::SeqCst);
    while WAITS_TO_BE_KILLED.load(Ordering::Relaxed) != 0 {
        thread::yield_now();
    }
    common::kill_self();
}

/// Does `work` as a victim that dies at its step of this number.
fn as_victim(step: u64, for_a_thief: bool, work: impl FnOnce()) {
    STEPS_LEFT.store(step, Ordering::Relaxed);
    WAITS_TO_BE_KILLED.store(for_a_thief.into(), Ordering::Relaxed);
    WRITTEN_BY.store(process::id(), Ordering::Relaxed);
    multiproc::__set_step_hook(Some(at_step));
    work();
    multiproc::__set_step_hook(None);
}

#[derive(Clone, Copy, Debug)]
struct Run {
    order: Order,
    others: usize,
    thief: bool,
}

/// One run, in which the victim dies at step `step`. Returns the name of that step, or `None` when the victim was
/// through before.
fn run<S: Scenario>(scenario: &S, run: Run, step: u64) -> Option<&'static str> {
    let board = board();
    board.clear(S::NOTED);
    let victim = || {
        as_victim(step, run.thief, || {
            scenario.victim(|| {
                board.holding.store(1, Ordering::SeqCst);
                wait_until(|| Board::is_set(&board.go_on));
            });
        });
    };
    let start_victim = || {
        let child = forked(victim);
        wait_until(|| {
            Board::is_set(&board.holding)
                || board.is_doomed()
                || asleep(child.pid())
                || !child.is_alive()
        });
        child
    };
    let put_to_sleep = || (0..run.others).map(|i| asleep_at(|| scenario.other(i)));
    let mut others: Vec<Child<S::Told>> = Vec::new();
    let mut dying = match run.order {
        Order::First => {
            let dying = start_victim();
            others.extend(put_to_sleep());
            dying
        }
        Order::Waits => {
            let mut dying = None;
            scenario.hold(|| {
                dying = Some(start_victim());
                others.extend(put_to_sleep());
            });
            dying.unwrap()
        }
        Order::Last => {
            board.go_on.store(1, Ordering::SeqCst);
            others.extend(put_to_sleep());
            start_victim()
        }
    };
    board.go_on.store(1, Ordering::SeqCst);
    others.extend(scenario.let_go());
    if run.thief {
        wait_until(|| board.is_doomed() || !dying.is_alive());
        scenario.steal(|| {
            if board.is_doomed() {
                dying.kill().unwrap();
                wait_until(|| !dying.is_alive());
            }
        });
    }
    let pid = dying.pid();
    let killed = match dying.join_timeout(STUCK) {
        Ok(Some(())) => false,
        Ok(None) => panic!("the victim is stuck"),
        Err(error) if error.is_killed() => true,
        Err(error) => panic!("the victim: {error}"),
    };
    let dead_since = Instant::now();
    others.extend(scenario.relieve(Board::is_set(&board.noted)));
    let join = |mut other: Child<S::Told>| match other.join_timeout(STUCK) {
        Ok(Some(told)) => told,
        Ok(None) => panic!("another is stuck after {:?}", dead_since.elapsed()),
        Err(error) => panic!("another: {error}"),
    };
    let told: Vec<_> = others.into_iter().map(join).collect();
    let before = u64::from(run.order == Order::Waits);
    scenario.check(&End {
        done: told.len() as u64 + u64::from(!killed) + before,
        told,
        dead: killed.then_some(pid).into_iter().collect(),
        inside: false,
        at: killed.then(|| read(&board.at, &board.at_len)),
    });
    killed.then(|| read(&board.at, &board.at_len))
}

/// A child that has begun to wait for somebody, or is through.
pub fn asleep_at<T: Serialize + DeserializeOwned>(work: impl FnOnce() -> T) -> Child<T> {
    let child = forked(work);
    wait_until(|| asleep(child.pid()) || !child.is_alive());
    child
}

/// The names of the steps at which victims died.
#[derive(Default)]
pub struct Steps(Vec<&'static str>);

impl Steps {
    /// Calls `run` with the number of each step, until its victim was through before.
    pub fn all(mut run: impl FnMut(u64) -> Option<&'static str>) -> Steps {
        hang_up_board();
        let mut steps = Steps::default();
        for step in 0.. {
            match common::named(&format!("step {step}"), || run(step)) {
                Some(at) => steps.0.push(at),
                None => break,
            }
            assert!(step < 200, "it has no end");
        }
        steps
    }

    /// Makes all runs anew until somebody has died at each of these: where others are at work beside the victim, one or
    /// the other of its steps may be at other numbers each time, and so be missed. Panics when that takes for ever.
    pub fn until_passed(must_pass: &[&str], mut run_all: impl FnMut() -> Steps) {
        const OFTEN: usize = 10;
        let mut steps = Steps::default();
        for _ in 0..OFTEN {
            steps.add(run_all());
            if must_pass.iter().all(|step| steps.0.contains(step)) {
                break;
            }
        }
        steps.expect(must_pass);
    }

    /// Adds those of other runs.
    pub fn add(&mut self, Steps(others): Steps) {
        self.0.extend(others);
    }

    /// Panics unless somebody died at each of these.
    pub fn expect(&self, must_pass: &[&str]) {
        let Steps(steps) = self;
        for step in must_pass {
            let mut distinct = steps.clone();
            distinct.sort_unstable();
            distinct.dedup();
            assert!(
                distinct.contains(step),
                "nobody died at {step:?}, only at {distinct:#?}"
            );
        }
    }
}

/// All runs of a scenario, which `new` makes for so many others. Somebody must have died at each step of `must_pass`.
pub fn killed_everywhere<S: Scenario>(
    orders: &[Order],
    new: impl Fn(usize) -> S,
    must_pass: &[&str],
) {
    killed_in_each_run(orders, new).expect(must_pass);
}

/// As [`killed_everywhere`]; where somebody died.
pub fn killed_in_each_run<S: Scenario>(orders: &[Order], new: impl Fn(usize) -> S) -> Steps {
    hang_up_board();
    let mut steps = Steps::default();
    for &order in orders {
        for others in 0..=2 {
            for thief in [false, true] {
                let what = Run {
                    order,
                    others,
                    thief,
                };
                let mut step = 0;
                while let Some(at) = common::named(&format!("{what:?}, step {step}"), || {
                    run(&new(others), what, step)
                }) {
                    steps.0.push(at);
                    step += 1;
                    assert!(step < 200, "{what:?} has no end");
                }
            }
        }
    }
    steps
}

/// The first owner is killed while it holds; then each who recovers from a death is killed at each step of that, four
/// deep.
pub fn killed_while_recovering<S: Scenario>(new: impl Fn() -> S, must_pass: &[&str]) {
    hang_up_board();
    let mut steps = Steps::default();
    for step in 0.. {
        let scenario = new();
        let first = forked(|| scenario.victim(common::kill_self));
        let mut end = End {
            told: Vec::new(),
            done: 0,
            dead: vec![first.pid()],
            inside: true,
            at: None,
        };
        assert!(first.join().unwrap_err().is_killed());
        for _depth in 0..4 {
            match dies_at(step, || scenario.victim(|| ())) {
                None => end.done += 1,
                Some((pid, at)) => {
                    end.dead.push(pid);
                    steps.0.push(at);
                }
            }
        }
        common::named(&format!("step {step}"), || scenario.check(&end));
        if end.done == 4 {
            break;
        }
    }
    steps.expect(must_pass);
}

/// `work` in a process that is killed at each of its steps in turn, on what `new` makes; `check` looks at it afterwards.
pub fn killed_at_each_step<S>(
    new: impl Fn() -> S,
    work: impl Fn(&S),
    check: impl Fn(&S),
    must_pass: &[&str],
) {
    hang_up_board();
    let mut steps = Steps::default();
    for step in 0.. {
        let objects = new();
        let died = dies_at(step, || work(&objects));
        common::named(&format!("step {step}"), || check(&objects));
        match died {
            Some((_, at)) => steps.0.push(at),
            None => break,
        }
    }
    steps.expect(must_pass);
}

/// Starts a child that dies at its step of this number, of those that it makes before its task begins, too. Returns the
/// name of that step, or `None` when it was through before.
/// `meanwhile` is called once it sleeps, or has ended.
pub fn dies_from_the_start(
    step: u64,
    start: impl FnOnce() -> Child<()>,
    meanwhile: impl FnOnce(),
) -> Option<&'static str> {
    let mut child = None;
    IS_A_CHILD.store(true, Ordering::Relaxed);
    as_victim(step, false, || child = Some(start()));
    IS_A_CHILD.store(false, Ordering::Relaxed);
    let child = child?;
    wait_until(|| asleep(child.pid()) || !child.is_alive());
    meanwhile();
    ended(child)
}

/// Runs `work` in a process that dies at its step of this number. Returns the dead and the name of the step, or `None`
/// if it was through before.
pub fn dies_at(step: u64, work: impl FnOnce()) -> Option<(u32, &'static str)> {
    let child = forked(|| as_victim(step, false, work));
    let pid = child.pid();
    ended(child).map(|at| (pid, at))
}

/// Waits for the end of a victim; at which step that was, or `None` if it was through before.
fn ended(mut victim: Child<()>) -> Option<&'static str> {
    match victim.join_timeout(STUCK) {
        Ok(Some(())) => None,
        Ok(None) => panic!("it is stuck"),
        Err(error) => {
            assert!(error.is_killed(), "{error}");
            let board = board();
            Some(read(&board.at, &board.at_len))
        }
    }
}
