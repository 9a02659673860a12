//! How a wait with a deadline ended.

/// Whether a wait ended because its deadline passed. It says nothing of what was waited for, which may have come about
/// in that very moment: look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it says whether the deadline passed"]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    pub(crate) fn new(timed_out: bool) -> WaitTimeoutResult {
        WaitTimeoutResult(timed_out)
    }

    /// Whether the deadline passed before the wait was over.
    #[must_use]
    pub fn timed_out(&self) -> bool {
        self.0
    }
}
