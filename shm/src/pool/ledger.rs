//! The tasks that a pool has taken and that have not ended, and those that wait for room in the ring.
//!
//! A task is a run of items of one job. Its items end in order; an item that has ended is not told again, so whatever is
//! told first is how it ended.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasherDefault, Hasher},
    io,
    num::NonZeroU64,
    ops::Range,
    os::fd::OwnedFd,
    sync::Arc,
};

use multiproc_core::{Lost, NOW};

use super::{
    code::Code,
    error::{PoolError, TaskError},
    job::{Apart, Batch, Job},
    outcome::{Kind, Outcomes},
    pack::Packed,
    record::{CARRIED, Items, TaskHead, ToldHead, WORDS, form_of},
    shared::{Carrier, Tasks},
};
use crate::handle::Moves;

/// What a task is, as it goes to a worker.
#[derive(Default)]
pub(super) struct Body {
    pub(super) record: Vec<u8>,
    pub(super) descriptors: Vec<OwnedFd>,
    /// The ends of channels in it, which stay with this process unless it is sent.
    pub(super) moves: Moves,
}

impl Body {
    /// How many descriptors it holds.
    fn held(&self) -> usize {
        self.descriptors.len()
    }
}

/// A task that has not ended.
struct Entry {
    job: Arc<dyn Job>,
    /// Which item of the job its first one is.
    first: u64,
    items: u32,
    /// How many of its items have ended.
    finished: u32,
    /// How often it may be begun again.
    retries: u32,
    /// Until it is in the ring; and then if it may have to be put there again.
    body: Option<Body>,
    /// Whether its descriptors are in the socket.
    is_carried: bool,
    is_put: bool,
}

/// Whether a pool takes tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Open,
    /// It ends once all tasks have ended.
    Closed,
    /// It ends now.
    Terminated,
    /// It has ended because of this.
    Broken(String),
}

/// Names are numbers in a row, made by this process: they need no more than to be spread.
#[derive(Default)]
pub(super) struct NameHasher(u64);

impl Hasher for NameHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    fn write_u64(&mut self, name: u64) {
        // Knuth's constant: it spreads neighbours over the high bits, too.
        self.0 = (self.0 ^ name).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// How many items there were.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) submitted: u64,
    pub(super) done: u64,
    pub(super) failed: u64,
}

pub(super) struct Ledger {
    entries: HashMap<u64, Entry, BuildHasherDefault<NameHasher>>,
    /// The names of those that are not in the ring yet, in their order. Some may have ended.
    backlog: VecDeque<u64>,
    last: u64,
    pub(super) state: State,
    pub(super) counts: Counts,
    /// How many maps may still add tasks, also once no others do.
    pub(super) maps: usize,
    /// How many batches of outcomes are noted here and not delivered yet.
    pub(super) owed: usize,
    /// Whether there may be descriptors in the socket of tasks that have ended.
    pub(super) has_strays: bool,
    /// How many descriptors the tasks hold.
    pub(super) descriptors: usize,
    retries: u32,
}

impl Ledger {
    /// For tasks each of which may be begun again so often.
    pub(super) fn new(retries: u32) -> Ledger {
        Ledger {
            entries: HashMap::default(),
            backlog: VecDeque::new(),
            last: 0,
            state: State::Open,
            counts: Counts::default(),
            maps: 0,
            owed: 0,
            has_strays: false,
            descriptors: 0,
            retries,
        }
    }

    /// Why no task is taken, if none is.
    pub(super) fn refusal(&self) -> Result<(), PoolError> {
        match &self.state {
            State::Open => Ok(()),
            State::Closed | State::Terminated => Err(PoolError::Closed),
            State::Broken(message) => Err(PoolError::Broken {
                message: message.clone(),
            }),
        }
    }

    /// What tasks end with that are not in here, if they have to.
    pub(super) fn end(&self) -> Option<TaskError> {
        match &self.state {
            State::Open | State::Closed => None,
            State::Terminated => Some(TaskError::Terminated),
            State::Broken(message) => Some(TaskError::Broken {
                message: message.as_str().into(),
            }),
        }
    }

    /// Whether all tasks have ended, and all maps.
    pub(super) fn is_idle(&self) -> bool {
        self.entries.is_empty() && self.maps == 0
    }

    /// Whether that was delivered, too.
    pub(super) fn is_settled(&self) -> bool {
        self.entries.is_empty() && self.owed == 0
    }

    /// What is in the batch is to be delivered.
    pub(super) fn owe(&mut self, batch: &mut Batch) {
        if !batch.is_empty() && !std::mem::replace(&mut batch.is_owed, true) {
            self.owed += 1;
        }
    }

    /// How many tasks have not ended.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Takes a task of one item; gives its name. It waits for [`flush`](Self::flush).
    pub(super) fn add(&mut self, job: Arc<dyn Job>, index: u64, body: Body) -> u64 {
        self.counts.submitted += 1;
        self.enter(job, index, 1, Some(body), self.retries)
    }

    /// Takes tasks, and puts as many into the ring as there is room for.
    pub(super) fn add_packed(
        &mut self,
        job: &Arc<dyn Job>,
        first: &mut u64,
        packed: &Packed<'_>,
        tasks: &Tasks,
    ) {
        let begin = self.last + 1;
        let may_put = self.backlog.is_empty();
        for (_, items) in packed.tasks {
            self.enter(Arc::clone(job), *first, *items, None, self.retries);
            *first += u64::from(*items);
            self.counts.submitted += u64::from(*items);
        }
        let names = (begin..).filter_map(NonZeroU64::new);
        let named = names.zip(packed.bodies());
        // Whatever is wrong with the ring, who waits for room finds that out again.
        let put = if may_put {
            tasks.ring().put_many(named, NOW).0
        } else {
            0
        };
        self.backlog.drain(..put.min(self.backlog.len()));
        for (number, (name, body)) in (begin..).zip(packed.bodies()).enumerate() {
            if let Some(entry) = self.entries.get_mut(&name) {
                entry.is_put = number < put;
                if !entry.is_put || entry.is_kept() {
                    entry.body = Some(Body {
                        record: body.to_vec(),
                        ..Body::default()
                    });
                }
            }
        }
    }

    fn enter(
        &mut self,
        job: Arc<dyn Job>,
        first: u64,
        items: u32,
        body: Option<Body>,
        retries: u32,
    ) -> u64 {
        self.last += 1;
        self.descriptors += body.as_ref().map_or(0, Body::held);
        let entry = Entry {
            job,
            first,
            items,
            finished: 0,
            retries,
            body,
            is_carried: false,
            is_put: false,
        };
        self.entries.insert(self.last, entry);
        self.backlog.push_back(self.last);
        self.last
    }

    /// Puts as much of the backlog into the ring as there is room for. What cannot be put at all fails.
    pub(super) fn flush(&mut self, tasks: &Tasks, carrier: &Carrier, batch: &mut Batch) {
        while let Some(&name) = self.backlog.front() {
            let Some(entry) = self.entries.get_mut(&name) else {
                self.backlog.pop_front();
                continue;
            };
            match entry.carry(name, carrier) {
                Ok(true) => {}
                Ok(false) => return,
                Err(why) => {
                    let message = why.to_string().into();
                    self.fail(name, &TaskError::NotSubmitted { message }, batch);
                    continue;
                }
            }
            if self.put(tasks) == 0 {
                return;
            }
        }
    }

    /// Puts the first task of the backlog, and those behind it that need no socket; how many.
    fn put(&mut self, tasks: &Tasks) -> usize {
        let Ledger {
            entries,
            backlog,
            descriptors,
            ..
        } = self;
        let ready = backlog.iter().map_while(|name| {
            let entry = entries.get(name)?;
            let body = entry.body.as_ref()?;
            let is_ready = body.descriptors.is_empty() || entry.is_carried;
            is_ready.then_some((NonZeroU64::new(*name)?, &body.record))
        });
        // Whatever is wrong with the ring, who waits for room finds that out again.
        let (put, _) = tasks.ring().put_many(ready, NOW);
        for name in backlog.drain(..put) {
            if let Some(entry) = entries.get_mut(&name) {
                entry.is_put = true;
                if !entry.is_kept() {
                    *descriptors -= entry.body.take().as_ref().map_or(0, Body::held);
                }
            }
        }
        put
    }

    /// A worker has told of items.
    pub(super) fn told(
        &mut self,
        head: ToldHead,
        outcomes: Range<usize>,
        carried: Option<Apart>,
        batch: &mut Batch,
    ) {
        let Some(entry) = self.entries.get_mut(&head.task) else {
            return;
        };
        // What comes with descriptors is one outcome, whatever it says.
        let told = match carried {
            None => head.items,
            Some(_) => head.items.min(1),
        };
        let end = head.first.saturating_add(told).min(entry.items);
        if head.first != entry.finished || end <= entry.finished {
            // Told before, by what was found in the outbox: not possible while the worker lives.
            return;
        }
        let first = entry.first + u64::from(entry.finished);
        let items = end - entry.finished;
        entry.finished = end;
        let job = if entry.finished == entry.items {
            self.remove(head.task).map(|entry| entry.job)
        } else {
            Some(Arc::clone(&entry.job))
        };
        if let Some(job) = job {
            match carried {
                None => batch.ended(job, first, u64::from(items), form_of(head.flags), outcomes),
                Some(how) => batch.ended_apart(job, first, how),
            }
        }
        self.counts.done += u64::from(items);
        self.counts.failed += u64::from(head.failed.min(items));
    }

    /// Takes a task out. If it was taken by a worker with its descriptors, that removes them; but if that could not, somebody
    /// must.
    fn remove(&mut self, name: u64) -> Option<Entry> {
        let entry = self.entries.remove(&name)?;
        self.has_strays |= entry.is_carried;
        self.descriptors -= entry.body.as_ref().map_or(0, Body::held);
        Some(entry)
    }

    /// A worker has died with this task in hand; `outbox` is what it had to tell of it. The item that it was at is lost,
    /// and is begun again if `retry` and it may be; the ones behind it are begun by another.
    pub(super) fn lost(
        &mut self,
        lost: Lost,
        outbox: Outcomes<'_>,
        error: &TaskError,
        retry: bool,
        batch: &mut Batch,
    ) {
        let Some(mut entry) = self.remove(lost.task) else {
            return;
        };
        // Whatever its row says now: what was told has ended, and nothing behind the last item has.
        let ended = lost.progress.items().min(entry.items).max(entry.finished);
        let untold = outbox.count() as u32;
        // What is in the outbox is about the last that have ended. Of these some may have been told, and of those before
        // them all were, unless the worker died between ending one and telling of it.
        let mut item = ended.saturating_sub(untold);
        let mut rest = outbox;
        let mut gone: Vec<u32> = (entry.finished..item).collect();
        while item < ended {
            let before = rest;
            let Some((kind, _)) = rest.next() else { break };
            if item >= entry.finished {
                let begin = batch.bytes.len();
                let len = before.bytes.len() - rest.bytes.len();
                batch.bytes.extend_from_slice(&before.bytes[..len]);
                let first = entry.first + u64::from(item);
                let outcomes = begin..batch.bytes.len();
                batch.ended(Arc::clone(&entry.job), first, 1, outbox.form, outcomes);
                self.counts.done += 1;
                self.counts.failed += u64::from(kind != Kind::Returned);
            }
            item += 1;
        }
        // Who has ended an item and not told of it has not begun with the next.
        let mut next = ended;
        if gone.is_empty() && ended < entry.items {
            gone.push(ended);
            next = ended + 1;
        }
        let body = entry.body.take().unwrap_or_default();
        for &item in &gone {
            let index = entry.first + u64::from(item);
            let again = (retry && entry.retries > 0)
                .then(|| part(&body, item..item + 1))
                .flatten();
            match again {
                Some(body) => {
                    let job = Arc::clone(&entry.job);
                    self.enter(job, index, 1, Some(body), entry.retries - 1);
                }
                None => self.end_apart(&entry.job, index, error, batch),
            }
        }
        if next < entry.items {
            let first = entry.first + u64::from(next);
            match part(&body, next..entry.items) {
                Some(body) => {
                    let items = entry.items - next;
                    self.enter(
                        Arc::clone(&entry.job),
                        first,
                        items,
                        Some(body),
                        entry.retries,
                    );
                }
                None => {
                    for item in next..entry.items {
                        let index = entry.first + u64::from(item);
                        self.end_apart(&entry.job, index, error, batch);
                    }
                }
            }
        }
    }

    fn end_apart(&mut self, job: &Arc<dyn Job>, index: u64, error: &TaskError, batch: &mut Batch) {
        self.counts.done += 1;
        self.counts.failed += 1;
        batch.ended_apart(Arc::clone(job), index, Apart::Failed(error.clone()));
    }

    /// What has not ended of a task fails; whether there was such a task.
    pub(super) fn fail(&mut self, name: u64, error: &TaskError, batch: &mut Batch) -> bool {
        let Some(entry) = self.remove(name) else {
            return false;
        };
        for item in entry.finished..entry.items {
            self.end_apart(&entry.job, entry.first + u64::from(item), error, batch);
        }
        true
    }

    /// All that has not ended fails.
    pub(super) fn fail_all(&mut self, error: &TaskError, batch: &mut Batch) {
        let mut names: Vec<u64> = self.entries.keys().copied().collect();
        names.sort_unstable();
        for name in names {
            self.fail(name, error, batch);
        }
        self.backlog.clear();
    }

    /// Whether a task is in the ring, or was; `None` when it has ended.
    pub(super) fn is_put(&self, name: u64) -> Option<bool> {
        self.entries.get(&name).map(|entry| entry.is_put)
    }
}

impl Entry {
    /// Whether its body may be needed again once it is in the ring.
    fn is_kept(&self) -> bool {
        self.items > 1 || self.retries > 0
    }

    /// Sees to it that the descriptors of the task are in the socket, if it has any; `false` when there is no room.
    fn carry(&mut self, name: u64, carrier: &Carrier) -> io::Result<bool> {
        let Some(body) = &mut self.body else {
            return Ok(true);
        };
        if body.descriptors.is_empty() || self.is_carried {
            return Ok(true);
        }
        self.is_carried = carrier.send([name, 0], &body.descriptors)?;
        if self.is_carried {
            std::mem::take(&mut body.moves).are_made();
        }
        Ok(self.is_carried)
    }
}

/// The body of a task of some of the items of another; `None` when that is not known any more.
fn part(body: &Body, items: Range<u32>) -> Option<Body> {
    let (head, arguments) = TaskHead::parse(&body.record)?;
    if head.flags & CARRIED != 0 {
        // It has one item.
        let descriptors = body.descriptors.iter().map(OwnedFd::try_clone);
        return Some(Body {
            record: body.record.clone(),
            descriptors: descriptors.collect::<io::Result<_>>().ok()?,
            moves: Moves::default(),
        });
    }
    let mut rest = Items::new(form_of(head.flags), arguments, head.items);
    for _ in 0..items.start {
        rest.next()?;
    }
    let begin = rest;
    for _ in items.clone() {
        rest.next()?;
    }
    let code = Code {
        call: head.call,
        task: head.task,
    };
    let mut record = head_of(code, items.end - items.start, head.flags & WORDS).to_vec();
    record.extend_from_slice(&begin.bytes()[..begin.bytes().len() - rest.bytes().len()]);
    Some(Body {
        record,
        ..Body::default()
    })
}

/// The head of a task of this code.
pub(super) fn head_of(code: Code, items: u32, flags: u32) -> [u8; TaskHead::LEN] {
    TaskHead {
        call: code.call,
        task: code.task,
        items,
        flags,
    }
    .to_bytes()
}
