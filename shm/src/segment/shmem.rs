//! Segments in memory that the crate `shared_memory` has mapped: many in one mapping, beside what else is there.

use std::{fmt, fs::File, ops::Deref, sync::Arc};

use multiproc_core::{LayoutError, Owner, Region};
use shared_memory::Shmem;

use super::{
    Access, Create, Flavour, Memory, Open, Segment, hold, memory::clear, options::Place, room,
    target::Target,
};
use crate::{
    error::Error,
    sys::{file::Facts, identity, memory},
};

/// A mapping of the crate `shared_memory` (0.12) in which shared objects are placed and found, each at an offset of its
/// own, beside what else a program has there.
///
/// The mapping stays as long as an object in it does. Objects travel to children of this library as all others do; another
/// process opens the mapping by its id, and the objects [`at`](Self::at) their offsets.
///
/// ```
/// # multiproc::init();
/// use multiproc::{AdoptedShmem, Array, Counter};
/// use shared_memory::ShmemConf;
///
/// let shmem = AdoptedShmem::new(ShmemConf::new().size(64 << 10).create().unwrap())?;
/// // SAFETY: the mapping is new, and nothing else lies at these offsets.
/// let count = Counter::create(unsafe { shmem.place_at(0) }, 5)?;
/// // SAFETY: as above.
/// let numbers = Array::<f64>::create(unsafe { shmem.place_at(4096) }, [3, 4])?;
///
/// // In another process:
/// let shmem = ShmemConf::new().os_id(shmem.get_os_id()).open().unwrap();
/// let shmem = AdoptedShmem::new(shmem)?;
/// // SAFETY: objects were placed at both offsets.
/// let (count, numbers) = unsafe { (shmem.at(0), shmem.at(4096)) };
/// assert_eq!(Counter::open(count)?.get(), 5);
/// assert_eq!(Array::<f64>::open(numbers)?.shape(), [3, 4]);
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// # What is different
///
/// Whoever adopts a mapping does not ask whether others have it: nobody is ever known to be the last. What a process that
/// died held is taken over all the same, when somebody asks for it.
#[derive(Clone)]
pub struct AdoptedShmem(Arc<Inner>);

pub(super) struct Inner {
    shmem: Shmem,
    file: File,
    name: String,
    adopter: Owner,
}

// SAFETY: a `Shmem` is where a mapping is, which any thread may unmap and whose memory says who reaches it.
unsafe impl Send for Inner {}
// SAFETY: nothing in a `Shmem` is changed through a reference to it.
unsafe impl Sync for Inner {}

impl AdoptedShmem {
    /// Adopts a mapping, and reserves room for every byte of it. If that does not go the mapping is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when its id leads to another mapping by now, or to none; [`Error::TooShort`] when somebody has
    /// cut it off; [`Error::Busy`] when somebody looks at it for too long; what the system refuses, such as
    /// [`Error::NoSpace`].
    pub fn new(shmem: Shmem) -> Result<AdoptedShmem, Error> {
        let name = shmem.get_os_id().trim_start_matches('/').to_owned();
        let target = Target::named(name.clone())?;
        let refused = |source| Error::io("look at", target.label(), source);
        let adopter = identity::try_me().map_err(refused)?;
        let (file, facts) = target.open(true)?;
        if memory::file_at(shmem.as_ptr()).map_err(refused)? != Some(facts.id) {
            return Err(Error::NotFound {
                name: target.label(),
            });
        }
        if facts.len < shmem.len() as u64 {
            return Err(Error::TooShort {
                name: target.label(),
                expected: shmem.len() as u64,
                found: facts.len,
            });
        }
        // Whoever opens an object by the name of the mapping, alone, would bury what is held here.
        hold::shared(&file, &target.label())?;
        room::fill_holes(&file, &facts, &target.flavour)?;
        Ok(AdoptedShmem(Arc::new(Inner {
            shmem,
            file,
            name,
            adopter,
        })))
    }

    /// Where a new object begins, `offset` bytes from the start: to be given to a `create`. It takes as many bytes as its
    /// [`Segment`] is then long; what they held is gone. Until it is made, to open it says
    /// [`is_not_ready`](Error::is_not_ready).
    ///
    /// Errors of `create` are [`Error::MisalignedOffset`] unless `offset` is a multiple of 128, and [`Error::TooShort`].
    /// The mapping is there already: what else a [`Create`] can be told changes nothing.
    ///
    /// # Safety
    ///
    /// Nobody uses those bytes, as a shared object or otherwise: neither now, in any process, nor by other means than the
    /// object as long as that is in use.
    pub unsafe fn place_at(&self, offset: usize) -> Create {
        Create::at(Place::Shmem(self.clone(), offset))
    }

    /// Where an object that was placed begins, `offset` bytes from the start: to be given to an `open`.
    ///
    /// Errors of `open` are those of bytes that hold something else, or nothing yet; and [`Error::MisalignedOffset`]. What
    /// is not placed yet is not waited for: [`Open::wait`] is for names.
    ///
    /// # Safety
    ///
    /// The offset is one at which programs place objects, and not inside of another object: whatever bytes lie there are
    /// taken for what they say that they are, which would be a second door to the same memory, past the claims of the first.
    pub unsafe fn at(&self, offset: usize) -> Open {
        Open::at(Place::Shmem(self.clone(), offset))
    }

    /// The segment that begins at an offset and takes `len` bytes, or all up to the end.
    fn segment(&self, offset: usize, len: Option<usize>) -> Result<Segment, Error> {
        let rest = self.len().saturating_sub(offset);
        let flavour = Flavour::Part {
            name: self.0.name.clone(),
            offset,
            // What is empty is no segment, wherever it begins.
            len: len.unwrap_or(rest).max(1),
        };
        let file = self.0.file.try_clone();
        let file = file.map_err(|source| Error::io("duplicate", flavour.label(), source))?;
        let memory = Memory::Shmem(Arc::clone(&self.0));
        Segment::new(file, memory, Access::ReadWrite, flavour)
    }

    pub(super) fn create(
        &self,
        offset: usize,
        len: usize,
        place: impl FnOnce(Region<'_>) -> Result<(), LayoutError>,
    ) -> Result<Segment, Error> {
        let segment = self.segment(offset, Some(len))?;
        // SAFETY: whoever called `place_at` has promised that nobody uses these bytes.
        unsafe { clear(segment.region()) };
        place(segment.region())?;
        Ok(segment)
    }

    pub(super) fn open(&self, offset: usize, access: Access) -> Result<Segment, Error> {
        let segment = self.segment(offset, None)?;
        match access {
            Access::ReadWrite => Ok(segment),
            Access::ReadOnly => segment.read_only(),
        }
    }
}

impl Deref for AdoptedShmem {
    type Target = Shmem;

    fn deref(&self) -> &Shmem {
        &self.0.shmem
    }
}

impl Deref for Inner {
    type Target = Shmem;

    fn deref(&self) -> &Shmem {
        &self.shmem
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A fork child unmaps what it inherited, and takes no name away; nobody takes away that of another mapping.
        if identity::me() != self.adopter || !self.has_name() {
            self.shmem.set_owner(false);
        }
    }
}

impl Inner {
    /// Whether its name still leads to it.
    fn has_name(&self) -> bool {
        let facts = Facts::of(&self.file);
        let target = Target::named(self.name.clone());
        facts.is_ok_and(|facts| target.is_ok_and(|target| target.leads_to(&facts)))
    }
}

impl fmt::Debug for AdoptedShmem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdoptedShmem")
            .field("os_id", &self.get_os_id())
            .field("len", &self.len())
            .field("is_owner", &self.is_owner())
            .finish()
    }
}
