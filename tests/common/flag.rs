//! Numbers that a test and its forked children see, beside all shared objects: to look at them is no step of any
//! protocol.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::common::{SharedPage, wait_until};

/// Down at first; whoever raises it, and how often, is seen by all.
#[derive(Clone, Copy)]
pub struct Flag(&'static AtomicU64);

impl Flag {
    pub fn new() -> Flag {
        // SAFETY: a zeroed page, mapped until this process ends.
        Flag(unsafe { &*SharedPage::new().as_ptr() })
    }

    pub fn raise(self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// How often it was raised.
    pub fn count(self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    pub fn is_up(self) -> bool {
        self.count() != 0
    }

    pub fn wait(self) {
        wait_until(|| self.is_up());
    }
}
