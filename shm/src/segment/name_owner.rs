//! The duty to take a segment's name away.

use std::path::PathBuf;

use multiproc_core::Owner;

use super::target::leads_to;
use crate::sys::identity;

/// Held by whoever made a named segment that does not stay: on drop the name goes.
#[derive(Debug)]
pub(super) struct NameOwner {
    creator: Owner,
    path: PathBuf,
    id: (u64, u64),
}

impl NameOwner {
    pub fn new(creator: Owner, path: PathBuf, id: (u64, u64)) -> NameOwner {
        NameOwner { creator, path, id }
    }
}

impl Drop for NameOwner {
    fn drop(&mut self) {
        // A fork child drops what it inherited, too; and the name may mean another segment by now.
        if identity::me() == self.creator && leads_to(&self.path, self.id) {
            // Nobody is left to tell: the next creator takes the name over.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
