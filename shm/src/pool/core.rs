//! What the threads of a pool have in common: the memory shared with the workers, the ledger, and what there is to say.

use std::{
    collections::HashMap,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use multiproc_core::{NOW, Os, Owner, RingError};

use super::{
    error::{PoolError, TaskError},
    job::{Apart, Batch, Job},
    ledger::{Body, Ledger, State},
    outcome::Outcomes,
    record::{CARRIED, PARCEL, ToldHead},
    shared::{Carrier, Parcel, SOON, Shared},
    stats::Member,
    worker::open_parcel,
};
use crate::sys::{self, Linux, eventfd::EventFd};

/// So many descriptors of tasks a map holds at most before it waits: of a thousand that a process mostly may have.
const DESCRIPTORS: usize = 256;

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
    parcels: HashMap<[u64; 2], Parcel>,
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
        let (shared, carrier) =
            Shared::new(workers).map_err(|why| PoolError::Memory(why.into()))?;
        let call = EventFd::new().map_err(|why| PoolError::Io {
            what: "making an event descriptor",
            why,
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

    /// Forgets all tasks and what came for them.
    #[cfg(feature = "__fuzz")]
    pub(super) fn forget_all(&self, retries: u32) {
        let mut arrivals = locked(&self.arrivals);
        // The name of no task.
        arrivals.forget(&self.carrier, 0);
        arrivals.parcels.clear();
        *self.ledger() = Ledger::new(retries);
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

    /// Takes a task of one item, which is the item `index` of its job; gives the name of the task.
    pub(super) fn submit(
        &self,
        job: &Arc<dyn Job>,
        index: u64,
        body: Body,
    ) -> Result<u64, PoolError> {
        let ledger = self.open_ledger()?;
        Ok(self.enter(ledger, job, index, body))
    }

    /// Enters that task.
    pub(super) fn enter(
        &self,
        mut ledger: MutexGuard<'_, Ledger>,
        job: &Arc<dyn Job>,
        index: u64,
        body: Body,
    ) -> u64 {
        let mut batch = Batch::default();
        let name = ledger.add(Arc::clone(job), index, body);
        ledger.flush(&self.shared.tasks, &self.carrier, &mut batch);
        ledger.owe(&mut batch);
        self.look_if_idle(&ledger);
        drop(ledger);
        self.deliver(&mut batch);
        name
    }

    /// The ledger, if tasks are taken.
    pub(super) fn open_ledger(&self) -> Result<MutexGuard<'_, Ledger>, PoolError> {
        if !self.is_ours() {
            return Err(PoolError::NotTheOwner);
        }
        let ledger = self.ledger();
        ledger.refusal()?;
        Ok(ledger)
    }

    /// Takes what the workers have told, and notes it; whether there was anything. What is to be delivered is in the batch.
    pub(super) fn drain(&self, batch: &mut Batch) -> bool {
        const MOST: usize = 1024;
        let mut arrivals = locked(&self.arrivals);
        let mut any = false;
        let mut heads = Vec::new();
        loop {
            heads.clear();
            let bytes = &mut batch.bytes;
            let taken = self.shared.told.ring().get_many(NOW, MOST, |record| {
                if let Some((head, outcomes)) = ToldHead::parse(record) {
                    let begin = bytes.len();
                    bytes.extend_from_slice(outcomes);
                    heads.push((head, begin..bytes.len()));
                }
            });
            let taken = taken.unwrap_or_else(|why| self.note_damage(why));
            if taken == 0 {
                return any;
            }
            any = true;
            let mut ledger = self.ledger();
            for (head, outcomes) in heads.drain(..) {
                if head.task == 0 {
                    self.is_ready(head.first as usize);
                    continue;
                }
                let carried = (head.flags & CARRIED != 0).then(|| {
                    let told = &batch.bytes[outcomes.clone()];
                    let is_known = |task| ledger.is_put(task).is_some();
                    arrivals.find(&self.carrier, &head, told, is_known)
                });
                ledger.told(head, outcomes, carried, batch);
            }
            if ledger.has_backlog() {
                ledger.flush(&self.shared.tasks, &self.carrier, batch);
            }
            self.sweep(&mut ledger, NOW);
            ledger.owe(batch);
            self.look_if_idle(&ledger);
            if taken < MOST {
                return any;
            }
        }
    }

    /// Nothing was taken. If that is because nothing can be any more, the pool is broken.
    fn note_damage(&self, why: RingError) -> usize {
        if why == RingError::Damaged {
            let mut ledger = self.ledger();
            if !matches!(ledger.state, State::Broken(_)) {
                ledger.state = State::Broken(format!("what its workers tell: {why}"));
                self.call.set();
            }
        }
        0
    }

    /// Waits until no more descriptors of tasks are held than a map may hold.
    pub(super) fn wait_for_room(&self) {
        let mut ledger = self.ledger();
        while ledger.descriptors > DESCRIPTORS {
            let woken = self.idle.wait(ledger);
            ledger = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Puts what waits for room.
    pub(super) fn flush(&self) {
        let mut batch = Batch::default();
        let mut ledger = self.ledger();
        ledger.flush(&self.shared.tasks, &self.carrier, &mut batch);
        ledger.owe(&mut batch);
        self.look_if_idle(&ledger);
        drop(ledger);
        self.deliver(&mut batch);
    }

    /// Removes descriptors of tasks that have ended without having been taken, or with the worker that had taken them, as
    /// soon as they come first: whatever they are the last ends of is closed then.
    fn sweep(&self, ledger: &mut Ledger, until: u64) {
        if !ledger.has_strays {
            return;
        }
        // The end of the workers, who look at it and take from it likewise.
        let carrier = &self.shared.carrier;
        let swept = self.shared.tasks.ring().alone(until, || {
            loop {
                match carrier.peek_name() {
                    Ok(Some([task, _])) if ledger.is_put(task).is_some() => return true,
                    Ok(Some(_)) if carrier.discard().is_ok() => {}
                    _ => return false,
                }
            }
        });
        ledger.has_strays = swept.unwrap_or(true);
    }

    /// Tells all jobs what is in the batch, while no lock is held.
    pub(super) fn deliver(&self, batch: &mut Batch) {
        batch.deliver();
        if std::mem::take(&mut batch.is_owed) {
            let mut ledger = self.ledger();
            ledger.owed -= 1;
            self.look_if_idle(&ledger);
        }
    }

    pub(super) fn look_if_idle(&self, ledger: &Ledger) {
        if ledger.is_settled() || ledger.descriptors <= DESCRIPTORS {
            self.idle.notify_all();
        }
        if ledger.is_idle() && ledger.state == State::Closed {
            self.call.set();
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
        // It is dead: nobody writes there any more.
        let outbox = self.shared.outboxes.of(row);
        let outcomes = outbox
            .as_ref()
            .map_or(Outcomes::default(), |outbox| outbox.outcomes(lost.progress));
        locked(&self.arrivals).forget(&self.carrier, lost.task);
        let mut ledger = self.ledger();
        ledger.lost(lost, outcomes, error, retry, batch);
        self.sweep(&mut ledger, Linux.now() + SOON);
        ledger.flush(&self.shared.tasks, &self.carrier, batch);
        ledger.owe(batch);
        self.look_if_idle(&ledger);
    }

    /// Nothing that has not ended will be done: it fails so, and the pool is in that state.
    pub(super) fn end_all(&self, state: State, error: &TaskError) {
        let mut batch = Batch::default();
        let mut ledger = self.ledger();
        ledger.state = state;
        ledger.fail_all(error, &mut batch);
        ledger.owe(&mut batch);
        self.look_if_idle(&ledger);
        drop(ledger);
        self.deliver(&mut batch);
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
                let until = Linux.now() + SOON;
                let cancelled = self.shared.tasks.ring().cancel(name, until);
                cancelled.unwrap_or(false)
            }
        };
        if is_cancelled {
            ledger.fail(name, &TaskError::Cancelled, &mut batch);
            self.sweep(&mut ledger, Linux.now() + SOON);
            ledger.owe(&mut batch);
            self.look_if_idle(&ledger);
        }
        drop(ledger);
        self.deliver(&mut batch);
        is_cancelled
    }

    /// Waits until all tasks have ended; whether they have before that moment.
    pub(super) fn wait_until_idle(&self, until: Option<Instant>) -> bool {
        if !self.is_ours() {
            return false;
        }
        let mut ledger = self.ledger();
        while !ledger.is_settled() {
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

    /// Waits until the supervisor has ended.
    pub(super) fn wait_until_gone(&self) {
        let mut crew = self.crew();
        while !crew.is_gone {
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
    /// Drops what came for outcomes of a task that nobody will tell of.
    fn forget(&mut self, carrier: &Carrier, task: u64) {
        while let Ok(Some(parcel)) = carrier.receive() {
            self.parcels.insert(parcel.name, parcel);
        }
        self.parcels.retain(|[of, _], _| *of != task);
    }

    /// What came for an outcome that is told by itself. What came for others is kept, if these are known tasks.
    fn find(
        &mut self,
        carrier: &Carrier,
        head: &ToldHead,
        told: &[u8],
        is_known: impl Fn(u64) -> bool,
    ) -> Apart {
        let name = [head.task, head.first.into()];
        let failed = |message: String| {
            let message = format!("its shared objects did not arrive: {message}");
            let message = message.into();
            Apart::Failed(TaskError::NotDecoded { message })
        };
        let parcel = loop {
            if let Some(parcel) = self.parcels.remove(&name) {
                break parcel;
            }
            // It was sent before it was told.
            match carrier.receive() {
                Ok(Some(parcel)) if is_known(parcel.name[0]) => {
                    self.parcels.insert(parcel.name, parcel);
                }
                Ok(Some(_)) => {}
                Ok(None) => return failed("nothing came".to_owned()),
                Err(why) => return failed(why.to_string()),
            }
        };
        let mut descriptors = match parcel.whole() {
            Ok(descriptors) => descriptors,
            Err(why) => return failed(why),
        };
        let told = if head.flags & PARCEL != 0 {
            match open_parcel(&mut descriptors) {
                Ok(told) => told,
                Err(why) => return failed(why),
            }
        } else {
            told.to_vec()
        };
        match head.kind() {
            Some(kind) => Apart::Carried {
                kind,
                told,
                descriptors,
            },
            None => failed("it says not what it is".to_owned()),
        }
    }
}
