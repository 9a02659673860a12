//! Making segments: prepared where nobody looks, published by one link.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
};

use memmap2::MmapRaw;
use multiproc_core::{LayoutError, Region};

use super::{
    Access, Create, Flavour, Segment,
    draft::Draft,
    hold::{self, Naps},
    memory::clear,
    options::Place,
    received::Received,
    region_of, room,
    target::{TRANSIENT, Target},
    unname::{NameOwner, unname},
};
use crate::{
    error::Error,
    sys::{self, file, identity, memory},
};

/// How often a stale name is removed for others to take it at once.
const ATTEMPTS: usize = 16;

/// What all kinds of segments have in common when they are made.
struct Making {
    len: usize,
    persist: bool,
    prefault: bool,
    huge_pages: bool,
}

pub(super) fn create(
    create: Create,
    len: usize,
    place: impl FnOnce(Region<'_>) -> Result<(), LayoutError>,
) -> Result<Segment, Error> {
    if len == 0 {
        return Err(Error::TooShort {
            name: "a new segment".into(),
            expected: 1,
            found: 0,
        });
    }
    let making = Making {
        len,
        persist: create.persist,
        prefault: create.prefault,
        huge_pages: create.huge_pages,
    };
    match create.place {
        Place::Anonymous => anonymous(&making, place),
        Place::Named(name) => published(&Target::named(name)?, &making, place),
        Place::File(path) => published(&Target::file(path)?, &making, place),
        Place::Fd(fd) => adopted(fd, &making, place),
        #[cfg(feature = "shared_memory")]
        Place::Shmem(shmem, offset) => shmem.create(offset, len, place),
    }
}

fn anonymous(
    making: &Making,
    place: impl FnOnce(Region<'_>) -> Result<(), LayoutError>,
) -> Result<Segment, Error> {
    let flavour = Flavour::Anonymous;
    let file =
        memory::anonymous().map_err(|source| Error::io("create", flavour.label(), source))?;
    let map = making.map(&file, making.len, &flavour)?;
    memory::seal_length(file.as_fd())
        .map_err(|source| Error::io("seal", flavour.label(), source))?;
    place(region_of(&map))?;
    Segment::new(file, map, Access::ReadWrite, flavour)
}

fn published(
    target: &Target,
    making: &Making,
    place: impl FnOnce(Region<'_>) -> Result<(), LayoutError>,
) -> Result<Segment, Error> {
    let creator = identity::try_me().map_err(|source| match source.kind() {
        io::ErrorKind::InvalidData => Error::NoIdentity,
        _ => Error::io("read", "/proc/self", source),
    })?;
    let persist = making.persist || target.flavour.name().is_none();
    // Before any room is taken: a stale segment may have it.
    remove_stale(target)?;
    sys::step("segment: name free");
    let mut draft = Draft::new(target, persist)?;
    sys::step("segment: draft held");
    let map = making.map(draft.file(), making.len, &target.flavour)?;
    sys::step("segment: room reserved");
    place(region_of(&map))?;
    sys::step("segment: layout placed");
    for _ in 0..ATTEMPTS {
        match draft.publish()? {
            Ok(file) => {
                let mut segment =
                    Segment::new(file, map, Access::ReadWrite, target.flavour.clone())?;
                segment.name_owner =
                    (!persist).then(|| NameOwner::new(creator, target.path.clone()));
                return Ok(segment);
            }
            Err(unpublished) => draft = unpublished,
        }
        remove_stale(target)?;
    }
    Err(already_exists(target))
}

/// Takes away the name of a segment that nobody has any more and that was not made to stay.
///
/// # Errors
///
/// [`Error::AlreadyExists`] when there is something else.
fn remove_stale(target: &Target) -> Result<(), Error> {
    let mut naps = Naps::for_lookers();
    for _ in 0..ATTEMPTS {
        let (file, facts) = match target.open(false) {
            Err(error) if error.is_not_found() => return Ok(()),
            opened => opened?,
        };
        if target.flavour.name().is_none()
            || facts.mode != TRANSIENT
            || !hold::try_exclusive(&file, &target.label())?
        {
            return Err(already_exists(target));
        }
        let writable = file::reopen(file.as_fd(), true)
            .map_err(|source| Error::io("reopen", target.label(), source))?;
        let removed = unname(&target.path, &writable)
            .map_err(|source| Error::io("unlink", target.label(), source))?;
        if !removed {
            naps.nap();
        }
    }
    Err(already_exists(target))
}

fn already_exists(target: &Target) -> Error {
    Error::AlreadyExists {
        name: target.label(),
    }
}

fn adopted(
    fd: OwnedFd,
    making: &Making,
    place: impl FnOnce(Region<'_>) -> Result<(), LayoutError>,
) -> Result<Segment, Error> {
    let received = Received::new(fd)?;
    received.demand(Access::ReadWrite)?;
    let label = received.flavour.label();
    let file = received.reopen(Access::ReadWrite)?;
    if !hold::try_exclusive(&file, &label)? {
        return Err(Error::AlreadyExists { name: label });
    }
    // What somebody else made may be longer; all of it is mapped.
    let found = received.len()?;
    let len = found.max(making.len);
    let map = making.map(&file, len, &received.flavour)?;
    if found > 0 {
        // SAFETY: mapped for writing, and whoever called `Create::adopt` has promised that nobody uses these bytes.
        unsafe { clear(region_of(&map)) };
    }
    let received = received.sealed_if_possible();
    place(region_of(&map))?;
    // The mapping, too, keeps the exclusive lock.
    drop((map, file));
    let file = received.hold(Access::ReadWrite)?;
    let map = making.map(&file, len, &received.flavour)?;
    Segment::new(file, map, Access::ReadWrite, received.flavour)
}

impl Making {
    /// Makes `file` at least `len` bytes long, with room for each, and maps it.
    fn map(&self, file: &File, len: usize, flavour: &Flavour) -> Result<MmapRaw, Error> {
        let needed = len as u64;
        room::check(file, needed, flavour)?;
        let map = || {
            memory::map(file, len, true).map_err(|source| Error::io("map", flavour.label(), source))
        };
        if self.huge_pages {
            // Only pages that a mapping asks for become huge ones, so they are made through the mapping. What could
            // not be made is missed, and reported, by reserving it.
            file.set_len(needed)
                .map_err(|source| Error::io("lengthen", flavour.label(), source))?;
            let map = map()?;
            memory::prefer_huge_pages(&map);
            let _ = memory::prefault(&map, true);
            room::reserve(file, needed, flavour)?;
            return Ok(map);
        }
        room::reserve(file, needed, flavour)?;
        let map = map()?;
        if self.prefault {
            memory::prefault(&map, true)
                .map_err(|source| Error::io("prefault", flavour.label(), source))?;
        }
        Ok(map)
    }
}
