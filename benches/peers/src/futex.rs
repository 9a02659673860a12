//! Two words on which processes sleep, by bare system calls.

use std::{
    io, ptr,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{sys::Mapping, turns::Baton};

/// What no hand-over can do without: one store and one call to give, one exchange and one call to take.
pub struct Futexes([&'static AtomicU64; 2]);

impl Futexes {
    /// Two of them, given to nobody.
    pub fn new() -> io::Result<Futexes> {
        let words = Mapping::new(4096)?.leak_words();
        Ok(Futexes([&words[0], &words[64]]))
    }
}

impl Baton for Futexes {
    fn give(&self, to: usize) {
        self.0[to].store(1, Ordering::Release);
        futex(self.0[to], libc::FUTEX_WAKE, 1);
    }

    fn take(&self, me: usize) {
        while self.0[me].swap(0, Ordering::Acquire) == 0 {
            futex(self.0[me], libc::FUTEX_WAIT, 0);
        }
    }
}

fn futex(word: &AtomicU64, operation: i32, value: u32) {
    let no_deadline = ptr::null::<libc::timespec>();
    // SAFETY: the kernel reads at most four bytes at the address of a live word, whose low half lies first.
    unsafe { libc::syscall(libc::SYS_futex, word, operation, value, no_deadline) };
}
