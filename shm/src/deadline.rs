//! From durations to moments.

use std::time::{Duration, Instant};

use multiproc_core::{FOREVER, Os};

use crate::sys::Linux;

/// The moment that lies `timeout` ahead, in nanoseconds on the monotonic clock, which all processes share. A timeout of centuries is for ever; one
/// of zero has passed, but still takes what is free.
pub(crate) fn after(timeout: Duration) -> u64 {
    let timeout = u64::try_from(timeout.as_nanos()).unwrap_or(FOREVER);
    Linux.now().saturating_add(timeout)
}

/// The same for calls of this process alone; `None` for a moment that the clock cannot name, which never comes.
pub(crate) fn moment(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}
