//! Shared memory, bare.

use std::{
    ffi::CString,
    io,
    ops::Range,
    ptr::{self, NonNull},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use super::checked;

/// The bytes of a page, at least.
pub const PAGE: usize = 4096;

/// A plain shared mapping of `len` bytes, zeros at first.
pub struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

impl Mapping {
    /// `MAP_SHARED | MAP_ANONYMOUS`.
    pub fn new(len: usize) -> io::Result<Mapping> {
        Mapping::map(len, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1)
    }

    /// A mapping of a new memfd, closed again.
    pub fn of_memfd(len: usize) -> io::Result<Mapping> {
        // SAFETY: the name is a C string that outlives the call.
        let fd = checked(unsafe { libc::memfd_create(c"bare".as_ptr(), libc::MFD_CLOEXEC) })?;
        // SAFETY: a call on a descriptor; it touches no memory.
        let sized = checked(unsafe { libc::ftruncate(fd, len as libc::off_t) });
        let mapping = sized.and_then(|_| Mapping::map(len, libc::MAP_SHARED, fd));
        // SAFETY: the descriptor is ours and nobody uses it afterwards.
        unsafe { libc::close(fd) };
        mapping
    }

    /// A mapping of what has this name in the namespace of `shm_open`, closed again.
    pub fn of_shared(name: &str, len: usize) -> io::Result<Mapping> {
        let name = CString::new(name)?;
        // SAFETY: the name outlives the call.
        let fd = checked(unsafe { libc::shm_open(name.as_ptr(), libc::O_RDWR, 0) })?;
        let mapping = Mapping::map(len, libc::MAP_SHARED, fd);
        // SAFETY: the descriptor is ours and nobody uses it afterwards.
        unsafe { libc::close(fd) };
        mapping
    }

    fn map(len: usize, flags: i32, fd: i32) -> io::Result<Mapping> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at a place that the kernel chooses overlaps no other memory.
        let start = unsafe { libc::mmap(ptr::null_mut(), len, access, flags, fd, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mapped at 0"))?;
        Ok(Mapping { start, len })
    }

    /// The first byte.
    pub fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Writes the first byte, so that there is a page behind it.
    pub fn touch(&self) {
        // SAFETY: the byte is mapped writable, and `&self` is the only way to it in the rows that touch.
        unsafe { self.as_ptr().write_volatile(1) };
    }

    /// Writes a byte of each page.
    pub fn touch_all(&self) {
        for word in self.words().iter().step_by(PAGE / size_of::<AtomicU64>()) {
            word.store(1, Relaxed);
        }
    }

    /// Some numbers of it.
    ///
    /// # Safety
    ///
    /// While they are borrowed nobody else, in whatever process, touches them.
    #[expect(
        clippy::mut_from_ref,
        reason = "the caller promises that nobody else has them"
    )]
    pub unsafe fn floats(&self, range: Range<usize>) -> &mut [f64] {
        assert!(range.start <= range.end && range.end <= self.len / size_of::<f64>());
        // SAFETY: inside the mapping, by the assertion.
        let start = unsafe { self.as_ptr().cast::<f64>().add(range.start) };
        // SAFETY: mapped as long as the borrow, and any bytes are valid; that they are not shared, the caller promises.
        unsafe { std::slice::from_raw_parts_mut(start, range.len()) }
    }

    /// The whole mapping as words.
    pub fn words(&self) -> &[AtomicU64] {
        let len = self.len / size_of::<AtomicU64>();
        let start = self.as_ptr().cast_const().cast();
        // SAFETY: page aligned, mapped as long as the borrow, and any bytes are valid atomics.
        unsafe { std::slice::from_raw_parts(start, len) }
    }

    /// The whole mapping as words, for the rest of the program.
    pub fn leak_words(self) -> &'static [AtomicU64] {
        Box::leak(Box::new(self)).words()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what `map` mapped; what borrowed it is gone.
        unsafe { libc::munmap(self.as_ptr().cast(), self.len) };
    }
}
