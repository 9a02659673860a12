//! A segment of any bytes: attaching to it as anything gives an error, or a view that stays inside, of a header that is
//! just what placing the same layout would have written.

use std::ops::Range;

use multiproc_core::{
    Array, AtomicArray, Counter, Element, HEADER_LEN, LayoutError, Mutex, Region, Shape,
    ShardedCounter, Value, atomic::Ordering, record,
};

use super::{
    hostile::{Hostile, World, show},
    memory::{self, Ground, ORIGIN},
};

record! {
    /// Any record.
    struct Sample { x: f64, n: u32, flags: [u16; 2] }
}

const ZERO: Sample = Sample {
    x: 0.0,
    n: 0,
    flags: [0; 2],
};

/// Where a header says whose it is, which may be another's where nobody owns anything.
const ORIGIN_AT: Range<usize> = 136..160;

/// The longest segment, in bytes.
const ROOM: usize = 16 << 10;

/// Runs one input.
///
/// # Panics
///
/// When a promise is broken.
pub fn body(input: &[u8]) {
    thread_local!(static GROUND: Ground = Ground::new(ROOM));
    GROUND.with(|ground| {
        let world = World::new(input, &[]);
        let how = world.byte();
        let region = if how.is_multiple_of(4) {
            raw(ground, &world)
        } else {
            damaged(ground, &world, how)
        };
        if how & 64 != 0 {
            sum_up(region);
        }
        attach_as_everything(region, &world);
        ground.check(region);
    });
}

/// A segment that is the rest of the input.
fn raw(ground: &Ground, world: &World<'_>) -> Region<'static> {
    let bytes: Vec<u8> = std::iter::from_fn(|| world.next()).take(ROOM).collect();
    ground.region(bytes.len(), &bytes)
}

/// A sound segment in which some bytes were changed, and that may have been cut or have grown.
fn damaged<'w>(ground: &Ground, world: &'w World<'w>, how: u8) -> Region<'static> {
    let os = Hostile(world);
    let dims: Vec<usize> = (0..how / 4 % 4)
        .map(|_| usize::from(world.byte()) % 12)
        .collect();
    let sound = ground.region(ROOM, &[]);
    let (placed, len) = match world.byte() % 8 {
        0 => (
            // SAFETY: memory in which no other layout is in use.
            unsafe { Value::place(sound, os, ORIGIN, 1.5f64) }.map(drop),
            Value::<f64, Hostile<'_>>::required_len(),
        ),
        1 => (
            // SAFETY: memory in which no other layout is in use.
            unsafe { Value::place(sound, os, ORIGIN, ZERO) }.map(drop),
            Value::<Sample, Hostile<'_>>::required_len(),
        ),
        2 => (
            // SAFETY: memory in which no other layout is in use.
            unsafe { Mutex::place(sound, os, ORIGIN, 7u64) }.map(drop),
            Mutex::<u64, Hostile<'_>>::required_len(),
        ),
        3 => (
            // SAFETY: memory in which no other layout is in use.
            unsafe { Array::<f64, _>::place(sound, os, ORIGIN, &dims) }.map(drop),
            Array::<f64, Hostile<'_>>::required_len(&dims).unwrap_or(ROOM),
        ),
        4 => (
            // SAFETY: memory in which no other layout is in use.
            unsafe { Array::<[u16; 3], _>::place(sound, os, ORIGIN, &dims) }.map(drop),
            Array::<[u16; 3], Hostile<'_>>::required_len(&dims).unwrap_or(ROOM),
        ),
        5 => (
            // SAFETY: memory in which no other layout is in use.
            unsafe { AtomicArray::<u64>::place(sound, ORIGIN, &dims) }.map(drop),
            AtomicArray::<u64>::required_len(&dims).unwrap_or(ROOM),
        ),
        6 => (
            // SAFETY: memory in which no other layout is in use.
            unsafe { Counter::place(sound, ORIGIN, 3) }.map(drop),
            Counter::required_len(),
        ),
        _ => (
            // SAFETY: memory in which no other layout is in use.
            unsafe { ShardedCounter::place(sound, ORIGIN, 1 << (how / 4 % 4)) }.map(drop),
            ShardedCounter::required_len(1 << (how / 4 % 4)).unwrap_or(ROOM),
        ),
    };
    if let Err(error) = placed {
        // Too many elements for the room: the header is not there, then.
        show(error);
    }
    let bytes = memory::bytes_of(sound);
    for _ in 0..world.byte() % 8 {
        // Half of the places are the header's, and all of its numbers begin at one.
        let at = usize::from(world.byte()) * 4;
        let value = world.number().to_le_bytes();
        let width = 1 << (world.byte() % 4);
        bytes[at..at + width].copy_from_slice(&value[..width]);
    }
    let len = match world.byte() {
        0..200 => len.min(ROOM),
        cut => len.saturating_sub(usize::from(cut - 200) * 16).min(ROOM),
    };
    let bytes = bytes[..len].to_vec();
    ground.region(len, &bytes)
}

/// Makes the checksum right.
fn sum_up(region: Region<'static>) {
    let bytes = memory::bytes_of(region);
    if bytes.len() < HEADER_LEN {
        return;
    }
    let sum = [&bytes[..120], &bytes[192..HEADER_LEN]]
        .concat()
        .as_chunks()
        .0
        .iter()
        .map(|word| u64::from_le_bytes(*word))
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, word| {
            (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3)
        });
    bytes[120..128].copy_from_slice(&sum.to_le_bytes());
}

/// Attaches to the segment as every kind of thing, uses what that gives, and buries it.
fn attach_as_everything<'w>(region: Region<'static>, world: &'w World<'w>) {
    let os = Hostile(world);
    if let Some(counter) = attached(region, Counter::attach(region), |_, fresh| {
        // SAFETY: fresh memory, in which no layout is in use.
        unsafe { Counter::place(fresh, ORIGIN, 0) }.map(drop)
    }) {
        counter.add(1);
        show(counter);
    }
    if let Some(counter) = attached(region, ShardedCounter::attach(region), |view, fresh| {
        // SAFETY: fresh memory, in which no layout is in use.
        unsafe { ShardedCounter::place(fresh, ORIGIN, view.shards()) }.map(drop)
    }) {
        for slot in [0, counter.shards() - 1, counter.shards(), usize::MAX] {
            counter.add(slot, 1);
        }
        show((counter, counter.take()));
    }
    if let Some(array) = attached(region, AtomicArray::<u64>::attach(region), |view, fresh| {
        // SAFETY: fresh memory, in which no layout is in use.
        unsafe { AtomicArray::<u64>::place(fresh, ORIGIN, &dims(view.shape())) }.map(drop)
    }) {
        memory::check_inside(region, &array);
        for element in array.iter() {
            element.fetch_add(1, Ordering::Relaxed);
        }
        assert_eq!(array.shape().elements(), Some(array.len() as u64));
        show(array);
    }
    as_value(region, os, 0.0);
    as_value(region, os, ZERO);
    as_mutex(region, os);
    as_array::<f64>(region, os);
    as_array::<[u16; 3]>(region, os);
}

fn as_value<T: Element>(region: Region<'static>, os: Hostile<'_>, zero: T) {
    let value = attached(
        region,
        Value::<T, _>::attach(region, os, ORIGIN),
        |_, fresh| {
            // SAFETY: fresh memory, in which no layout is in use.
            unsafe { Value::place(fresh, os, ORIGIN, zero) }.map(drop)
        },
    );
    if let Some(value) = value {
        os.0.call(|| value.get());
        os.0.call(|| value.try_lock().map(drop))
            .unwrap_or_else(show);
        show(&value);
    }
    let buried = os.0.call(|| {
        // SAFETY: nobody else has it open.
        unsafe { Value::<T, _>::bury(region, os, ORIGIN) }
    });
    if buried.is_ok() {
        let value = Value::<T, _>::attach(region, os, ORIGIN).expect("it was buried here");
        value.try_lock().map(drop).expect("everybody is buried");
    }
}

fn as_mutex(region: Region<'static>, os: Hostile<'_>) {
    let mutex = attached(
        region,
        Mutex::<u64, _>::attach(region, os, ORIGIN),
        |_, fresh| {
            // SAFETY: fresh memory, in which no layout is in use.
            unsafe { Mutex::place(fresh, os, ORIGIN, 0u64) }.map(drop)
        },
    );
    if let Some(mutex) = mutex {
        match os.0.call(|| mutex.try_lock()) {
            Ok(mut guard) => *guard = guard.wrapping_add(1),
            Err(error) => show(error),
        }
        show(&mutex);
    }
    let buried = os.0.call(|| {
        // SAFETY: nobody else has it open.
        unsafe { Mutex::<u64, _>::bury(region, os, ORIGIN) }
    });
    if buried.is_ok() {
        let mutex = Mutex::<u64, _>::attach(region, os, ORIGIN).expect("it was buried here");
        assert!(!mutex.is_locked(), "everybody is buried");
    }
}

fn as_array<T: Element>(region: Region<'static>, os: Hostile<'_>) {
    let array = attached(
        region,
        Array::<T, _>::attach(region, os, ORIGIN),
        |view, fresh| {
            // SAFETY: fresh memory, in which no layout is in use.
            unsafe { Array::<T, _>::place(fresh, os, ORIGIN, &dims(view.shape())) }.map(drop)
        },
    );
    if let Some(array) = array {
        assert_eq!(array.shape().elements(), Some(array.len() as u64));
        if let Ok(mut all) = os.0.call(|| array.try_write(..)) {
            memory::check_inside(region, &all);
            all.reverse();
        }
        show(os.0.call(|| array.poisoned()));
        show(&array);
    }
    let buried = os.0.call(|| {
        // SAFETY: nobody else has it open.
        unsafe { Array::<T, _>::bury(region, os, ORIGIN) }
    });
    if buried.is_ok() {
        let array = Array::<T, _>::attach(region, os, ORIGIN).expect("it was buried here");
        assert_eq!(array.claims(), 0, "everybody is buried");
    }
}

/// What attaching gave. An error is shown; of a view, the header is compared with the one that `place` makes for it.
fn attached<V>(
    region: Region<'static>,
    result: Result<V, LayoutError>,
    place: impl FnOnce(&V, Region<'static>) -> Result<(), LayoutError>,
) -> Option<V> {
    thread_local!(static GROUND: Ground = Ground::new(ROOM));
    let view = match result {
        Ok(view) => view,
        Err(error) => {
            show(error);
            show(error.to_string());
            return None;
        }
    };
    GROUND.with(|ground| {
        let fresh = ground.region(region.len(), &[]);
        place(&view, fresh).expect("there was room for it");
        let (found, expected) = (memory::bytes_of(region), memory::bytes_of(fresh));
        for part in [0..ORIGIN_AT.start, ORIGIN_AT.end..HEADER_LEN] {
            assert_eq!(found[part.clone()], expected[part], "nobody writes this");
        }
    });
    Some(view)
}

fn dims(shape: &Shape) -> Vec<usize> {
    shape.dims().iter().map(|dim| *dim as usize).collect()
}
