//! What the workers do.

use std::{
    sync::{OnceLock, atomic::Ordering::SeqCst},
    time::{Duration, Instant},
};

use multiproc::{AtomicArray, Counter};

/// How often each item was begun.
pub type Begun = AtomicArray<u64>;

static BEGUN: OnceLock<Begun> = OnceLock::new();

/// What each worker begins with.
pub fn begin(begun: Begun) {
    let _ = BEGUN.set(begun);
}

/// Some work over an item.
fn work(item: u64) -> u64 {
    if let Some(begun) = BEGUN.get() {
        begun[item as usize].fetch_add(1, SeqCst);
    }
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_micros(item % 200) {
        std::hint::spin_loop();
    }
    value(item)
}

/// What comes of an item.
pub fn value(item: u64) -> u64 {
    item.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

pub fn plain(item: u64) -> u64 {
    work(item)
}

/// With a result that is told by itself now and then, and comes in a file sometimes.
pub fn long(item: u64) -> (u64, String) {
    let len = match item % 40 {
        0 => 100_000,
        1 => 9_000,
        2 => 5_000,
        _ => 10,
    };
    (work(item), "x".repeat(len))
}

/// With shared objects.
pub fn with_object((item, counter): (u64, Counter)) -> (u64, Counter) {
    let value = work(item);
    counter.add(item);
    (value, counter)
}
