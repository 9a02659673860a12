//! The record of a task, as a worker reads it, and of what is told of one, as its pool does: refused, or taken apart so that
//! its parts, written again, are the same bytes.

use multiproc::__fuzz;

/// Runs one input.
///
/// # Panics
///
/// When a promise is broken.
pub fn body(input: &[u8]) {
    for read in [__fuzz::reread_task, __fuzz::reread_told] {
        if let Some(again) = read(input) {
            assert_eq!(again, input, "two records mean the same");
        }
    }
}
