//! A segment of any bytes: attaching to it as anything gives an error, or a view that stays inside.

use multiproc_core::{
    Array, AtomicArray, Counter, HEADER_LEN, LayoutError, Mutex, Region, ShardedCounter, Value,
    atomic::Ordering, record,
};

use super::{
    hostile::{Hostile, World, show},
    memory::{self, Ground, ORIGIN},
};

record! {
    /// Any record.
    struct Sample { x: f64, n: u32, flags: [u16; 2] }
}

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
        1 => {
            let zero = Sample {
                x: 0.0,
                n: 0,
                flags: [0; 2],
            };
            (
                // SAFETY: memory in which no other layout is in use.
                unsafe { Value::place(sound, os, ORIGIN, zero) }.map(drop),
                Value::<Sample, Hostile<'_>>::required_len(),
            )
        }
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
    if let Some(counter) = attached(region, Counter::attach(region)) {
        counter.add(1);
        show(counter);
    }
    if let Some(counter) = attached(region, ShardedCounter::attach(region)) {
        for slot in [0, counter.shards() - 1, counter.shards(), usize::MAX] {
            counter.add(slot, 1);
        }
        show((counter, counter.take()));
    }
    if let Some(array) = attached(region, AtomicArray::<u64>::attach(region)) {
        memory::check_inside(region, &array);
        for element in array.iter() {
            element.fetch_add(1, Ordering::Relaxed);
        }
        assert_eq!(array.shape().elements(), Some(array.len() as u64));
        show(array);
    }
    as_value::<f64>(region, os);
    as_value::<Sample>(region, os);
    as_mutex(region, os);
    as_array::<f64>(region, os);
    as_array::<[u16; 3]>(region, os);
}

fn as_value<T: multiproc_core::Element>(region: Region<'static>, os: Hostile<'_>) {
    if let Some(value) = attached(region, Value::<T, _>::attach(region, os, ORIGIN)) {
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
    if let Some(mutex) = attached(region, Mutex::<u64, _>::attach(region, os, ORIGIN)) {
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

fn as_array<T: multiproc_core::Element>(region: Region<'static>, os: Hostile<'_>) {
    if let Some(array) = attached(region, Array::<T, _>::attach(region, os, ORIGIN)) {
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

/// What attaching gave; an error is shown, and a segment too short for anything must give one.
fn attached<V>(region: Region<'_>, result: Result<V, LayoutError>) -> Option<V> {
    match result {
        Ok(view) => {
            assert!(region.len() >= HEADER_LEN, "in {} bytes?", region.len());
            Some(view)
        }
        Err(error) => {
            show(error);
            show(error.to_string());
            None
        }
    }
}
