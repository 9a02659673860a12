//! Shared objects on their way to another process: what is encoded is a number and a flavour, and the descriptor
//! with that number travels beside the bytes.
//!
//! 1. A scope belongs to one thread and to one message. Whoever encodes or decodes a message opens one around that;
//!    scopes nest, and a panic closes them too.
//! 2. A sending scope owns copies of the descriptors, because the object that was encoded may be gone before the
//!    message is sent.
//! 3. An end of a channel that is on its way has a lock of its own, which the kernel keeps as long as the message, or what
//!    stands for it in a fork, is anywhere: see [`End::transit`].

use std::{
    cell::RefCell,
    fmt::Display,
    fs::File,
    mem::{self, ManuallyDrop},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    thread::LocalKey,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use crate::{
    error::Error,
    mapped::FromSegment,
    segment::{Access, Flavour, Segment},
    sys::file::{Facts, access},
};

const OUTSIDE: &str = "shared objects, descriptors and pipes travel only in the arguments and the return value of a \
    child process, and in messages of pipes";

/// The open scope of a thread. It has no destructor: between messages it is empty, and to register one takes a
/// child longer than all the rest that it does here.
type Current<S> = ManuallyDrop<RefCell<Option<S>>>;

thread_local! {
    static SENDING: Current<Sending> = const { ManuallyDrop::new(RefCell::new(None)) };
    static RECEIVING: Current<Receiving> = const { ManuallyDrop::new(RefCell::new(None)) };
}

#[derive(Default)]
struct Sending {
    purpose: Purpose,
    descriptors: Vec<Sent>,
    /// The numbers of the descriptors that a fork keeps.
    kept: Vec<RawFd>,
    moves: Moves,
    failure: Option<String>,
}

/// Why something is encoded.
#[derive(Clone, Copy, Default, PartialEq)]
enum Purpose {
    /// To be sent.
    #[default]
    Message,
    /// To find the ends of channels in it, for a fork that is about to be made.
    Collect,
    /// To make the ends of channels in it this process's, which has just been forked.
    Adopt,
}

struct Sent {
    copy: OwnedFd,
    /// `None` for what only stands for an end on its way, and for what is no segment: it may be the same file and yet not
    /// the same.
    identity: Option<Identity>,
}

/// An end of a channel, as it travels.
pub(crate) trait End {
    /// The segment of the channel.
    fn segment(&self) -> &Segment;

    /// What keeps the end from being taken for abandoned while it is on its way.
    fn transit(&self) -> std::io::Result<OwnedFd>;

    /// Notes that it is on its way, if there is only one of it: then this handle is of no use any more. Gives what undoes
    /// that.
    fn hand_over(&self) -> Result<Option<Undo>, String>;

    /// Makes it this process's, which was forked from that whose it was, if it was handed over to that.
    fn adopt(&self) -> Result<(), String>;
}

/// Takes back that an end was handed over.
pub(crate) type Undo = Box<dyn FnOnce() + Send>;

/// Ends that are handed over by a message. Unless that is [sent](Self::are_made), they stay.
#[derive(Default)]
pub(crate) struct Moves(Vec<Undo>);

impl Moves {
    /// The message was sent.
    pub(crate) fn are_made(mut self) {
        self.0.clear();
    }
}

impl Drop for Moves {
    fn drop(&mut self) {
        self.0.drain(..).for_each(|undo| undo());
    }
}

/// Which segment it is, and what may be done with it.
#[derive(PartialEq)]
struct Identity {
    file: (u64, u64),
    access: (bool, bool),
}

#[derive(Default)]
struct Receiving {
    /// Those that nobody has taken for himself.
    descriptors: Vec<Option<OwnedFd>>,
    failure: Option<String>,
}

/// What came of a scope beside the result of its body.
pub(crate) struct Scope<T> {
    /// What the body gave.
    pub(crate) result: T,
    /// The descriptors to send, in the order of their numbers.
    pub(crate) descriptors: Vec<OwnedFd>,
    /// The numbers of the descriptors in what a fork keeps.
    kept: Vec<RawFd>,
    /// The ends that are then handed over.
    pub(crate) moves: Moves,
    /// What went wrong with a shared object. Encodings such as postcard drop the text of an error.
    pub(crate) failure: Option<String>,
}

/// Runs `body` with a scope in which shared objects can be encoded.
pub(crate) fn sending<T>(body: impl FnOnce() -> T) -> Scope<T> {
    encoding(Purpose::Message, body)
}

fn encoding<T>(purpose: Purpose, body: impl FnOnce() -> T) -> Scope<T> {
    let new = Sending {
        purpose,
        ..Sending::default()
    };
    let scope = Open::new(&SENDING, new);
    let result = body();
    let Sending {
        descriptors,
        kept,
        moves,
        failure,
        ..
    } = scope.close();
    Scope {
        result,
        descriptors: descriptors.into_iter().map(|sent| sent.copy).collect(),
        kept,
        moves,
        failure,
    }
}

/// What keeps the ends in `value` from being taken for abandoned until a copy of this process has [adopted](adopt) them,
/// and which of them are handed over if there will be a copy.
pub(crate) fn collect_ends(value: &impl Serialize) -> Result<(Vec<OwnedFd>, Moves), String> {
    walk(Purpose::Collect, value).map(|walked| (walked.descriptors, walked.moves))
}

/// Makes the ends of channels in `value` this process's. Gives the descriptors of pipes in it.
pub(crate) fn adopt_ends(value: &impl Serialize) -> Result<Vec<RawFd>, String> {
    walk(Purpose::Adopt, value).map(|walked| walked.kept)
}

/// In a child that has just been forked: closes the scopes that were open in its parent, and what is in them.
#[inline]
pub(crate) fn forget_scopes() {
    if let Some(scope) = SENDING.with(|current| current.take()) {
        // What the parent hands over, or not, is its own affair.
        scope.moves.are_made();
    }
    drop(RECEIVING.with(|current| current.take()));
}

/// Runs `body` with no scope open: what it encodes or decodes is no part of the message that is just being made or read.
#[inline]
pub(crate) fn outside<T>(body: impl FnOnce() -> T) -> T {
    let is_open = SENDING.with(|current| current.borrow().is_some())
        || RECEIVING.with(|current| current.borrow().is_some());
    if !is_open {
        return body();
    }
    let _sending = Open::none(&SENDING);
    let _receiving = Open::none(&RECEIVING);
    body()
}

/// Encodes for a purpose other than to send, and keeps nothing of the encoding.
fn walk(
    purpose: Purpose,
    value: &impl Serialize,
) -> Result<Scope<postcard::Result<usize>>, String> {
    let size = postcard::ser_flavors::Size::default;
    let walked = encoding(purpose, || postcard::serialize_with_flavor(value, size()));
    match (&walked.result, &walked.failure) {
        (_, Some(failure)) => Err(failure.clone()),
        (Err(error), None) => Err(error.to_string()),
        (Ok(_), None) => Ok(walked),
    }
}

/// Runs `body` with a scope in which shared objects can be decoded from these descriptors.
pub(crate) fn receiving<T>(descriptors: Vec<OwnedFd>, body: impl FnOnce() -> T) -> Scope<T> {
    let received = Receiving {
        descriptors: descriptors.into_iter().map(Some).collect(),
        ..Receiving::default()
    };
    let scope = Open::new(&RECEIVING, received);
    let result = body();
    Scope {
        result,
        descriptors: Vec::new(),
        kept: Vec::new(),
        moves: Moves::default(),
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

    /// No scope, until this is dropped.
    fn none(current: &'static LocalKey<Current<S>>) -> Open<S> {
        let outer = current.with(|current| current.take());
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
    let place = in_sending(|scope| scope.add(segment));
    place.map_err(ser::Error::custom)?.serialize(serializer)
}

/// Encodes an end of a channel as its segment, and the number of what stands for the end on its way.
pub(crate) fn serialize_end<S: Serializer>(
    end: &impl End,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let place = in_sending(|scope| scope.add_end(end));
    place.map_err(ser::Error::custom)?.serialize(serializer)
}

/// Encodes a descriptor that is no segment.
pub(crate) fn lend<S: Serializer>(
    descriptor: BorrowedFd<'_>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let place = in_sending(|scope| scope.add_descriptor(descriptor));
    place.map_err(ser::Error::custom)?.serialize(serializer)
}

fn in_sending<T>(add: impl FnOnce(&mut Sending) -> Result<T, String>) -> Result<T, String> {
    SENDING.with(|current| match &mut *current.borrow_mut() {
        None => Err(OUTSIDE.to_owned()),
        Some(scope) => add(scope).inspect_err(|why| scope.failure = Some(why.clone())),
    })
}

/// Decodes an end of a channel: makes it of its segment.
pub(crate) fn deserialize_end<'de, E, D: Deserializer<'de>>(
    deserializer: D,
    make: impl FnOnce(Segment, OwnedFd) -> Result<E, Error>,
) -> Result<E, D::Error> {
    let ((index, flavour), transit) = <((u32, Flavour), u32)>::deserialize(deserializer)?;
    let taken = RECEIVING.with(|current| match &mut *current.borrow_mut() {
        None => Err(OUTSIDE.to_owned()),
        Some(scope) => scope
            .take(index, flavour, Access::ReadWrite)
            .and_then(|segment| Ok((segment, scope.take_descriptor(transit)?))),
    });
    let (segment, transit) = taken.map_err(refused)?;
    make(segment, transit).map_err(refused)
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

/// Decodes a descriptor that is no segment.
pub(crate) fn take<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OwnedFd, D::Error> {
    let index = u32::deserialize(deserializer)?;
    let taken = RECEIVING.with(|current| match &mut *current.borrow_mut() {
        None => Err(OUTSIDE.to_owned()),
        Some(scope) => scope.take_descriptor(index),
    });
    taken.map_err(refused)
}

/// The error of decoding for what cannot be opened. The open scope keeps the text.
pub(crate) fn refused<E: de::Error>(why: impl Display) -> E {
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
        if self.purpose != Purpose::Message {
            return Ok((0, flavour));
        }
        let refused = |error| format!("cannot hand over a shared object: {error}");
        let copy = descriptor.try_clone_to_owned().map_err(refused)?;
        let file = File::from(copy);
        let identity = Identity {
            file: Facts::of(&file).map_err(refused)?.id,
            access: access(file.as_fd()).map_err(refused)?,
        };
        let identity = Some(identity);
        let same = |sent: &Sent| sent.identity == identity;
        let index = match self.descriptors.iter().position(same) {
            Some(index) => number(index)?,
            None => self.push(file.into(), identity)?,
        };
        Ok((index, flavour))
    }

    /// The number of a descriptor, which is added.
    fn add_descriptor(&mut self, descriptor: BorrowedFd<'_>) -> Result<u32, String> {
        if self.purpose != Purpose::Message {
            self.kept.push(descriptor.as_raw_fd());
            return Ok(0);
        }
        let refused = |error| format!("cannot hand over a descriptor: {error}");
        let copy = descriptor.try_clone_to_owned().map_err(refused)?;
        self.push(copy, None)
    }

    fn push(&mut self, copy: OwnedFd, identity: Option<Identity>) -> Result<u32, String> {
        self.descriptors.push(Sent { copy, identity });
        number(self.descriptors.len() - 1)
    }

    /// The number and flavour of the segment of an end, and the number of what stands for it on its way.
    fn add_end(&mut self, end: &impl End) -> Result<((u32, Flavour), u32), String> {
        let segment = self.add(end.segment())?;
        if self.purpose == Purpose::Adopt {
            let refused = |why| format!("cannot take over an end of a channel: {why}");
            end.adopt().map_err(refused)?;
            return Ok((segment, 0));
        }
        let copy = end
            .transit()
            .map_err(|error| format!("cannot hand over an end of a channel: {error}"))?;
        self.moves.0.extend(end.hand_over()?);
        Ok((segment, self.push(copy, None)?))
    }
}

fn number(index: usize) -> Result<u32, String> {
    u32::try_from(index).map_err(|_| "too many shared objects".to_owned())
}

impl Receiving {
    /// The segment with this number. It gets a copy of the descriptor, since the same one may be asked for again.
    fn take(&self, index: u32, flavour: Flavour, access: Access) -> Result<Segment, String> {
        let Some(descriptor) = self.peek(index) else {
            return Err(self.missing(index));
        };
        let refused = |error: &dyn Display| format!("cannot open a shared object: {error}");
        let copy = descriptor.try_clone().map_err(|error| refused(&error))?;
        Segment::from_handle(copy, flavour, access).map_err(|error| refused(&error))
    }

    /// The descriptor with this number, once.
    fn take_descriptor(&mut self, index: u32) -> Result<OwnedFd, String> {
        let descriptor = self.descriptors.get_mut(index as usize);
        let taken = descriptor.and_then(Option::take);
        taken.ok_or_else(|| self.missing(index))
    }

    fn peek(&self, index: u32) -> Option<&OwnedFd> {
        self.descriptors.get(index as usize)?.as_ref()
    }

    fn missing(&self, index: u32) -> String {
        let count = self.descriptors.len();
        format!("there is no shared object {index} left of a message that brought {count}")
    }
}
