//! Sleeping on a word of shared memory and waking those who do.

use std::{io, ptr, sync::atomic::AtomicU64};

use multiproc_core::Wait;

/// Nanoseconds since boot on the clock that nobody can set.
pub fn now() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is writable. The call cannot fail: every Linux has this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    // Neither is ever negative, and 2^64 ns are 584 years.
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Sleeps while the low half of `word` equals that of `expected`, at the longest until `until`.
pub fn wait(word: &AtomicU64, expected: u64, until: u64) -> Wait {
    let until = libc::timespec {
        tv_sec: (until / 1_000_000_000) as _,
        tv_nsec: (until % 1_000_000_000) as _,
    };
    // The bit set makes the deadline absolute; without FUTEX_PRIVATE_FLAG the sleepers of all processes count.
    // SAFETY: the kernel reads four bytes at the address of a live word, whose low half lies first, and the timespec.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            low_half(word),
            libc::FUTEX_WAIT_BITSET,
            expected as u32,
            &raw const until,
            ptr::null::<u32>(),
            libc::FUTEX_BITSET_MATCH_ANY,
        )
    };
    if result == 0 {
        return Wait::Woken;
    }
    match io::Error::last_os_error().raw_os_error() {
        Some(libc::EAGAIN | libc::EINTR) => Wait::Woken,
        // ETIMEDOUT; or the system forbids to sleep at all: then whoever waits looks at everything each time.
        _ => Wait::TimedOut,
    }
}

/// Wakes up to `count` of those who sleep on `word`; how many it has woken. Leaves `errno` as it is: signal handlers that
/// set an event come here.
pub fn wake(word: &AtomicU64, count: u32) -> u32 {
    let count = count.min(i32::MAX as u32);
    // SAFETY: takes nothing.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: it is this thread's own.
    let before = unsafe { *errno };
    // SAFETY: the kernel uses the address of a live word as a name and touches nothing.
    let woken = unsafe { libc::syscall(libc::SYS_futex, low_half(word), libc::FUTEX_WAKE, count) };
    u32::try_from(woken).unwrap_or_else(|_| {
        // Refused, which a live word never is, except by a filter of system calls: it is not known whether somebody sleeps.
        // SAFETY: as above.
        unsafe { *errno = before };
        u32::MAX
    })
}

/// The half that the kernel compares. Little-endian: it has the address of the whole.
fn low_half(word: &AtomicU64) -> *const u32 {
    ptr::from_ref(word).cast()
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::Ordering, thread};

    use super::*;

    #[test]
    fn a_wait_ends_at_its_deadline() {
        let word = AtomicU64::new(5);
        let until = now() + 5_000_000;
        while wait(&word, 5, until) == Wait::Woken {}
        assert!(now() >= until);
    }

    #[test]
    fn a_deadline_in_the_past_and_a_changed_word_do_not_wait() {
        let word = AtomicU64::new(5);
        assert_eq!(wait(&word, 5, 0), Wait::TimedOut);
        assert_eq!(wait(&word, 6, u64::MAX), Wait::Woken);
    }

    #[test]
    fn only_the_low_half_is_compared() {
        let word = AtomicU64::new(1 << 40 | 7);
        assert_eq!(wait(&word, 7, 0), Wait::TimedOut);
    }

    #[test]
    fn a_sleeper_is_woken() {
        let word = AtomicU64::new(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                while word.load(Ordering::Acquire) == 0 {
                    wait(&word, 0, u64::MAX);
                }
            });
            word.store(1, Ordering::Release);
            wake(&word, u32::MAX);
        });
    }
}
