//! The children of this process that nobody has joined, started by any method.
//!
//! A copy of this process inherits the list; what is in it is its parent's, and counts for nothing.

use std::{
    fmt, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use multiproc_core::Owner;

use super::{slate::Slot, usage::MemoryUse};
use crate::sys::{self, clock, pidfd, signal};

/// A child, for as long as somebody cares.
#[derive(Debug)]
pub(super) struct Entry {
    /// Who started it: a copy of that process has no say.
    pub(super) parent: Owner,
    pub(super) pid: u32,
    pub(super) name: String,
    pub(super) process: OwnedFd,
    /// Where it tells what came of it, if that is a slot, which is given back with this.
    pub(super) slot: Option<Slot>,
    /// Whether it goes on by itself: then it is reaped here.
    detached: AtomicBool,
}

impl Entry {
    /// Whether it has not ended. If it cannot be told, it is not claimed that it has.
    pub(super) fn is_active(&self) -> bool {
        !pidfd::wait(self.process.as_fd(), Some(Instant::now())).unwrap_or(false)
    }

    /// Sends it a signal, unless it has ended.
    pub(super) fn signal(&self, signal: i32) -> io::Result<()> {
        match pidfd::signal(self.process.as_fd(), signal) {
            Err(error) if pidfd::is_gone(&error) => Ok(()),
            result => result,
        }
    }

    /// How much memory it has, and the most it has had.
    pub(super) fn memory(&self) -> io::Result<MemoryUse> {
        self.while_alive(MemoryUse::of)
    }

    /// How long it has been on a processor.
    pub(super) fn cpu_time(&self) -> io::Result<Duration> {
        self.while_alive(clock::processor_time)
    }

    /// What is asked about it by its process id. That is nobody else's while it has not been joined, and not for long after;
    /// so it must live when the answer has come.
    fn while_alive<T>(&self, ask: impl FnOnce(u32) -> io::Result<T>) -> io::Result<T> {
        let answer = ask(self.pid);
        if self.is_active() {
            return answer;
        }
        let ended = format!("child '{}' (pid {}) has ended", self.name, self.pid);
        Err(io::Error::new(io::ErrorKind::NotFound, ended))
    }

    /// Lets it go on by itself.
    pub(super) fn detach(&self) {
        // Relaxed: whoever misses it sees it at the next look.
        self.detached.store(true, Ordering::Relaxed);
    }
}

/// The list of them. Whoever forks holds it meanwhile, so that no copy finds it locked.
pub(super) type Children = MutexGuard<'static, Vec<Arc<Entry>>>;

/// The list, locked.
pub(super) fn children() -> Children {
    static CHILDREN: Mutex<Vec<Arc<Entry>>> = Mutex::new(Vec::new());
    CHILDREN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Enters a child.
pub(super) fn enter(
    parent: Owner,
    pid: u32,
    name: String,
    process: OwnedFd,
    slot: Option<Slot>,
) -> Arc<Entry> {
    let entry = Arc::new(Entry {
        parent,
        pid,
        name,
        process,
        slot,
        detached: AtomicBool::new(false),
    });
    children().push(Arc::clone(&entry));
    entry
}

/// Strikes out a child that has been joined.
pub(super) fn leave(entry: &Arc<Entry>) {
    children().retain(|other| !Arc::ptr_eq(other, entry));
}

/// Takes the status of detached children that have ended, so that they do not pile up, and forgets those that are another
/// process's.
pub(super) fn reap_detached() {
    reap(&mut children());
}

fn reap(children: &mut Vec<Arc<Entry>>) {
    let me = sys::identity::me();
    children.retain(|child| {
        // If it cannot be told, it goes on: with the entry its slot would go to another child.
        let has_ended = || match pidfd::reap(child.process.as_fd(), Some(Instant::now())) {
            Ok(ending) => ending.is_some(),
            Err(error) => pidfd::is_gone(&error),
        };
        child.parent == me && (!child.detached.load(Ordering::Relaxed) || !has_ended())
    });
}

/// The children of this process that have not ended, in the order in which they were started; detached ones, too.
///
/// ```standalone_crate
/// use multiproc::{Process, active_children, pipe};
///
/// fn main() {
///     multiproc::init();
///     let (ours, theirs) = pipe::<(), ()>().unwrap();
///     let waits = |pipe: multiproc::Pipe<(), ()>| drop(pipe.recv());
///     let child = Process::builder().name("waiter").start(waits, theirs).unwrap();
///     assert_eq!(active_children()[0].name(), "waiter");
///     ours.send(()).unwrap();
///     child.join().unwrap();
///     assert!(active_children().is_empty());
/// }
/// ```
#[must_use]
pub fn active_children() -> Vec<ActiveChild> {
    let mut children = children();
    let me = sys::identity::me();
    let active = children
        .iter()
        .filter(|child| child.parent == me && child.is_active());
    let active = active.cloned().map(|entry| ActiveChild { entry }).collect();
    // Only now: a detached child that is not listed has ended, and is reaped.
    reap(&mut children);
    active
}

/// A child that had not ended when [`active_children`] gave it. As a descriptor ([`AsFd`]) it is readable once it has.
#[derive(Clone)]
pub struct ActiveChild {
    entry: Arc<Entry>,
}

impl ActiveChild {
    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.entry.pid
    }

    /// The name that it was given, or got by default.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.entry.name
    }

    /// Whether it has not ended yet.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.entry.is_active()
    }

    /// As [`Child::terminate`](crate::Child::terminate).
    ///
    /// # Errors
    ///
    /// When the child has changed its user, so that it may not be signalled.
    pub fn terminate(&self) -> io::Result<()> {
        self.entry.signal(signal::TERMINATE)
    }

    /// As [`Child::kill`](crate::Child::kill).
    ///
    /// # Errors
    ///
    /// When the child has changed its user, so that it may not be signalled.
    pub fn kill(&self) -> io::Result<()> {
        self.entry.signal(signal::KILL)
    }
}

/// Whether it is the same child, which may have ended.
impl PartialEq for ActiveChild {
    fn eq(&self, other: &ActiveChild) -> bool {
        Arc::ptr_eq(&self.entry, &other.entry)
    }
}

impl Eq for ActiveChild {}

impl AsFd for ActiveChild {
    /// The child's pidfd: readable once the child has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.entry.process.as_fd()
    }
}

impl fmt::Debug for ActiveChild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActiveChild")
            .field("name", &self.name())
            .field("pid", &self.pid())
            .finish()
    }
}
