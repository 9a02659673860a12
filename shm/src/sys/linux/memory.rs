//! Memory: files that are nothing else, room for what they promise, and mappings.

use std::{
    ffi::CStr,
    fs::File,
    io,
    mem::MaybeUninit,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd},
    ptr,
    sync::atomic::{AtomicBool, Ordering},
};

use memmap2::{Advice, MmapOptions, MmapRaw};

use super::checked;

/// Older kernels than 6.3 do not know the flag.
static NOEXEC_UNKNOWN: AtomicBool = AtomicBool::new(false);

/// A new file without a name, in memory, that can be sealed.
pub fn anonymous() -> io::Result<File> {
    const NAME: &CStr = c"multiproc";
    const FLAGS: libc::c_uint = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    if !NOEXEC_UNKNOWN.load(Ordering::Relaxed) {
        match memfd(NAME, FLAGS | libc::MFD_NOEXEC_SEAL) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                NOEXEC_UNKNOWN.store(true, Ordering::Relaxed);
            }
            made => return made,
        }
    }
    memfd(NAME, FLAGS)
}

fn memfd(name: &CStr, flags: libc::c_uint) -> io::Result<File> {
    // SAFETY: the name is a string that ends in NUL.
    let fd = checked(unsafe { libc::memfd_create(name.as_ptr(), flags) })?;
    // SAFETY: the descriptor was made just now and belongs to nobody else.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// Fixes the length of a file in memory for ever. Refused for files in a directory.
pub fn seal_length(fd: BorrowedFd<'_>) -> io::Result<()> {
    const SEALS: libc::c_int = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
    // SAFETY: acts on a descriptor that the borrow keeps open.
    checked(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, SEALS) }).map(drop)
}

/// Whether nobody can ever make the file shorter.
pub fn cannot_shrink(fd: BorrowedFd<'_>) -> bool {
    // SAFETY: asks about a descriptor that the borrow keeps open.
    let seals = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GET_SEALS) };
    // A file that knows no seals answers -1.
    seals >= 0 && seals & libc::F_SEAL_SHRINK != 0
}

/// The longest file that this process may make; beyond it the kernel would send SIGXFSZ.
pub fn file_size_limit() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: `limit` is writable. If the call failed the limit would be infinite, as without it.
    unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit) };
    limit.rlim_cur
}

/// Makes the file `len` bytes long with memory or disk space behind each, so that no access can fail later.
pub fn reserve(file: &File, len: u64) -> io::Result<()> {
    in_parts(len, |offset, len| {
        // SAFETY: acts on a descriptor that the borrow keeps open.
        match unsafe { libc::posix_fallocate(file.as_raw_fd(), offset, len) } {
            0 => Ok(()),
            code => Err(io::Error::from_raw_os_error(code)),
        }
    })
}

/// Puts memory or disk space behind each of the `len` bytes of a file that others may be writing to.
///
/// A file system that cannot is let be: to write zeros instead, as `posix_fallocate` may, could undo what others write.
pub fn fill_holes(file: &File, len: u64) -> io::Result<()> {
    let filled = in_parts(len, |at, len| fallocate(file, KEEP_SIZE, at, len));
    match filled {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(()),
        filled => filled,
    }
}

const KEEP_SIZE: libc::c_int = libc::FALLOC_FL_KEEP_SIZE;

fn fallocate(
    file: &File,
    mode: libc::c_int,
    offset: libc::off_t,
    len: libc::off_t,
) -> io::Result<()> {
    // SAFETY: acts on a descriptor that the borrow keeps open.
    checked(unsafe { libc::fallocate(file.as_raw_fd(), mode, offset, len) }).map(drop)
}

/// Allocates `len` bytes, in smaller parts where signals come.
fn in_parts(
    len: u64,
    allocate: impl Fn(libc::off_t, libc::off_t) -> io::Result<()>,
) -> io::Result<()> {
    let too_big = |_| io::Error::from_raw_os_error(libc::EFBIG);
    libc::off_t::try_from(len).map_err(too_big)?;
    let (mut done, mut part) = (0, len);
    while done < len {
        let next = part.min(len - done);
        // Both are at most `len`.
        match allocate(done as libc::off_t, next as libc::off_t) {
            Ok(()) => done += next,
            // The kernel has given back what it had of this part: frequent signals would make it start over for ever.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                part = (part / 2).max(SMALLEST_PART);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Allocated faster than any signals come.
const SMALLEST_PART: u64 = 1 << 16;

/// Puts these bytes into a file in memory that reaches as far, whatever the limit on the size of files. `offset` is a multiple
/// of the size of pages.
pub fn fill(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    in_parts(bytes.len() as u64, |at, len| {
        fallocate(file, KEEP_SIZE, offset as libc::off_t + at, len)
    })?;
    let mut options = MmapOptions::new();
    let map = options.offset(offset).len(bytes.len()).map_raw(file)?;
    // SAFETY: so many bytes are mapped, and there is memory behind each.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), map.as_mut_ptr(), bytes.len()) };
    Ok(())
}

/// Gives back the memory behind these bytes of a file, which then are zeros. If the system refuses, it stays.
pub fn punch(file: &File, offset: u64, len: u64) {
    let mode = libc::FALLOC_FL_PUNCH_HOLE | KEEP_SIZE;
    let _ = fallocate(file, mode, offset as libc::off_t, len as libc::off_t);
}

/// Whether the file is nothing but memory.
pub fn is_in_memory(file: &File) -> bool {
    let mut found = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: acts on a descriptor that the borrow keeps open, and `found` is writable.
    if unsafe { libc::fstatfs(file.as_raw_fd(), found.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: the call that has succeeded filled it.
    let found = unsafe { found.assume_init() };
    // The types of the two differ between C libraries.
    [libc::TMPFS_MAGIC as u32, libc::HUGETLBFS_MAGIC as u32].contains(&(found.f_type as u32))
}

/// Whether the error says that there is no room, on the disk or in memory.
pub fn was_no_room(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOSPC | libc::ENOMEM | libc::EDQUOT | libc::EFBIG)
    )
}

/// Maps the first `len` bytes of `file`, shared with whoever else does.
pub fn map(file: &File, len: usize, write: bool) -> io::Result<MmapRaw> {
    let mut options = MmapOptions::new();
    options.len(len);
    if write {
        options.map_raw(file)
    } else {
        options.map_raw_read_only(file)
    }
}

/// Device and inode of the file that is mapped at `address`, if one is.
#[cfg(feature = "shared_memory")]
pub fn file_at(address: *const u8) -> io::Result<Option<(u64, u64)>> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    Ok(maps.lines().find_map(|line| {
        // `start-end flags offset major:minor inode path`, all but the inode in hexadecimal.
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let hex = |digits| u64::from_str_radix(digits, 16).ok();
        if !(hex(start)?..hex(end)?).contains(&(address.addr() as u64)) {
            return None;
        }
        let (major, minor) = fields.nth(2)?.split_once(':')?;
        let device = libc::makedev(hex(major)? as libc::c_uint, hex(minor)? as libc::c_uint);
        Some((device, fields.next()?.parse().ok()?))
    }))
}

/// Makes all pages present now instead of at their first use. Kernels before 5.14 cannot.
pub fn prefault(map: &MmapRaw, write: bool) -> io::Result<()> {
    let advice = if write {
        Advice::PopulateWrite
    } else {
        Advice::PopulateRead
    };
    match map.advise(advice) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
        done => done,
    }
}

/// Asks for huge pages, before any page is there. Whether they come is the system's business.
pub fn prefer_huge_pages(map: &MmapRaw) {
    let _ = map.advise(Advice::HugePage);
}
