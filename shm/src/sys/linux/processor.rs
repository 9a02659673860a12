//! Where a thread runs.

/// The number of the processor that the caller runs on, or ran on a moment ago; 0 when the system does not say.
#[inline]
pub fn processor() -> usize {
    // SAFETY: has no preconditions.
    let number = unsafe { libc::sched_getcpu() };
    usize::try_from(number).unwrap_or(0)
}
