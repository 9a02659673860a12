//! The children of this process that nobody has joined, started by any method.
//!
//! A copy of this process inherits the list; what is in it is its parent's, and counts for nothing.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use multiproc_core::Owner;

use crate::sys::{self, pidfd};

/// A child, for as long as somebody cares.
#[derive(Debug)]
pub(super) struct Entry {
    /// Who started it: a copy of that process has no say.
    pub(super) parent: Owner,
    pub(super) pid: u32,
    pub(super) name: String,
    pub(super) process: OwnedFd,
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
pub(super) fn enter(parent: Owner, pid: u32, name: String, process: OwnedFd) -> Arc<Entry> {
    let entry = Arc::new(Entry {
        parent,
        pid,
        name,
        process,
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
pub(super) fn reap_detached() -> Children {
    let me = sys::identity::me();
    let mut children = children();
    children.retain(|child| {
        let goes_on = || {
            matches!(
                pidfd::reap(child.process.as_fd(), Some(Instant::now())),
                Ok(None)
            )
        };
        child.parent == me && (!child.detached.load(Ordering::Relaxed) || goes_on())
    });
    children
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
    let children = reap_detached();
    let active = children.iter().filter(|child| child.is_active());
    active
        .map(|child| ActiveChild {
            pid: child.pid,
            name: child.name.clone(),
        })
        .collect()
}

/// A child that has not ended, as [`active_children`] gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveChild {
    pid: u32,
    name: String,
}

impl ActiveChild {
    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The name that it was given, or got by default.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}
