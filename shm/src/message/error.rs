//! Why a message was not sent, or none received; what was handed in is given back.

use std::{error, fmt, vec};

use multiproc_core::Refused;

const MOVED: &str = "this handle is another process's: it was handed over, or a fork has copied it";

fn too_many_processes(limit: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(
        f,
        "{limit} processes are at this end of the channel, which is the limit"
    )
}

/// Why a message was not sent. It is inside.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
#[allow(
    missing_docs,
    reason = "each variant's fields are said by its sentence"
)]
pub enum SendError<T> {
    /// There is no room for it at this moment, and the call was not to wait.
    Full(T),
    /// There was no room for it before the deadline.
    Timeout(T),
    /// The queue was closed.
    Closed(T),
    /// Nobody is left who could receive it: the last receiver was dropped, or died.
    Disconnected(T),
    /// It takes `len` bytes, which no message here may: at most `most`. A capacity of `capacity` bytes would do, if any.
    TooLarge {
        item: T,
        len: usize,
        most: usize,
        capacity: Option<usize>,
    },
    /// It cannot be encoded.
    Encode { item: T, why: String },
    /// This handle is another process's, and so is the only right to send: it was handed over, or a fork has copied it.
    Moved(T),
    /// Something else has written to the memory of the queue.
    Damaged(T),
    /// `limit` processes send through the channel already: there is no row for this one.
    TooManyProcesses { item: T, limit: usize },
    /// The queue's lock could not be had: the calling thread has it, or the system cannot tell who it is.
    Refused { item: T, why: Refused },
}

impl<T> SendError<T> {
    /// The message.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.map(|item| item).1
    }

    /// The same error around what `change` makes of the message, and the message.
    fn map<U>(self, change: impl FnOnce(T) -> U) -> (SendErrorKind, U) {
        use SendErrorKind as Kind;
        let (kind, item) = match self {
            SendError::Full(item) => (Kind::Full, item),
            SendError::Timeout(item) => (Kind::Timeout, item),
            SendError::Closed(item) => (Kind::Closed, item),
            SendError::Disconnected(item) => (Kind::Disconnected, item),
            SendError::TooLarge {
                item,
                len,
                most,
                capacity,
            } => (
                Kind::TooLarge {
                    len,
                    most,
                    capacity,
                },
                item,
            ),
            SendError::Encode { item, why } => (Kind::Encode { why }, item),
            SendError::Moved(item) => (Kind::Moved, item),
            SendError::Damaged(item) => (Kind::Damaged, item),
            SendError::TooManyProcesses { item, limit } => (Kind::TooManyProcesses { limit }, item),
            SendError::Refused { item, why } => (Kind::Refused { why }, item),
        };
        (kind, change(item))
    }

    /// The same error without the message, which is dropped: an error that can be passed on.
    #[must_use]
    pub fn without_item(self) -> SendError<()> {
        let (kind, ()) = self.map(drop);
        kind.around(())
    }

    /// Whether there was no room, and the call was not to wait.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, SendError::Full(_))
    }

    /// Whether the deadline passed.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, SendError::Timeout(_))
    }

    /// Whether nothing will ever be sent here again: it was closed, or nobody is left to receive.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        matches!(self, SendError::Closed(_) | SendError::Disconnected(_))
    }

    /// Whether the message is too long for the queue.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        matches!(self, SendError::TooLarge { .. })
    }

    /// Whether the queue was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self, SendError::Closed(_))
    }

    /// Whether the message cannot be encoded.
    #[must_use]
    pub fn is_encode(&self) -> bool {
        matches!(self, SendError::Encode { .. })
    }

    /// Whether this handle is another process's.
    #[must_use]
    pub fn is_moved(&self) -> bool {
        matches!(self, SendError::Moved(_))
    }
}

/// Why a message was not sent.
#[derive(Clone, Debug)]
pub(crate) enum SendErrorKind {
    Full,
    Timeout,
    Closed,
    Disconnected,
    TooLarge {
        len: usize,
        most: usize,
        capacity: Option<usize>,
    },
    Encode {
        why: String,
    },
    Moved,
    Damaged,
    TooManyProcesses {
        limit: usize,
    },
    Refused {
        why: Refused,
    },
}

impl SendErrorKind {
    /// The error that gives `item` back.
    pub fn around<T>(self, item: T) -> SendError<T> {
        match self {
            SendErrorKind::Full => SendError::Full(item),
            SendErrorKind::Timeout => SendError::Timeout(item),
            SendErrorKind::Closed => SendError::Closed(item),
            SendErrorKind::Disconnected => SendError::Disconnected(item),
            SendErrorKind::TooLarge {
                len,
                most,
                capacity,
            } => SendError::TooLarge {
                item,
                len,
                most,
                capacity,
            },
            SendErrorKind::Encode { why } => SendError::Encode { item, why },
            SendErrorKind::Moved => SendError::Moved(item),
            SendErrorKind::Damaged => SendError::Damaged(item),
            SendErrorKind::TooManyProcesses { limit } => {
                SendError::TooManyProcesses { item, limit }
            }
            SendErrorKind::Refused { why } => SendError::Refused { item, why },
        }
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendError::Full(_) => f.write_str("there is no room for the message at this moment"),
            SendError::Timeout(_) => {
                f.write_str("there was no room for the message before the deadline")
            }
            SendError::Closed(_) => f.write_str("the queue is closed"),
            SendError::Disconnected(_) => f.write_str("nobody is left to receive the message"),
            SendError::TooLarge {
                len,
                most,
                capacity,
                ..
            } => {
                write!(
                    f,
                    "the message takes {len} bytes, and at most {most} may be sent here"
                )?;
                match capacity {
                    Some(capacity) => write!(f, "; a capacity of {capacity} bytes would do"),
                    None => f.write_str("; no capacity would do"),
                }
            }
            SendError::Encode { why, .. } => write!(f, "the message cannot be encoded: {why}"),
            SendError::Moved(_) => f.write_str(MOVED),
            SendError::Damaged(_) => {
                f.write_str("the queue is damaged: something else has written to its memory")
            }
            SendError::TooManyProcesses { limit, .. } => too_many_processes(*limit, f),
            SendError::Refused { why, .. } => write!(f, "cannot send: {why}"),
        }
    }
}

/// Without the message, which need not be shown.
impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SendError({self})")
    }
}

impl<T> error::Error for SendError<T> {}

/// Why no message was received.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(
    missing_docs,
    reason = "each variant's fields are said by its sentence"
)]
pub enum RecvError {
    /// There is no message at this moment, and the call was not to wait.
    Empty,
    /// There was no message before the deadline.
    Timeout,
    /// The queue was closed, and what was in it has been taken.
    Closed,
    /// Nobody is left who could send one: the last sender was dropped, or died. What it had sent has been received.
    Disconnected,
    /// A message of `len` bytes does not make an item. It has been taken.
    Decode { len: usize, why: String },
    /// This handle is another process's, and so is the only right to receive: it was handed over, or a fork has copied it.
    Moved,
    /// Something else has written to the memory of the queue.
    Damaged,
    /// `limit` processes receive from the channel already: there is no row for this one.
    TooManyProcesses { limit: usize },
    /// `limit` processes have items of the [`JoinableQueue`](crate::JoinableQueue) in hand: there is no row for this one.
    TooManyTakers { limit: usize },
    /// The queue's lock could not be had: the calling thread has it, or the system cannot tell who it is.
    Refused(Refused),
}

impl RecvError {
    /// Whether there was no message, and the call was not to wait.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == RecvError::Empty
    }

    /// Whether the deadline passed.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        *self == RecvError::Timeout
    }

    /// Whether no message will ever come again: it was closed, or nobody is left to send.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        matches!(self, RecvError::Closed | RecvError::Disconnected)
    }

    /// Whether the queue was closed, and is empty.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        *self == RecvError::Closed
    }

    /// Whether a message came that is no item.
    #[must_use]
    pub fn is_decode(&self) -> bool {
        matches!(self, RecvError::Decode { .. })
    }

    /// Whether this handle is another process's.
    #[must_use]
    pub fn is_moved(&self) -> bool {
        *self == RecvError::Moved
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecvError::Empty => f.write_str("there is no message at this moment"),
            RecvError::Timeout => f.write_str("there was no message before the deadline"),
            RecvError::Closed => f.write_str("the queue is closed and empty"),
            RecvError::Disconnected => f.write_str("nobody is left to send a message"),
            RecvError::Decode { len, why } => {
                write!(f, "a message of {len} bytes cannot be decoded: {why}")
            }
            RecvError::Moved => f.write_str(MOVED),
            RecvError::Damaged => {
                f.write_str("the queue is damaged: something else has written to its memory")
            }
            RecvError::TooManyProcesses { limit } => too_many_processes(*limit, f),
            RecvError::TooManyTakers { limit } => write!(
                f,
                "{limit} processes have items of the queue in hand, which is the limit"
            ),
            RecvError::Refused(why) => write!(f, "cannot receive: {why}"),
        }
    }
}

impl error::Error for RecvError {}

/// Not all of several messages were sent.
pub struct SendManyError<T, I> {
    /// How many were.
    pub sent: usize,
    /// Why the next one was not.
    pub why: SendError<()>,
    /// The messages that were not sent, in their order.
    pub rest: Rest<T, I>,
}

impl<T, I: Iterator<Item = T>> SendManyError<T, I> {
    /// None was sent.
    pub(crate) fn none(why: SendErrorKind, items: I) -> SendManyError<T, I> {
        SendManyError {
            sent: 0,
            why: why.around(()),
            rest: Vec::new().into_iter().chain(items),
        }
    }
}

/// Messages that were not sent.
pub type Rest<T, I> = std::iter::Chain<vec::IntoIter<T>, I>;

impl<T, I> fmt::Display for SendManyError<T, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after {} messages: {}", self.sent, self.why)
    }
}

impl<T, I> fmt::Debug for SendManyError<T, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SendManyError({self})")
    }
}

impl<T, I> error::Error for SendManyError<T, I> {}
