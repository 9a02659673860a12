//! Where threads run.

use std::{cell::Cell, mem};

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

thread_local! {
    /// Whether the thread may run on several processors, and how often it may still trust in that.
    static SEVERAL: Cell<(bool, u32)> = const { Cell::new((true, 0)) };
}

/// Whether the calling thread may run on more than one processor, or might a moment ago. If the system does not say, it
/// may.
pub fn may_run_on_several() -> bool {
    let (several, trust) = SEVERAL.get();
    if trust > 0 {
        SEVERAL.set((several, trust - 1));
        return several;
    }
    // SAFETY: a cpu_set_t is an array of integers, for which zeros are valid.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: the set is as long as is said and outlives the call.
    let asked = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &mut set) };
    // SAFETY: looks at the set.
    let several = asked != 0 || unsafe { libc::CPU_COUNT(&set) } > 1;
    SEVERAL.set((several, TRUST));
    several
}
