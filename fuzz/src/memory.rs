//! Memory that ends where a page begins that nobody may touch: whoever reads or writes behind it is stopped.

use std::{
    ptr::{self, NonNull},
    sync::atomic::AtomicU64,
};

use multiproc_core::{ALIGN, Origin, Region};

/// Where all the layouts here are made.
pub const ORIGIN: Origin = Origin {
    boot: 0x0123_4567_89ab,
    pid_ns: 4_026_531_836,
    time_ns: 4_026_531_834,
};

const PAGE: usize = 4096;

/// Fills the bytes between the end of a region and the guard page, fewer than [`ALIGN`].
const CANARY: u8 = 0xa5;

/// Some pages and the guard page behind them. They are never unmapped, so regions in them live for ever; make one
/// for each thread, not for each input.
#[derive(Debug)]
pub struct Ground {
    base: NonNull<u8>,
    len: usize,
}

impl Ground {
    /// Room for regions of up to `len` bytes.
    ///
    /// # Panics
    ///
    /// When the system has no memory.
    #[must_use]
    pub fn new(len: usize) -> Ground {
        let len = len.next_multiple_of(PAGE);
        // SAFETY: a new mapping touches no memory that anybody has.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len + PAGE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert!(base != libc::MAP_FAILED, "no memory to fuzz in");
        // SAFETY: the last page is inside the mapping.
        let guard = unsafe { base.byte_add(len) };
        // SAFETY: nobody has been given that page.
        let sealed = unsafe { libc::mprotect(guard, PAGE, libc::PROT_NONE) };
        assert_eq!(sealed, 0, "no page to guard the end");
        let base = NonNull::new(base.cast()).expect("a mapping is never at 0");
        Ground { base, len }
    }

    /// The longest region there is room for, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no room at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A region of `len` bytes as near to the guard page as its alignment allows: right before it, when `len` is a
    /// multiple of [`ALIGN`]. It begins with `bytes`, and zeros follow.
    ///
    /// The region takes the place of the one that was given before; no view of that may be used any more.
    ///
    /// # Panics
    ///
    /// When there is no room.
    #[must_use]
    pub fn region(&self, len: usize, bytes: &[u8]) -> Region<'static> {
        let room = len.next_multiple_of(ALIGN);
        assert!(bytes.len() <= len && room <= self.len);
        // SAFETY: `room` bytes before the end of the pages are inside them.
        let start = unsafe { self.base.add(self.len - room) };
        // SAFETY: mapped, and views into it are no longer used.
        let all = unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), room) };
        all[..bytes.len()].copy_from_slice(bytes);
        all[bytes.len()..len].fill(0);
        all[len..].fill(CANARY);
        // SAFETY: mapped for ever, and reached by layouts only, or as their words.
        unsafe { Region::new(start, len) }.expect("the end of a page and whole lines before it")
    }

    /// Checks that nobody wrote between the end of `region` and the guard page.
    ///
    /// # Panics
    ///
    /// When somebody did.
    pub fn check(&self, region: Region<'_>) {
        let room = region.len().next_multiple_of(ALIGN);
        // SAFETY: the end of the region is inside the pages.
        let end = unsafe { region.as_ptr().add(region.len()) };
        // SAFETY: mapped up to the guard page, and no layout has it.
        let gap = unsafe { std::slice::from_raw_parts(end.as_ptr(), room - region.len()) };
        assert!(gap.iter().all(|byte| *byte == CANARY), "written behind it");
    }
}

/// The bytes of a region at a moment when no layout is in use there.
#[must_use]
pub fn bytes_of(region: Region<'static>) -> &'static mut [u8] {
    // SAFETY: mapped for ever; the caller keeps no view while it has the bytes.
    unsafe { std::slice::from_raw_parts_mut(region.as_ptr().as_ptr(), region.len()) }
}

/// The words of a region from `start` to `end`, in bytes, as any peer sees them.
///
/// # Panics
///
/// When they are not all inside.
#[must_use]
pub fn words_of(region: Region<'static>, start: usize, end: usize) -> &'static [AtomicU64] {
    assert!(start.is_multiple_of(8) && start <= end && end <= region.len());
    // SAFETY: inside the region.
    let first = unsafe { region.as_ptr().add(start) };
    // SAFETY: inside the region, aligned, and atomics whoever else changes them.
    unsafe { std::slice::from_raw_parts(first.as_ptr().cast(), (end - start) / 8) }
}

/// Checks that a slice of a layout lies within its region.
///
/// # Panics
///
/// When it does not.
pub fn check_inside<T>(region: Region<'_>, slice: &[T]) {
    let start = region.as_ptr().as_ptr().addr();
    let range = slice.as_ptr_range();
    assert!(start <= range.start.addr() && range.end.addr() <= start + region.len());
}
