//! A segment that nobody sees yet.

use std::{fs::File, io, path::PathBuf};

use super::{
    hold,
    target::{PERSISTENT, TRANSIENT, Target, leads_to, open_own},
};
use crate::{
    error::Error,
    sys::{self, file, file::Facts},
};

/// How often a new file is made when others take its name away.
const ATTEMPTS: usize = 16;

/// A new file, held with a shared lock, that has no name yet, or that of a draft.
#[derive(Debug)]
pub(super) struct Draft<'t> {
    target: &'t Target,
    file: File,
    /// Where the file system has no nameless files: the name of the draft, and the mode that is due once it is gone.
    named: Option<(DraftName, u32)>,
}

impl Draft<'_> {
    /// A draft of what shall be at `target`, to stay there or to go with its users.
    pub fn new(target: &Target, persist: bool) -> Result<Draft<'_>, Error> {
        let mode = if persist { PERSISTENT } else { TRANSIENT };
        let made = file::nameless(target.directory(), mode)
            .map_err(|source| Error::io("create", target.label(), source))?;
        let Some(file) = made else {
            return Draft::with_name(target, mode);
        };
        hold::shared(&file, &target.label())?;
        Ok(Draft {
            target,
            file,
            named: None,
        })
    }

    /// A draft with a name of its own. That is always the same, so that the next creator finds and removes what a
    /// killed one has left. Until it is published it is transient, whatever it shall be.
    pub(super) fn with_name(target: &Target, mode: u32) -> Result<Draft<'_>, Error> {
        let (path, label) = (target.draft(), target.label());
        for _ in 0..ATTEMPTS {
            let file = match file::create_new(&path, TRANSIENT) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    remove_stale_draft(target)?;
                    continue;
                }
                Err(source) => return Err(Error::io("create", path.display().to_string(), source)),
            };
            sys::step("segment: draft named, not yet held");
            let id = Facts::of(&file)
                .map_err(|source| Error::io("look at", &label, source))?
                .id;
            // Until it is held another creator may take the draft for a stale one and remove it.
            if hold::try_shared(&file, &label)? && leads_to(&path, id) {
                return Ok(Draft {
                    target,
                    file,
                    named: Some((DraftName { path, id }, mode)),
                });
            }
        }
        Err(hold::busy(&label))
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Gives the file its name; the draft comes back when somebody else has that.
    pub fn publish(self) -> Result<Result<File, Self>, Error> {
        match file::link(&self.file, &self.target.path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(Err(self)),
            linked => linked.map_err(|source| Error::io("name", self.target.label(), source))?,
        }
        sys::step("segment: published");
        if let Some((name, mode)) = self.named {
            drop(name);
            sys::step("segment: draft's name gone");
            file::set_mode(&self.file, mode)
                .map_err(|source| Error::io("set the mode of", self.target.label(), source))?;
        }
        Ok(Ok(self.file))
    }
}

/// Removes a draft that a killed creator has left.
fn remove_stale_draft(target: &Target) -> Result<(), Error> {
    let path = target.draft();
    let (file, facts) = match open_own(&path, false, &target.flavour) {
        Err(error) if error.is_not_found() => return Ok(()),
        opened => opened?,
    };
    // Somebody else is making the segment at this moment, or the file is another program's.
    if facts.mode != TRANSIENT || !hold::try_exclusive(&file, &target.label())? {
        return Err(Error::AlreadyExists {
            name: path.display().to_string(),
        });
    }
    drop(DraftName { path, id: facts.id });
    Ok(())
}

/// The name of a draft, taken away on drop if it still leads to the file.
#[derive(Debug)]
struct DraftName {
    path: PathBuf,
    id: (u64, u64),
}

impl Drop for DraftName {
    fn drop(&mut self) {
        if leads_to(&self.path, self.id) {
            // If this fails the next creator meets the name and says why.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
