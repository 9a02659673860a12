//! Who this process is.
//!
//! Asked at every lock, so the answer is cached, in a page that the kernel wipes in every child: a child is somebody
//! else, however it was made. Invariants:
//!
//! 1. `CACHE` points to a word that stays mapped for the life of the image, and is never null.
//! 2. That word is 0 or the identity of the process that reads it.

use std::{
    fs, io,
    num::NonZeroU32,
    os::unix::fs::MetadataExt,
    process,
    ptr::{self, NonNull},
    sync::atomic::{AtomicPtr, AtomicU64, Ordering},
};

use multiproc_core::Owner;

use super::stat;

/// The word before there is a page. It stays 0.
static NOBODY: AtomicU64 = AtomicU64::new(0);
static CACHE: AtomicPtr<AtomicU64> = AtomicPtr::new((&raw const NOBODY).cast_mut());

/// The namespaces that were found first in this image, in one word; 0 while none were.
static NAMESPACES: AtomicU64 = AtomicU64::new(0);

/// The calling process, or [`Owner::NONE`] when `/proc` cannot tell or tells about another namespace than at first.
#[inline]
pub fn me() -> Owner {
    let me = Owner::from_bits(cached());
    if me.is_none() { find_out() } else { me }
}

/// Whether the cache says that the calling process is `owner`. `false` says nothing.
#[inline]
pub fn is_surely_me(owner: Owner) -> bool {
    cached() == owner.to_bits()
}

/// The word of the cache: the calling process, or 0.
#[inline]
fn cached() -> u64 {
    // Acquire: pairs with the Release in `cache`: the page is mapped before it is known.
    let cache = CACHE.load(Ordering::Acquire);
    // SAFETY: invariant 1.
    let word = unsafe { &*cache };
    // Relaxed: the word is all there is.
    word.load(Ordering::Relaxed)
}

/// The calling process, or why that cannot be told: [`io::ErrorKind::InvalidData`] when `/proc` tells about another
/// namespace, or what reading it gave.
pub fn try_me() -> io::Result<Owner> {
    let me = me();
    if me.is_none() { ask_proc() } else { Ok(me) }
}

/// Whether `/proc` still tells of this process what it told at first, births counted from the same moment: only then
/// is what it tells of others to be compared with their identities.
#[cold]
pub fn is_still_told() -> bool {
    let me = me();
    !me.is_none() && ask_proc().is_ok_and(|found| found == me)
}

#[cold]
fn find_out() -> Owner {
    let Ok(me) = ask_proc() else {
        return Owner::NONE;
    };
    if let Some(word) = cache() {
        word.store(me.to_bits(), Ordering::Relaxed);
    }
    me
}

fn ask_proc() -> io::Result<Owner> {
    let foreign = || io::Error::new(io::ErrorKind::InvalidData, "it is that of other namespaces");
    let pid = NonZeroU32::new(process::id()).ok_or_else(foreign)?;
    if fs::read_link("/proc/self")?.to_str() != Some(pid.to_string().as_str()) {
        return Err(foreign());
    }
    // A child may have been made in other namespaces, where pids and births mean something else.
    let found = Namespaces::now()?.to_word();
    // Relaxed: the word is all there is.
    if let Err(first) = NAMESPACES.compare_exchange(0, found, Ordering::Relaxed, Ordering::Relaxed)
        && first != found
    {
        return Err(foreign());
    }
    Owner::new(pid, stat::read(pid.get())?.birth).ok_or_else(foreign)
}

/// The namespaces that give an [`Owner`] its meaning, by inode number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Namespaces {
    /// That of process ids.
    pub pid: u32,
    /// That of times since boot; 0 where the kernel has none.
    pub time: u32,
}

impl Namespaces {
    /// Those of the calling process.
    pub fn now() -> io::Result<Namespaces> {
        // The thread's own: the leading thread, which `/proc/self` shows, may have ended and be in none.
        let inode = |path| fs::metadata(path).map(|found| found.ino() as u32);
        Ok(Namespaces {
            pid: inode("/proc/thread-self/ns/pid")?,
            time: match inode("/proc/thread-self/ns/time") {
                Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
                found => found?,
            },
        })
    }

    /// Those in which [`me`] means something, if it has been found out.
    pub fn known() -> Option<Namespaces> {
        if me().is_none() {
            return None;
        }
        let word = NAMESPACES.load(Ordering::Relaxed);
        Some(Namespaces {
            pid: (word >> 32) as u32,
            time: word as u32,
        })
    }

    fn to_word(self) -> u64 {
        u64::from(self.pid) << 32 | u64::from(self.time)
    }
}

/// The word that children find wiped, made on first use; `None` if there can be none, and then nothing is cached.
fn cache() -> Option<&'static AtomicU64> {
    if let Some(word) = made_cache() {
        return Some(word);
    }
    let page = map_page()?;
    // Before anybody can write to the page, or a child in between would inherit what it says.
    if !wipe_on_fork(page) && !forget_on_fork() {
        unmap_page(page);
        return None;
    }
    let nobody = (&raw const NOBODY).cast_mut();
    // Release: pairs with the Acquire loads of `CACHE`. Relaxed: whoever lost loads it again.
    let made = CACHE.compare_exchange(nobody, page.as_ptr(), Ordering::Release, Ordering::Relaxed);
    if made.is_err() {
        unmap_page(page);
    }
    made_cache()
}

fn made_cache() -> Option<&'static AtomicU64> {
    // Acquire: pairs with the Release in `cache`.
    let cache = CACHE.load(Ordering::Acquire);
    if cache.cast_const() == &raw const NOBODY {
        return None;
    }
    // SAFETY: invariant 1.
    Some(unsafe { &*cache })
}

/// Enough for a word; the kernel rounds up to its pages.
const PAGE: usize = 4096;

fn map_page() -> Option<NonNull<AtomicU64>> {
    // SAFETY: a new mapping, at a place that the kernel chooses, touches nothing that exists.
    let page = unsafe {
        libc::mmap(
            ptr::null_mut(),
            PAGE,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if page == libc::MAP_FAILED {
        return None;
    }
    NonNull::new(page.cast())
}

fn unmap_page(page: NonNull<AtomicU64>) {
    // SAFETY: only called with what `map_page` made and before anybody else has seen it.
    unsafe { libc::munmap(page.as_ptr().cast(), PAGE) };
}

fn wipe_on_fork(page: NonNull<AtomicU64>) -> bool {
    // SAFETY: the page is a private anonymous mapping of this module's own.
    unsafe { libc::madvise(page.as_ptr().cast(), PAGE, libc::MADV_WIPEONFORK) == 0 }
}

/// For kernels that do not wipe: older than 4.14, or imitations.
fn forget_on_fork() -> bool {
    extern "C" fn in_child() {
        forget();
    }
    // SAFETY: `forget` does nothing that a child of many threads may not do: two atomic accesses.
    unsafe { libc::pthread_atfork(None, None, Some(in_child)) == 0 }
}

/// In a child that was made past libc: it is somebody else. To forget is not wrong in any process.
pub(crate) fn forget() {
    if let Some(word) = made_cache() {
        word.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_in_a_process_is_the_same_owner() {
        let mine = me();
        assert_eq!(mine.pid(), process::id());
        assert_eq!(std::thread::spawn(me).join().unwrap(), mine);
        assert_eq!(
            mine.birth(),
            stat::read(process::id()).unwrap().birth,
            "the birth is that of the process, not of a thread"
        );
    }
}
