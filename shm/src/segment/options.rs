//! How a segment is to be made or opened.

use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::Duration,
};

/// Where a new segment lies, and how it is made.
///
/// A text is taken for a name and a path for a file, wherever one of these is asked for.
///
/// ```
/// # multiproc::init();
/// use multiproc::{Create, Segment, Value};
///
/// let name = format!("prices-{}", std::process::id());
/// drop(Value::create(Create::named(&name).persist(true), [1.5, 2.5])?);
/// assert_eq!(Value::<[f64; 2]>::open(name.as_str())?.get(), [1.5, 2.5]);
/// Segment::remove(&name)?;
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct Create {
    pub(super) place: Place,
    pub(super) persist: bool,
    pub(super) prefault: bool,
    pub(super) huge_pages: bool,
}

/// Where a segment lies.
#[derive(Debug)]
pub(super) enum Place {
    Anonymous,
    Named(String),
    File(PathBuf),
    Fd(OwnedFd),
    /// At an offset.
    #[cfg(feature = "shared_memory")]
    Shmem(super::AdoptedShmem, usize),
}

impl Create {
    pub(super) fn at(place: Place) -> Create {
        Create {
            place,
            persist: false,
            prefault: false,
            huge_pages: false,
        }
    }

    /// Memory without a name, for this process and those it is handed to. Gone when the last of them is.
    pub fn anonymous() -> Create {
        Create::at(Place::Anonymous)
    }

    /// Memory that other processes of the same user open by name: the file `/dev/shm/<name>`.
    ///
    /// The name goes when the creator drops the segment; whoever has it open by then keeps it. A creator that was
    /// killed leaves the name behind: it can be opened, or made anew once nobody has it open any more.
    pub fn named(name: impl Into<String>) -> Create {
        Create::at(Place::Named(name.into()))
    }

    /// A file that stays until somebody deletes it.
    pub fn file(path: impl Into<PathBuf>) -> Create {
        Create::at(Place::File(path.into()))
    }

    /// A file in memory, or another one, that somebody else made and opened for reading and writing. What it held is
    /// overwritten; refused is one that somebody has open as a named segment or a file.
    ///
    /// # Safety
    ///
    /// Until the segment is made, nobody has the file mapped and uses that memory: no guard on a shared object in it,
    /// in any process, is alive.
    pub unsafe fn adopt(fd: OwnedFd) -> Create {
        Create::at(Place::Fd(fd))
    }

    /// Whether a named segment outlives its creator, until [`Segment::remove`](super::Segment::remove). The others know without being
    /// told: anonymous ones never, files always.
    pub fn persist(mut self, persist: bool) -> Create {
        self.persist = persist;
        self
    }

    /// Whether all its pages are made present now instead of at their first use (on Linux 5.14 and later).
    pub fn prefault(mut self, prefault: bool) -> Create {
        self.prefault = prefault;
        self
    }

    /// Whether the system is asked for huge pages. It may have none to give, and is often set up never to.
    pub fn huge_pages(mut self, huge_pages: bool) -> Create {
        self.huge_pages = huge_pages;
        self
    }
}

/// Which segment is opened, and how.
#[derive(Debug)]
#[must_use]
pub struct Open {
    pub(super) place: Place,
    pub(super) prefault: bool,
    pub(super) wait: Duration,
}

impl Open {
    pub(super) fn at(place: Place) -> Open {
        Open {
            place,
            prefault: false,
            wait: Duration::ZERO,
        }
    }

    /// The segment of this name.
    pub fn named(name: impl Into<String>) -> Open {
        Open::at(Place::Named(name.into()))
    }

    /// The segment in this file.
    pub fn file(path: impl Into<PathBuf>) -> Open {
        Open::at(Place::File(path.into()))
    }

    /// The segment behind a descriptor that somebody else opened.
    pub fn fd(fd: OwnedFd) -> Open {
        Open::at(Place::Fd(fd))
    }

    /// Whether all its pages are made present now instead of at their first use (on Linux 5.14 and later).
    pub fn prefault(mut self, prefault: bool) -> Open {
        self.prefault = prefault;
        self
    }

    /// How long to wait for a name that is not there yet, or not ready. Not at all unless this is called.
    pub fn wait(mut self, wait: Duration) -> Open {
        self.wait = wait;
        self
    }
}

/// Whether a segment can be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It can.
    ReadWrite,
    /// Writing to it is impossible, even by mistake.
    ReadOnly,
}

impl Access {
    pub(super) fn is_write(self) -> bool {
        self == Access::ReadWrite
    }
}

/// A text is a name, a path is a file.
macro_rules! from {
    ($($type:ty),*) => {$(
        impl From<&str> for $type {
            fn from(name: &str) -> $type {
                <$type>::named(name)
            }
        }

        impl From<String> for $type {
            fn from(name: String) -> $type {
                <$type>::named(name)
            }
        }

        impl From<&Path> for $type {
            fn from(path: &Path) -> $type {
                <$type>::file(path)
            }
        }

        impl From<PathBuf> for $type {
            fn from(path: PathBuf) -> $type {
                <$type>::file(path)
            }
        }
    )*};
}

from!(Create, Open);
