//! Files that came in through a descriptor: from another process, or from the user.

use std::{
    fs::File,
    os::fd::{AsFd, OwnedFd},
};

use memmap2::MmapRaw;

use super::{Access, Flavour, hold, room};
use crate::{
    error::Error,
    sys::{
        file::{self, Facts},
        memory,
    },
};

/// A regular file that can be read.
#[derive(Debug)]
pub(super) struct Received {
    pub file: File,
    pub access: Access,
    pub flavour: Flavour,
}

impl Received {
    /// What somebody opened elsewhere: taken for a file by its path until it proves to be sealed.
    pub fn new(fd: OwnedFd) -> Result<Received, Error> {
        let path = file::path_of(fd.as_fd())
            .map_err(|source| Error::io("find the path of", "a descriptor", source))?;
        Received::with(fd, Flavour::File(path))
    }

    /// What another process has handed over as a segment of this flavour.
    pub fn with(fd: OwnedFd, flavour: Flavour) -> Result<Received, Error> {
        let access = match file::access(fd.as_fd()) {
            Ok((true, true)) => Access::ReadWrite,
            Ok((true, false)) => Access::ReadOnly,
            Ok((false, writable)) => {
                return Err(Error::WrongAccess {
                    name: flavour.label(),
                    expected: "reading",
                    found: if writable { "writing" } else { "neither" },
                });
            }
            Err(source) => return Err(Error::io("look at", flavour.label(), source)),
        };
        let received = Received {
            file: File::from(fd),
            access,
            flavour,
        };
        match received.facts()?.irregular {
            Some(found) => Err(Error::NotRegular {
                name: received.flavour.label(),
                found,
            }),
            None => Ok(received),
        }
    }

    /// That the descriptor allows `wanted`.
    pub fn demand(&self, wanted: Access) -> Result<(), Error> {
        if wanted == Access::ReadWrite && self.access == Access::ReadOnly {
            return Err(Error::WrongAccess {
                name: self.flavour.label(),
                expected: "reading and writing",
                found: "reading",
            });
        }
        Ok(())
    }

    /// Known to be sealed, if its length can be sealed.
    pub fn sealed_if_possible(mut self) -> Received {
        if self.seal() {
            self.flavour = Flavour::Anonymous;
        }
        self
    }

    /// Makes sure that nobody can shorten the file; says whether that is so.
    pub fn seal(&self) -> bool {
        let fd = self.file.as_fd();
        memory::cannot_shrink(fd) || memory::seal_length(fd).is_ok()
    }

    /// Its length in bytes.
    pub fn len(&self) -> Result<usize, Error> {
        addressable(self.facts()?.len, &self.flavour)
    }

    /// The file as a segment keeps it. A public one is reopened: the description that came in may be shared with its
    /// sender, and with it the lock.
    pub fn hold(&self, access: Access) -> Result<File, Error> {
        if self.flavour.is_public() {
            let file = self.reopen(access)?;
            hold::shared(&file, &self.flavour.label())?;
            return Ok(file);
        }
        if access != self.access {
            return self.reopen(access);
        }
        self.file
            .try_clone()
            .map_err(|source| Error::io("duplicate", self.flavour.label(), source))
    }

    /// The file through a description of our own.
    pub fn reopen(&self, access: Access) -> Result<File, Error> {
        file::reopen(self.file.as_fd(), access.is_write())
            .map_err(|source| Error::io("reopen", self.flavour.label(), source))
    }

    fn facts(&self) -> Result<Facts, Error> {
        Facts::of(&self.file).map_err(|source| Error::io("look at", self.flavour.label(), source))
    }
}

/// Maps a whole file, and never more; for writing, once there is room for all of it.
pub(super) fn map_whole(file: &File, access: Access, flavour: &Flavour) -> Result<MmapRaw, Error> {
    let facts = Facts::of(file).map_err(|source| Error::io("look at", flavour.label(), source))?;
    if facts.len == 0 {
        return Err(Error::TooShort {
            name: flavour.label(),
            expected: 1,
            found: 0,
        });
    }
    if access.is_write() {
        room::fill_holes(file, &facts, flavour)?;
    }
    memory::map(file, addressable(facts.len, flavour)?, access.is_write())
        .map_err(|source| Error::io("map", flavour.label(), source))
}

/// A length as one of memory.
fn addressable(len: u64, flavour: &Flavour) -> Result<usize, Error> {
    const LIMIT: usize = isize::MAX as usize;
    match usize::try_from(len) {
        Ok(len) if len <= LIMIT => Ok(len),
        _ => Err(Error::TooLong {
            name: flavour.label(),
            limit: LIMIT as u64,
            found: len,
        }),
    }
}
