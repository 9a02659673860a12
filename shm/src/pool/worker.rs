//! A worker: takes tasks, runs their items, tells how they ended.
//!
//! What a worker that may die at any instruction leaves behind must say exactly which item went with it. Invariants:
//!
//! 1. An item has ended when the progress in the worker's row says so; only then is it told.
//! 2. Of a task of several items, what is not told yet lies in the worker's outbox, as far as the progress says.
//! 3. What is told is in the ring before the progress says that the outbox is empty. Told twice is told once.
//! 4. The row names the task until all of it is told.

use std::{fs::File, mem, os::fd::OwnedFd, ptr, thread, time::Duration};

use multiproc_core::{FOREVER, Os, Progress, RingError};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    code::{Code, Found, Ran},
    outcome::{self, HEAD, Kind},
    record::{CARRIED, Items, PARCEL, TaskHead, ToldHead},
    shared::{LONGEST, OUTBOX, SOON, Shared},
};
use crate::{
    packet::{self, codec::Encoded},
    process::{self, task},
    sys::Linux,
};

/// What a worker is told when it begins. The pool, which lends it, has an `S` of its own.
#[derive(Serialize, Deserialize)]
pub(super) struct Setup<S> {
    pub(super) shared: S,
    pub(super) row: usize,
    /// How many tasks it runs before it ends.
    pub(super) max_tasks: Option<u64>,
    /// Whether it says when it begins with an item.
    pub(super) timed: bool,
    /// Where the initializer lies, counted from the anchor of tasks.
    pub(super) initializer: Option<u64>,
}

/// A worker from its beginning to its end; why it could not go on.
pub(super) fn work<I: DeserializeOwned>(
    (setup, argument): (Setup<Shared>, I),
) -> Result<(), String> {
    if let Some(place) = setup.initializer {
        let Some(address) = task::address(place) else {
            return Err("its initializer lies outside the code of the executable".to_owned());
        };
        let initializer = ptr::with_exposed_provenance::<()>(address);
        // SAFETY: the pool, which runs the same file, made the place of a `fn(I)`.
        let initializer = unsafe { mem::transmute::<*const (), fn(I)>(initializer) };
        initializer(argument);
    }
    Worker {
        shared: setup.shared,
        row: setup.row,
        timed: setup.timed,
        body: Vec::new(),
        told: Told::default(),
        known: None,
    }
    .run(setup.max_tasks.unwrap_or(u64::MAX))
}

struct Worker {
    shared: Shared,
    row: usize,
    timed: bool,
    /// The body of the task in hand.
    body: Vec<u8>,
    told: Told,
    /// The code of the last task.
    known: Option<(Code, Found)>,
}

/// What there is to tell of the task in hand, behind a head.
#[derive(Default)]
struct Told {
    bytes: Vec<u8>,
    head: ToldHead,
    progress: Progress,
    /// When it was told of last, and after how many more items that is looked at.
    since: u64,
    patience: u32,
}

/// After so many nanoseconds what there is to tell is told, before all of the task is done.
const TELL_AFTER: u64 = 20_000_000;

/// How long a condemned worker sleeps between two looks whether it was pardoned.
const NAP: Duration = Duration::from_millis(1);

impl Told {
    fn begin(&mut self, task: u64) {
        self.head = ToldHead {
            task,
            ..ToldHead::default()
        };
        self.progress = Progress::default();
        self.bytes.clear();
        self.bytes.extend_from_slice(&[0; ToldHead::LEN]);
        self.patience = 0;
    }

    /// The bytes of outcomes.
    fn len(&self) -> usize {
        self.bytes.len() - ToldHead::LEN
    }
}

impl Worker {
    fn run(mut self, max_tasks: u64) -> Result<(), String> {
        let ready = ToldHead {
            first: self.row as u32,
            ..ToldHead::default()
        };
        self.put(&ready.to_bytes())?;
        for _ in 0..max_tasks {
            let (task, carried) = match self.take() {
                Ok(taken) => taken,
                Err(RingError::Closed) => return Ok(()),
                Err(why) => return Err(format!("it could not take a task: {why}")),
            };
            self.run_task(task, carried)?;
        }
        Ok(())
    }

    /// Takes a task: its name, and the descriptors that came for it.
    fn take(&mut self) -> Result<(u64, Carried), RingError> {
        let Worker { shared, body, .. } = self;
        let ring = shared.tasks.ring();
        let taken = ring.take(self.row, FOREVER, |task, bytes| {
            body.clear();
            body.extend_from_slice(bytes);
            let is_carried =
                TaskHead::parse(bytes).is_some_and(|(head, _)| head.flags & CARRIED != 0);
            // It stays in the socket: whoever is killed now leaves it to the next, like the task.
            let carried = is_carried.then(|| find(shared, task));
            (task, carried)
        });
        let (task, carried) = taken?;
        if carried.is_some() {
            // Nobody else takes a task that has one meanwhile, so that what is first there is this one's, or older.
            // If somebody is stopped with the lock, it is left to the next who comes here.
            let until = Linux.now() + SOON;
            let _ = ring.alone(until, || remove_up_to(shared, task));
        }
        Ok((task, carried))
    }

    fn run_task(&mut self, task: u64, carried: Carried) -> Result<(), String> {
        let body = mem::take(&mut self.body);
        let Some((head, arguments)) = TaskHead::parse(&body) else {
            return Err("a task has no head".to_owned());
        };
        self.told.begin(task);
        let mut descriptors = Vec::new();
        let mut parcel = None;
        let mut why_not = None;
        match carried.transpose() {
            Err(why) => why_not = Some(why),
            Ok(None) => {}
            Ok(Some(carried)) => {
                descriptors = carried;
                if head.flags & PARCEL != 0 {
                    match open_parcel(&mut descriptors) {
                        Ok(bytes) => parcel = Some(bytes),
                        Err(why) => why_not = Some(why),
                    }
                }
            }
        }
        let code = self.find_code(&head);
        let found = match (code, why_not) {
            (Some(found), None) => found,
            (None, None) => return self.fail_all(&head, "its code is not of this executable"),
            (_, Some(why)) => return self.fail_all(&head, &why),
        };
        let mut items = Items(parcel.as_deref().unwrap_or(arguments));
        for number in 0..head.items {
            let Some(arguments) = items.next() else {
                return Err("a task has fewer items than it says".to_owned());
            };
            // Only a task of one item has descriptors.
            let descriptors = mem::take(&mut descriptors);
            self.run_item(found, number, head.items, arguments, descriptors)?;
        }
        self.tell()?;
        self.shared.tasks.ring().done(self.row);
        self.body = body;
        Ok(())
    }

    #[inline]
    fn run_item(
        &mut self,
        found: Found,
        number: u32,
        of: u32,
        arguments: &[u8],
        descriptors: Vec<OwnedFd>,
    ) -> Result<(), String> {
        if self.timed {
            // The clock of a machine that has just been started says 0 for a moment.
            self.shared.tasks.ring().begin(self.row, Linux.now().max(1));
        }
        let told = &mut self.told.bytes;
        let at = outcome::begin(told);
        let ran = process::catch(|| found.run(arguments, descriptors, told));
        let kind = match ran {
            Ok(Ran {
                kind,
                carried: None,
            }) => kind,
            Ok(Ran {
                carried: Some(encoded),
                ..
            }) => {
                self.told.bytes.truncate(at);
                return self.end_carried(number, *encoded);
            }
            Err(panic) => {
                told.truncate(at + HEAD);
                // A text that cannot be encoded there is none.
                told.extend(postcard::to_allocvec(&panic).unwrap_or_default());
                Kind::Panicked
            }
        };
        outcome::end(told, at, kind);
        self.end_item(number, of, at, kind)
    }

    /// An item has ended, and its outcome lies at the end of what there is to tell, from `at` on.
    #[inline]
    fn end_item(&mut self, number: u32, of: u32, at: usize, kind: Kind) -> Result<(), String> {
        let len = self.told.bytes.len() - at;
        if len > LONGEST {
            let outcome = self.told.bytes.split_off(at);
            return self.end_alone(number, kind, Vec::new(), outcome, || ());
        }
        if self.told.len() > OUTBOX {
            let outcome = self.told.bytes.split_off(at);
            self.tell()?;
            self.told.bytes.extend_from_slice(&outcome);
        }
        let place = self.told.len() - len;
        if of > 1 {
            let outcome = &self.told.bytes[ToldHead::LEN + place..];
            self.shared.outboxes.write(self.row, place, outcome);
        }
        // What a task of one item has to tell is in the ring next; it is never looked for in the outbox.
        let bytes = if of > 1 { self.told.len() } else { 0 };
        self.advance(number + 1, bytes);
        self.count(kind);
        if of > 1 && self.told.patience == 0 {
            self.tell_if_late()?;
        }
        self.told.patience = self.told.patience.saturating_sub(1);
        Ok(())
    }

    #[inline]
    fn count(&mut self, kind: Kind) {
        self.told.head.items += 1;
        self.told.head.failed += u32::from(kind != Kind::Returned);
    }

    /// Says how far it is. If it was condemned, it waits for its end, or to be pardoned.
    #[inline]
    fn advance(&mut self, items: u32, bytes: usize) {
        let to = Progress::new(items, bytes as u32);
        let ring = self.shared.tasks.ring();
        while !ring.advance(self.row, self.told.progress, to) {
            thread::sleep(NAP);
        }
        self.told.progress = to;
    }

    /// Tells what there is to tell, if it is long ago that anything was. The clock is looked at the less often the faster
    /// items are.
    #[cold]
    fn tell_if_late(&mut self) -> Result<(), String> {
        let now = Linux.now();
        let told = &mut self.told;
        let items = told.progress.items();
        if items == 1 {
            told.since = now;
        }
        let late = now.saturating_sub(told.since);
        // As many again as there were, if they took no time to speak of.
        told.patience = match late {
            ..1_000_000 => items.min(1 << 16),
            1_000_000..TELL_AFTER => items / 8,
            _ => 0,
        };
        if late >= TELL_AFTER {
            told.since = now;
            self.tell()?;
        }
        Ok(())
    }

    /// Tells what there is to tell.
    fn tell(&mut self) -> Result<(), String> {
        if self.told.head.items == 0 {
            return Ok(());
        }
        let head = self.told.head;
        self.told.bytes[..ToldHead::LEN].copy_from_slice(&head.to_bytes());
        self.put(&self.told.bytes)?;
        self.told_all(head.first + head.items);
        Ok(())
    }

    /// All up to the item `first` is told.
    fn told_all(&mut self, first: u32) {
        if self.told.progress.bytes() != 0 {
            self.advance(first, 0);
        }
        self.told.bytes.truncate(ToldHead::LEN);
        self.told.head = ToldHead {
            task: self.told.head.task,
            first,
            ..ToldHead::default()
        };
    }

    /// An item has ended with a return value that holds shared objects.
    fn end_carried(&mut self, number: u32, encoded: Encoded) -> Result<(), String> {
        let mut outcome = Vec::new();
        outcome::append(&mut outcome, Kind::Returned, &encoded.bytes);
        let moves = encoded.moves;
        self.end_alone(number, Kind::Returned, encoded.descriptors, outcome, || {
            moves.are_made();
        })
    }

    /// An item has ended with an outcome that is told by itself: with descriptors, or as a file in memory.
    fn end_alone(
        &mut self,
        number: u32,
        mut kind: Kind,
        mut descriptors: Vec<OwnedFd>,
        mut outcome: Vec<u8>,
        sent: impl FnOnce(),
    ) -> Result<(), String> {
        self.tell()?;
        self.advance(number + 1, 0);
        let mut flags = CARRIED;
        let mut packed = Ok(());
        if outcome.len() > LONGEST {
            flags |= PARCEL;
            packed = packet::pack(&outcome).map(|file| descriptors.insert(0, file.into()));
        }
        let name = [self.told.head.task, number.into()];
        let carried = packed.and_then(|()| self.shared.carrier.send_waiting(name, &descriptors));
        match carried {
            Ok(()) => sent(),
            Err(why) => {
                flags = 0;
                kind = Kind::NotEncoded;
                outcome.clear();
                outcome::append(&mut outcome, kind, why.to_string().as_bytes());
            }
        }
        let head = ToldHead {
            task: self.told.head.task,
            first: number,
            items: 1,
            failed: u32::from(kind != Kind::Returned),
            flags,
        };
        let outcome = if flags & PARCEL != 0 {
            &[]
        } else {
            &outcome[..]
        };
        self.put(&[&head.to_bytes()[..], outcome].concat())?;
        self.told_all(number + 1);
        Ok(())
    }

    /// No item of the task can begin.
    fn fail_all(&mut self, head: &TaskHead, why: &str) -> Result<(), String> {
        for number in 0..head.items {
            let told = &mut self.told.bytes;
            let at = outcome::begin(told);
            told.extend_from_slice(why.as_bytes());
            outcome::end(told, at, Kind::NotDecoded);
            self.end_item(number, head.items, at, Kind::NotDecoded)?;
        }
        self.tell()?;
        self.shared.tasks.ring().done(self.row);
        Ok(())
    }

    fn put(&self, record: &[u8]) -> Result<(), String> {
        let put = self.shared.told.ring().put(record, FOREVER);
        put.map_err(|why| format!("it could not tell of its tasks: {why}"))
    }

    /// The code of a task; mostly that of the one before.
    #[inline]
    fn find_code(&mut self, head: &TaskHead) -> Option<Found> {
        let code = Code {
            call: head.call,
            task: head.task,
        };
        if let Some((known, found)) = &self.known
            && *known == code
        {
            return Some(*found);
        }
        // SAFETY: the pool, which runs the same file, made it.
        let found = unsafe { code.find() }?;
        self.known = Some((code, found));
        Some(found)
    }
}

/// The descriptors that came for a task, if there are to be any, or why they did not.
type Carried = Option<Result<Vec<OwnedFd>, String>>;

/// Finds the descriptors of a task, which come in the order of the tasks. The caller has the side of those who take.
fn find(shared: &Shared, task: u64) -> Result<Vec<OwnedFd>, String> {
    let failed = |why: &dyn std::fmt::Display| format!("its shared objects did not arrive: {why}");
    loop {
        let parcel = shared.carrier.peek().map_err(|why| failed(&why))?;
        let parcel = parcel.ok_or_else(|| failed(&"nothing came"))?;
        match parcel.name[0] {
            name if name == task => return Ok(parcel.descriptors),
            // One who took his, and died before he had removed it, or was in no way to.
            name if name < task => drop(shared.carrier.receive()),
            _ => return Err(failed(&"those of a later task came")),
        }
    }
}

/// Removes the descriptors of the tasks up to this one. The caller has the side of those who take.
fn remove_up_to(shared: &Shared, task: u64) {
    while let Ok(Some(parcel)) = shared.carrier.peek()
        && parcel.name[0] <= task
    {
        if shared.carrier.receive().is_err() {
            return;
        }
    }
}

/// What is in the file that comes first.
pub(super) fn open_parcel(descriptors: &mut Vec<OwnedFd>) -> Result<Vec<u8>, String> {
    if descriptors.is_empty() {
        return Err("a file in memory did not arrive".to_owned());
    }
    let file = File::from(descriptors.remove(0));
    let len = file.metadata().map_err(|why| why.to_string())?.len();
    packet::unpack(file, len).map_err(|why| why.to_string())
}
