//! Opening segments that exist.

use std::{fs::File, os::fd::OwnedFd};

use multiproc_core::{LayoutError, Region};

use super::{
    Access, Flavour, Memory, Open, Segment,
    hold::{self, Naps},
    options::Place,
    received::{Received, map_whole},
    region_of,
    target::Target,
};
use crate::{
    error::Error,
    sys::{file::Facts, memory},
};

pub(super) fn open(
    open: Open,
    access: Access,
    bury: impl Fn(Region<'_>) -> Result<(), LayoutError>,
) -> Result<Segment, Error> {
    let target = match open.place {
        Place::Named(name) => Target::named(name)?,
        Place::File(path) => Target::file(path)?,
        Place::Fd(fd) => return prefaulted(received(fd, access, &bury)?, open.prefault),
        #[cfg(feature = "shared_memory")]
        Place::Shmem(shmem, offset) => {
            return prefaulted(shmem.open(offset, access)?, open.prefault);
        }
        Place::Anonymous => unreachable!("`Open` has no such door"),
    };
    let mut naps = Naps::new(open.wait);
    loop {
        let attached = Attaching {
            access,
            flavour: &target.flavour,
            reopen: || target.open(access.is_write()),
            // A name may have been taken away, or given to another segment, before this one was held.
            is_current: |facts: &Facts| target.leads_to(facts),
            bury: &bury,
        }
        .attach();
        match attached {
            Err(error) if (error.is_not_found() || error.is_not_ready()) && naps.nap() => {}
            attached => return prefaulted(attached?, open.prefault),
        }
    }
}

fn prefaulted(segment: Segment, wanted: bool) -> Result<Segment, Error> {
    if wanted && let Memory::Own(map) = &segment.memory {
        memory::prefault(map, segment.access.is_write())
            .map_err(|source| Error::io("prefault", segment.flavour.label(), source))?;
    }
    Ok(segment)
}

fn received(
    fd: OwnedFd,
    access: Access,
    bury: &impl Fn(Region<'_>) -> Result<(), LayoutError>,
) -> Result<Segment, Error> {
    let received = Received::new(fd)?;
    received.demand(access)?;
    let received = received.sealed_if_possible();
    if !received.flavour.is_public() {
        return Segment::of_received(&received, access);
    }
    Attaching {
        access,
        flavour: &received.flavour,
        reopen: || {
            let refused = |source| Error::io("look at", received.flavour.label(), source);
            let file = received.reopen(access)?;
            let facts = Facts::of(&file).map_err(refused)?;
            Ok((file, facts))
        },
        is_current: |_: &Facts| true,
        bury,
    }
    .attach()
}

/// How one segment that others may have is opened.
struct Attaching<'a, Reopen, Current, Bury> {
    access: Access,
    flavour: &'a Flavour,
    /// Gives a new description of the file each time.
    reopen: Reopen,
    is_current: Current,
    bury: &'a Bury,
}

impl<Reopen, Current, Bury> Attaching<'_, Reopen, Current, Bury>
where
    Reopen: Fn() -> Result<(File, Facts), Error>,
    Current: Fn(&Facts) -> bool,
    Bury: Fn(Region<'_>) -> Result<(), LayoutError>,
{
    /// Holds the segment with a shared lock, having buried what owners left in it if nobody else had it.
    ///
    /// Whoever is alone buries under the exclusive lock and closes that; others who come in between find all owners
    /// dead as well and bury again, which changes nothing. A process killed in the midst of burying leaves the
    /// layout's origin as it was: whoever attaches then is told so.
    fn attach(&self) -> Result<Segment, Error> {
        let label = self.flavour.label();
        let mut naps = Naps::for_lookers();
        let mut buried = None;
        loop {
            let (file, facts) = (self.reopen)()?;
            if self.access.is_write()
                && buried != Some(facts.id)
                && hold::try_exclusive(&file, &label)?
            {
                self.bury(&file)?;
                buried = Some(facts.id);
                // The file is closed: its lock is not changed into a shared one.
                continue;
            }
            if hold::try_shared(&file, &label)? && (self.is_current)(&facts) {
                let map = map_whole(&file, self.access, self.flavour)?;
                return Segment::new(file, map, self.access, self.flavour.clone());
            }
            if !naps.nap() {
                return Err(hold::busy(&label));
            }
        }
    }

    fn bury(&self, file: &File) -> Result<(), Error> {
        let map = map_whole(file, self.access, self.flavour)?;
        (self.bury)(region_of(&map)).map_err(|why| Error::Unfit {
            name: self.flavour.label(),
            why,
        })
    }
}
