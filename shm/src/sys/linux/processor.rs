//! Where threads run.

use std::{cell::Cell, sync::OnceLock};

/// How often a thread takes its processor for granted before it asks again.
const TRUST: u32 = 64;

thread_local! {
    /// The processor the thread ran on when it last asked, and how often it may still trust in that.
    static PROCESSOR: Cell<(usize, u32)> = const { Cell::new((0, 0)) };
}

/// The number of the processor that the caller runs on, or ran on a moment ago; 0 when the system does not say.
#[inline]
pub fn processor() -> usize {
    let (number, trust) = PROCESSOR.get();
    if trust == 0 {
        return ask();
    }
    PROCESSOR.set((number, trust - 1));
    number
}

#[cold]
fn ask() -> usize {
    // SAFETY: has no preconditions.
    let number = unsafe { libc::sched_getcpu() };
    let number = usize::try_from(number).unwrap_or(0);
    PROCESSOR.set((number, TRUST));
    number
}

/// How many processors the machine is built for, whichever of them this process may use.
pub fn processors() -> usize {
    // SAFETY: has no preconditions.
    let count = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_CONF) };
    usize::try_from(count).unwrap_or(1).max(1)
}

/// Whether there is more than one processor at work.
pub fn are_several() -> bool {
    static SEVERAL: OnceLock<bool> = OnceLock::new();
    // SAFETY: has no preconditions.
    *SEVERAL.get_or_init(|| unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) } != 1)
}
