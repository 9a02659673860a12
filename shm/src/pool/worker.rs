//! A worker: takes tasks, and runs their items.

use std::{fs::File, mem, os::fd::OwnedFd, ptr};

use multiproc_core::{FOREVER, Os, RingError};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    code::{Code, Found},
    outcome::Kind,
    record::{CARRIED, Items, PARCEL, TaskHead, form_of},
    shared::{SOON, Shared},
    teller::{Stop, Teller},
};
use crate::{packet, process::task, sys::Linux};

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
    let teller = Teller::new(setup.shared, setup.row, setup.timed);
    let mut worker = Worker {
        teller: teller.ok_or("there is no place for it")?,
        row: setup.row,
        body: Vec::new(),
        known: None,
    };
    if let Err(stop) = worker.teller.ready() {
        return Err(worker.teller.why(stop));
    }
    for _ in 0..setup.max_tasks.unwrap_or(u64::MAX) {
        let (task, carried) = match worker.take() {
            Ok(taken) => taken,
            Err(RingError::Closed) => return Ok(()),
            Err(why) => return Err(format!("it could not take a task: {why}")),
        };
        match worker.run(task, carried) {
            Ok(true) => {}
            Ok(false) => return Err("a task is not what it says".to_owned()),
            Err(stop) => return Err(worker.teller.why(stop)),
        }
    }
    Ok(())
}

struct Worker {
    teller: Teller,
    row: usize,
    /// The body of the task in hand.
    body: Vec<u8>,
    /// The code of the last task.
    known: Option<(Code, Found)>,
}

impl Worker {
    /// Takes a task: its name, and the descriptors that came for it.
    fn take(&mut self) -> Result<(u64, Carried), RingError> {
        let Worker {
            teller, body, row, ..
        } = self;
        let shared = teller.shared();
        let ring = shared.tasks.ring();
        let (task, carried) = ring.take(*row, FOREVER, |task, bytes| {
            body.clear();
            body.extend_from_slice(bytes);
            let is_carried =
                TaskHead::parse(bytes).is_some_and(|(head, _)| head.flags & CARRIED != 0);
            // It stays in the socket: whoever is killed now leaves it to the next, like the task.
            let carried = is_carried.then(|| find(shared, task));
            (task, carried)
        })?;
        if carried.is_some() {
            // Nobody else takes a task that has one meanwhile, so that what is first there is this one's, or older.
            // If somebody is stopped with the lock, it is left to the next who comes here.
            let until = Linux.now() + SOON;
            let _ = ring.alone(until, || remove_before(shared, task + 1));
        }
        Ok((task, carried))
    }

    /// Runs the task; `false` when its body is damaged.
    fn run(&mut self, task: u64, carried: Carried) -> Result<bool, Stop> {
        let body = mem::take(&mut self.body);
        let Some((head, arguments)) = TaskHead::parse(&body) else {
            return Ok(false);
        };
        self.teller.begin_task(task);
        let begun = carried
            .map_or(Ok((Vec::new(), None)), |carried| open(&head, carried?))
            .and_then(|carried| Ok((self.find_code(&head)?, carried)));
        let (found, (mut descriptors, parcel)) = match begun {
            Ok(begun) => begun,
            Err(why) => {
                for _ in 0..head.items {
                    self.teller.failed(Kind::NotBegun, why.as_bytes())?;
                }
                self.teller.finish()?;
                return Ok(true);
            }
        };
        let arguments = parcel.as_deref().unwrap_or(arguments);
        let mut items = Items::new(form_of(head.flags), arguments, head.items);
        found.run(&mut items, &mut descriptors, &mut self.teller)?;
        if items.left() > 0 {
            return Ok(false);
        }
        self.teller.finish()?;
        self.body = body;
        Ok(true)
    }

    /// The code of a task; mostly that of the one before.
    #[inline]
    fn find_code(&mut self, head: &TaskHead) -> Result<Found, String> {
        let code = Code {
            call: head.call,
            task: head.task,
        };
        if let Some((known, found)) = &self.known
            && *known == code
        {
            return Ok(*found);
        }
        // SAFETY: the pool, which runs the same file, made it.
        let found = unsafe { code.find() };
        let found = found.ok_or("its code is not of this executable")?;
        self.known = Some((code, found));
        Ok(found)
    }
}

/// The descriptors that came for a task, if there are to be any, or why they did not.
type Carried = Option<Result<Vec<OwnedFd>, String>>;

/// Opens the parcel that came for a task, if there is one.
fn open(
    head: &TaskHead,
    mut descriptors: Vec<OwnedFd>,
) -> Result<(Vec<OwnedFd>, Option<Vec<u8>>), String> {
    let parcel = (head.flags & PARCEL != 0).then(|| open_parcel(&mut descriptors));
    Ok((descriptors, parcel.transpose()?))
}

/// Finds the descriptors of a task, which come in the order of the tasks. The caller has the side of those who take.
fn find(shared: &Shared, task: u64) -> Result<Vec<OwnedFd>, String> {
    let failed = |why: &dyn std::fmt::Display| format!("its shared objects did not arrive: {why}");
    // Of those who took theirs, and died before they had removed them, or were in no way to.
    remove_before(shared, task);
    match shared.carrier.peek().map_err(|why| failed(&why))? {
        Some(parcel) if parcel.name[0] == task => parcel.whole().map_err(|why| failed(&why)),
        Some(_) => Err(failed(&"those of a later task came")),
        None => Err(failed(&"nothing came")),
    }
}

/// Removes the descriptors of the tasks before this one. The caller has the side of those who take.
fn remove_before(shared: &Shared, task: u64) {
    while let Ok(Some([of, _])) = shared.carrier.peek_name()
        && of < task
        && shared.carrier.discard().is_ok()
    {}
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
