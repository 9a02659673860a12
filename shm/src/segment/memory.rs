//! The memory that a segment lies in.

use std::{ops::Range, ptr::NonNull};

use memmap2::MmapRaw;
use multiproc_core::{Region, store_racy};

/// A mapping, kept for as long as this lives.
pub(super) enum Memory {
    /// Of this library.
    Own(MmapRaw),
    /// Of the crate `shared_memory`.
    #[cfg(feature = "shared_memory")]
    Shmem(std::sync::Arc<super::shmem::Inner>),
}

impl Memory {
    pub fn len(&self) -> usize {
        match self {
            Memory::Own(map) => map.len(),
            #[cfg(feature = "shared_memory")]
            Memory::Shmem(shmem) => shmem.len(),
        }
    }

    fn base(&self) -> *mut u8 {
        match self {
            Memory::Own(map) => map.as_mut_ptr(),
            #[cfg(feature = "shared_memory")]
            Memory::Shmem(shmem) => shmem.as_ptr(),
        }
    }

    /// The part of it that a [`Flavour`](super::Flavour) has found to be inside and aligned.
    pub fn region(&self, part: &Range<usize>) -> Region<'_> {
        debug_assert!(part.start < part.end && part.end <= self.len());
        // SAFETY: bytes of the mapping, which is there for as long as it is borrowed.
        unsafe { region(self.base(), part) }
    }
}

impl From<MmapRaw> for Memory {
    fn from(map: MmapRaw) -> Memory {
        Memory::Own(map)
    }
}

/// The memory of a whole mapping.
pub(super) fn region_of(map: &MmapRaw) -> Region<'_> {
    // SAFETY: all bytes of the mapping, which is there for as long as it is borrowed.
    unsafe { region(map.as_mut_ptr(), &(0..map.len())) }
}

/// Makes all bytes 0, by words: whoever looks there for an object meanwhile reads words, too.
///
/// # Safety
///
/// The region can be written to, and nobody else uses these bytes otherwise.
pub(super) unsafe fn clear(region: Region<'_>) {
    let words = region.len() / size_of::<u64>();
    for word in 0..words {
        // SAFETY: this word lies inside the region.
        let word = unsafe { region.as_ptr().cast::<u64>().add(word) };
        // SAFETY: as regions begin at multiples of 128 it is aligned; the rest is the caller's promise.
        unsafe { store_racy(word, 0) };
    }
    for byte in words * size_of::<u64>()..region.len() {
        // SAFETY: this byte lies inside the region.
        let byte = unsafe { region.as_ptr().add(byte) };
        // SAFETY: the caller's promise.
        unsafe { store_racy(byte, 0u8) };
    }
}

/// # Safety
///
/// The part lies inside a mapping at `base` that is there for as long as `'m`, and is aligned.
unsafe fn region<'m>(base: *mut u8, part: &Range<usize>) -> Region<'m> {
    // SAFETY: inside the mapping (the caller's promise).
    let start = NonNull::new(unsafe { base.add(part.start) });
    // SAFETY: mapped for 'm (the caller's promise), and reached through regions only.
    let region = start.map(|start| unsafe { Region::new(start, part.len()) });
    let Some(Ok(region)) = region else {
        unreachable!("a mapping starts at a page, and never at address 0");
    };
    region
}
