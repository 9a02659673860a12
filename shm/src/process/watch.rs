//! A child that must not outlive its parent watches it.
//!
//! Not by PR_SET_PDEATHSIG: that fires when the *thread* ends that started the child.

use std::{
    io,
    os::fd::AsFd,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use multiproc_core::{Liveness, Owner};

use crate::sys::{self, pidfd, signal};

/// The identity of the process whose watcher waits and holds nothing; 0 for none. Not a flag, because a copy of this
/// process inherits the word but not the watcher; and no mere process id, because that is given out again.
static WATCHED: AtomicU64 = AtomicU64::new(0);

/// Room for the start of a thread of std, under an allocator that the program chose, and for a signal's frame.
const STACK: usize = 64 * 1024;

/// Kills this process as soon as `parent` has ended, also if it has already.
pub(crate) fn die_with(parent: Owner) -> io::Result<()> {
    let opened = pidfd::open(parent.pid());
    // The descriptor came first: if the parent lives now, then that is the parent's.
    if sys::liveness(parent) == Liveness::Dead {
        signal::kill_myself();
    }
    let parent = opened?;
    let me = sys::identity::try_me()?;
    // The signals of this process are for its own threads to handle.
    let _blocked = signal::Blocked::new();
    let starter = thread::current();
    thread::Builder::new()
        .name("multiproc-watch".to_owned())
        .stack_size(STACK)
        .spawn(move || {
            WATCHED.store(me.to_bits(), Ordering::Relaxed);
            starter.unpark();
            // An error here could only be that the descriptor was closed behind our back: then the parent cannot be
            // watched any more, and outliving it is what must not happen.
            let _ = pidfd::wait(parent.as_fd(), None);
            signal::kill_myself()
        })?;
    // Until it waits it may hold a lock of the allocator, and a task that forks would find it running.
    while watchers() == 0 {
        thread::park();
    }
    Ok(())
}

/// How many threads of this process are watchers that hold no lock.
pub(crate) fn watchers() -> usize {
    let watched = WATCHED.load(Ordering::Relaxed);
    usize::from(watched != 0 && watched == sys::identity::me().to_bits())
}
