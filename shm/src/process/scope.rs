//! Children that have all ended when a block of code has.

use std::{
    cell::RefCell,
    fmt, io,
    marker::PhantomData,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    builder::{OnDrop, ProcessBuilder},
    child::Child,
    error::{JoinError, StartError},
    registry::Entry,
    usage::MemoryUse,
};
use crate::sys::{self, poll, signal};

/// Runs `body`, which starts children, and waits until all of them have ended.
///
/// Those that the body did not join are joined when it returns; what they return is dropped. If one of them fails, or the
/// body does, or panics, then those that still run are killed, and waited for.
///
/// ```standalone_crate
/// use multiproc::{Counter, scope};
///
/// fn add((counter, n): (Counter, u64)) -> u64 {
///     counter.add(n)
/// }
///
/// fn main() -> Result<(), multiproc::Error> {
///     multiproc::init();
///     let counter = Counter::new(0)?;
///     scope(|s| {
///         for n in 1..=4 {
///             s.spawn(add, (counter.clone(), n))?;
///         }
///         Ok::<(), multiproc::Error>(())
///     })?;
///     assert_eq!(counter.get(), 10);
///     Ok(())
/// }
/// ```
///
/// # Errors
///
/// The body's own, or that of the first to fail of the children that it did not join.
pub fn scope<T, E>(body: impl FnOnce(&Scope) -> Result<T, E>) -> Result<T, E>
where
    E: From<JoinError>,
{
    // Whatever leaves this function early, a panic of the body too, drops the scope.
    let scope = Scope {
        parts: RefCell::default(),
    };
    let value = body(&scope)?;
    scope.join_all()?;
    Ok(value)
}

/// Where the children of a [`scope`](scope()) are started.
pub struct Scope {
    parts: RefCell<Vec<Part>>,
}

/// A child, whatever it returns.
#[derive(Clone)]
struct Part {
    entry: Arc<Entry>,
    child: Rc<dyn Join>,
}

trait Join {
    /// Joins the child, if nobody has.
    fn join(&self) -> Result<(), JoinError>;
    /// Drops the child, if nobody has joined it: it is killed.
    fn abandon(&self);
}

impl<R: DeserializeOwned> Join for RefCell<Option<Child<R>>> {
    fn join(&self) -> Result<(), JoinError> {
        match self.take() {
            Some(child) => child.join().map(drop),
            None => Ok(()),
        }
    }

    fn abandon(&self) {
        drop(self.take());
    }
}

impl Scope {
    /// As [`Process::spawn`](crate::Process::spawn).
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    pub fn spawn<A, R>(
        &self,
        task: fn(A) -> R,
        arguments: A,
    ) -> Result<ScopedChild<'_, R>, StartError>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned + 'static,
    {
        self.start(&ProcessBuilder::default(), task, arguments)
    }

    /// As [`ProcessBuilder::start`]; what the builder says of drops is not asked.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    pub fn start<A, R>(
        &self,
        builder: &ProcessBuilder,
        task: fn(A) -> R,
        arguments: A,
    ) -> Result<ScopedChild<'_, R>, StartError>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned + 'static,
    {
        let child = builder
            .clone()
            .on_drop(OnDrop::Kill)
            .start(task, arguments)?;
        let entry = child.entry();
        let child = Rc::new(RefCell::new(Some(child)));
        self.parts.borrow_mut().push(Part {
            entry: entry.clone(),
            child: child.clone(),
        });
        Ok(ScopedChild {
            entry,
            child,
            scope: PhantomData,
        })
    }

    /// Joins those that are left, each when it ends, up to the first that fails.
    fn join_all(&self) -> Result<(), JoinError> {
        loop {
            let parts = self.parts.borrow().clone();
            if parts.is_empty() {
                return Ok(());
            }
            let ends: Vec<_> = parts
                .iter()
                .map(|part| part.entry.process.as_fd())
                .collect();
            // If the system refuses to tell which is first, they are waited for one after the other.
            let ready = poll::any(&ends, None).ok();
            for (at, part) in parts.iter().enumerate() {
                let ended = |states: &Vec<poll::State>| states[at] != poll::State::NotReady;
                if ready.as_ref().is_none_or(ended) {
                    let mut left = self.parts.borrow_mut();
                    left.retain(|other| !Arc::ptr_eq(&other.entry, &part.entry));
                    drop(left);
                    part.child.join()?;
                }
            }
        }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        let parts = self.parts.take();
        let me = sys::identity::me();
        // All at once, and then each is waited for; by a copy of the process whose children they are, none.
        for part in parts.iter().filter(|part| part.entry.parent == me) {
            let _ = part.entry.signal(signal::KILL);
        }
        parts.iter().for_each(|part| part.child.abandon());
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("children", &self.parts.borrow().len())
            .finish()
    }
}

/// A child that is joined at the end of its [`scope`](scope()), unless it is joined before.
pub struct ScopedChild<'scope, R> {
    entry: Arc<Entry>,
    child: Rc<RefCell<Option<Child<R>>>>,
    scope: PhantomData<&'scope Scope>,
}

impl<R: DeserializeOwned> ScopedChild<'_, R> {
    /// Waits until the child has ended and gives what its task returned.
    ///
    /// # Errors
    ///
    /// See [`JoinError`].
    pub fn join(self) -> Result<R, JoinError> {
        match self.child.take() {
            Some(child) => child.join(),
            None => Err(self.joined()),
        }
    }

    /// Waits for at most `timeout`; `None` when the child has not ended by then.
    ///
    /// # Errors
    ///
    /// As [`Child::join_timeout`].
    pub fn join_timeout(&mut self, timeout: Duration) -> Result<Option<R>, JoinError> {
        let mut left = self.child.borrow_mut();
        let Some(child) = &mut *left else {
            return Err(self.joined());
        };
        let outcome = child.join_timeout(timeout);
        // What has been handed out, a failure too, is no more the scope's to hand out.
        left.take_if(|child| child.is_joined());
        outcome
    }

    /// What the task returned, or `None` when the child has not ended yet.
    ///
    /// # Errors
    ///
    /// As [`Child::join_timeout`].
    pub fn try_join(&mut self) -> Result<Option<R>, JoinError> {
        self.join_timeout(Duration::ZERO)
    }
}

impl<R> ScopedChild<'_, R> {
    fn joined(&self) -> JoinError {
        JoinError::AlreadyJoined {
            name: self.entry.name.clone(),
            pid: self.entry.pid,
        }
    }

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

    /// As [`Child::terminate`].
    ///
    /// # Errors
    ///
    /// When the child has changed its user, so that it may not be signalled.
    pub fn terminate(&self) -> io::Result<()> {
        self.entry.signal(signal::TERMINATE)
    }

    /// As [`Child::kill`].
    ///
    /// # Errors
    ///
    /// When the child has changed its user, so that it may not be signalled.
    pub fn kill(&self) -> io::Result<()> {
        self.entry.signal(signal::KILL)
    }

    /// As [`Child::memory`].
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] when the child has ended; when `/proc` cannot be read.
    pub fn memory(&self) -> io::Result<MemoryUse> {
        self.entry.memory()
    }

    /// As [`Child::cpu_time`].
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] when the child has ended; when the system refuses.
    pub fn cpu_time(&self) -> io::Result<Duration> {
        self.entry.cpu_time()
    }
}

impl<R> AsRawFd for ScopedChild<'_, R> {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl<R> AsFd for ScopedChild<'_, R> {
    /// The child's pidfd: readable once the child has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.entry.process.as_fd()
    }
}

impl<R> fmt::Debug for ScopedChild<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedChild")
            .field("name", &self.name())
            .field("pid", &self.pid())
            .finish_non_exhaustive()
    }
}
