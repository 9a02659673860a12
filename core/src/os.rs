//! The one seam: what the algorithms ask of whoever embeds them.

use crate::{atomic::AtomicU64, owner::Owner};

/// What is known about the process behind an [`Owner`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It is proved that the process has ended. Only this answer lets anybody take over what it held.
    Dead,
    /// The process exists.
    Alive,
    /// Nothing could be learnt. Treated as alive.
    Unknown,
}

/// How a [wait](Os::wait) ended. The caller looks at the word again in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Woken, interrupted, or the word had changed before the wait began.
    Woken,
    /// The given moment passed.
    TimedOut,
}

/// What the algorithms ask of the system below them.
///
/// `multiproc` implements it for Linux; whoever embeds this crate elsewhere implements it anew. Implementations are
/// small `Copy` values, usually of no size, because every view carries one.
///
/// # Safety
///
/// The exclusivity of every guard rests on these answers:
///
/// * [`me`](Os::me) gives every thread of a process the same value, and two processes that exist, or ever existed,
///   on this memory never the same one, except [`Owner::NONE`] for "cannot tell". Once it has told who the process is, it
///   does not cease to.
/// * [`thread`](Os::thread) gives every thread of a process, also one that begins after another has ended, a number of its
///   own.
/// * [`liveness`](Os::liveness) answers [`Liveness::Dead`] only for processes of which no thread will ever run again, and
///   everything that they stored is then visible to the caller.
pub unsafe trait Os: Copy {
    /// The identity of the calling process, or [`Owner::NONE`] when it cannot be told.
    fn me(&self) -> Owner;

    /// A quick look whether [`me`](Os::me) is `owner`. `true` is certain; after `false` the caller asks `me`.
    #[inline]
    fn is_surely_me(&self, owner: Owner) -> bool {
        self.me() == owner
    }

    /// Whether [`me`](Os::me) is `owner`, which is not so in a fork child of the owner.
    #[inline]
    fn is_me(&self, owner: Owner) -> bool {
        self.is_surely_me(owner) || is_me_after_all(self, owner)
    }

    /// A number, not 0, that no other thread of this program image ever has. By it a thread knows what it holds: to
    /// lock it again, or not to wait for itself.
    fn thread(&self) -> u64;

    /// Whether the process behind `owner` still lives.
    fn liveness(&self, owner: Owner) -> Liveness;

    /// Nanoseconds on a clock that nobody can set and that all processes share.
    fn now(&self) -> u64;

    /// Sleeps while the low half of `word` equals that of `expected`, until woken or until `until` on the clock of
    /// [`now`](Os::now). May return early for no reason. The address of the whole word is what sleepers and wakers
    /// have in common.
    fn wait(&self, word: &AtomicU64, expected: u64, until: u64) -> Wait;

    /// Wakes up to `count` of those who [wait](Os::wait) on `word`; returns how many it has woken, or more when it
    /// cannot tell. Fewer than `count` says that nobody is asleep there any more.
    fn wake(&self, word: &AtomicU64, count: u32) -> u32;

    /// Whether it is worth a moment's spinning before a sleep: another processor may be about to do what is waited for.
    fn runs_beside_others(&self) -> bool {
        true
    }

    /// Whether the calling thread is unwinding from a panic. A guard dropped by an unwinding thread that was made
    /// before the panic began poisons, or publishes nothing. `false` is right where a panic ends the process.
    fn panicking(&self) -> bool;

    /// The calling thread has made a guard. Counted so that a process can refuse to fork while it holds one.
    #[inline(always)]
    fn guard_made(&self) {}

    /// The calling thread has dropped a guard that this process had made; not told of those that a fork child inherited.
    #[inline(always)]
    fn guard_dropped(&self) {}

    /// A point between two stores to shared memory, at which kill tests end the process. Does nothing by default.
    #[inline(always)]
    fn step(&self, at: &'static str) {
        let _ = at;
    }
}

#[cold]
fn is_me_after_all<O: Os>(os: &O, owner: Owner) -> bool {
    os.me() == owner
}

/// Whether it is proved that nobody acts as `owner` any more. [`Owner::NONE`], which only foreign bytes can put where an
/// owner belongs, never acted at all.
pub(crate) fn is_dead<O: Os>(os: &O, owner: Owner) -> bool {
    owner.is_none() || os.liveness(owner) == Liveness::Dead
}
