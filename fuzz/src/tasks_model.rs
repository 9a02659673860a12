//! A script of tasks that a pool puts into a ring, cancels and asks after, and that workers take, work at and end, which are
//! stopped and die at any step, against a model that says where each task is.
//!
//! 1. Each task that was put ends once: it is done, or lost with its worker, or was cancelled, or is still in the ring at the
//!    end. That of one who died while he put, cancelled or ended it may or may not be.
//! 2. Who is dead has lost just the task that he had in hand, and just as far as he had come with it. If he died while he
//!    took one, that was his or is still in the ring.
//! 3. A task is cancelled only while nobody has taken it, and is taken as it was put.
//! 4. Who is condemned ends no further item until he is pardoned, and is condemned only over the task and the item that he is
//!    at.

use std::{
    cell::{Cell, RefCell},
    num::NonZeroU64,
    sync::atomic::AtomicU64,
};

use multiproc_core::{Hands, Lost, NOW, Progress, Ring, RingError, RingWords, TaskRing};

use super::stage::{self, Party, Play, Stage};

const WORKERS: usize = 3;
/// The process that asks after the dead, which does not die: if it does, nobody wants to know any more.
const POOL: u32 = 1;

/// Where a task is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    /// In the ring, or in that of one who may have died before he put it.
    Ring,
    InHand(usize),
    Ended,
}

struct Task {
    place: Place,
    /// How many are just putting or cancelling it, or have died over that: only if nobody is must it come out somewhere.
    doubts: u32,
}

/// What a worker does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Deed {
    #[default]
    Nothing,
    Takes,
    Advances,
    Ends,
}

#[derive(Clone, Copy, Debug, Default)]
struct Worker {
    process: u32,
    deed: Deed,
    /// What it has in hand.
    task: Option<u64>,
    /// What it was shown in the call in which it is.
    shown: Option<u64>,
    items: u32,
    condemned: bool,
}

struct Pool {
    words: Box<RingWords>,
    data: Box<[AtomicU64]>,
    hands: Box<Hands>,
    tasks: RefCell<Vec<Task>>,
    workers: RefCell<[Worker; WORKERS]>,
    /// Who puts and cancels, and may die over it.
    helper: Cell<[u32; 1]>,
    /// The row that the pool is asking after.
    asked: Cell<Option<usize>>,
}

/// Runs one input.
///
/// # Panics
///
/// When a promise is broken.
pub fn body(input: &[u8]) {
    let &[size, start, ref script @ ..] = input else {
        return;
    };
    let (start, records) = stage::start(start);
    let pool = Pool {
        words: Box::new(RingWords::new(start, records)),
        data: (0..16 << (size % 3)).map(|_| AtomicU64::new(0)).collect(),
        hands: Box::new(Hands::new()),
        tasks: RefCell::default(),
        workers: RefCell::default(),
        helper: Cell::default(),
        asked: Cell::new(None),
    };
    Stage::play(&pool, script);
}

/// The body of a task.
fn contents(task: u64) -> Vec<u8> {
    vec![task as u8; task as usize * 5 % 23]
}

impl Pool {
    fn ring<'s>(&'s self, party: Party<'s, Pool>) -> TaskRing<'s, Party<'s, Pool>> {
        let ring = Ring::new(&self.words, &self.data);
        // SAFETY: all are over these same words.
        unsafe { TaskRing::over(ring, &self.hands, party) }
    }

    /// Changes what is known of a worker.
    fn know<T>(&self, row: usize, change: impl FnOnce(&mut Worker) -> T) -> T {
        change(&mut self.workers.borrow_mut()[row])
    }

    /// The worker of some row, where it is free. A dead one has a successor once its row was asked after.
    fn worker<'s>(&self, stage: &'s Stage<'_, Pool>) -> Option<(usize, Party<'s, Pool>)> {
        let row = usize::from(stage.byte()) % WORKERS;
        if self.know(row, |worker| worker.process) == 0 {
            let process = stage.birth()?;
            self.know(row, |worker| worker.process = process);
        }
        let process = self.know(row, |worker| worker.process);
        Some((row, stage.free(process)?))
    }

    /// The pool itself, or a process that puts and cancels and may die over it.
    fn pool<'s>(&self, stage: &'s Stage<'_, Pool>, helper: bool) -> Option<Party<'s, Pool>> {
        if !helper {
            return stage.free(POOL);
        }
        stage.free_in(&self.helper, 0)
    }

    fn put(&self, stage: &Stage<'_, Pool>, helper: bool) {
        let (until, count) = (stage.patience(), usize::from(stage.byte() % 3) + 1);
        let Some(party) = self.pool(stage, helper) else {
            return;
        };
        let first = self.tasks.borrow().len();
        self.tasks.borrow_mut().extend((0..count).map(|_| Task {
            place: Place::Ring,
            doubts: 1,
        }));
        let names = (first as u64 + 1..).take(count);
        let tasks = names.filter_map(|name| Some((NonZeroU64::new(name)?, contents(name))));
        let Some((put, result)) = party.call(|party| self.ring(party).put_many(tasks, until))
        else {
            return;
        };
        assert_eq!(put == count, result.is_ok());
        for (number, task) in self.tasks.borrow_mut()[first..first + count]
            .iter_mut()
            .enumerate()
        {
            task.doubts -= 1;
            if number >= put {
                assert_eq!(task.place, Place::Ring, "it was not put");
                task.place = Place::Ended;
            }
        }
    }

    fn cancel(&self, stage: &Stage<'_, Pool>, helper: bool) {
        let count = self.tasks.borrow().len();
        let task = usize::from(stage.byte()) % (count + 1);
        let until = stage.patience();
        let (Some(party), true) = (self.pool(stage, helper), task < count) else {
            return;
        };
        let is_certain = self.tasks.borrow()[task].doubts == 0;
        self.tasks.borrow_mut()[task].doubts += 1;
        let name = task as u64 + 1;
        let before = stage.actions();
        let Some(result) = party.call(|party| self.ring(party).cancel(name, until)) else {
            return;
        };
        let alone = before == stage.actions();
        let mut tasks = self.tasks.borrow_mut();
        let task = &mut tasks[task];
        task.doubts -= 1;
        match result {
            Ok(true) => {
                assert_eq!(task.place, Place::Ring, "cancelled, and not there");
                task.place = Place::Ended;
            }
            // Who was shown it may have died, or be stopped, after he took it.
            Ok(false) if alone && is_certain && !self.is_shown(name) => {
                assert_ne!(task.place, Place::Ring, "it was there");
            }
            Ok(false) => {}
            Err(why) => assert!(is_patient(why), "{why}"),
        }
    }

    /// Whether some worker has been shown this task in a call that has not returned, or never will.
    fn is_shown(&self, task: u64) -> bool {
        let workers = self.workers.borrow();
        workers.iter().any(|worker| worker.shown == Some(task))
    }

    fn take(&self, stage: &Stage<'_, Pool>) {
        let until = stage.patience();
        let Some((row, party)) = self.worker(stage) else {
            return;
        };
        // It takes the next one when it is done with the last.
        if self.know(row, |worker| worker.task.is_some()) {
            return;
        }
        self.know(row, |worker| worker.deed = Deed::Takes);
        let taken = party.call(|party| {
            self.ring(party).take(row, until, |task, body| {
                let is_right = stage.is_over() || body == contents(task);
                assert!(is_right, "not what was put: {body:?}");
                self.know(row, |worker| worker.shown = Some(task));
                task
            })
        });
        let Some(taken) = taken else { return };
        self.know(row, |worker| {
            worker.deed = Deed::Nothing;
            worker.shown = None;
        });
        match taken {
            Ok(task) => {
                self.moved(task, Place::InHand(row));
                self.know(row, |worker| {
                    worker.task = Some(task);
                    worker.items = 0;
                    // It has been condemned over nothing else: its progress begins anew.
                    worker.condemned = false;
                });
            }
            Err(why) => assert!(is_patient(why), "{why}"),
        }
    }

    /// A task comes out of the ring.
    fn moved(&self, task: u64, to: Place) {
        let task = &mut self.tasks.borrow_mut()[task as usize - 1];
        assert_eq!(task.place, Place::Ring, "it is nowhere else");
        task.place = to;
    }

    fn advance(&self, stage: &Stage<'_, Pool>) {
        let Some((row, party)) = self.worker(stage) else {
            return;
        };
        let worker = self.know(row, |worker| *worker);
        if worker.task.is_none() {
            return;
        }
        let now = stage.now();
        let (from, to) = (progress(worker.items), progress(worker.items + 1));
        self.know(row, |worker| worker.deed = Deed::Advances);
        let advanced = party.call(|party| {
            let ring = self.ring(party);
            ring.begin(row, now);
            ring.advance(row, from, to)
        });
        let Some(advanced) = advanced else { return };
        self.know(row, |worker| {
            worker.deed = Deed::Nothing;
            if advanced {
                assert!(!worker.condemned, "it was condemned");
                worker.items += 1;
            }
        });
    }

    fn done(&self, stage: &Stage<'_, Pool>) {
        let Some((row, party)) = self.worker(stage) else {
            return;
        };
        let Some(task) = self.know(row, |worker| worker.task) else {
            return;
        };
        self.know(row, |worker| worker.deed = Deed::Ends);
        if party.call(|party| self.ring(party).done(row)).is_none() {
            return;
        }
        self.know(row, |worker| {
            worker.deed = Deed::Nothing;
            worker.task = None;
        });
        self.end(task, Place::InHand(row));
    }

    /// A task ends where it is.
    fn end(&self, task: u64, at: Place) {
        let task = &mut self.tasks.borrow_mut()[task as usize - 1];
        assert_eq!(task.place, at, "it ends where it is");
        task.place = Place::Ended;
    }

    fn condemn(&self, stage: &Stage<'_, Pool>, row: usize) {
        let worker = self.know(row, |worker| *worker);
        let (Some(party), Some(task)) = (stage.free(POOL), worker.task) else {
            return;
        };
        let before = stage.now() + u64::from(stage.byte());
        let actions = stage.actions();
        let Some(seen) = party.call(|party| self.ring(party).condemn(row, task, before)) else {
            return;
        };
        if let Some(seen) = seen {
            self.know(row, |worker| {
                let is_it = worker.task == Some(task);
                assert!(is_it || actions != stage.actions(), "over another task");
                if is_it && worker.deed == Deed::Nothing && actions == stage.actions() {
                    assert_eq!(seen.items(), worker.items);
                }
                worker.condemned = is_it && worker.deed == Deed::Nothing;
            });
        }
    }

    fn pardon(&self, stage: &Stage<'_, Pool>, row: usize) {
        if let Some(party) = stage.free(POOL) {
            self.know(row, |worker| worker.condemned = false);
            party.call(|party| self.ring(party).pardon(row));
        }
    }

    /// The pool asks what a dead worker had in hand.
    fn ask(&self, party: Party<'_, Pool>, row: usize, until: u64) {
        if !party.stage.is_dead(self.know(row, |worker| worker.process)) {
            return;
        }
        let worker = self.know(row, |worker| *worker);
        self.asked.set(Some(row));
        let Some(lost) = party.call(|party| self.ring(party).lost(row, until)) else {
            return;
        };
        self.asked.set(None);
        match lost {
            Ok(lost) => self.check_lost(row, worker, lost),
            Err(why) => return assert!(is_patient(why), "{why}"),
        }
        self.know(row, std::mem::take);
    }

    fn check_lost(&self, row: usize, worker: Worker, lost: Option<Lost>) {
        match (worker.deed, worker.task, lost) {
            (Deed::Takes, None, Some(lost)) => {
                assert_eq!(worker.shown, Some(lost.task), "it was not shown that");
                assert_eq!(lost.progress.items(), 0, "it has not begun");
                self.moved(lost.task, Place::Ended);
            }
            (Deed::Ends, Some(task), None) => self.end(task, Place::InHand(row)),
            (deed, Some(task), Some(lost)) => {
                assert_eq!(lost.task, task, "it had another in hand");
                let further = lost.progress.items().checked_sub(worker.items);
                let most = u32::from(deed == Deed::Advances);
                assert!(
                    further.is_some_and(|more| more <= most),
                    "{lost:?}: {worker:?}"
                );
                self.end(task, Place::InHand(row));
            }
            (_, None, None) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn progress(items: u32) -> Progress {
    Progress::new(items, items * 3)
}

/// Whether it says that nothing could be had in time.
fn is_patient(why: RingError) -> bool {
    matches!(why, RingError::WouldBlock | RingError::TimedOut)
}

impl Play for Pool {
    fn act(&self, stage: &Stage<'_, Pool>, action: u8) {
        if stage.is_newborn() {
            // The pool is there before all others.
            stage.birth();
        }
        let row = || usize::from(stage.byte()) % WORKERS;
        match action {
            0 => self.put(stage, false),
            1 => self.put(stage, true),
            2..5 => self.take(stage),
            5 => self.advance(stage),
            6 => self.done(stage),
            7 => self.cancel(stage, stage.byte().is_multiple_of(2)),
            8 => self.condemn(stage, row()),
            9 => self.pardon(stage, row()),
            10 => {
                let (row, until) = (row(), stage.patience());
                if let Some(party) = stage.free(POOL) {
                    self.ask(party, row, until);
                }
            }
            _ => stage.kill(self.know(row(), |worker| worker.process)),
        }
    }

    fn is_immortal(&self, process: u32) -> bool {
        process == POOL
    }

    fn finish(&self, last: Party<'_, Pool>) {
        // What the pool was just told of, when the script ended, nobody else is told of.
        if let Some(row) = self.asked.take() {
            let worker = self.know(row, std::mem::take);
            for task in [worker.task, worker.shown].into_iter().flatten() {
                self.tasks.borrow_mut()[task as usize - 1].doubts += 1;
            }
        }
        for row in 0..WORKERS {
            self.ask(last, row, last.stage.now() + 1);
        }
        let ring = self.ring(last);
        while let Ok(task) = ring.take(0, NOW, |task, body| {
            assert_eq!(body, contents(task), "not what was put");
            task
        }) {
            ring.done(0);
            self.moved(task, Place::Ended);
        }
        for (number, task) in self.tasks.borrow().iter().enumerate() {
            let ended = task.place == Place::Ended;
            assert!(ended || task.doubts != 0, "task {} never ends", number + 1);
        }
    }
}
