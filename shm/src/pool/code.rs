//! The code of a task: which function runs for each item, and which one calls it.
//!
//! Pool and workers run the same file, so a function lies equally far from the anchor of tasks in all of them. A [`Code`]
//! has two such places that belong together: a task, and the instance of a caller for its types.
//!
//! A worker makes and reads no message while it runs a task, so that what these encode and decode stands alone.

use std::{mem, ops::Range, os::fd::OwnedFd, ptr};

use super::{
    encoding,
    executor::Payload,
    outcome::Kind,
    quiet,
    record::Items,
    star::rules::StarTask,
    teller::{Stop, Teller},
};
use crate::{
    Array,
    packet::codec,
    process::{self, task},
};
use multiproc_core::Element;

/// Runs the items with the task at this address: decodes the arguments of each, calls the task, tells what it returned.
type Call = unsafe fn(usize, &mut Items<'_>, &mut Vec<OwnedFd>, &mut Teller) -> Result<(), Stop>;

/// Where a task and its caller lie, counted from the anchor of tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) call: u64,
    pub(super) task: u64,
}

impl Code {
    fn new(call: Call, task: usize) -> Option<Code> {
        Some(Code {
            call: task::place(call as usize)?,
            task: task::place(task)?,
        })
    }

    /// That of a task of one argument; `None` when it is no code of the executable itself.
    pub(super) fn of<A: Payload, R: Payload>(task: fn(A) -> R) -> Option<Code> {
        Code::new(call::<A, R>, task as usize)
    }

    /// That of this task, whose type says what it is.
    pub(super) fn of_star<A: Payload, F: StarTask<A, Output: Payload>>(_: F) -> Option<Code> {
        let call: Call = call_star::<A, F>;
        // The caller knows it by its type.
        Code::new(call, call as usize)
    }

    /// That of a task that reads a range of an array.
    pub(super) fn of_reader<T: Element, R: Payload>(task: fn(usize, &[T]) -> R) -> Option<Code> {
        Code::new(call_reader::<T, R>, task as usize)
    }

    /// That of a task that changes a range of an array.
    pub(super) fn of_writer<T: Element>(task: fn(usize, &mut [T])) -> Option<Code> {
        Code::new(call_writer::<T>, task as usize)
    }

    /// The code that lies there; `None` when there is none.
    ///
    /// # Safety
    ///
    /// The places were made by this type in a process that runs the same executable.
    pub(super) unsafe fn find(self) -> Option<Found> {
        let task = task::address(self.task)?;
        let call = ptr::with_exposed_provenance::<()>(task::address(self.call)?);
        // SAFETY: the same file, hence the same function at the same distance.
        let call = unsafe { mem::transmute::<*const (), Call>(call) };
        Some(Found { call, task })
    }
}

/// The code of a task in the process that runs it.
#[derive(Clone, Copy)]
pub(super) struct Found {
    call: Call,
    task: usize,
}

impl Found {
    /// Runs the items; the descriptors are those of the first. An error when nobody can be told of them.
    #[inline]
    pub(super) fn run(
        &self,
        items: &mut Items<'_>,
        descriptors: &mut Vec<OwnedFd>,
        teller: &mut Teller,
    ) -> Result<(), Stop> {
        // SAFETY: `call` is the instance for the types of `task`: they came as one `Code`, which was made of that task.
        unsafe { (self.call)(self.task, items, descriptors, teller) }
    }
}

/// Runs the items with this task, which may say why it could not begin.
#[inline]
fn run<A: Payload, R: Payload>(
    items: &mut Items<'_>,
    descriptors: &mut Vec<OwnedFd>,
    teller: &mut Teller,
    task: impl Fn(A) -> Result<R, String>,
) -> Result<(), Stop> {
    loop {
        // One net for all of them: it is spread anew behind an item that panics.
        let caught = process::catch(|| {
            for bytes in items.by_ref() {
                teller.begin();
                match arguments(bytes, descriptors).and_then(&task) {
                    Ok(value) => {
                        teller.returned(&value)?;
                        quiet::drop(value);
                    }
                    Err(why) => teller.failed(Kind::NotBegun, why.as_bytes())?,
                }
            }
            Ok(())
        });
        match caught {
            Ok(result) => return result,
            Err(panic) => teller.panicked(&panic)?,
        }
    }
}

/// Decodes the arguments of an item.
#[inline]
fn arguments<A: Payload>(bytes: &[u8], descriptors: &mut Vec<OwnedFd>) -> Result<A, String> {
    let decoded = if descriptors.is_empty() {
        encoding::decode(bytes)
    } else {
        codec::decode(bytes, mem::take(descriptors))
    };
    decoded.map_err(|why| format!("its arguments could not be decoded: {why}"))
}

/// # Safety
///
/// `task` is the address of a `fn(A) -> R`.
unsafe fn call<A: Payload, R: Payload>(
    task: usize,
    items: &mut Items<'_>,
    descriptors: &mut Vec<OwnedFd>,
    teller: &mut Teller,
) -> Result<(), Stop> {
    let task = ptr::with_exposed_provenance::<()>(task);
    // SAFETY: promised by the caller.
    let task = unsafe { mem::transmute::<*const (), fn(A) -> R>(task) };
    run(items, descriptors, teller, |arguments| Ok(task(arguments)))
}

/// # Safety
///
/// There is a value of `F`.
unsafe fn call_star<A: Payload, F: StarTask<A, Output: Payload>>(
    _: usize,
    items: &mut Items<'_>,
    descriptors: &mut Vec<OwnedFd>,
    teller: &mut Teller,
) -> Result<(), Stop> {
    run(items, descriptors, teller, |arguments| {
        // SAFETY: promised by the caller.
        Ok(unsafe { F::call(arguments) })
    })
}

/// # Safety
///
/// `task` is the address of a `fn(usize, &[T]) -> R`.
unsafe fn call_reader<T: Element, R: Payload>(
    task: usize,
    items: &mut Items<'_>,
    descriptors: &mut Vec<OwnedFd>,
    teller: &mut Teller,
) -> Result<(), Stop> {
    let task = ptr::with_exposed_provenance::<()>(task);
    // SAFETY: promised by the caller.
    let task = unsafe { mem::transmute::<*const (), fn(usize, &[T]) -> R>(task) };
    let read = |(array, range): (Array<T>, Range<usize>)| {
        let start = range.start;
        let elements = array.read(range).map_err(|why| why.to_string())?;
        Ok(task(start, &elements))
    };
    run(items, descriptors, teller, read)
}

/// # Safety
///
/// `task` is the address of a `fn(usize, &mut [T])`.
unsafe fn call_writer<T: Element>(
    task: usize,
    items: &mut Items<'_>,
    descriptors: &mut Vec<OwnedFd>,
    teller: &mut Teller,
) -> Result<(), Stop> {
    let task = ptr::with_exposed_provenance::<()>(task);
    // SAFETY: promised by the caller.
    let task = unsafe { mem::transmute::<*const (), fn(usize, &mut [T])>(task) };
    let write = |(array, range): (Array<T>, Range<usize>)| {
        let start = range.start;
        let mut elements = array.write(range).map_err(|why| why.to_string())?;
        task(start, &mut elements);
        Ok(())
    };
    run(items, descriptors, teller, write)
}
