//! What can go wrong with a pipe.

use std::{fmt, io};

use thiserror::Error;

use crate::packet::WireError;

/// Why nothing was sent, or received, through a pipe.
///
/// An error in receiving concerns one message alone: the next one is received as if nothing had been.
#[derive(Error)]
#[non_exhaustive]
pub enum PipeError {
    /// There is no message, and the call was not to wait.
    #[error("there is no message in the pipe")]
    Empty,
    /// There is no room, and the call was not to wait.
    #[error("the pipe has no room for the message: the other end must receive first")]
    Full,
    /// The deadline passed before a message came, or before there was room for one.
    #[error("the pipe was not ready before the deadline")]
    TimedOut,
    /// All handles to the other end are gone, or this end has [finished](crate::Pipe::finish_sending).
    #[error("the pipe is disconnected: this end has finished sending, or nobody has the other one")]
    Disconnected,
    /// The item could not be encoded.
    #[error("the item could not be encoded: {message}")]
    NotEncoded {
        /// What the encoding said.
        message: String,
    },
    /// The item has too many shared objects, descriptors and pipes in it for one message.
    #[error("the message would carry {count} descriptors, one can carry {limit}")]
    TooManyDescriptors {
        /// How many it would carry; a message of more than 32 KiB is one itself.
        count: usize,
        /// How many one can carry.
        limit: usize,
    },
    /// A message came that is no item of this type. It is gone.
    #[error("the message could not be decoded: {message}")]
    NotDecoded {
        /// What was wrong with it.
        message: String,
    },
    /// A message came that is longer than this end takes. It is gone.
    #[error("a message of {len} bytes came, this end takes up to {limit}")]
    TooLong {
        /// The length of its encoding, in bytes.
        len: u64,
        /// The [limit](crate::Pipe::set_max_message) of this end.
        limit: u64,
    },
    /// The message does not fit into the buffer. It is here.
    #[error("a message of {} bytes came, the buffer has room for {room}", .message.len())]
    BufferTooShort {
        /// The message.
        message: Vec<u8>,
        /// The length of the buffer, in bytes.
        room: usize,
    },
    /// Bytes came where an item was expected. They are here.
    #[error("bytes came where an item was expected: {} of them, sent by send_bytes", .bytes.len())]
    Bytes {
        /// The message.
        bytes: Vec<u8>,
    },
    /// An item came where bytes were expected. It is gone.
    #[error("an item came where bytes were expected; recv takes those")]
    Item,
    /// This process could not take all descriptors of a message, for want of room in its table (RLIMIT_NOFILE,
    /// `ulimit -n`). The message is gone, and none of them is left here.
    #[error(
        "some of the {expected} descriptors of a message were cut off: this process may not open so many"
    )]
    DescriptorsLost {
        /// How many it brought.
        expected: usize,
    },
    /// Something came that was not sent by this library, or was damaged on purpose. It is gone.
    #[error("no message of a pipe: {message}")]
    Malformed {
        /// What was wrong with it.
        message: String,
    },
    /// The system refused something.
    #[error("{what} failed: {why}")]
    Io {
        /// What was refused.
        what: &'static str,
        /// Why.
        why: io::Error,
    },
}

impl PipeError {
    pub(super) fn io(what: &'static str) -> impl Fn(io::Error) -> PipeError {
        move |why| PipeError::Io { what, why }
    }

    /// Whether there was nothing to receive, or no room to send, and the call was not to wait.
    #[must_use]
    pub fn is_would_block(&self) -> bool {
        matches!(self, PipeError::Empty | PipeError::Full)
    }

    /// Whether the deadline passed.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, PipeError::TimedOut)
    }

    /// Whether nobody can receive what is sent, now or ever.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        matches!(self, PipeError::Disconnected)
    }

    /// Whether a message was longer than this end, or the buffer, takes.
    #[must_use]
    pub fn is_too_long(&self) -> bool {
        matches!(
            self,
            PipeError::TooLong { .. } | PipeError::BufferTooShort { .. }
        )
    }
}

impl From<WireError> for PipeError {
    fn from(error: WireError) -> PipeError {
        match error {
            WireError::Frame(why) => PipeError::Malformed {
                message: why.to_string(),
            },
            WireError::DescriptorsLost { expected } => PipeError::DescriptorsLost { expected },
            WireError::Io { what, why } => PipeError::Io { what, why },
        }
    }
}

/// As `Display`: what a `main` that returns the error prints, and what `unwrap` does.
impl fmt::Debug for PipeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why an item was not sent, and the item.
///
/// ```
/// let (sender, receiver) = multiproc::one_way::<String>()?;
/// drop(receiver);
/// let error = sender.send("hello".to_owned()).unwrap_err();
/// assert!(error.is_disconnected());
/// assert_eq!(error.into_inner(), "hello");
/// # Ok::<(), multiproc::Error>(())
/// ```
pub struct PipeSendError<T> {
    pub(super) item: T,
    pub(super) why: PipeError,
}

impl<T> PipeSendError<T> {
    /// The item that was to be sent.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.item
    }

    /// Why it was not sent.
    #[must_use]
    pub fn why(&self) -> &PipeError {
        &self.why
    }

    /// Whether there was no room, and the call was not to wait.
    #[must_use]
    pub fn is_would_block(&self) -> bool {
        self.why.is_would_block()
    }

    /// Whether the deadline passed before there was room.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.why.is_timeout()
    }

    /// Whether nobody can receive it, now or ever.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        self.why.is_disconnected()
    }
}

impl<T> fmt::Display for PipeSendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.why, f)
    }
}

/// Without the item, so that `unwrap` needs nothing of it.
impl<T> fmt::Debug for PipeSendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<T> std::error::Error for PipeSendError<T> {}

/// Without the item.
impl<T> From<PipeSendError<T>> for PipeError {
    fn from(error: PipeSendError<T>) -> PipeError {
        error.why
    }
}

/// Without the item.
impl<T> From<PipeSendError<T>> for crate::Error {
    fn from(error: PipeSendError<T>) -> crate::Error {
        error.why.into()
    }
}
