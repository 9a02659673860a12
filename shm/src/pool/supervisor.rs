//! The thread that watches the workers: it finds out what went with those that end, starts others, and ends all.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
    time::{Duration, Instant},
};

use multiproc_core::Os;

use super::{
    core::Core,
    error::{PoolError, TaskError},
    job::Batch,
    ledger::State,
    options::{OnWorkerDeath, Watch},
    stats::Member,
};
use crate::{
    Child, deadline,
    process::{JoinError, StartError},
    sys::{Linux, poll, poll::State as Descriptor, stat},
};

/// A worker's process. It returns why it could not go on.
pub(super) type Process = Child<Result<(), String>>;

/// Starts the worker of a row.
pub(super) type Starter = Box<dyn Fn(usize) -> Result<Process, StartError> + Send>;

pub(super) struct Supervisor {
    pub(super) core: Arc<Core>,
    pub(super) posts: Vec<Post>,
    pub(super) start: Starter,
    pub(super) watch: Watch,
    /// How many workers in a row ended before they were ready.
    pub(super) false_starts: usize,
    /// How many starts in a row the system refused.
    pub(super) refused_starts: usize,
    /// Whether something is to be tried again soon.
    pub(super) is_unsettled: bool,
}

/// The place of a worker.
#[derive(Default)]
pub(super) struct Post {
    pub(super) process: Option<Process>,
    /// Why it was killed, if this thread did that.
    verdict: Option<TaskError>,
    /// Since when it was seen stopped, with a lock that others wait for.
    in_the_way_since: Option<Instant>,
    /// What was found out of the last one, whose task is not known yet.
    dead: Option<Dead>,
}

/// A worker that has ended.
struct Dead {
    error: TaskError,
    /// Whether its task may be begun again.
    retry: bool,
}

/// How often to look where nobody tells that something happens.
const TICK: Duration = Duration::from_millis(100);
/// How often at most a worker is looked at that has a deadline.
const SHORTEST_TICK: Duration = Duration::from_millis(1);
/// So many workers for each place may be killed in a row before they are ready.
const FALSE_STARTS: usize = 8;

impl Supervisor {
    /// Until the pool has ended.
    pub(super) fn run(mut self) {
        if let Err(error) = self.watch_until_idle() {
            let message = match &error {
                PoolError::Broken { message } => message.clone(),
                other => other.to_string(),
            };
            self.core.crew().failure = Some(error);
            let state = State::Broken(message.clone());
            let message = message.into();
            self.core.end_all(state, &TaskError::Broken { message });
            self.end_workers(Duration::ZERO);
        }
        self.core.finish();
    }

    fn watch_until_idle(&mut self) -> Result<(), PoolError> {
        let mut is_closing = false;
        loop {
            let ended = self.wait().map_err(|why| PoolError::Io {
                what: "waiting for workers",
                why,
            })?;
            self.core.call.clear();
            let (state, is_idle) = {
                let ledger = self.core.ledger();
                (ledger.state.clone(), ledger.is_idle())
            };
            match state {
                State::Open => {}
                State::Terminated => {
                    self.end_workers(self.watch.grace);
                    return Ok(());
                }
                State::Broken(message) => return Err(PoolError::Broken { message }),
                State::Closed if is_idle && !is_closing => {
                    let until = Linux.now() + TICK.as_nanos() as u64;
                    // If somebody is stopped with it, it is tried again.
                    is_closing = self.core.shared.tasks.ring().close(until).is_ok();
                    self.is_unsettled |= !is_closing;
                }
                State::Closed => {}
            }
            self.look_for_the_dead(&ended)?;
            self.look_at_deadlines();
            self.look_at_memory();
            if is_closing {
                if self.posts.iter().all(|post| post.process.is_none()) {
                    return Ok(());
                }
            } else {
                self.fill_posts()?;
            }
        }
    }

    /// Waits until something happens. Gives the rows of the workers that have ended.
    fn wait(&mut self) -> io::Result<Vec<usize>> {
        let until = self.tick().map(|tick| Instant::now() + tick);
        self.is_unsettled = false;
        let posts = self.posts.iter().enumerate();
        let (rows, mut all): (Vec<usize>, Vec<BorrowedFd<'_>>) = posts
            .filter_map(|(row, post)| Some((row, post.process.as_ref()?.as_fd())))
            .unzip();
        all.push(self.core.call.as_fd());
        let states = poll::any(&all, until)?;
        let ended = rows.into_iter().zip(states);
        Ok(ended
            .filter(|(_, state)| *state != Descriptor::NotReady)
            .map(|(row, _)| row)
            .collect())
    }

    /// How long to wait at most.
    fn tick(&self) -> Option<Duration> {
        let is_empty = |post: &Post| post.dead.is_some() || post.process.is_none();
        let is_unsettled = self.is_unsettled || self.posts.iter().any(is_empty);
        let deadline = self.watch.deadline.map(|deadline| {
            // A tenth too late at most.
            (deadline / 10).clamp(SHORTEST_TICK, TICK)
        });
        let memory = self.watch.memory.map(|_| TICK);
        let unsettled = is_unsettled.then_some(TICK);
        [deadline, memory, unsettled].into_iter().flatten().min()
    }

    /// Finds out who has ended, and what went with them.
    fn look_for_the_dead(&mut self, ended: &[usize]) -> Result<(), PoolError> {
        for &row in ended {
            if let Some(how) = self.posts[row].ended() {
                self.note_death(row, how)?;
            }
        }
        (0..self.posts.len()).try_for_each(|row| self.settle(row))
    }

    fn note_death(&mut self, row: usize, how: Ended) -> Result<(), PoolError> {
        let Ended { name, pid, how } = how;
        let (was_ready, is_complete) = {
            // What it told before is told, that it was ready, too.
            let mut batch = Batch::default();
            self.core.drain(&mut batch);
            self.core.deliver(&mut batch);
            let mut crew = self.core.crew();
            let member = &mut crew.members[row];
            member.pid = None;
            let was_ready = std::mem::take(&mut member.is_ready);
            (was_ready, crew.is_complete)
        };
        let error = TaskError::of_worker(pid, &how);
        self.false_starts = if was_ready { 0 } else { self.false_starts + 1 };
        // One that ends itself before it is ready will do so again; one that is killed need not.
        let is_killed = matches!(&how, Err(JoinError::Killed { .. }));
        let is_hopeless = !is_killed || self.false_starts > FALSE_STARTS * self.posts.len();
        if !is_complete || !was_ready && is_hopeless {
            let ended = JoinError::Exited { name, pid, code: 0 };
            return Err(PoolError::NotReady(how.err().unwrap_or(ended).into()));
        }
        let post = &mut self.posts[row];
        let verdict = post.verdict.take();
        post.in_the_way_since = None;
        post.dead = Some(Dead {
            retry: verdict.is_none(),
            error: verdict.unwrap_or(error),
        });
        Ok(())
    }

    /// Finds out what the dead one had in hand. Everything that it told has been taken.
    fn settle(&mut self, row: usize) -> Result<(), PoolError> {
        let Some(dead) = &self.posts[row].dead else {
            return Ok(());
        };
        let until = Linux.now() + TICK.as_nanos() as u64;
        let Ok(lost) = self.core.shared.tasks.ring().lost(row, until) else {
            // Somebody is stopped while taking a task: it is asked again, and the place stays empty until then.
            return Ok(());
        };
        if let Some(lost) = lost {
            let is_broken = self.watch.on_death == OnWorkerDeath::Break && dead.retry;
            let mut batch = Batch::default();
            let retry = dead.retry;
            self.core.lost(row, lost, &dead.error, retry, &mut batch);
            self.core.deliver(&mut batch);
            if is_broken {
                let message = dead.error.to_string();
                return Err(PoolError::Broken { message });
            }
        }
        self.posts[row].dead = None;
        Ok(())
    }

    /// Starts workers where there are none.
    fn fill_posts(&mut self) -> Result<(), PoolError> {
        for row in 0..self.posts.len() {
            let post = &self.posts[row];
            if post.process.is_some() || post.dead.is_some() {
                continue;
            }
            match (self.start)(row) {
                Ok(process) => {
                    let mut crew = self.core.crew();
                    // Whether it is ready may have been told already.
                    crew.members[row].pid = Some(process.pid());
                    crew.restarts += 1;
                    drop(crew);
                    self.refused_starts = 0;
                    self.posts[row].process = Some(process);
                }
                Err(error) => {
                    self.refused_starts += 1;
                    let nobody = self.posts.iter().all(|post| post.process.is_none());
                    if nobody && self.refused_starts > FALSE_STARTS * self.posts.len() {
                        return Err(PoolError::Start(error.into()));
                    }
                    // The system may have room again at the next tick.
                }
            }
        }
        Ok(())
    }

    fn look_at_deadlines(&mut self) {
        let Some(deadline) = self.watch.deadline else {
            return;
        };
        let nanoseconds = u64::try_from(deadline.as_nanos()).unwrap_or(u64::MAX);
        let before = Linux.now().saturating_sub(nanoseconds);
        for row in 0..self.posts.len() {
            self.kill_if_late(row, before, || TaskError::DeadlineExceeded { deadline });
        }
        self.kill_if_in_the_way(deadline);
    }

    fn look_at_memory(&mut self) {
        let Some(limit) = self.watch.memory else {
            return;
        };
        for row in 0..self.posts.len() {
            let used = self.posts[row].memory().unwrap_or(0);
            if used > limit {
                self.kill_if_late(row, u64::MAX, || TaskError::MemoryExceeded { limit, used });
            }
        }
    }

    /// Kills the worker of this row if it has begun with the item that it is at before that moment.
    fn kill_if_late(&mut self, row: usize, before: u64, why: impl FnOnce() -> TaskError) {
        let ring = self.core.shared.tasks.ring();
        let post = &mut self.posts[row];
        let Some(process) = &post.process else { return };
        if post.verdict.is_some() {
            return;
        }
        let Some((task, since)) = ring.in_hand(row) else {
            return;
        };
        if since == 0 || since >= before || ring.condemn(row, task, before).is_none() {
            return;
        }
        if process.kill().is_ok() {
            post.verdict = Some(why());
        } else {
            // It has changed its user, and may not be signalled.
            ring.pardon(row);
        }
    }

    /// Kills a worker that is stopped while it has a lock without which no other gets on, if that lasts for so long.
    fn kill_if_in_the_way(&mut self, deadline: Duration) {
        let shared = &self.core.shared;
        let (_, takes) = shared.tasks.ring().ring().owners();
        let (tells, _) = shared.told.ring().ring().owners();
        for post in &mut self.posts {
            let Some(process) = &post.process else {
                continue;
            };
            let has_lock = [takes, tells]
                .iter()
                .any(|owner| owner.pid() == process.pid());
            let is_stopped = || stat::read(process.pid()).is_ok_and(|stat| stat.state == b'T');
            if !has_lock || !is_stopped() {
                post.in_the_way_since = None;
            } else if post
                .in_the_way_since
                .get_or_insert_with(Instant::now)
                .elapsed()
                > deadline
            {
                // What may not be signalled stays.
                let _ = process.kill();
            }
        }
    }

    /// Asks all workers to end, and kills those that have not after `grace`.
    fn end_workers(&mut self, grace: Duration) {
        let mut processes: Vec<Process> = Vec::new();
        processes.extend(self.posts.iter_mut().filter_map(|post| post.process.take()));
        if !grace.is_zero() {
            for process in &processes {
                // What may not be signalled is left to the drop.
                let _ = process.terminate();
            }
            let until = deadline::moment(grace);
            for process in &mut processes {
                let left = |until: Instant| until.saturating_duration_since(Instant::now());
                let _ = process.join_timeout(until.map_or(Duration::MAX, left));
            }
        }
        for process in &processes {
            let _ = process.kill();
        }
        // Waits for their end.
        drop(processes);
        for member in &mut self.core.crew().members {
            *member = Member::default();
        }
    }
}

/// How a worker has ended.
struct Ended {
    name: String,
    pid: u32,
    how: Result<(), JoinError>,
}

impl Post {
    pub(super) fn new(process: Process) -> Post {
        Post {
            process: Some(process),
            ..Post::default()
        }
    }

    /// How the worker has ended, if it has; then there is none.
    fn ended(&mut self) -> Option<Ended> {
        let process = self.process.as_mut()?;
        let (name, pid) = (process.name().to_owned(), process.pid());
        let how = match process.try_join() {
            Ok(None) => return None,
            Ok(Some(Ok(()))) => Ok(()),
            Ok(Some(Err(message))) => Err(JoinError::NotBegun {
                name: name.clone(),
                pid,
                message,
            }),
            Err(error) => Err(error),
        };
        self.process = None;
        Some(Ended { name, pid, how })
    }

    fn memory(&self) -> Option<u64> {
        let memory = self.process.as_ref()?.memory();
        memory.ok().map(|memory| memory.private)
    }
}
