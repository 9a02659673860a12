//! A value, or a mutex, whose lock and data hold any bytes, and change while it is used.
//!
//! Any call ends, those with a deadline by then; none panics.

use multiproc_core::{
    FOREVER, HEADER_LEN, LockError, Mutex, MutexGuard, NOW, Value, ValueGuard, record,
};

use super::{
    hostile::{Hostile, World, show},
    memory::{self, Ground, ORIGIN},
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

type Samples<'w> = Value<'static, Sample, Hostile<'w>>;
type Locked<'w> = Mutex<'static, Sample, Hostile<'w>>;
type SampleGuard<'a, 'w> = ValueGuard<'a, Sample, Hostile<'w>>;
type LockedGuard<'a, 'w> = MutexGuard<'a, Sample, Hostile<'w>>;

/// Runs one input.
///
/// # Panics
///
/// When a promise is broken.
pub fn body(input: &[u8]) {
    thread_local!(static GROUND: Ground = Ground::new(HEADER_LEN * 2));
    GROUND.with(|ground| match input.split_first() {
        Some((0, rest)) => value(ground, rest),
        Some((_, rest)) => mutex(ground, rest),
        None => {}
    });
}

fn value(ground: &Ground, input: &[u8]) {
    let region = ground.region(Samples::required_len(), &[]);
    let words = memory::words_of(region, HEADER_LEN, region.len());
    let world = World::new(input, words);
    let os = Hostile(&world);
    // SAFETY: memory in which no other layout is in use.
    unsafe { Samples::place(region, os, ORIGIN, SAMPLE) }.expect("room for the value");
    while let Some(writes) = world.next() {
        for _ in 0..writes % 16 {
            world.poke();
        }
        let value = Samples::attach(region, os, ORIGIN).expect("its header is sound");
        if !use_value(&value, &world) {
            break;
        }
        world.at_peace(|| {
            // SAFETY: nobody has it open: no guard outlives `use_value`.
            let buried = world.call(|| unsafe { Samples::bury(region, os, ORIGIN) });
            buried.expect("its header is sound");
            drop(
                world
                    .call(|| value.try_lock())
                    .expect("everybody is buried"),
            );
        });
    }
    ground.check(region);
}

/// Calls until the input says to stop; whether it says to bury everybody then.
fn use_value<'w>(value: &Samples<'w>, world: &'w World<'w>) -> bool {
    let mut held: Option<SampleGuard<'_, 'w>> = None;
    while let Some(action) = world.next() {
        match action % 16 {
            0..3 => world.poke(),
            3 => world.lie_in_wait(),
            4 => {
                let whole = world.call(|| value.get());
                world.at_peace(|| {
                    let again = (world.call(|| value.get()), value.get_unlocked());
                    assert_eq!(again.0, again.1, "nobody wrote after {whole:?}");
                });
            }
            5 => held = admitted(world.call_until(NOW, 0, || value.try_lock())).or(held),
            6 => {
                let until = world.soon();
                held = admitted(world.call_until(until, 0, || value.lock_until(until))).or(held);
            }
            7 => show(world.call(|| value.update(|sample| sample.count ^= 1))),
            8 => show(world.call(|| value.set(SAMPLE))),
            9 => show(world.call(|| value.replace(SAMPLE))),
            10 => {
                show((value, value.sequence(), &held));
                wait_for(value, world);
            }
            11 => world.call(|| drop(held.take())),
            12 => world.unwinding(|| drop(held.take())),
            13 => {
                if let Some(guard) = held.take() {
                    world.call(|| guard.discard());
                }
            }
            14 => std::mem::forget(held.take()),
            _ => {
                world.call(|| drop(held.take()));
                return true;
            }
        }
        if let Some(guard) = &mut held {
            guard.flags[1] = guard.flags[1].wrapping_add(1);
        }
    }
    world.call(|| drop(held.take()));
    false
}

/// Waits for the value to be as the input says.
fn wait_for(value: &Samples<'_>, world: &World<'_>) {
    let until = world.soon();
    let pred = |_: &Sample| !world.byte().is_multiple_of(4);
    let result = world.call_until(until, 0, || value.wait_until_while(until, pred));
    match result {
        Ok((_, how)) => assert!(!how.timed_out() || world.now() >= until, "too soon"),
        Err(why) => show(why),
    }
}

fn mutex(ground: &Ground, input: &[u8]) {
    let region = ground.region(Locked::required_len(), &[]);
    // The data belongs to whoever holds the lock; a peer that writes there has broken the only promise peers make.
    let words = memory::words_of(region, HEADER_LEN, HEADER_LEN + 24);
    let world = World::new(input, words);
    let os = Hostile(&world);
    // SAFETY: memory in which no other layout is in use.
    unsafe { Locked::place(region, os, ORIGIN, SAMPLE) }.expect("room for the mutex");
    while let Some(writes) = world.next() {
        for _ in 0..writes % 16 {
            world.poke();
        }
        let mutex = Locked::attach(region, os, ORIGIN).expect("its header is sound");
        if !use_mutex(&mutex, &world) {
            break;
        }
        world.at_peace(|| {
            // SAFETY: nobody has it open: no guard outlives `use_mutex`.
            let buried = world.call(|| unsafe { Locked::bury(region, os, ORIGIN) });
            buried.expect("its header is sound");
            let guard = world.call(|| mutex.try_lock());
            drop(admitted(guard).expect("everybody is buried"));
        });
    }
    ground.check(region);
}

/// As [`use_value`].
fn use_mutex<'w>(mutex: &Locked<'w>, world: &'w World<'w>) -> bool {
    let mut held: Option<LockedGuard<'_, 'w>> = None;
    while let Some(action) = world.next() {
        match action % 16 {
            0..4 => world.poke(),
            4 => world.lie_in_wait(),
            5 | 6 => held = admitted(world.call_until(NOW, 0, || mutex.try_lock())).or(held),
            7 | 8 => {
                let until = world.soon();
                held = admitted(world.call_until(until, 0, || mutex.lock_until(until))).or(held);
            }
            9 => held = admitted(world.call(|| mutex.lock_until(FOREVER))).or(held),
            10 => show((mutex, mutex.is_locked(), mutex.poison())),
            11 => {
                if let Some(guard) = &mut held {
                    guard.clear_poison();
                }
            }
            12 => world.call(|| drop(held.take())),
            13 => world.unwinding(|| drop(held.take())),
            14 => std::mem::forget(held.take()),
            _ => {
                world.call(|| drop(held.take()));
                return true;
            }
        }
        if let Some(guard) = &mut held {
            guard.flags[1] = guard.flags[1].wrapping_add(1);
        }
    }
    world.call(|| drop(held.take()));
    false
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
