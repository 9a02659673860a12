//! A lock, or whatever else threads wait on, whose words hold any bytes and change while it is used.
//!
//! Any call with a deadline ends by then, or a moment later where a table must be looked at; none panics; a fork child
//! changes nothing by what it has inherited. Once everybody is buried, it is as good as new.

mod barrier;
mod condvar;
mod event;
mod once_value;
mod reentrant;
mod rwlock;
mod semaphore;

use multiproc_core::{HEADER_LEN, LockError, record};

use super::{
    hostile::{World, show},
    memory::Ground,
};

record! {
    /// An element that is no whole number of words.
    #[derive(Debug, PartialEq)]
    struct Sample { at: u32, count: u32, more: u32, flags: [u16; 3], last: u16 }
}

const SAMPLE: Sample = Sample {
    at: 1,
    count: 2,
    more: 3,
    flags: [4, 5, 6],
    last: 7,
};

/// The longest layout with room behind it for another one, in bytes.
const ROOM: usize = 16 * HEADER_LEN;
/// How many milliseconds after its deadline a call may end that looks at a table: it does so a few times, for which it
/// waits 10 at most each time.
const GRACE: u64 = 100;

/// Runs one input.
///
/// # Panics
///
/// When a promise is broken.
pub fn body(input: &[u8]) {
    thread_local!(static GROUND: Ground = Ground::new(ROOM));
    let Some((kind, rest)) = input.split_first() else {
        return;
    };
    GROUND.with(|ground| match kind % 8 {
        0 => reentrant::play(ground, rest),
        1 => rwlock::play(ground, rest),
        2 => semaphore::play::<false>(ground, rest),
        3 => semaphore::play::<true>(ground, rest),
        4 => condvar::play(ground, rest),
        5 => event::play(ground, rest),
        6 => barrier::play(ground, rest),
        _ => once_value::play(ground, rest),
    });
}

/// The guard, poisoned or not; errors are only shown.
fn admitted<G>(result: Result<G, LockError<G>>) -> Option<G> {
    result
        .or_else(|error| {
            show(&error);
            show(error.to_string());
            error.into_guard()
        })
        .ok()
}

/// Takes one of the guards that are held.
fn pick<G>(guards: &mut Vec<G>, world: &World<'_>) -> Option<G> {
    let at = usize::from(world.byte()) % guards.len().max(1);
    (!guards.is_empty()).then(|| guards.swap_remove(at))
}
