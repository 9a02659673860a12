//! What kind of segment one is, as far as another process needs to know.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use multiproc_core::ALIGN;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Where a segment lies. It travels beside the descriptor when a segment is handed to another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Flavour {
    /// Memory without a name, sealed against shrinking.
    Anonymous,
    /// Memory with this name.
    Named(String),
    /// A file that had this path when it was opened.
    File(#[serde(with = "as_os_str")] PathBuf),
    /// Some bytes of memory that another library has given a name.
    Part {
        name: String,
        offset: usize,
        len: usize,
    },
}

impl Flavour {
    /// How errors call the segment.
    pub(super) fn label(&self) -> String {
        match self {
            Flavour::Anonymous => "an anonymous segment".into(),
            Flavour::Named(name) => format!("segment {name:?}"),
            Flavour::File(path) => path.display().to_string(),
            Flavour::Part { name, .. } => format!("segment {name:?}"),
        }
    }

    /// Which bytes it is of memory of this length.
    ///
    /// # Errors
    ///
    /// [`Error::TooShort`]; [`Error::MisalignedOffset`], when no layout may begin there.
    pub(super) fn part(&self, found: usize) -> Result<Range<usize>, Error> {
        let Flavour::Part { offset, len, .. } = *self else {
            return Ok(0..found);
        };
        if !offset.is_multiple_of(ALIGN) {
            return Err(Error::MisalignedOffset {
                name: self.label(),
                expected: ALIGN,
                found: offset,
            });
        }
        let end = offset.saturating_add(len);
        if len == 0 || end > found {
            return Err(Error::TooShort {
                name: self.label(),
                expected: end as u64,
                found: found as u64,
            });
        }
        Ok(offset..end)
    }

    /// Its name, if it has one.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Flavour::Named(name) => Some(name),
            _ => None,
        }
    }

    /// Whether others may find it without being handed it, so that it is held with a lock.
    pub(super) fn is_public(&self) -> bool {
        *self != Flavour::Anonymous
    }
}

/// Paths as the bytes that they are: serde's own way refuses those that are no UTF-8.
mod as_os_str {
    use std::{ffi::OsString, path::PathBuf};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Path;

    pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        path.as_os_str().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        OsString::deserialize(deserializer).map(PathBuf::from)
    }
}
