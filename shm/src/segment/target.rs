//! The name that a segment has in the file system, and what is found there.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use super::Flavour;
use crate::{
    error::Error,
    sys::file::{self, Facts},
};

/// So that there is room for what a draft adds.
const LONGEST_NAME: usize = 200;

/// The mode of a file that stays: for its user alone.
pub(super) const PERSISTENT: u32 = 0o600;
/// The mode of a segment that goes with those who use it. The sticky bit has no meaning for files; here it says that
/// whoever finds the segment unattended may take its name away. Files of other programs do not have it.
pub(super) const TRANSIENT: u32 = 0o1600;

/// A path where a segment is or shall be.
#[derive(Debug)]
pub(super) struct Target {
    pub path: PathBuf,
    pub flavour: Flavour,
}

impl Target {
    /// The place of a named segment.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidName`] for names that are no single file name.
    pub fn named(name: String) -> Result<Target, Error> {
        let why = match name.as_str() {
            "" => "it is empty",
            "." | ".." => "it means a directory",
            name if name.contains('/') => "it contains '/'",
            name if name.contains('\0') => "it contains a NUL",
            name if name.len() > LONGEST_NAME => "it is longer than 200 bytes",
            _ => {
                return Ok(Target {
                    path: Path::new(file::NAMED).join(&name),
                    flavour: Flavour::Named(name),
                });
            }
        };
        Err(Error::InvalidName { name, why })
    }

    /// A file.
    pub fn file(path: PathBuf) -> Result<Target, Error> {
        if path.file_name().is_none() {
            return Err(Error::InvalidName {
                name: path.display().to_string(),
                why: "it has no file name",
            });
        }
        Ok(Target {
            flavour: Flavour::File(path.clone()),
            path,
        })
    }

    /// The directory that it is in.
    pub fn directory(&self) -> &Path {
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        }
    }

    /// The name of the draft where nameless files cannot be had.
    pub fn draft(&self) -> PathBuf {
        let mut name = std::ffi::OsString::from(".");
        name.push(self.path.file_name().unwrap_or_default());
        name.push(".new");
        self.directory().join(name)
    }

    /// How errors call it.
    pub fn label(&self) -> String {
        self.flavour.label()
    }

    /// What is there: a regular file of this very user.
    pub fn open(&self, write: bool) -> Result<(File, Facts), Error> {
        open_own(&self.path, write, &self.flavour)
    }

    /// Whether the path still leads to this file.
    pub fn leads_to(&self, facts: &Facts) -> bool {
        leads_to(&self.path, facts.id)
    }
}

/// Whether `path` leads to the file with this device and inode.
pub(super) fn leads_to(path: &Path, id: (u64, u64)) -> bool {
    Facts::at(path).is_ok_and(|found| found.id == id)
}

/// Opens a regular file of this user.
pub(super) fn open_own(
    path: &Path,
    write: bool,
    flavour: &Flavour,
) -> Result<(File, Facts), Error> {
    let opened = file::open(path, write).map_err(|source| refused(path, flavour, source))?;
    let facts =
        Facts::of(&opened).map_err(|source| Error::io("look at", flavour.label(), source))?;
    check_own(path, flavour, &facts)?;
    Ok((opened, facts))
}

/// That a file is regular and belongs to this user.
pub(super) fn check_own(path: &Path, flavour: &Flavour, facts: &Facts) -> Result<(), Error> {
    if let Some(found) = facts.irregular {
        return Err(Error::NotRegular {
            name: flavour.label(),
            found,
        });
    }
    let (uid, expected) = (facts.uid, file::user());
    if uid != expected {
        return Err(Error::NotOurs {
            path: path.into(),
            uid,
            expected,
        });
    }
    Ok(())
}

/// Why a file could not be opened: looked up by name, because there is no descriptor to ask.
fn refused(path: &Path, flavour: &Flavour, source: io::Error) -> Error {
    if source.kind() == io::ErrorKind::NotFound {
        return Error::NotFound {
            name: flavour.label(),
        };
    }
    match Facts::at(path).map(|facts| check_own(path, flavour, &facts)) {
        Ok(Err(error)) => error,
        _ => Error::io("open", flavour.label(), source),
    }
}
