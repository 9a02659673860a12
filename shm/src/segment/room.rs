//! Room for every byte of a segment, so that no access to it fails later.

use std::fs::File;

use super::Flavour;
use crate::{
    error::Error,
    sys::{file::Facts, memory, memory_left},
};

/// From this many bytes on it takes less time to ask how much memory is left than to reserve it.
const LARGE: u64 = 4 << 20;

/// That so many bytes may be had, as far as limits say.
pub(super) fn check(file: &File, len: u64, flavour: &Flavour) -> Result<(), Error> {
    let limit = memory::file_size_limit();
    if len > limit {
        return Err(Error::FileSizeLimit { limit, needed: len });
    }
    if len >= LARGE
        && is_in_memory(file, flavour)
        && let Some(available) = memory_left()
        && len > available
    {
        return Err(Error::NoMemory {
            needed: len,
            available,
        });
    }
    Ok(())
}

fn is_in_memory(file: &File, flavour: &Flavour) -> bool {
    !matches!(flavour, Flavour::File(_)) || memory::is_in_memory(file)
}

/// Makes a new file at least `len` bytes long, with room for each.
pub(super) fn reserve(file: &File, len: u64, flavour: &Flavour) -> Result<(), Error> {
    memory::reserve(file, len).map_err(|source| refused(source, len, flavour))
}

/// Reserves room for what is missing in a file that somebody else made: it may be a copy with holes.
pub(super) fn fill_holes(file: &File, facts: &Facts, flavour: &Flavour) -> Result<(), Error> {
    let missing = facts.len.saturating_sub(facts.room);
    if missing == 0 {
        return Ok(());
    }
    check(file, missing, flavour)?;
    memory::fill_holes(file, facts.len).map_err(|source| refused(source, missing, flavour))
}

fn refused(source: std::io::Error, needed: u64, flavour: &Flavour) -> Error {
    let name = flavour.label();
    if memory::was_no_room(&source) {
        Error::NoSpace {
            name,
            needed,
            why: source,
        }
    } else {
        Error::io("reserve room for", name, source)
    }
}
