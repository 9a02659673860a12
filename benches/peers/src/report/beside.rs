//! What ours is measured beside.

use std::fmt;

/// A party that is not ours, or not the one of ours that its row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// Another's way between processes.
    Processes(&'static str),
    /// Another's way between the threads of one process, which need share nothing.
    Threads(&'static str),
    /// What the work costs bare.
    Limit(&'static str),
    /// Another way of ours.
    Own(&'static str),
    /// A figure that is given.
    Figure(&'static str),
}

/// Between the threads of one process.
pub fn threads(name: &'static str) -> Beside {
    Beside::Threads(name)
}

/// What the work costs bare.
pub fn limit(name: &'static str) -> Beside {
    Beside::Limit(name)
}

/// Another way of ours.
pub fn own(name: &'static str) -> Beside {
    Beside::Own(name)
}

impl From<&'static str> for Beside {
    fn from(name: &'static str) -> Beside {
        Beside::Processes(name)
    }
}

impl Beside {
    /// Whether it is somebody else's library or system call, which one could use instead of ours.
    pub fn is_peer(self) -> bool {
        matches!(self, Beside::Processes(_) | Beside::Threads(_))
    }
}

impl fmt::Display for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Beside::Processes(name) | Beside::Figure(name) => f.write_str(name),
            Beside::Threads(name) => write!(f, "{name} (threads)"),
            Beside::Limit(name) => write!(f, "{name} (limit)"),
            Beside::Own(name) => write!(f, "our {name}"),
        }
    }
}
