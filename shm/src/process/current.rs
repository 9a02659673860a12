//! What a process knows of itself and of its parent, having been started as a child.

use std::{
    fmt, io,
    os::fd::{AsFd, OwnedFd},
    process, ptr,
    sync::atomic::{AtomicPtr, Ordering},
    time::{Duration, Instant},
};

use multiproc_core::{Liveness, Owner};

use super::{builder::StartMethod, usage::MemoryUse};
use crate::{
    deadline,
    sys::{self, clock, pidfd},
};

/// What a child is told of how it was started.
#[derive(Debug)]
pub(crate) struct Info {
    /// The child: a copy of it that this library did not make is no child of anybody known. Not its identity, which takes
    /// long to find out and would be for nothing in most children.
    pub(crate) pid: u32,
    pub(crate) name: &'static str,
    pub(crate) method: StartMethod,
    pub(crate) daemon: bool,
    pub(crate) parent: Owner,
    pub(crate) parent_name: &'static str,
}

/// That of this process, once it is known to be a child. It lives for ever: a process is told once, when it begins.
static INFO: AtomicPtr<Info> = AtomicPtr::new(ptr::null_mut());

#[inline]
pub(super) fn set_info(info: &'static Info) {
    // Release: whoever finds the pointer finds what it points to.
    INFO.store(ptr::from_ref(info).cast_mut(), Ordering::Release);
}

fn info() -> Option<&'static Info> {
    // Acquire: pairs with the Release in `set_info`.
    let info = INFO.load(Ordering::Acquire);
    // SAFETY: null, or what is never freed nor changed.
    let info = unsafe { info.as_ref() }?;
    (info.pid == process::id()).then_some(info)
}

/// The name of the calling process.
pub(crate) fn name() -> &'static str {
    info().map_or("main", |info| info.name)
}

/// The calling process, as the one that started it called it.
///
/// ```standalone_crate
/// use multiproc::{Process, StartMethod};
///
/// fn introduce(_: ()) -> String {
///     let me = multiproc::current();
///     format!("{} by {}", me.name(), me.start_method().unwrap())
/// }
///
/// fn main() {
///     multiproc::init();
///     assert_eq!(multiproc::current().name(), "main");
///     let child = Process::builder().name("worker").start(introduce, ()).unwrap();
///     assert_eq!(child.join().unwrap(), "worker by spawn");
/// }
/// ```
#[must_use]
pub fn current() -> CurrentProcess {
    let info = info();
    CurrentProcess {
        pid: process::id(),
        name: info.map_or("main", |info| info.name),
        method: info.map(|info| info.method),
        daemon: info.is_some_and(|info| info.daemon),
    }
}

/// What [`current`] tells of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurrentProcess {
    pid: u32,
    name: &'static str,
    method: Option<StartMethod>,
    daemon: bool,
}

impl CurrentProcess {
    /// What its parent called it; `main` in a process that this library did not start.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// How it came to be; `None` in a process that this library did not start.
    #[must_use]
    pub fn start_method(&self) -> Option<StartMethod> {
        self.method
    }

    /// Whether it dies with its parent: see [`ProcessBuilder::daemon`](crate::ProcessBuilder::daemon).
    #[must_use]
    pub fn is_daemon(&self) -> bool {
        self.daemon
    }

    /// How much memory it has now, and the most it has had.
    ///
    /// # Errors
    ///
    /// When `/proc` cannot be read.
    pub fn memory(&self) -> io::Result<MemoryUse> {
        MemoryUse::of(self.pid)
    }

    /// How long all its threads together have been on a processor, in its own code and in the system's.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn cpu_time(&self) -> io::Result<Duration> {
        clock::processor_time(self.pid)
    }
}

/// The process that started the calling one; `None` in a process that this library did not start.
///
/// ```standalone_crate
/// use multiproc::Process;
///
/// fn parents_pid(_: ()) -> u32 {
///     let parent = multiproc::parent().unwrap();
///     assert!(parent.is_alive());
///     parent.pid()
/// }
///
/// fn main() {
///     multiproc::init();
///     assert!(multiproc::parent().is_none());
///     let child = Process::spawn(parents_pid, ()).unwrap();
///     assert_eq!(child.join().unwrap(), std::process::id());
/// }
/// ```
#[must_use]
pub fn parent() -> Option<ParentProcess> {
    info().map(|info| ParentProcess {
        owner: info.parent,
        name: info.parent_name,
    })
}

/// The process that started the calling one, as [`parent`] gives it. It may have ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ParentProcess {
    owner: Owner,
    name: &'static str,
}

impl ParentProcess {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.owner.pid()
    }

    /// What it was called, as [`CurrentProcess::name`].
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it has not ended: `false` only on proof.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        sys::liveness(self.owner) != Liveness::Dead
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    ///
    /// When the system refuses a descriptor of it.
    pub fn wait(&self) -> io::Result<()> {
        self.wait_until(None).map(drop)
    }

    /// Waits until it has ended, for at most `timeout`. Tells whether it has.
    ///
    /// # Errors
    ///
    /// As [`wait`](ParentProcess::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> io::Result<bool> {
        self.wait_until(deadline::moment(timeout))
    }

    fn wait_until(&self, until: Option<Instant>) -> io::Result<bool> {
        match self.descriptor()? {
            Some(process) => pidfd::wait(process.as_fd(), until),
            None => Ok(true),
        }
    }

    /// A descriptor that is readable once it has ended, for use with [`wait`](crate::wait()), `poll` and their kin; `None`
    /// when it has ended already.
    ///
    /// # Errors
    ///
    /// When the system refuses it: this process may open no more.
    pub fn descriptor(&self) -> io::Result<Option<OwnedFd>> {
        let opened = pidfd::open(self.pid());
        // The descriptor came first: if the parent lives now, then that is the parent's.
        if !self.is_alive() {
            return Ok(None);
        }
        opened.map(Some)
    }
}

impl fmt::Debug for ParentProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParentProcess")
            .field("name", &self.name)
            .field("pid", &self.pid())
            .finish()
    }
}
