//! A pool without workers, for fuzzing: what workers do to the memory that they share with it, right or wrong, is done by
//! whoever calls.

use std::{
    os::fd::OwnedFd,
    sync::{Arc, Mutex, PoisonError},
};

use multiproc_core::{NOW, Os, Progress};

use super::{
    code::Code,
    collect::{Collect, Taker},
    core::Core,
    encoding::Form,
    error::{PoolError, TaskError},
    job::{Apart, Batch, Job, Run},
    ledger::State,
    outbox::Outbox,
    pack::{self, Filled, Packer},
    record::{Items, TaskHead, ToldHead, form_of, length},
    task::Slot,
};
use crate::{packet, sys::Linux};

/// The memory of a pool, as the pool and as its workers reach it.
#[allow(missing_debug_implementations, reason = "not for users")]
pub struct Desk {
    core: Core,
    batch: Batch,
    map: Arc<Counted>,
    /// How many items of the map were submitted.
    submitted: u64,
    single: Vec<Arc<Slot<u64>>>,
}

/// How often each item of a map has ended, and how.
struct Counted {
    ended: Mutex<Vec<u64>>,
    collect: Arc<Collect>,
}

impl Counted {
    fn new() -> Arc<Counted> {
        Arc::new(Counted {
            ended: Mutex::default(),
            collect: Collect::new(false),
        })
    }

    fn note(&self, items: impl Iterator<Item = u64>) {
        self.ended
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(items);
    }
}

impl Job for Counted {
    fn ended(&self, runs: &mut dyn Iterator<Item = Run<'_>>) {
        let mut runs = runs.inspect(|run| self.note(run.first..run.first + run.items));
        self.collect.ended(&mut runs);
    }

    fn ended_apart(&self, index: u64, how: Apart) {
        self.note([index].into_iter());
        self.collect.ended_apart(index, how);
    }
}

fn task(x: u64) -> u64 {
    x
}

impl Desk {
    /// For so many workers.
    pub fn new(workers: usize) -> Result<Desk, PoolError> {
        Ok(Desk {
            core: Core::new(workers, 0)?,
            batch: Batch::default(),
            map: Counted::new(),
            submitted: 0,
            single: Vec::new(),
        })
    }

    /// Makes it as good as new: to make a new one would take longer than all that is done with it. Tasks may be begun again
    /// so often.
    pub fn renew(&mut self, retries: u32) {
        self.drain();
        let ring = self.core.shared.tasks.ring();
        let rows = 0..self.core.crew().members.len();
        for row in rows {
            let _ = ring.lost(row, Linux.now());
            self.write(row, &[0; 1024]);
        }
        while self.take(0).is_some() {
            self.done(0);
        }
        self.core.forget_all(retries);
        self.map = Counted::new();
        self.submitted = 0;
        self.single.clear();
    }

    /// Submits a task of so many items of the map.
    pub fn submit(&mut self, items: u32) {
        let Some(code) = Code::of(task) else { return };
        let mut packer = Packer::new(code, items as usize);
        let mut items = (0..items).map(u64::from);
        while !matches!(packer.fill(&mut items), Filled::Over) {}
        packer.finish();
        let job: Arc<dyn Job> = self.map.clone();
        let first = &mut self.submitted;
        let _ = packer.take(|packed| self.core.submit_packed(&job, first, packed));
    }

    /// Submits a task by itself.
    pub fn submit_single(&mut self) {
        let Some(body) = Code::of(task).and_then(|code| pack::one(code, &7u64).ok()) else {
            return;
        };
        let slot = Slot::new();
        let job: Arc<dyn Job> = slot.clone();
        if self.core.submit(&job, 0, body).is_ok() {
            self.single.push(slot);
        }
    }

    /// The worker of this row takes a task; its name.
    pub fn take(&self, row: usize) -> Option<u64> {
        let ring = self.core.shared.tasks.ring();
        ring.take(row, NOW, |task, _| task).ok()
    }

    /// The worker of this row says how far it is.
    pub fn note(&self, row: usize, items: u32, bytes: u32) {
        let ring = self.core.shared.tasks.ring();
        ring.note(row, Progress::new(items, bytes));
    }

    /// The worker of this row writes to its outbox.
    pub fn write(&self, row: usize, bytes: &[u8]) {
        if let Some(mut outbox) = self.core.shared.outboxes.of(row)
            && let Some(room) = outbox.bytes_mut().get_mut(Outbox::BEGIN..)
            && let Some(room) = room.get_mut(..bytes.len())
        {
            room.copy_from_slice(bytes);
        }
    }

    /// A worker tells something.
    pub fn tell(&self, record: &[u8]) {
        let _ = self.core.shared.told.ring().put(record, NOW);
    }

    /// A worker sends a file of these bytes, and other descriptors, for an item.
    pub fn send(&self, name: [u64; 2], file: &[u8], mut others: Vec<OwnedFd>) {
        if let Ok(file) = packet::pack(file) {
            others.insert(0, file.into());
        }
        let _ = self.core.shared.carrier.send(name, &others);
    }

    /// The worker of this row has nothing in hand any more.
    pub fn done(&self, row: usize) {
        self.core.shared.tasks.ring().done(row);
    }

    /// The pool takes what was told.
    pub fn drain(&mut self) {
        self.core.drain(&mut self.batch);
        self.core.deliver(&mut self.batch);
    }

    /// The worker of this row is dead, and the pool asks what it had in hand.
    pub fn die(&mut self, row: usize, retry: bool) {
        self.drain();
        let ring = self.core.shared.tasks.ring();
        if let Ok(Some(lost)) = ring.lost(row, Linux.now()) {
            let error = TaskError::Cancelled;
            self.core.lost(row, lost, &error, retry, &mut self.batch);
            self.core.deliver(&mut self.batch);
        }
    }

    /// Cancels a task.
    pub fn cancel(&self, name: u64) -> bool {
        self.core.cancel(name)
    }

    /// Ends the pool: how many items were submitted, which have ended, in their order and each as often as it has, and how
    /// many tasks by themselves have not.
    pub fn end(&mut self) -> (u64, Vec<u64>, usize) {
        self.drain();
        self.core.end_all(State::Terminated, &TaskError::Terminated);
        let mut ended = self
            .map
            .ended
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        ended.sort_unstable();
        let open = self.single.iter().filter(|slot| !slot.is_ended()).count();
        (self.submitted, ended.clone(), open)
    }

    /// How many outcomes the map gives, once each item has ended.
    pub fn outcomes(&self) -> u64 {
        let mut count = 0;
        let take = |_: Result<u64, TaskError>| count += 1;
        Taker::new(&self.map.collect, take, |_| {}).take_all(self.submitted);
        count
    }
}

/// What a worker makes of the body of a task, written again; `None` when it refuses it.
pub fn reread_task(body: &[u8]) -> Option<Vec<u8>> {
    let (head, arguments) = TaskHead::parse(body)?;
    let form = form_of(head.flags);
    let mut items = Items::new(form, arguments, head.items);
    let mut again = head.to_bytes().to_vec();
    for item in items.by_ref() {
        if form == Form::Framed {
            again.extend_from_slice(&length(item.len()));
        }
        again.extend_from_slice(item);
    }
    again.extend_from_slice(items.bytes());
    Some(again)
}

/// What the pool makes of the head of what a worker tells, written again; `None` when it refuses it.
pub fn reread_told(record: &[u8]) -> Option<Vec<u8>> {
    let (head, outcomes) = ToldHead::parse(record)?;
    Some([&head.to_bytes()[..], outcomes].concat())
}
