//! What the threads of a pool have in common: the memory shared with the workers, the ledger, and what there is to say.

use std::{
    collections::HashMap,
    os::fd::OwnedFd,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use multiproc_core::{NOW, Owner};

use super::{
    error::{PoolError, TaskError},
    job::{Apart, Batch, Job},
    ledger::{Body, Ledger, State},
    record::{CARRIED, PARCEL, ToldHead},
    shared::{Carrier, Shared},
    stats::Member,
    worker::open_parcel,
};
use crate::sys::{self, Linux, eventfd::EventFd};

pub(super) struct Core {
    /// The process whose pool it is: a copy of it has none of the threads.
    pub(super) owner: Owner,
    pub(super) shared: Shared,
    carrier: Carrier,
    ledger: Mutex<Ledger>,
    /// Notified when all tasks have ended.
    idle: Condvar,
    /// What came from the workers. Whoever has it is the only one who takes.
    arrivals: Mutex<Arrivals>,
    crew: Mutex<Crew>,
    /// Notified when one of the crew is ready, and when the pool ends.
    pub(super) crew_changed: Condvar,
    /// Set for the supervisor to look at everything.
    pub(super) call: EventFd,
    /// Whether the collector is to end.
    pub(super) is_over: AtomicBool,
}

#[derive(Default)]
struct Arrivals {
    /// Descriptors of outcomes that were not told yet, by the task and the item.
    parcels: HashMap<[u64; 2], Vec<OwnedFd>>,
}

/// What is known of the workers.
#[derive(Default)]
pub(super) struct Crew {
    pub(super) members: Vec<Member>,
    pub(super) restarts: u64,
    /// Whether all were ready once.
    pub(super) is_complete: bool,
    /// What the supervisor ended with, until somebody is told.
    pub(super) failure: Option<PoolError>,
    /// Whether the supervisor has ended.
    pub(super) is_gone: bool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Core {
    pub(super) fn new(workers: usize, retries: u32) -> Result<Core, PoolError> {
        let (shared, carrier) = Shared::new(workers).map_err(PoolError::Memory)?;
        let call = EventFd::new().map_err(|source| PoolError::Io {
            what: "making an event descriptor",
            source,
        })?;
        Ok(Core {
            owner: sys::identity::me(),
            shared,
            carrier,
            ledger: Mutex::new(Ledger::new(retries)),
            idle: Condvar::new(),
            arrivals: Mutex::default(),
            crew: Mutex::new(Crew {
                members: (0..workers).map(|_| Member::default()).collect(),
                ..Crew::default()
            }),
            crew_changed: Condvar::new(),
            call,
            is_over: AtomicBool::new(false),
        })
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        locked(&self.ledger)
    }

    pub(super) fn crew(&self) -> MutexGuard<'_, Crew> {
        locked(&self.crew)
    }

    /// Whether this is the process whose pool it is.
    pub(super) fn is_ours(&self) -> bool {
        self.owner == sys::identity::me()
    }

    /// Takes tasks of one job, each a body and how many items it has, the first of them being the item `first`. Gives the
    /// name of the last one.
    pub(super) fn submit(
        &self,
        job: &Arc<dyn Job>,
        mut first: u64,
        bodies: impl IntoIterator<Item = (Body, u32)>,
    ) -> Result<u64, PoolError> {
        if !self.is_ours() {
            return Err(PoolError::NotTheOwner);
        }
        let mut batch = Batch::default();
        let mut ledger = self.ledger();
        ledger.refusal()?;
        let mut last = 0;
        for (body, items) in bodies {
            last = ledger.add(Arc::clone(job), first, items, body);
            first += u64::from(items);
        }
        ledger.flush(&self.shared.tasks, &self.carrier, &mut batch);
        drop(ledger);
        batch.deliver();
        Ok(last)
    }

    /// Takes what the workers have told, and notes it; whether there was anything. What is to be delivered is in the batch.
    pub(super) fn drain(&self, batch: &mut Batch) -> bool {
        const MOST: usize = 1024;
        let mut arrivals = locked(&self.arrivals);
        let mut any = false;
        loop {
            let mut heads = Vec::new();
            let bytes = &mut batch.bytes;
            let taken = self.shared.told.ring().get_many(NOW, MOST, |record| {
                if let Some((head, outcomes)) = ToldHead::parse(record) {
                    let begin = bytes.len();
                    bytes.extend_from_slice(outcomes);
                    heads.push((head, begin..bytes.len()));
                }
            });
            let taken = taken.unwrap_or(0);
            if taken == 0 {
                return any;
            }
            any = true;
            // Descriptors are received before the ledger is locked: that takes a while.
            let carried: Vec<_> = heads
                .iter()
                .map(|(head, outcomes)| {
                    let outcome = &batch.bytes[outcomes.clone()];
                    (head.flags & CARRIED != 0).then(|| arrivals.find(&self.carrier, head, outcome))
                })
                .collect();
            let mut ledger = self.ledger();
            for ((head, outcomes), carried) in heads.into_iter().zip(carried) {
                if head.task == 0 {
                    self.is_ready(head.first as usize);
                } else {
                    ledger.told(head, outcomes, carried, batch);
                }
            }
            if ledger.has_backlog() {
                ledger.flush(&self.shared.tasks, &self.carrier, batch);
            }
            self.look_if_idle(&ledger);
            if taken < MOST {
                return any;
            }
        }
    }

    /// Puts what waits for room.
    pub(super) fn flush(&self) {
        let mut batch = Batch::default();
        let mut ledger = self.ledger();
        ledger.flush(&self.shared.tasks, &self.carrier, &mut batch);
        self.look_if_idle(&ledger);
        drop(ledger);
        batch.deliver();
    }

    fn look_if_idle(&self, ledger: &Ledger) {
        if ledger.is_idle() {
            self.idle.notify_all();
            if ledger.state == State::Closed {
                self.call.set();
            }
        }
    }

    fn is_ready(&self, row: usize) {
        let mut crew = self.crew();
        if let Some(member) = crew.members.get_mut(row) {
            member.is_ready = true;
        }
        self.crew_changed.notify_all();
    }

    /// The worker of this row, which has died so, had this in hand. Everything that it told has been taken.
    pub(super) fn lost(
        &self,
        row: usize,
        lost: multiproc_core::Lost,
        error: &TaskError,
        retry: bool,
        batch: &mut Batch,
    ) {
        let outbox = self
            .shared
            .outboxes
            .read(row, lost.progress.bytes() as usize);
        locked(&self.arrivals)
            .parcels
            .retain(|[task, _], _| *task != lost.task);
        let mut ledger = self.ledger();
        ledger.lost(lost, &outbox, error, retry, batch);
        ledger.flush(&self.shared.tasks, &self.carrier, batch);
        self.look_if_idle(&ledger);
    }

    /// Nothing that has not ended will be done: it fails so, and the pool is in that state.
    pub(super) fn end_all(&self, state: State, error: &TaskError) {
        let mut batch = Batch::default();
        let mut ledger = self.ledger();
        ledger.state = state;
        ledger.fail_all(error, &mut batch);
        self.look_if_idle(&ledger);
        drop(ledger);
        batch.deliver();
    }

    /// Sees to it that a task is not begun; whether it never will be.
    pub(super) fn cancel(&self, name: u64) -> bool {
        if !self.is_ours() {
            return false;
        }
        let mut batch = Batch::default();
        let mut ledger = self.ledger();
        let is_cancelled = match ledger.is_put(name) {
            None => false,
            Some(false) => true,
            Some(true) => {
                let cancelled = self.shared.tasks.ring().cancel(name, NOW);
                cancelled.unwrap_or(false)
            }
        };
        if is_cancelled {
            ledger.fail(name, &TaskError::Cancelled, &mut batch);
            self.look_if_idle(&ledger);
        }
        drop(ledger);
        batch.deliver();
        is_cancelled
    }

    /// Waits until all tasks have ended; whether they have before that moment.
    pub(super) fn wait_until_idle(&self, until: Option<Instant>) -> bool {
        let mut ledger = self.ledger();
        while !ledger.is_idle() {
            ledger = match until {
                None => {
                    let woken = self.idle.wait(ledger);
                    woken.unwrap_or_else(PoisonError::into_inner)
                }
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return false;
                    }
                    let woken = self.idle.wait_timeout(ledger, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        true
    }

    /// Waits until all workers have been ready; `false` when the pool has ended before.
    pub(super) fn wait_until_ready(&self) -> bool {
        let mut crew = self.crew();
        loop {
            if crew.is_gone {
                return false;
            }
            if crew.members.iter().all(|member| member.is_ready) {
                crew.is_complete = true;
                return true;
            }
            let woken = self.crew_changed.wait(crew);
            crew = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends the collector, too.
    pub(super) fn finish(&self) {
        self.is_over.store(true, Ordering::Release);
        self.shared.told.ring().ring().wake_consumers(&Linux);
        self.crew().is_gone = true;
        self.crew_changed.notify_all();
    }
}

impl Arrivals {
    /// What came for an outcome that is told by itself.
    fn find(&mut self, carrier: &Carrier, head: &ToldHead, outcome: &[u8]) -> Apart {
        let name = [head.task, head.first.into()];
        let failed = |message: String| {
            let message = format!("its shared objects did not arrive: {message}");
            Apart::Failed(TaskError::Decode { message })
        };
        let mut descriptors = loop {
            if let Some(descriptors) = self.parcels.remove(&name) {
                break descriptors;
            }
            // It was sent before it was told.
            match carrier.receive() {
                Ok(Some(parcel)) => drop(self.parcels.insert(parcel.name, parcel.descriptors)),
                Ok(None) => return failed("nothing came".to_owned()),
                Err(why) => return failed(why.to_string()),
            }
        };
        let outcome = if head.flags & PARCEL != 0 {
            match open_parcel(&mut descriptors) {
                Ok(outcome) => outcome,
                Err(why) => return failed(why),
            }
        } else {
            outcome.to_vec()
        };
        Apart::Carried {
            outcome,
            descriptors,
        }
    }
}
