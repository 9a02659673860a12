//! `Barrier` in a segment.

use std::{fmt, num::NonZeroUsize, time::Duration};

use multiproc_core::{self as core_, BarrierError, BarrierWaitResult, BreakCause};

use crate::{
    deadline,
    error::Error,
    mapped::{Mapped, shared_object, view},
    segment::{Access, Create, Open},
    sys::Linux,
};

type Inner = core_::Barrier<'static, Linux>;

/// What a party learns: that it was let through, or why not.
type Waited = Result<BarrierWaitResult, BarrierError>;

/// A place that nobody leaves before all have come: a fixed number of parties, which are threads of any processes, wait
/// until the last of them has arrived, again and again.
///
/// The barrier *breaks* when a process dies in which a party waits, when a party does not want to wait any longer,
/// and when somebody says [`abort`](Self::abort). All who wait are then told why, and so are all who come later, until
/// somebody calls [`reset`](Self::reset) or [`reset_if_broken`](Self::reset_if_broken). A death is noticed within a fifth
/// of a second while others wait, and for certain when it came more than a millisecond before the last party.
///
/// A party that waits does not know who has yet to come, and so not that one of them has died before it came: who cannot
/// rely on that waits with a timeout.
///
/// An arrival takes a lock for a few nanoseconds. Whoever waits sleeps, and looks up ten times a second whether the one
/// who arrived before him still lives. The last to come asks so about each process, which takes some 5 µs for
/// each, if the first came more than a millisecond before. All are released by one store and woken together.
///
/// ```
/// # multiproc::init();
/// use multiproc::{Array, Barrier, Process};
///
/// fn relay((barrier, numbers, i): (Barrier, Array<u64>, usize)) {
///     numbers.set(i, i as u64 + 1).unwrap();
///     barrier.wait().unwrap();
///     // Now all have written.
///     assert_eq!(numbers.to_vec().unwrap(), [1, 2]);
/// }
///
/// let barrier = Barrier::new(2)?;
/// let numbers = Array::zeroed(2)?;
/// let children = [0, 1].map(|i| Process::spawn(relay, (barrier.clone(), numbers.clone(), i)));
/// for child in children {
///     child?.join()?;
/// }
/// # Ok::<(), multiproc::Error>(())
/// ```
pub struct Barrier(Mapped<Inner>);

view!(Barrier);
shared_object!(Barrier);

impl Barrier {
    /// A barrier for so many parties, in an anonymous segment.
    ///
    /// # Errors
    ///
    /// [`Error::NoParties`] for none, otherwise [`Error`] when the segment cannot be made.
    pub fn new(parties: usize) -> Result<Barrier, Error> {
        Barrier::create(Create::anonymous(), parties)
    }

    /// A barrier for so many parties, where `create` says.
    ///
    /// A name goes with its maker, unless [`Create::persist`] says that it stays.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn create(create: impl Into<Create>, parties: usize) -> Result<Barrier, Error> {
        let parties = NonZeroUsize::new(parties).ok_or(Error::NoParties)?;
        let len = Inner::required_len(parties)?;
        Mapped::create(create.into(), len, |region, origin| {
            // SAFETY: a new segment, which nobody else sees yet.
            unsafe { core_::Barrier::place(region, Linux, origin, parties) }.map(drop)
        })
        .map(Barrier)
    }

    /// The barrier that somebody made there.
    ///
    /// # Errors
    ///
    /// [`Error`] when there is none.
    pub fn open(open: impl Into<Open>) -> Result<Barrier, Error> {
        Mapped::open(open.into(), Access::ReadWrite).map(Barrier)
    }

    /// Waits until all parties have come.
    ///
    /// # Errors
    ///
    /// [`BarrierError::Broken`] when the barrier is broken, or breaks meanwhile; [`BarrierError::WouldDeadlock`] in an
    /// action of this very barrier.
    pub fn wait(&self) -> Waited {
        self.0.view().wait()
    }

    /// As [`wait`](Self::wait); the last to come runs `action` before anybody is let through. If it panics, the barrier
    /// breaks.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_with(&self, action: impl FnOnce()) -> Waited {
        self.0.view().wait_with(action)
    }

    /// Goes through if all others are waiting; otherwise it does not come at all. It waits for none of them, and if a
    /// process is stopped in the middle of its arrival, for no longer than 10 ms.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait), and [`BarrierError::WouldBlock`].
    pub fn try_wait(&self) -> Waited {
        self.0.view().try_wait()
    }

    /// As [`wait`](Self::wait), but no longer than `timeout`. Then the barrier breaks for all others, too.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait), and [`BarrierError::TimedOut`].
    pub fn wait_timeout(&self, timeout: Duration) -> Waited {
        self.0.view().wait_until(deadline::after(timeout))
    }

    /// As [`wait_timeout`](Self::wait_timeout), with an action as in [`wait_with`](Self::wait_with).
    ///
    /// # Errors
    ///
    /// As [`wait_timeout`](Self::wait_timeout).
    pub fn wait_timeout_with(&self, timeout: Duration, action: impl FnOnce()) -> Waited {
        let until = deadline::after(timeout);
        self.0.view().wait_until_with(until, action)
    }

    /// Breaks the barrier for all who wait and all who come, until it is [`reset`](Self::reset). Does not wait.
    pub fn abort(&self) {
        self.0.view().abort();
    }

    /// Makes the barrier as new if it is broken; whether it was. Of several parties that were told that it is broken, one
    /// mends it by this, and none disturbs those who wait at it again.
    pub fn reset_if_broken(&self) -> bool {
        self.0.view().reset_if_broken()
    }

    /// Makes the barrier as new. Those who wait are told that it is [broken](BarrierError::Broken), by a
    /// [reset](BreakCause::Reset). Does not wait.
    pub fn reset(&self) {
        self.0.view().reset();
    }

    /// For how many parties it is.
    #[must_use]
    pub fn parties(&self) -> usize {
        self.0.view().parties()
    }

    /// How many parties wait at this moment.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.view().waiting()
    }

    /// Whether it is broken at this moment.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.0.view().is_broken()
    }

    /// Why it is broken at this moment, if it is.
    #[must_use]
    pub fn broken(&self) -> Option<BreakCause> {
        self.0.view().broken()
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier")
            .field("parties", &self.parties())
            .field("waiting", &self.waiting())
            .field("broken", &self.broken())
            .field("segment", self.segment())
            .finish()
    }
}
