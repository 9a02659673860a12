//! Segments: files in memory, or on a disk, that processes map together.
//!
//! | made with            | found by               | goes                                                    |
//! |----------------------|------------------------|---------------------------------------------------------|
//! | [`Create::anonymous`]| being handed over      | with the last process that has it                       |
//! | [`Create::named`]    | its name               | its name with its creator, the memory with the last     |
//! | … `.persist(true)`   | its name               | at [`Segment::remove`], the memory with the last        |
//! | [`Create::file`]     | its path               | when somebody deletes the file                          |
//! | `AdoptedShmem`       | its place in another   | with that memory                                        |
//!
//! Rules that everything here keeps:
//!
//! 1. A segment is complete before it has a name: nobody finds half of one, whenever its creator is killed.
//! 2. Room for every byte is reserved before it is mapped for writing, that of holes in a file that somebody copied as
//!    well, and only what the file has is mapped: no access fails later. Whoever can only read fills no holes.
//! 3. Everybody who has a named segment or a file holds a shared lock on a description of their own (`hold`); so a
//!    name that nobody holds is known to be left over.
//! 4. What is left over is replaced by a new file, never written over.
//!
//! Nothing keeps another process of the same user from truncating a named segment or a file, which ends whoever then
//! looks at the memory (SIGBUS). Anonymous segments are sealed against that.

mod create;
mod draft;
mod flavour;
mod hold;
mod memory;
mod open;
mod options;
mod received;
mod room;
#[cfg(feature = "shared_memory")]
mod shmem;
mod target;
#[cfg(test)]
mod tests;
mod unname;

use std::{
    fmt,
    fs::File,
    ops::Range,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use multiproc_core::{LayoutError, Region};

pub(crate) use flavour::Flavour;
use memory::{Memory, region_of};
pub use options::{Access, Create, Open};
use received::{Received, map_whole};
#[cfg(feature = "shared_memory")]
pub use shmem::AdoptedShmem;
use target::Target;
use unname::NameOwner;

use crate::error::Error;

/// Memory that processes share.
pub struct Segment {
    name_owner: Option<NameOwner>,
    memory: Memory,
    /// Which bytes of the memory it is.
    part: Range<usize>,
    file: File,
    access: Access,
    flavour: Flavour,
}

impl Segment {
    /// Makes a segment of `len` bytes, all zero, and has `place` put a layout into it before anybody can see it.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyExists`] when somebody has the name, or made it to stay. Otherwise what `place` says, or what
    /// the system refuses; then nothing is left behind.
    pub(crate) fn create(
        create: Create,
        len: usize,
        place: impl FnOnce(Region<'_>) -> Result<(), LayoutError>,
    ) -> Result<Segment, Error> {
        create::create(create, len, place)
    }

    /// Opens a segment. When nobody else has it, and it is opened for writing, `bury` is called before anybody else
    /// can get it: whoever held something in it is dead.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when there is none, or none after the time that [`Open::wait`] gives;
    /// [`Error::NotOurs`], [`Error::NotRegular`] and [`Error::TooShort`] when there is something else; what `bury`
    /// says, or what the system refuses.
    pub(crate) fn open(
        open: Open,
        access: Access,
        bury: impl Fn(Region<'_>) -> Result<(), LayoutError>,
    ) -> Result<Segment, Error> {
        open::open(open, access, bury)
    }

    /// # Errors
    ///
    /// [`Error::TooShort`] and [`Error::MisalignedOffset`], if it is a part that cannot be one.
    fn new(
        file: File,
        memory: impl Into<Memory>,
        access: Access,
        flavour: Flavour,
    ) -> Result<Segment, Error> {
        let memory = memory.into();
        let part = flavour.part(memory.len())?;
        Ok(Segment {
            name_owner: None,
            memory,
            part,
            file,
            access,
            flavour,
        })
    }

    /// What another process needs to have the segment, too: see [`from_handle`](Segment::from_handle).
    pub(crate) fn handle(&self) -> (BorrowedFd<'_>, Flavour) {
        (self.file.as_fd(), self.flavour.clone())
    }

    /// The segment that another process has handed over, mapped for what is wanted even if the descriptor allows more.
    ///
    /// # Errors
    ///
    /// [`Error::WrongAccess`] for a descriptor that does not allow what is wanted, [`Error::Unsealed`] for an anonymous segment that can be truncated, [`Error::TooShort`] for an empty file, or
    /// what the system refuses.
    pub(crate) fn from_handle(
        fd: OwnedFd,
        flavour: Flavour,
        access: Access,
    ) -> Result<Segment, Error> {
        let received = Received::with(fd, flavour)?;
        received.demand(access)?;
        if !received.flavour.is_public() && !received.seal() {
            return Err(Error::Unsealed {
                name: received.flavour.label(),
            });
        }
        Segment::of_received(&received, access)
    }

    fn of_received(received: &Received, access: Access) -> Result<Segment, Error> {
        let file = received.hold(access)?;
        let map = map_whole(&file, access, &received.flavour)?;
        Segment::new(file, map, access, received.flavour.clone())
    }

    /// The same segment, opened anew so that this process cannot write to it through the result.
    ///
    /// # Errors
    ///
    /// What the system refuses.
    pub(crate) fn read_only(&self) -> Result<Segment, Error> {
        let copy = self
            .file
            .try_clone()
            .map_err(|source| Error::io("duplicate", self.flavour.label(), source))?;
        let received = Received::with(copy.into(), self.flavour.clone())?;
        Segment::of_received(&received, Access::ReadOnly)
    }

    /// How errors call it.
    pub(crate) fn label(&self) -> String {
        self.flavour.label()
    }

    /// The error that this segment does not hold what was asked for.
    pub(crate) fn unfit(&self, why: LayoutError) -> Error {
        let name = self.label();
        Error::Unfit { name, why }
    }

    /// Its memory, as long as the segment is borrowed.
    pub(crate) fn region(&self) -> Region<'_> {
        self.memory.region(&self.part)
    }

    /// Takes the name of a segment away; those who have it keep it. Only of one that says that it is of this library: see
    /// [`unlink`](Self::unlink) for others.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when there is none; [`Error::NotOurs`], [`Error::NotRegular`], [`Error::TooShort`] and
    /// [`LayoutError::NotALayout`] when there is something else, which stays.
    pub fn remove(name: &str) -> Result<(), Error> {
        unname::remove(&Target::named(name.into())?)
    }

    /// Takes its name, or path, away, as Python's `unlink` does; those who have it keep it, this one too.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when the name leads elsewhere, or there is none; what the system refuses.
    pub fn unlink(&self) -> Result<(), Error> {
        unname::unlink(&self.flavour, &self.file)
    }

    /// Its length in bytes.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a segment is never empty")]
    pub fn len(&self) -> usize {
        self.part.len()
    }

    /// Whether it can be written to.
    #[must_use]
    pub fn access(&self) -> Access {
        self.access
    }

    /// Its name, for a named one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.flavour.name()
    }

    /// The path that it was made or opened by, for a file.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match &self.flavour {
            Flavour::File(path) => Some(path),
            _ => None,
        }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // While the segment is still held, so that nobody takes it for left over.
        if let Some(owner) = &self.name_owner {
            owner.unname(&self.file);
        }
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment")
            .field("flavour", &self.flavour)
            .field("len", &self.len())
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

impl AsFd for Segment {
    /// The file, for those who map it by other means or hand it on by themselves.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
