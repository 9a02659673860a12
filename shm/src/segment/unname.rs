//! Taking a segment's name away, and never that of another one.
//!
//! Between looking where a name leads and unlinking it, the name may be taken away by somebody else and be given to
//! another segment. So whoever takes a name away has the file locked for that: while one has it nobody else takes the
//! name away, so it goes on leading there. To give a free name takes no lock. It is another lock than that of `hold`:
//! a name may be taken away from those who hold the segment.

use std::{
    fs::{self, File},
    io,
    os::{fd::AsFd, unix::fs::FileExt},
    path::{Path, PathBuf},
};

use multiproc_core::{LayoutError, MAGIC, Owner};

use super::{
    Flavour,
    hold::{self, Naps},
    target::{Target, leads_to},
};
use crate::{
    error::Error,
    sys::{
        self,
        file::{self, Facts},
        identity,
    },
};

/// Takes the name `path` away from a file that is open for writing. `false`: it leads elsewhere, or somebody else is
/// just taking it away.
pub(super) fn unname(path: &Path, file: &File) -> io::Result<bool> {
    if !file::try_lock_name(file)? || !leads_to(path, Facts::of(file)?.id) {
        return Ok(false);
    }
    sys::step("segment: name to be removed");
    fs::remove_file(path)?;
    sys::step("segment: name removed");
    Ok(true)
}

/// Takes the name of a segment away; a file that holds no layout is left alone.
pub(super) fn remove(target: &Target) -> Result<(), Error> {
    let refused = |source| Error::io("remove", target.label(), source);
    let mut naps = Naps::for_lookers();
    loop {
        let (file, facts) = target.open(true)?;
        let mut magic = [0; size_of_val(&MAGIC)];
        if facts.len < magic.len() as u64 {
            return Err(Error::TooShort {
                name: target.label(),
                expected: magic.len() as u64,
                found: facts.len,
            });
        }
        file.read_exact_at(&mut magic, 0).map_err(refused)?;
        let found = u64::from_le_bytes(magic);
        if found != MAGIC {
            return Err(Error::Unfit {
                name: target.flavour.label(),
                why: LayoutError::NotALayout { found },
            });
        }
        if unname(&target.path, &file).map_err(refused)? {
            return Ok(());
        }
        if !naps.nap() {
            return Err(hold::busy(&target.label()));
        }
    }
}

/// Takes away the name that a segment of this flavour, in `file`, was opened by.
pub(super) fn unlink(flavour: &Flavour, file: &File) -> Result<(), Error> {
    let refused = |source| Error::io("remove", flavour.label(), source);
    let target = match flavour {
        Flavour::Named(name) => Target::named(name.clone())?,
        Flavour::File(path) => Target::file(path.clone())?,
        Flavour::Anonymous | Flavour::Part { .. } => {
            return Err(Error::NotFound {
                name: format!("the name of {}", flavour.label()),
            });
        }
    };
    let file = file::reopen(file.as_fd(), true).map_err(refused)?;
    let facts = Facts::of(&file).map_err(refused)?;
    let mut naps = Naps::for_lookers();
    while target.leads_to(&facts) {
        if unname(&target.path, &file).map_err(refused)? {
            return Ok(());
        }
        if !naps.nap() {
            return Err(hold::busy(&target.label()));
        }
    }
    Err(Error::NotFound {
        name: target.label(),
    })
}

/// The duty of whoever made a named segment that does not stay.
#[derive(Debug)]
pub(super) struct NameOwner {
    creator: Owner,
    path: PathBuf,
}

impl NameOwner {
    pub fn new(creator: Owner, path: PathBuf) -> NameOwner {
        NameOwner { creator, path }
    }

    /// Takes the name of the segment in `file` away.
    pub fn unname(&self, file: &File) {
        // A fork child drops what it inherited, too.
        if identity::me() == self.creator {
            // Nobody is left to tell: the next creator takes the name over.
            let _ = unname(&self.path, file);
        }
    }
}
