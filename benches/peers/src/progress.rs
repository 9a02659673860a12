//! How far a run has come, on standard error when that is a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A line that says what is being measured. Nothing ticks it: a thread that did would be one more to measure beside,
/// and a process with threads is not forked.
pub struct Progress(ProgressBar);

impl Progress {
    /// Of so many steps.
    pub fn new(steps: usize) -> Progress {
        let style = ProgressStyle::with_template("[{pos}/{len}, {elapsed}] {bar:20} {wide_msg}");
        let bar = ProgressBar::new(steps as u64);
        Progress(match style {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        })
    }

    /// What is being measured now.
    pub fn now(&self, what: &str) {
        self.0.set_message(what.to_owned());
    }

    /// One more step is done.
    pub fn step_done(&self) {
        self.0.inc(1);
    }

    /// Prints something that stays, above the line.
    pub fn above(&self, print: impl FnOnce()) {
        self.0.suspend(print);
    }

    /// Takes the line away.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}
