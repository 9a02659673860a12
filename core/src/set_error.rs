//! The error of setting what is set once, which gives the value back.

use core::fmt;

use crate::lock::Refused;

/// Why a value was not set. The value that was offered is inside.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SetError<T> {
    /// There is a value already; this one was offered.
    AlreadySet(T),
    /// It is not this call's turn: another is at it and did not finish in time, or this very thread is.
    Refused(T, Refused),
}

impl<T> SetError<T> {
    /// The value that was offered.
    pub fn into_value(self) -> T {
        match self {
            SetError::AlreadySet(value) | SetError::Refused(value, _) => value,
        }
    }

    /// Why it was refused; `None` when there is a value already.
    #[must_use]
    pub fn refused(&self) -> Option<Refused> {
        match self {
            SetError::AlreadySet(_) => None,
            SetError::Refused(_, why) => Some(*why),
        }
    }

    /// Whether there is a value already.
    #[must_use]
    pub fn is_already_set(&self) -> bool {
        self.refused().is_none()
    }

    /// Whether the deadline passed while another was at it.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.refused().is_some_and(Refused::is_timeout)
    }

    /// Whether another was at it, and the call was not to wait.
    #[must_use]
    pub fn is_would_block(&self) -> bool {
        self.refused().is_some_and(Refused::is_would_block)
    }

    /// Whether the calling thread is making the value.
    #[must_use]
    pub fn is_deadlock(&self) -> bool {
        self.refused().is_some_and(Refused::is_deadlock)
    }
}

impl<T> fmt::Display for SetError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetError::AlreadySet(_) => f.write_str("there is a value already"),
            SetError::Refused(_, why) => fmt::Display::fmt(why, f),
        }
    }
}

/// Without the value, so that `unwrap` needs nothing of it.
impl<T> fmt::Debug for SetError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetError::AlreadySet(_) => f.write_str("AlreadySet(..)"),
            SetError::Refused(_, why) => write!(f, "Refused(.., {why:?})"),
        }
    }
}

impl<T> core::error::Error for SetError<T> {}
