//! Whether a queue has something, as a descriptor.
//!
//! The memory of a queue has nothing that the kernel could watch. So a thread of the process that asks for it waits as any
//! receiver does, without taking anything, and says so through an eventfd. Whoever sends knows nothing of that.

use std::{
    fmt, mem,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    error::Error,
    sys::{eventfd::EventFd, identity, signal},
};

/// How long a drop sleeps at most between two looks whether the thread has ended.
const LONGEST_NAP: Duration = Duration::from_millis(1);

/// What can be waited for without taking anything.
pub(crate) trait Source: Send + Sync + 'static {
    /// Waits until there is something to receive, or there never will be, or `stop` says so. `false` when that cannot be
    /// waited for: the memory is damaged, or the system cannot tell who this process is.
    fn wait_until_some(&self, stop: &dyn Fn() -> bool) -> bool;

    /// Whether there is something to receive, or there never will be.
    fn has_some(&self) -> bool;

    /// Makes all who wait look again.
    fn wake(&self);
}

/// A descriptor that is readable while a queue or channel has something to receive, or never will have again.
///
/// For [`wait`](crate::wait), `poll` and the event loops of async runtimes. Nobody else pays for it: a thread of this
/// process does the waiting, for as long as this exists. While it exists, [`Process::fork`](crate::Process::fork) is refused
/// in this process, since it has other threads. There is no such descriptor for sending: who waits for room blocks.
///
/// Whoever is told takes what is there, by `try_get` or `try_recv` until [`RecvError::Empty`](crate::RecvError::Empty), and
/// then calls [`rearm`](Self::rearm). Without that the descriptor stays readable, and a loop spins; one that is told of
/// edges alone (`EPOLLET`) is never told again.
///
/// ```
/// # multiproc::init();
/// use multiproc::{Queue, wait};
///
/// let queue = Queue::new(1024)?;
/// let ready = queue.readiness()?;
/// queue.put(7)?;
/// wait(&[&ready], None)?;
/// assert_eq!(queue.try_iter().collect::<Vec<i32>>(), [7]);
/// ready.rearm();
/// assert!(wait(&[&ready], Some(std::time::Duration::ZERO))?.is_empty());
/// # Ok::<(), multiproc::Error>(())
/// ```
/// With tokio it goes into an `AsyncFd`. A task awaits `readable`, takes until `Empty`, calls `clear_ready` on the guard that
/// it was given, then `rearm` on this, and awaits again: what comes in between makes the descriptor readable anew.
#[must_use = "dropping it ends the thread that watches"]
pub struct Readiness {
    shared: Arc<Shared>,
    /// `None` once it has been joined.
    watcher: Option<JoinHandle<()>>,
    /// The process that the thread is in: a fork child has this, but no thread.
    owner: multiproc_core::Owner,
}

struct Shared {
    source: Box<dyn Source>,
    event: EventFd,
    stop: AtomicBool,
    /// Whether the thread is to watch: not after it has said that there is something.
    armed: Mutex<bool>,
    rearmed: Condvar,
}

impl Readiness {
    pub(crate) fn of(source: impl Source) -> Result<Readiness, Error> {
        let failed = |source| Error::io("watch", "a queue", source);
        let shared = Arc::new(Shared {
            source: Box::new(source),
            event: EventFd::new().map_err(failed)?,
            stop: AtomicBool::new(false),
            armed: Mutex::new(true),
            rearmed: Condvar::new(),
        });
        let watcher = {
            let shared = Arc::clone(&shared);
            // The signals of this process are for its own threads to handle.
            let _blocked = signal::Blocked::new();
            thread::Builder::new()
                .name("multiproc-ready".to_owned())
                .spawn(move || shared.watch())
                .map_err(failed)?
        };
        Ok(Readiness {
            shared,
            watcher: Some(watcher),
            owner: identity::me(),
        })
    }

    /// Makes the descriptor readable no longer, until there is something again: also at once.
    pub fn rearm(&self) {
        if identity::me() != self.owner {
            // In a fork child nobody watches, and the descriptor is the parent's.
            return;
        }
        let mut armed = self.shared.lock();
        self.shared.event.clear();
        *armed = true;
        drop(armed);
        self.shared.rearmed.notify_all();
    }
}

impl Shared {
    fn watch(&self) {
        let stop = || self.stop.load(Ordering::Acquire);
        while !stop() {
            let waited = self.source.wait_until_some(&stop);
            let mut armed = self.lock();
            // Looked at again under the lock: what was taken before a rearm is not told of after it. Whoever looks where
            // nothing can be waited for is told why.
            if stop() || waited && !self.source.has_some() {
                continue;
            }
            *armed = false;
            self.event.set();
            let waits = |armed: &mut bool| !*armed && !stop();
            drop(
                self.rearmed
                    .wait_while(armed, waits)
                    .unwrap_or_else(PoisonError::into_inner),
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for Readiness {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.event.as_fd()
    }
}

impl AsRawFd for Readiness {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl Drop for Readiness {
    fn drop(&mut self) {
        let Some(watcher) = self.watcher.take() else {
            return;
        };
        if identity::me() != self.owner {
            // A fork child has no such thread: nothing is to be done with its handle, and what it held may be held for ever.
            mem::forget(watcher);
            return;
        }
        {
            let _armed = self.shared.lock();
            self.shared.stop.store(true, Ordering::Release);
        }
        self.shared.rearmed.notify_all();
        let mut nap = Duration::from_micros(50);
        while !watcher.is_finished() {
            // Again and again: the thread may have been about to fall asleep.
            self.shared.source.wake();
            thread::sleep(nap);
            nap = (nap * 2).min(LONGEST_NAP);
        }
        let _ = watcher.join();
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness")
            .field("descriptor", &self.as_fd())
            .finish_non_exhaustive()
    }
}
