//! A task: a function that a child runs, how it is named across the two processes, and what came of it.
//!
//! 1. Parent and child run the same file, so a function lies equally far from an anchor of this crate in both. Only
//!    such distances travel.
//! 2. The parent sends two places that belong together: a task and the instance of [`call`] for its types, or [`call_plain`].

use std::{mem, os::fd::OwnedFd, ptr};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{frame::Kind, panics, wire::Message};
use crate::{packet::codec, sys::elf};

/// Decodes the arguments, runs the task at this address, encodes what it returns.
type Call = unsafe fn(usize, &[u8], Vec<OwnedFd>) -> Message;

/// Where a task and the code that calls it lie, counted from the anchor.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Places {
    pub(crate) call: u64,
    pub(crate) task: u64,
}

#[inline(never)]
extern "C" fn anchor() {}

fn base() -> usize {
    anchor as extern "C" fn() as usize
}

/// Where a function of the executable lies, counted from the anchor; `None` when it is no code of the executable itself.
pub(crate) fn place(address: usize) -> Option<u64> {
    elf::is_own_code(address).then(|| address.wrapping_sub(base()) as u64)
}

/// The address of what lies there; `None` when that is no code.
pub(crate) fn address(place: u64) -> Option<usize> {
    let address = (place as usize).wrapping_add(base());
    elf::is_own_code(address).then_some(address)
}

impl Places {
    /// The places of a task; `None` when it is no code of the executable itself.
    pub(crate) fn of<A: DeserializeOwned, R: Serialize>(task: fn(A) -> R) -> Option<Places> {
        let call: Call = call::<A, R>;
        Some(Places {
            call: place(call as usize)?,
            task: place(task as usize)?,
        })
    }

    /// The places of a task without arguments.
    pub(crate) fn of_plain(task: fn()) -> Option<Places> {
        let call: Call = call_plain;
        Some(Places {
            call: place(call as usize)?,
            task: place(task as usize)?,
        })
    }

    /// The task that lies there; `None` when there is no code.
    ///
    /// # Safety
    ///
    /// The places were made by [`Places::of`] or [`Places::of_plain`] in a process that runs the same executable.
    pub(crate) unsafe fn find(self) -> Option<Found> {
        let task = address(self.task)?;
        let call = ptr::with_exposed_provenance::<()>(address(self.call)?);
        // SAFETY: the same file, hence the same function at the same distance (invariant 1).
        let call = unsafe { mem::transmute::<*const (), Call>(call) };
        Some(Found { call, task })
    }
}

/// A task in the process that is to run it.
pub(crate) struct Found {
    call: Call,
    task: usize,
}

impl Found {
    /// Runs it. Whatever happens, there is something to tell the parent.
    pub(crate) fn run(self, arguments: &[u8], descriptors: Vec<OwnedFd>) -> Message {
        panics::install_hook();
        // SAFETY: `call` is the instance for the types of `task` (invariant 2).
        panics::caught(|| unsafe { (self.call)(self.task, arguments, descriptors) })
    }
}

/// # Safety
///
/// `task` is the address of a `fn(A) -> R`.
unsafe fn call<A: DeserializeOwned, R: Serialize>(
    task: usize,
    arguments: &[u8],
    descriptors: Vec<OwnedFd>,
) -> Message {
    let task = ptr::with_exposed_provenance::<()>(task);
    // SAFETY: promised by the caller.
    let task = unsafe { mem::transmute::<*const (), fn(A) -> R>(task) };
    match codec::decode::<A>(arguments, descriptors) {
        Ok(arguments) => returned(&task(arguments)),
        Err(why) => Message::text(
            Kind::NotBegun,
            format_args!("its arguments could not be decoded: {why}"),
        ),
    }
}

/// # Safety
///
/// `task` is the address of a `fn()`.
unsafe fn call_plain(task: usize, _: &[u8], _: Vec<OwnedFd>) -> Message {
    let task = ptr::with_exposed_provenance::<()>(task);
    // SAFETY: promised by the caller.
    let task = unsafe { mem::transmute::<*const (), fn()>(task) };
    task();
    returned(&())
}

/// What tells the parent that the task returned this value.
pub(crate) fn returned<R: Serialize>(value: &R) -> Message {
    match codec::encode(value) {
        Ok(encoded) => {
            encoded.moves.are_made();
            Message {
                kind: Kind::Returned,
                payload: encoded.bytes,
                descriptors: encoded.descriptors,
            }
        }
        Err(why) => Message::text(Kind::NotEncoded, why),
    }
}
