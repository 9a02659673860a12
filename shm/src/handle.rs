//! Shared objects on their way to another process: what is encoded is a number and a flavour, and the descriptor
//! with that number travels beside the bytes.
//!
//! 1. A scope belongs to one thread and to one message. Whoever encodes or decodes a message opens one around that;
//!    scopes nest, and a panic closes them too.
//! 2. A sending scope owns copies of the descriptors, because the object that was encoded may be gone before the
//!    message is sent.

use std::{
    cell::RefCell,
    fmt::Display,
    fs::File,
    mem::{self, ManuallyDrop},
    os::fd::{AsFd, OwnedFd},
    thread::LocalKey,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use crate::{
    mapped::FromSegment,
    segment::{Access, Flavour, Segment},
    sys::file::{Facts, access},
};

const OUTSIDE: &str =
    "shared objects travel only in the arguments and the return value of a child process";

/// The open scope of a thread. It has no destructor: between messages it is empty, and to register one takes a
/// child longer than all the rest that it does here.
type Current<S> = ManuallyDrop<RefCell<Option<S>>>;

thread_local! {
    static SENDING: Current<Sending> = const { ManuallyDrop::new(RefCell::new(None)) };
    static RECEIVING: Current<Receiving> = const { ManuallyDrop::new(RefCell::new(None)) };
}

#[derive(Default)]
struct Sending {
    descriptors: Vec<Sent>,
    failure: Option<String>,
}

struct Sent {
    copy: OwnedFd,
    identity: Identity,
}

/// Which segment it is, and what may be done with it.
#[derive(PartialEq)]
struct Identity {
    file: (u64, u64),
    access: (bool, bool),
}

#[derive(Default)]
struct Receiving {
    descriptors: Vec<OwnedFd>,
    failure: Option<String>,
}

/// What came of a scope beside the result of its body.
pub(crate) struct Scope<T> {
    /// What the body gave.
    pub(crate) result: T,
    /// The descriptors to send, in the order of their numbers.
    pub(crate) descriptors: Vec<OwnedFd>,
    /// What went wrong with a shared object. Encodings such as postcard drop the text of an error.
    pub(crate) failure: Option<String>,
}

/// Runs `body` with a scope in which shared objects can be encoded.
pub(crate) fn sending<T>(body: impl FnOnce() -> T) -> Scope<T> {
    let scope = Open::new(&SENDING, Sending::default());
    let result = body();
    let Sending {
        descriptors,
        failure,
    } = scope.close();
    Scope {
        result,
        descriptors: descriptors.into_iter().map(|sent| sent.copy).collect(),
        failure,
    }
}

/// Runs `body` with a scope in which shared objects can be decoded from these descriptors.
pub(crate) fn receiving<T>(descriptors: Vec<OwnedFd>, body: impl FnOnce() -> T) -> Scope<T> {
    let received = Receiving {
        descriptors,
        failure: None,
    };
    let scope = Open::new(&RECEIVING, received);
    let result = body();
    Scope {
        result,
        descriptors: Vec::new(),
        failure: scope.close().failure,
    }
}

/// An open scope. Dropped, by a panic too, it closes and the one around it is open again.
struct Open<S: Default + 'static> {
    current: &'static LocalKey<Current<S>>,
    outer: Option<S>,
}

impl<S: Default> Open<S> {
    fn new(current: &'static LocalKey<Current<S>>, scope: S) -> Open<S> {
        let outer = current.with(|current| current.replace(Some(scope)));
        Open { current, outer }
    }

    fn close(mut self) -> S {
        let scope = self.restore();
        mem::forget(self);
        scope.unwrap_or_default()
    }

    fn restore(&mut self) -> Option<S> {
        let outer = self.outer.take();
        self.current.with(|current| current.replace(outer))
    }
}

impl<S: Default> Drop for Open<S> {
    fn drop(&mut self) {
        drop(self.restore());
    }
}

/// Encodes a shared object as its segment.
pub(crate) fn serialize<S: Serializer>(
    segment: &Segment,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let place = SENDING.with(|current| match &mut *current.borrow_mut() {
        None => Err(OUTSIDE.to_owned()),
        Some(scope) => scope
            .add(segment)
            .inspect_err(|why| scope.failure = Some(why.clone())),
    });
    place.map_err(ser::Error::custom)?.serialize(serializer)
}

/// Decodes a shared object whose segment is mapped for no more than `access`, and for no less.
pub(crate) fn deserialize<'de, S: FromSegment, D: Deserializer<'de>>(
    deserializer: D,
    access: Access,
) -> Result<S, D::Error> {
    let (index, flavour) = <(u32, Flavour)>::deserialize(deserializer)?;
    let taken = RECEIVING.with(|current| match &*current.borrow() {
        None => Err(OUTSIDE.to_owned()),
        Some(scope) => scope.take(index, flavour, access),
    });
    let segment = taken.map_err(refused)?;
    S::from_segment(segment).map_err(refused)
}

/// The error of decoding for a shared object that cannot be opened. The open scope keeps the text.
fn refused<E: de::Error>(why: impl Display) -> E {
    RECEIVING.with(|current| {
        if let Some(scope) = &mut *current.borrow_mut() {
            scope.failure = Some(why.to_string());
        }
    });
    E::custom(why)
}

impl Sending {
    /// The number and flavour of a segment, which is added unless it is here already.
    fn add(&mut self, segment: &Segment) -> Result<(u32, Flavour), String> {
        let (descriptor, flavour) = segment.handle();
        let refused = |error| format!("cannot hand over a shared object: {error}");
        let copy = descriptor.try_clone_to_owned().map_err(refused)?;
        let file = File::from(copy);
        let identity = Identity {
            file: Facts::of(&file).map_err(refused)?.id,
            access: access(file.as_fd()).map_err(refused)?,
        };
        let same = |sent: &Sent| sent.identity == identity;
        let index = match self.descriptors.iter().position(same) {
            Some(index) => index,
            None => {
                self.descriptors.push(Sent {
                    copy: file.into(),
                    identity,
                });
                self.descriptors.len() - 1
            }
        };
        let index = u32::try_from(index).map_err(|_| "too many shared objects".to_owned())?;
        Ok((index, flavour))
    }
}

impl Receiving {
    /// The segment with this number. It gets a copy of the descriptor, since the same one may be asked for again.
    fn take(&self, index: u32, flavour: Flavour, access: Access) -> Result<Segment, String> {
        let Some(descriptor) = self.descriptors.get(index as usize) else {
            let count = self.descriptors.len();
            return Err(format!(
                "shared object {index} of a message that brought {count}"
            ));
        };
        let refused = |error: &dyn Display| format!("cannot open a shared object: {error}");
        let copy = descriptor.try_clone().map_err(|error| refused(&error))?;
        Segment::from_handle(copy, flavour, access).map_err(|error| refused(&error))
    }
}
