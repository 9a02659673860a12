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

use multiproc_core::{HEADER_LEN, LayoutError, LockError, Region, record};

use super::{
    hostile::{Hostile, World, show},
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

/// A view of one of the layouts.
trait View<'w>: Sized {
    fn attach(region: Region<'static>, os: Hostile<'w>) -> Result<Self, LayoutError>;

    /// # Safety
    ///
    /// Nobody has it open.
    unsafe fn bury(region: Region<'static>, os: Hostile<'w>) -> Result<(), LayoutError>;

    /// Calls until the input says to stop; whether it says to bury everybody then.
    fn use_it(&self, world: &'w World<'w>) -> bool;

    /// Checks that nobody has it, after everybody was buried. Nobody else writes meanwhile.
    fn check_buried(&self, world: &'w World<'w>);
}

/// Lets peers write what they like, attaches to what lies there then, uses it, buries everybody, and again.
fn play<'w, V: View<'w>>(region: Region<'static>, world: &'w World<'w>) {
    let os = Hostile(world);
    while let Some(writes) = world.next() {
        if writes / 16 == 15 {
            world.be_nobody();
        }
        for _ in 0..writes % 16 {
            world.poke();
        }
        let view = V::attach(region, os).expect("its header is sound");
        if !view.use_it(world) {
            break;
        }
        world.come_back();
        world.at_peace(|| {
            // SAFETY: nobody has it open: no guard outlives `use_it`.
            let buried = world.call(|| unsafe { V::bury(region, os) });
            buried.expect("its header is sound");
            view.check_buried(world);
        });
    }
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
