//! Descriptors of the system on their way to another process.

use std::{
    fs::File,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{error::Error, handle};

/// A descriptor of anything (a file, a socket, a terminal) that travels to other processes like shared objects do: inside
/// the arguments and the return value of a task, and in messages of pipes.
///
/// Who receives it has a descriptor of his own of the same open file: with the same place in it, and the same rights.
///
/// ```
/// # multiproc::init();
/// use multiproc::{Descriptor, Process};
/// use std::{fs::File, io::Read, os::fd::OwnedFd};
///
/// fn first_bytes(file: Descriptor) -> [u8; 4] {
///     let mut bytes = [0; 4];
///     File::from(OwnedFd::from(file)).read_exact(&mut bytes).unwrap();
///     bytes
/// }
///
/// let file = File::open("/proc/self/exe").unwrap();
/// let child = Process::spawn(first_bytes, Descriptor::from(file))?;
/// assert_eq!(&child.join()?, b"\x7fELF");
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Debug)]
pub struct Descriptor(OwnedFd);

impl Descriptor {
    /// The descriptor of a file, a socket, a listener, whatever has one.
    ///
    /// ```
    /// use multiproc::Descriptor;
    ///
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    /// let descriptor = Descriptor::new(listener); // to be sent to a child that accepts
    /// # drop(descriptor);
    /// ```
    pub fn new(owner: impl Into<OwnedFd>) -> Descriptor {
        Descriptor(owner.into())
    }

    /// Another descriptor of the same open file.
    ///
    /// # Errors
    ///
    /// [`Error`] when the system refuses: most likely this process has as many descriptors as it may.
    pub fn try_clone(&self) -> Result<Descriptor, Error> {
        let copy = self.0.try_clone();
        copy.map(Descriptor)
            .map_err(|why| Error::io("copy", "a descriptor", why))
    }
}

/// A descriptor that is only lent to be encoded.
pub(crate) struct Lent<'a>(pub(crate) BorrowedFd<'a>);

impl From<OwnedFd> for Descriptor {
    fn from(descriptor: OwnedFd) -> Descriptor {
        Descriptor(descriptor)
    }
}

impl From<File> for Descriptor {
    fn from(file: File) -> Descriptor {
        Descriptor(file.into())
    }
}

impl From<Descriptor> for OwnedFd {
    fn from(descriptor: Descriptor) -> OwnedFd {
        descriptor.0
    }
}

impl From<Descriptor> for File {
    fn from(descriptor: Descriptor) -> File {
        descriptor.0.into()
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Serialize for Descriptor {
    /// As its place beside the bytes: only within the arguments and the return value of a process, and in messages of
    /// pipes.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Lent(self.as_fd()).serialize(serializer)
    }
}

impl Serialize for Lent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        handle::lend(self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Descriptor {
    /// From its place beside the bytes: only within the arguments and the return value of a process, and in messages of
    /// pipes.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Descriptor, D::Error> {
        handle::take(deserializer).map(Descriptor)
    }
}
