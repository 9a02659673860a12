//! A copy of the calling process that is a child of its parent: a sibling.
//!
//! No fork of libc makes one, so the system call is made past libc. What libc would put right in the copy is put right here:
//!
//! 1. The id of the thread, which libc keeps in memory, to send it signals and to know who holds its locks.
//! 2. The address that the kernel clears when the thread ends.
//! 3. The list of robust mutexes, which the kernel does not know of in a copy.
//!
//! Handlers of `pthread_atfork` do not run.

use std::{
    fs::File,
    io,
    os::fd::AsFd,
    ptr,
    sync::atomic::{AtomicU32, Ordering},
};

use libc::{c_int, c_long, c_void, pid_t};
use memmap2::MmapRaw;

use super::{checked, clone::Side, identity, memory};

/// A word shared with the parent, in which the kernel leaves the process id of a sibling before that runs: whatever becomes
/// of the process that asked for it, the parent knows its child.
#[derive(Debug)]
pub(crate) struct Notice(MmapRaw);

/// The kernel gives no less.
const PAGE: usize = 4096;

impl Notice {
    /// A new one, and the file by which another process opens it.
    pub(crate) fn new() -> io::Result<(File, Notice)> {
        let file = memory::anonymous()?;
        memory::reserve(&file, PAGE as u64)?;
        memory::seal_length(file.as_fd())?;
        let notice = Notice::open(&file)?;
        Ok((file, notice))
    }

    pub(crate) fn open(file: &File) -> io::Result<Notice> {
        if file.metadata()?.len() < PAGE as u64 || !memory::cannot_shrink(file.as_fd()) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        memory::map(file, PAGE, true).map(Notice)
    }

    fn word(&self) -> &AtomicU32 {
        // SAFETY: the page is mapped for as long as `self` lives, aligned, and never shorter (sealed).
        unsafe { AtomicU32::from_ptr(self.0.as_mut_ptr().cast()) }
    }

    /// Says that there is no sibling.
    pub(crate) fn clear(&self) {
        // Relaxed, here and below: a message between the processes comes before or after.
        self.word().store(0, Ordering::Relaxed);
    }

    /// The sibling that was made since.
    pub(crate) fn pid(&self) -> Option<u32> {
        Some(self.word().load(Ordering::Relaxed)).filter(|pid| *pid != 0)
    }
}

/// Where libc and the kernel keep what belongs to the one thread of this process.
#[derive(Debug)]
pub(crate) struct Thread {
    id: *mut pid_t,
    cleared: *mut c_int,
    robust: *mut c_void,
    robust_len: usize,
}

impl Thread {
    /// Finds it out, for the calling thread.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::Unsupported`] when the kernel does not tell (CONFIG_CHECKPOINT_RESTORE), or libc is an unknown one.
    pub(crate) fn find() -> io::Result<Thread> {
        let mut cleared = ptr::null_mut::<c_int>();
        // SAFETY: the kernel writes a pointer there.
        let told = unsafe { libc::prctl(libc::PR_GET_TID_ADDRESS, &raw mut cleared) };
        if told != 0 {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let id = candidate(cleared);
        // SAFETY: takes nothing, cannot fail.
        let expected = unsafe { libc::gettid() };
        // SAFETY: a word of libc's own, checked for null first.
        if id.is_null() || unsafe { id.read() } != expected {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let (mut robust, mut robust_len) = (ptr::null_mut(), 0usize);
        // SAFETY: the kernel writes a pointer and a length there.
        let told = unsafe {
            libc::syscall(
                libc::SYS_get_robust_list,
                0,
                &raw mut robust,
                &raw mut robust_len,
            )
        };
        checked(told)?;
        Ok(Thread {
            id,
            cleared,
            robust,
            robust_len,
        })
    }

    /// Copies the calling process. The copy is a child of its parent, which finds it in `notice`, be it that this process
    /// is killed right after.
    ///
    /// # Safety
    ///
    /// The calling thread is the one that [`find`](Thread::find) was called in, and there is no other.
    pub(crate) unsafe fn copy(&self, notice: &Notice) -> io::Result<Side> {
        // The page is there to be written to.
        notice.clear();
        let flags = libc::CLONE_PARENT
            | libc::CLONE_PARENT_SETTID
            | libc::CLONE_CHILD_SETTID
            | libc::SIGCHLD;
        // The order of the last two differs between architectures; the one that is not for the thread's id is not used.
        // SAFETY: without CLONE_VM the copy has a stack of its own at the same place. The kernel writes to the word of
        // `notice`, and to that of libc in the copy alone.
        let pid = unsafe {
            libc::syscall(
                libc::SYS_clone,
                c_long::from(flags),
                ptr::null_mut::<c_void>(),
                notice.word().as_ptr(),
                self.id,
                self.id,
            )
        };
        match checked(pid)? {
            0 => {
                self.put_right();
                Ok(Side::Child)
            }
            pid => Ok(Side::Parent(pid as u32)),
        }
    }

    /// In a copy: what the kernel has forgotten.
    fn put_right(&self) {
        // SAFETY: the address that libc had registered.
        unsafe { libc::syscall(libc::SYS_set_tid_address, self.cleared) };
        if !self.robust.is_null() {
            // SAFETY: likewise.
            unsafe { libc::syscall(libc::SYS_set_robust_list, self.robust, self.robust_len) };
        }
        identity::forget();
    }
}

/// Where the id of the thread should be. glibc has the kernel clear the id itself.
#[cfg(not(target_env = "musl"))]
fn candidate(cleared: *mut c_int) -> *mut pid_t {
    cleared
}

/// Where the id of the thread should be. musl has the kernel clear a lock, and keeps the id right before `errno`.
#[cfg(target_env = "musl")]
fn candidate(_cleared: *mut c_int) -> *mut pid_t {
    // SAFETY: takes nothing, cannot fail.
    let errno = unsafe { libc::__errno_location() };
    errno.wrapping_sub(1)
}
