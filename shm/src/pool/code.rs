//! The code of a task: which function runs for each item, and which one calls it.
//!
//! Pool and workers run the same file, so a function lies equally far from the anchor of tasks in all of them. A [`Code`]
//! has two such places that belong together: a task, and the instance of a caller for its types.
//!
//! A worker makes and reads no message while it runs a task, so that what these encode and decode stands alone.

use std::{mem, ops::Range, os::fd::OwnedFd, ptr};

use serde::{Serialize, de::DeserializeOwned};

use super::{outcome::Kind, star::StarTask};
use crate::{
    Array,
    packet::codec::{self, Encoded},
    process::task,
};
use multiproc_core::Element;

/// Decodes the arguments of an item, calls the task at this address with them, and appends the encoded return value.
type Call = unsafe fn(usize, &[u8], Vec<OwnedFd>, &mut Vec<u8>) -> Ran;

/// What came of an item, beside the bytes that were appended.
pub(super) struct Ran {
    pub(super) kind: Kind,
    /// What was not appended, because shared objects are in it.
    pub(super) carried: Option<Box<Encoded>>,
}

impl From<Kind> for Ran {
    fn from(kind: Kind) -> Ran {
        Ran {
            kind,
            carried: None,
        }
    }
}

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
    pub(super) fn of<A: DeserializeOwned, R: Serialize>(task: fn(A) -> R) -> Option<Code> {
        Code::new(call::<A, R>, task as usize)
    }

    /// That of a task whose type says what it is.
    pub(super) fn of_star<A: DeserializeOwned, F: StarTask<A, Output: Serialize>>() -> Option<Code>
    {
        let call: Call = call_star::<A, F>;
        // The caller knows it by its type.
        Code::new(call, call as usize)
    }

    /// That of a task that reads a range of an array.
    pub(super) fn of_reader<T: Element, R: Serialize>(task: fn(usize, &[T]) -> R) -> Option<Code> {
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
    /// Runs an item. A panic of the task is the caller's to catch; what was appended then means nothing.
    #[inline]
    pub(super) fn run(
        &self,
        arguments: &[u8],
        descriptors: Vec<OwnedFd>,
        told: &mut Vec<u8>,
    ) -> Ran {
        // SAFETY: `call` is the instance for the types of `task`: they came as one `Code`.
        unsafe { (self.call)(self.task, arguments, descriptors, told) }
    }
}

/// Decodes the arguments of an item, or tells why not.
#[inline]
fn arguments<A: DeserializeOwned>(
    bytes: &[u8],
    descriptors: Vec<OwnedFd>,
    told: &mut Vec<u8>,
) -> Result<A, Ran> {
    let decoded = if descriptors.is_empty() {
        codec::decode_alone(bytes)
    } else {
        codec::decode(bytes, descriptors)
    };
    decoded.map_err(|why| {
        let why = format!("its arguments could not be decoded: {why}");
        told.extend_from_slice(why.as_bytes());
        Kind::NotDecoded.into()
    })
}

/// Appends a return value.
#[inline]
fn returned<R: Serialize>(value: &R, told: &mut Vec<u8>) -> Ran {
    match codec::append_alone(value, told) {
        Ok(()) => Kind::Returned.into(),
        Err(_) => carried(value, told),
    }
}

/// A return value that could not be appended as it is: maybe because shared objects are in it.
#[cold]
fn carried<R: Serialize>(value: &R, told: &mut Vec<u8>) -> Ran {
    match codec::encode(value) {
        Ok(encoded) => Ran {
            kind: Kind::Returned,
            carried: Some(Box::new(encoded)),
        },
        Err(why) => {
            told.extend_from_slice(why.as_bytes());
            Kind::NotEncoded.into()
        }
    }
}

/// # Safety
///
/// `task` is the address of a `fn(A) -> R`.
unsafe fn call<A: DeserializeOwned, R: Serialize>(
    task: usize,
    bytes: &[u8],
    descriptors: Vec<OwnedFd>,
    told: &mut Vec<u8>,
) -> Ran {
    let task = ptr::with_exposed_provenance::<()>(task);
    // SAFETY: promised by the caller.
    let task = unsafe { mem::transmute::<*const (), fn(A) -> R>(task) };
    match arguments(bytes, descriptors, told) {
        Ok(arguments) => returned(&task(arguments), told),
        Err(ran) => ran,
    }
}

/// # Safety
///
/// None: it has the form of the others.
unsafe fn call_star<A: DeserializeOwned, F: StarTask<A, Output: Serialize>>(
    _: usize,
    bytes: &[u8],
    descriptors: Vec<OwnedFd>,
    told: &mut Vec<u8>,
) -> Ran {
    match arguments(bytes, descriptors, told) {
        Ok(arguments) => returned(&F::call(arguments), told),
        Err(ran) => ran,
    }
}

/// # Safety
///
/// `task` is the address of a `fn(usize, &[T]) -> R`.
unsafe fn call_reader<T: Element, R: Serialize>(
    task: usize,
    bytes: &[u8],
    descriptors: Vec<OwnedFd>,
    told: &mut Vec<u8>,
) -> Ran {
    let task = ptr::with_exposed_provenance::<()>(task);
    // SAFETY: promised by the caller.
    let task = unsafe { mem::transmute::<*const (), fn(usize, &[T]) -> R>(task) };
    let (array, range) = match arguments::<(Array<T>, Range<usize>)>(bytes, descriptors, told) {
        Ok(arguments) => arguments,
        Err(ran) => return ran,
    };
    match array.read(range.clone()) {
        Ok(elements) => returned(&task(range.start, &elements), told),
        Err(error) => not_claimed(&error, told),
    }
}

/// # Safety
///
/// `task` is the address of a `fn(usize, &mut [T])`.
unsafe fn call_writer<T: Element>(
    task: usize,
    bytes: &[u8],
    descriptors: Vec<OwnedFd>,
    told: &mut Vec<u8>,
) -> Ran {
    let task = ptr::with_exposed_provenance::<()>(task);
    // SAFETY: promised by the caller.
    let task = unsafe { mem::transmute::<*const (), fn(usize, &mut [T])>(task) };
    let (array, range) = match arguments::<(Array<T>, Range<usize>)>(bytes, descriptors, told) {
        Ok(arguments) => arguments,
        Err(ran) => return ran,
    };
    match array.write(range.clone()) {
        Ok(mut elements) => returned(&task(range.start, &mut elements), told),
        Err(error) => not_claimed(&error, told),
    }
}

fn not_claimed(error: &dyn std::fmt::Display, told: &mut Vec<u8>) -> Ran {
    told.extend_from_slice(error.to_string().as_bytes());
    Kind::NotDecoded.into()
}
