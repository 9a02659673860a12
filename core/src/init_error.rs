//! The error of an initialisation that may fail.

use core::fmt;

use crate::lock::Refused;

/// Why something could not be initialised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitError<E> {
    /// The initialiser of this call failed, with its error inside. The next who asks begins anew.
    Failed(E),
    /// It is not this call's turn: another is at it and did not finish in time, or this very thread is.
    Refused(Refused),
}

impl<E> InitError<E> {
    /// Whether the deadline passed while another was at it.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, InitError::Refused(why) if why.is_timeout())
    }

    /// Whether another was at it, and the call was not to wait.
    #[must_use]
    pub fn is_would_block(&self) -> bool {
        matches!(self, InitError::Refused(why) if why.is_would_block())
    }

    /// Whether the initialiser asked for what it was to make.
    #[must_use]
    pub fn is_deadlock(&self) -> bool {
        matches!(self, InitError::Refused(why) if why.is_deadlock())
    }

    /// The error of the initialiser.
    ///
    /// # Errors
    ///
    /// Why the initialiser did not run.
    pub fn into_failure(self) -> Result<E, Refused> {
        match self {
            InitError::Failed(error) => Ok(error),
            InitError::Refused(why) => Err(why),
        }
    }
}

impl<E: fmt::Display> fmt::Display for InitError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InitError::Failed(error) => write!(f, "the initialiser failed: {error}"),
            InitError::Refused(why) => fmt::Display::fmt(why, f),
        }
    }
}

// No source: the text says it all, and whoever prints a chain of sources prints nothing twice.
impl<E: fmt::Debug + fmt::Display> core::error::Error for InitError<E> {}
