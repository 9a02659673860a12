//! An array whose table of claims and of poison holds any bytes, and changes while it is used.
//!
//! Any call ends, those with a deadline about then; none panics; guards give slices inside the array, of the length
//! that was asked for; who claims all of it for writing and declares it sound finds it sound.

use std::ops::{Bound, Range};

use multiproc_core::{ARRAY_DATA_AT, Array, ClaimError, HEADER_LEN, ReadGuard, Region, WriteGuard};

use super::{
    hostile::{Hostile, World, show},
    memory::{self, Ground, ORIGIN},
};

const LEN: usize = 24;
/// How many milliseconds after its deadline a claim may end: one slice.
const GRACE: u64 = 100;

type Numbers<'w> = Array<'static, u32, Hostile<'w>>;

enum Guard<'a, 'w> {
    Read(ReadGuard<'a, u32, Hostile<'w>>),
    Write(WriteGuard<'a, u32, Hostile<'w>>),
}

/// Runs one input.
///
/// # Panics
///
/// When a promise is broken.
pub fn body(input: &[u8]) {
    thread_local!(static GROUND: Ground = Ground::new(2 * ARRAY_DATA_AT));
    GROUND.with(|ground| {
        let len = Numbers::required_len(&[LEN / 4, 4]).expect("a small shape");
        let region = ground.region(len, &[]);
        let words = memory::words_of(region, HEADER_LEN, ARRAY_DATA_AT);
        let world = World::new(input, words);
        let os = Hostile(&world);
        // SAFETY: memory in which no other layout is in use.
        unsafe { Numbers::place(region, os, ORIGIN, &[LEN / 4, 4]) }.expect("room for the array");
        while let Some(writes) = world.next() {
            // What lies there when it is attached to.
            for _ in 0..writes % 64 {
                world.poke();
            }
            let array = Numbers::attach(region, os, ORIGIN).expect("its header is sound");
            if !use_it(&array, region, &world) {
                break;
            }
            // SAFETY: nobody has it open: no guard outlives `use_it`.
            let buried =
                world.at_peace(|| world.call(|| unsafe { Numbers::bury(region, os, ORIGIN) }));
            buried.expect("its header is sound");
            assert_eq!(array.claims(), 0, "somebody outlived the burial");
        }
        ground.check(region);
    });
}

/// Calls until the input says to stop; whether it says to bury everybody then.
fn use_it<'w>(array: &Numbers<'w>, region: Region<'static>, world: &'w World<'w>) -> bool {
    let mut guards: Vec<Guard<'_, 'w>> = Vec::new();
    while let Some(action) = world.next() {
        match action % 20 {
            0..4 => world.poke(),
            4 => world.lie_in_wait(),
            5 => keep(&mut guards, claim(array, world, 0, true)),
            6 => keep(&mut guards, claim(array, world, 0, false)),
            7 => keep(&mut guards, claim(array, world, world.soon(), true)),
            8 => keep(&mut guards, claim(array, world, world.soon(), false)),
            9 => show(world.call(|| array.get(index(world)))),
            10 => show(world.call(|| array.set(index(world), 5))),
            11 => show(world.call(|| array.poisoned())),
            12 => show((array, array.shape(), array.claims())),
            13 => {
                if let Some(guard) = pick(&mut guards, world) {
                    world.unwinding(|| drop(guard));
                }
            }
            14 => {
                if let Some(guard) = pick(&mut guards, world) {
                    world.call(|| drop(guard));
                }
            }
            // A row that this thread itself left behind.
            15 => drop(pick(&mut guards, world).map(std::mem::forget)),
            16 => {
                if let Some(mut guard) = pick(&mut guards, world) {
                    work_on(&mut guard, region, world);
                    guards.push(guard);
                }
            }
            17 => {
                world.call(|| guards.clear());
                world.at_peace(|| make_sound(array, world));
            }
            18 => {
                world.call(|| guards.clear());
                return true;
            }
            _ => {
                for range in array.split(usize::from(action)) {
                    assert!(range.end <= LEN);
                }
                let rows = array.rows(index(world)..index(world));
                show(world.call(|| array.try_read(rows).map(drop)));
            }
        }
    }
    world.call(|| guards.clear());
    false
}

/// Claims any range, until a moment.
fn claim<'a, 'w>(
    array: &'a Numbers<'w>,
    world: &World<'_>,
    until: u64,
    exclusive: bool,
) -> Option<Guard<'a, 'w>> {
    let (range, expected) = range(world);
    let (guard, found) = if exclusive {
        let result = world.call_until(until, GRACE, || array.write_until(range, until));
        let guard = admitted(result)?;
        let found = guard.range();
        (Guard::Write(guard), found)
    } else {
        let result = world.call_until(until, GRACE, || array.read_until(range, until));
        let guard = admitted(result)?;
        let found = guard.range();
        (Guard::Read(guard), found)
    };
    assert!(found.start <= found.end && found.end <= LEN);
    assert_eq!(found, expected, "not what was asked for");
    Some(guard)
}

/// The guard, poisoned or not; errors are only shown.
fn admitted<G>(result: Result<G, ClaimError<G>>) -> Option<G> {
    result
        .or_else(|error| {
            show(&error);
            show(error.to_string());
            error.into_guard()
        })
        .ok()
}

fn keep<'a, 'w>(guards: &mut Vec<Guard<'a, 'w>>, guard: Option<Guard<'a, 'w>>) {
    guards.extend(guard);
}

fn pick<'a, 'w>(guards: &mut Vec<Guard<'a, 'w>>, world: &World<'_>) -> Option<Guard<'a, 'w>> {
    let at = usize::from(world.byte()) % guards.len().max(1);
    (!guards.is_empty()).then(|| guards.swap_remove(at))
}

/// Uses the slice and the poison of a guard.
fn work_on(guard: &mut Guard<'_, '_>, region: Region<'static>, world: &World<'_>) {
    match guard {
        Guard::Read(guard) => {
            memory::check_inside(region, guard);
            assert_eq!(guard.len(), guard.range().len());
            show(guard.iter().fold(0, |sum: u32, x| sum.wrapping_add(*x)));
            show(world.call(|| guard.poisoned()));
        }
        Guard::Write(guard) => {
            memory::check_inside(region, guard);
            assert_eq!(guard.len(), guard.range().len());
            guard.fill(3);
            show(world.call(|| guard.poisoned()));
            world.call(|| guard.clear_poison());
        }
    }
}

/// Claims everything and declares it sound: then it is.
fn make_sound(array: &Numbers<'_>, world: &World<'_>) {
    let Some(mut all) = admitted(world.call(|| array.write(..))) else {
        return;
    };
    let told = world.call(|| all.poisoned()).len();
    let cleared = world.call(|| all.clear_poison());
    assert!(told <= cleared, "told of {told}, cleared {cleared}");
    world.call(|| drop(all));
    let left = world.call(|| array.poisoned()).expect("an identity");
    assert!(left.is_empty(), "poisoned for ever: {left:?}");
    if let Err(error) = world.call(|| array.try_read(..)) {
        assert!(!error.is_poisoned(), "sound, and yet {error}");
    }
}

/// An index: most often inside.
fn index(world: &World<'_>) -> usize {
    match world.number() {
        small @ 0..100 => small as usize % (LEN + 2),
        other => other as usize,
    }
}

/// Bounds of any kind, and the range that they mean if they lie in the array.
fn range(world: &World<'_>) -> ((Bound<usize>, Bound<usize>), Range<usize>) {
    let kind = world.byte();
    let start = index(world);
    let end = match kind % 4 {
        0 => index(world),
        _ => start.saturating_add(usize::from(world.byte() % 8)),
    };
    let (lower, start) = match kind / 4 % 4 {
        0 => (Bound::Unbounded, 0),
        1 => (Bound::Excluded(start), start.saturating_add(1)),
        _ => (Bound::Included(start), start),
    };
    let (upper, end) = match kind / 16 % 4 {
        0 => (Bound::Unbounded, LEN),
        1 => (Bound::Included(end), end.saturating_add(1)),
        _ => (Bound::Excluded(end), end),
    };
    ((lower, upper), start..end)
}
