//! Code of the user's that runs where nobody is to be told of its panics: in the threads of a pool, and behind a task that
//! has ended.

use std::{
    mem,
    panic::{self, AssertUnwindSafe},
};

/// Runs `body`. If it panics, the hook has printed that, and nothing else comes of it.
#[inline]
pub(super) fn run(body: impl FnOnce()) {
    if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(body)) {
        // Dropping what it panicked with may panic again.
        mem::forget(payload);
    }
}

/// Drops a value likewise.
#[inline]
pub(super) fn drop<T>(value: T) {
    if mem::needs_drop::<T>() {
        run(|| mem::drop(value));
    }
}
