//! Files: opening, naming and locking them, and what they are.

use std::{
    ffi::CString,
    fs::{File, OpenOptions},
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
        unix::{
            ffi::OsStrExt,
            fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt},
        },
    },
    path::{Path, PathBuf},
};

use super::checked;

/// Where named segments lie.
pub const NAMED: &str = "/dev/shm";

/// The errors of file systems that know no nameless files.
const NO_TMPFILE: [i32; 2] = [libc::EOPNOTSUPP, libc::EISDIR];

/// Opens what is called `path`, never through a symbolic link and without waiting for the other end of a pipe.
pub fn open(path: &Path, write: bool) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(write)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
}

/// The same file through another description: for a lock of its own, and perhaps with less access.
pub fn reopen(fd: BorrowedFd<'_>, write: bool) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(write)
        .open(magic_link(fd))
}

fn magic_link(fd: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// The name by which the file was opened, as far as the kernel knows.
pub fn path_of(fd: BorrowedFd<'_>) -> io::Result<PathBuf> {
    std::fs::read_link(magic_link(fd))
}

/// A new file without a name in `directory`; `None` where the file system has no such thing.
pub fn nameless(directory: &Path, mode: u32) -> io::Result<Option<File>> {
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_TMPFILE)
        .open(directory);
    match opened {
        Ok(file) => {
            set_mode(&file, mode)?;
            Ok(Some(file))
        }
        Err(error)
            if error
                .raw_os_error()
                .is_some_and(|code| NO_TMPFILE.contains(&code)) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// A new file called `path`, which must not exist.
pub fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    set_mode(&file, mode)?;
    Ok(file)
}

/// Sets the mode whatever the umask is.
pub fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    file.set_permissions(PermissionsExt::from_mode(mode))
}

/// Gives the open file the name `path`, which nobody else may have.
pub fn link(file: &File, path: &Path) -> io::Result<()> {
    let from = CString::new(magic_link(file.as_fd()).into_os_string().as_bytes())?;
    let to = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: both are strings that end in NUL.
    let result = unsafe {
        libc::linkat(
            libc::AT_FDCWD,
            from.as_ptr(),
            libc::AT_FDCWD,
            to.as_ptr(),
            libc::AT_SYMLINK_FOLLOW,
        )
    };
    checked(result).map(drop)
}

/// What a file is, as far as segments ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Which file it is: device and inode.
    pub id: (u64, u64),
    /// Who owns it.
    pub uid: u32,
    /// Its permissions.
    pub mode: u32,
    /// What it is, if it is no regular file.
    pub irregular: Option<&'static str>,
    /// Its length in bytes.
    pub len: u64,
    /// The room that it takes up in bytes: less than its length if it has holes.
    pub room: u64,
}

impl Facts {
    /// About an open file.
    pub fn of(file: &File) -> io::Result<Facts> {
        file.metadata().map(|found| Facts::from(&found))
    }

    /// About what is called `path`, a symbolic link itself included.
    pub fn at(path: &Path) -> io::Result<Facts> {
        std::fs::symlink_metadata(path).map(|found| Facts::from(&found))
    }
}

impl From<&std::fs::Metadata> for Facts {
    fn from(found: &std::fs::Metadata) -> Facts {
        let kind = found.file_type();
        let irregular = match () {
            () if kind.is_file() => None,
            () if kind.is_symlink() => Some("a symbolic link"),
            () if kind.is_dir() => Some("a directory"),
            () if kind.is_fifo() => Some("a named pipe"),
            () if kind.is_socket() => Some("a socket"),
            () => Some("a device"),
        };
        Facts {
            id: (found.dev(), found.ino()),
            uid: found.uid(),
            mode: found.mode() & 0o7777,
            irregular,
            len: found.len(),
            room: found.blocks().saturating_mul(512),
        }
    }
}

/// The user that this process acts for.
pub fn user() -> u32 {
    // SAFETY: has no preconditions and cannot fail.
    unsafe { libc::geteuid() }
}

/// Makes the descriptor `number` one of the open file `with`, closed on exec.
///
/// # Safety
///
/// Whoever owns the descriptor can do with any open file of that kind.
pub unsafe fn replace(number: RawFd, with: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: acts on descriptors; that the owner does not mind was promised by the caller.
    checked(unsafe { libc::dup3(with.as_raw_fd(), number, libc::O_CLOEXEC) }).map(drop)
}

/// Whether an open file can be read, and whether it can be written.
pub fn access(fd: BorrowedFd<'_>) -> io::Result<(bool, bool)> {
    // SAFETY: asks about a descriptor that the borrow keeps open.
    let flags = checked(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) })?;
    if flags & libc::O_PATH != 0 {
        return Ok((false, false));
    }
    Ok(match flags & libc::O_ACCMODE {
        libc::O_RDWR => (true, true),
        libc::O_RDONLY => (true, false),
        _ => (false, true),
    })
}

/// Tries to lock a file that is open for writing, for whoever takes its name away, without waiting; says whether it
/// did. The lock has nothing to do with that of [`try_flock`] and goes with the open file description as well.
pub fn try_lock_name(file: &File) -> io::Result<bool> {
    let whole = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    // SAFETY: acts on a descriptor that the borrow keeps open, and `whole` is readable.
    locked(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const whole) })
}

/// Locks one byte of a file, shared, for as long as the open file description lives: wherever descriptors of it are, in a
/// message on its way too.
pub fn lock_byte(file: &File, at: i64) -> io::Result<()> {
    let byte = one_byte(at, libc::F_RDLCK);
    // SAFETY: acts on a descriptor that the borrow keeps open, and `byte` is readable.
    checked(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const byte) }).map(drop)
}

/// Whether another open file description has that byte locked.
pub fn is_byte_locked(fd: BorrowedFd<'_>, at: i64) -> io::Result<bool> {
    let mut byte = one_byte(at, libc::F_WRLCK);
    // SAFETY: acts on a descriptor that the borrow keeps open, and `byte` is writable.
    checked(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_GETLK, &raw mut byte) })?;
    Ok(byte.l_type != libc::F_UNLCK as libc::c_short)
}

fn one_byte(at: i64, kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: at,
        l_len: 1,
        l_pid: 0,
    }
}

/// Tries to lock the open file description, without waiting; says whether it did.
///
/// A lock is never given up but by closing the last descriptor of the description, and never changed into the other
/// kind: both would lose locks that others rely on.
pub fn try_flock(file: &File, exclusive: bool) -> io::Result<bool> {
    let kind = if exclusive {
        libc::LOCK_EX
    } else {
        libc::LOCK_SH
    };
    // SAFETY: acts on a descriptor that the borrow keeps open.
    locked(unsafe { libc::flock(file.as_raw_fd(), kind | libc::LOCK_NB) })
}

/// Whether a call that does not wait for a lock got it.
fn locked(result: libc::c_int) -> io::Result<bool> {
    match checked(result) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}
