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
    encoding::{self, Form},
    error::{PoolError, TaskError},
    executor::Payload,
    job::{Apart, Batch, Job, Run},
    ledger::State,
    outbox::Outbox,
    pack::{self, Filled, Packer},
    record::{self, Items, TaskHead, ToldHead, form_of, length},
    task::Slot,
};
use crate::{packet, sys::Linux};

/// The memory of a pool, as the pool and as its workers reach it.
#[allow(missing_debug_implementations, reason = "not for users")]
pub struct Desk {
    core: Core,
    batch: Batch,
    values: Values,
    map: Arc<Counted>,
    /// How many items of the map were submitted.
    submitted: u64,
    single: Vec<Arc<Slot<u64>>>,
}

/// What a map goes over, and what its items return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// Numbers, which may lie as words.
    Numbers,
    /// Tuples of one number, which may not.
    Tuples,
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

fn number(x: u64) -> u64 {
    !x
}

fn tuple((x,): (u64,)) -> (u64,) {
    (number(x),)
}

impl Desk {
    /// What the arguments of tasks by themselves begin with, which are numbers always. Those of a map are its items' own.
    pub const SINGLE: u64 = 1 << 32;
    /// Flags of what is told, and of what lies in an outbox.
    pub const CARRIED: u32 = record::CARRIED;
    /// Likewise.
    pub const PARCEL: u32 = record::PARCEL;
    /// Likewise.
    pub const WORDS: u32 = record::WORDS;

    /// For so many workers.
    pub fn new(workers: usize) -> Result<Desk, PoolError> {
        Ok(Desk {
            core: Core::new(workers, 0)?,
            batch: Batch::default(),
            values: Values::Numbers,
            map: Counted::new(),
            submitted: 0,
            single: Vec::new(),
        })
    }

    /// Makes it as good as new: to make a new one would take longer than all that is done with it. Tasks may be begun again
    /// so often, and the map goes over such values.
    pub fn renew(&mut self, retries: u32, values: Values) {
        self.drain();
        let ring = self.core.shared.tasks.ring();
        let rows = 0..self.core.crew().members.len();
        for row in rows {
            let _ = ring.lost(row, Linux.now());
            self.write(row, 0, &[0; 1024]);
        }
        while self.take(0).is_some() {
            self.done(0);
        }
        self.core.forget_all(retries);
        self.values = values;
        self.map = Counted::new();
        self.submitted = 0;
        self.single.clear();
    }

    /// Submits a task of so many items of the map.
    pub fn submit(&mut self, items: u32) {
        let own = self.submitted..self.submitted + u64::from(items);
        match self.values {
            Values::Numbers => self.submit_packed(number, own),
            Values::Tuples => self.submit_packed(tuple, own.map(|own| (own,))),
        }
    }

    fn submit_packed<A: Payload>(
        &mut self,
        task: fn(A) -> A,
        mut arguments: impl Iterator<Item = A>,
    ) {
        let Some(code) = Code::of(task) else { return };
        let mut packer = Packer::new(code, usize::MAX);
        while !matches!(packer.fill(&mut arguments), Filled::Over) {}
        packer.finish();
        let job: Arc<dyn Job> = self.map.clone();
        let first = &mut self.submitted;
        if let Ok(mut ledger) = self.core.open_ledger() {
            let tasks = &self.core.shared.tasks;
            packer.take(|packed| ledger.add_packed(&job, first, packed, tasks));
        }
    }

    /// Submits a task by itself.
    pub fn submit_single(&mut self) {
        let argument = Desk::SINGLE + self.single.len() as u64;
        let Some(body) = Code::of(number).and_then(|code| pack::one(code, &argument).ok()) else {
            return;
        };
        let slot = Slot::new();
        let job: Arc<dyn Job> = slot.clone();
        if self.core.submit(&job, 0, body).is_ok() {
            self.single.push(slot);
        }
    }

    /// The worker of this row takes a task; its name, and the arguments of its items, if its body is whole.
    pub fn take(&self, row: usize) -> Option<(u64, Option<Vec<u64>>)> {
        let ring = self.core.shared.tasks.ring();
        ring.take(row, NOW, |task, body| (task, arguments(body)))
            .ok()
    }

    /// What the item with this argument returns.
    pub fn returned(argument: u64) -> u64 {
        number(argument)
    }

    /// That, encoded as it lies behind a head.
    pub fn encoded(&self, argument: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        // Numbers can be encoded.
        let _ = if self.values == Values::Numbers || argument >= Desk::SINGLE {
            encoding::append(&number(argument), &mut bytes)
        } else {
            encoding::append(&tuple((argument,)), &mut bytes)
        };
        bytes
    }

    /// The worker of this row says how far it is.
    pub fn note(&self, row: usize, items: u32, bytes: u32) {
        let ring = self.core.shared.tasks.ring();
        ring.note(row, Progress::new(items, bytes));
    }

    /// The worker of this row writes outcomes to its outbox, and flags that say how they lie.
    pub fn write(&self, row: usize, flags: u32, outcomes: &[u8]) {
        let Some(mut outbox) = self.core.shared.outboxes.of(row) else {
            return;
        };
        outbox.set_head(ToldHead {
            flags,
            ..ToldHead::default()
        });
        let room = outbox.bytes_mut().get_mut(Outbox::BEGIN..);
        if let Some(room) = room.and_then(|room| room.get_mut(..outcomes.len())) {
            room.copy_from_slice(outcomes);
        }
    }

    /// A worker tells something; whether there is room.
    pub fn tell(&self, record: &[u8]) -> bool {
        self.core.shared.told.ring().put(record, NOW).is_ok()
    }

    /// A worker sends a file of these bytes, and other descriptors, for an item; whether there is room.
    pub fn send(&self, name: [u64; 2], file: &[u8], mut others: Vec<OwnedFd>) -> bool {
        let Ok(file) = packet::pack(file) else {
            return false;
        };
        others.insert(0, file.into());
        let sent = self.core.shared.carrier.send(name, &others);
        sent.unwrap_or(false)
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
            let error = TaskError::WorkerDied {
                pid: 0,
                signal: 9,
                core_dumped: false,
            };
            self.core.lost(row, lost, &error, retry, &mut self.batch);
            self.core.deliver(&mut self.batch);
        }
    }

    /// Cancels a task.
    pub fn cancel(&self, name: u64) -> bool {
        self.core.cancel(name)
    }

    /// Ends the pool: how many items were submitted, and which have ended, in their order and each as often as it has.
    pub fn end(&mut self) -> (u64, Vec<u64>) {
        self.drain();
        self.core.end_all(State::Terminated, &TaskError::Terminated);
        let mut ended = self
            .map
            .ended
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        ended.sort_unstable();
        (self.submitted, ended.clone())
    }

    /// The outcomes that the map gives, once each item has ended.
    pub fn outcomes(&self) -> Vec<Result<u64, TaskError>> {
        match self.values {
            Values::Numbers => self.collected(|x: u64| x),
            Values::Tuples => self.collected(|(x,): (u64,)| x),
        }
    }

    fn collected<R: Payload>(&self, number: fn(R) -> u64) -> Vec<Result<u64, TaskError>> {
        let mut all = Vec::new();
        let take = |outcome: Result<R, TaskError>| all.push(outcome.map(number));
        Taker::new(Arc::clone(&self.map.collect), take, |_, _| {}).take_all(self.submitted);
        all
    }

    /// The outcome of each task by itself; `None` where it has not ended.
    pub fn singles(&self) -> Vec<Option<Result<u64, TaskError>>> {
        self.single.iter().map(|slot| slot.outcome()).collect()
    }
}

/// The arguments in the body of a task.
fn arguments(body: &[u8]) -> Option<Vec<u64>> {
    let (head, arguments) = TaskHead::parse(body)?;
    let form = form_of(head.flags);
    let mut items = Items::new(form, arguments, head.items);
    let decode = |item| match form {
        Form::Words => encoding::decode(item).ok(),
        Form::Framed => encoding::decode(item).ok().map(|(x,)| x),
    };
    let all = items.by_ref().map(decode).collect();
    if items.left() == 0 && items.bytes().is_empty() {
        all
    } else {
        None
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
