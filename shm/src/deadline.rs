//! From durations to moments on the clock that all processes share.

use std::time::Duration;

use multiproc_core::{FOREVER, Os};

use crate::sys::Linux;

/// The moment that lies `timeout` ahead, in nanoseconds on the monotonic clock. A timeout of centuries is for ever; one
/// of zero has passed, but still takes what is free.
pub(crate) fn after(timeout: Duration) -> u64 {
    let timeout = u64::try_from(timeout.as_nanos()).unwrap_or(FOREVER);
    Linux.now().saturating_add(timeout)
}
