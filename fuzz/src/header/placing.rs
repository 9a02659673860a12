//! Sound segments of every kind.

use std::num::NonZeroUsize;

use multiproc_core::{
    Array, AtomicArray, Barrier, BoundedSemaphore, ByteRing, Channel, Condvar, Counter, Event,
    Hold, JoinableRing, LayoutError, Locked, Mutex, Once, OnceValue, ReentrantMutex, Region,
    RwLock, Semaphore, ShardedCounter, Sole, TaskRing, Value,
};

use super::super::{hostile::Hostile, memory::ORIGIN};
use super::{ROOM, Sample, ZERO};

type Os<'w> = Hostile<'w>;

/// Places something of `kind` in `region`, of the shape `dims` or of two to the power of `size` parts; how that went and
/// how many bytes it takes.
pub(super) fn place(
    kind: u8,
    region: Region<'static>,
    os: Os<'_>,
    dims: &[usize],
    size: u8,
) -> (Result<(), LayoutError>, usize) {
    let capacity = 64 << size;
    match kind {
        238..=240 => {
            type Ring<'w> = ByteRing<'static, u8, Os<'w>>;
            (
                // SAFETY: memory in which no other layout is in use.
                unsafe { Ring::place(region, os, ORIGIN, capacity) }.map(drop),
                Ring::required_len(capacity).unwrap_or(ROOM),
            )
        }
        241..=243 => {
            type Ring<'w> = JoinableRing<'static, u8, Os<'w>>;
            (
                // SAFETY: memory in which no other layout is in use.
                unsafe { Ring::place(region, os, ORIGIN, capacity) }.map(drop),
                Ring::required_len(capacity).unwrap_or(ROOM),
            )
        }
        244..=246 => channel::<Locked>(region, os, capacity),
        247..=249 => channel::<Sole>(region, os, capacity),
        TASKS.. => (
            // SAFETY: memory in which no other layout is in use.
            unsafe { TaskRing::place(region, os, ORIGIN, capacity) }.map(drop),
            TaskRing::<Os<'_>>::required_len(capacity).unwrap_or(ROOM),
        ),
        _ => place_other(kind, region, os, dims, size),
    }
}

/// A channel, between any number of handles or between two.
fn channel<H: Hold>(
    region: Region<'static>,
    os: Os<'_>,
    capacity: usize,
) -> (Result<(), LayoutError>, usize) {
    (
        // SAFETY: memory in which no other layout is in use.
        unsafe { Channel::<u8, _, H>::place(region, os, ORIGIN, capacity) }.map(drop),
        Channel::<u8, Os<'_>, H>::required_len(capacity).unwrap_or(ROOM),
    )
}

/// From here on a kind is a ring of tasks, which takes more memory than all others.
pub(super) const TASKS: u8 = 250;

/// Places what is no ring.
fn place_other(
    kind: u8,
    region: Region<'static>,
    os: Os<'_>,
    dims: &[usize],
    size: u8,
) -> (Result<(), LayoutError>, usize) {
    let parties = NonZeroUsize::MIN.saturating_add((1 << size) - 1);
    match kind % 17 {
        0 => (
            // SAFETY: memory in which no other layout is in use.
            unsafe { Value::place(region, os, ORIGIN, 1.5f64) }.map(drop),
            Value::<f64, Os<'_>>::required_len(),
        ),
        1 => (
            // SAFETY: memory in which no other layout is in use.
            unsafe { Value::place(region, os, ORIGIN, ZERO) }.map(drop),
            Value::<Sample, Os<'_>>::required_len(),
        ),
        2 => (
            // SAFETY: memory in which no other layout is in use.
            unsafe { Mutex::place(region, os, ORIGIN, 7u64) }.map(drop),
            Mutex::<u64, Os<'_>>::required_len(),
        ),
        3 => (
            // SAFETY: memory in which no other layout is in use.
            unsafe { Array::<f64, _>::place(region, os, ORIGIN, dims) }.map(drop),
            Array::<f64, Os<'_>>::required_len(dims).unwrap_or(ROOM),
        ),
        4 => (
            // SAFETY: memory in which no other layout is in use.
            unsafe { Array::<[u16; 3], _>::place(region, os, ORIGIN, dims) }.map(drop),
            Array::<[u16; 3], Os<'_>>::required_len(dims).unwrap_or(ROOM),
        ),
        5 => (
            // SAFETY: memory in which no other layout is in use.
            unsafe { AtomicArray::<u64>::place(region, ORIGIN, dims) }.map(drop),
            AtomicArray::<u64>::required_len(dims).unwrap_or(ROOM),
        ),
        6 => (
            // SAFETY: memory in which no other layout is in use.
            unsafe { Counter::place(region, ORIGIN, 3) }.map(drop),
            Counter::required_len(),
        ),
        7 => (
            // SAFETY: memory in which no other layout is in use.
            unsafe { ShardedCounter::place(region, ORIGIN, 1 << size) }.map(drop),
            ShardedCounter::required_len(1 << size).unwrap_or(ROOM),
        ),
        8 => (
            // SAFETY: memory in which no other layout is in use.
            unsafe { ReentrantMutex::place(region, os, ORIGIN, 7u64) }.map(drop),
            ReentrantMutex::<u64, Os<'_>>::required_len(),
        ),
        9 => (
            // SAFETY: memory in which no other layout is in use.
            unsafe { RwLock::place(region, os, ORIGIN, ZERO) }.map(drop),
            RwLock::<Sample, Os<'_>>::required_len(),
        ),
        10 => (
            // SAFETY: memory in which no other layout is in use.
            unsafe { Semaphore::<_>::place(region, os, ORIGIN, 3) }.map(drop),
            Semaphore::<Os<'_>>::required_len(),
        ),
        11 => (
            // SAFETY: memory in which no other layout is in use.
            unsafe { BoundedSemaphore::place(region, os, ORIGIN, 3) }.map(drop),
            BoundedSemaphore::<Os<'_>>::required_len(),
        ),
        12 => (
            // SAFETY: memory in which no other layout is in use.
            unsafe { Condvar::place(region, os, ORIGIN) }.map(drop),
            Condvar::<Os<'_>>::required_len(),
        ),
        13 => (
            // SAFETY: memory in which no other layout is in use.
            unsafe { Event::place(region, os, ORIGIN) }.map(drop),
            Event::<Os<'_>>::required_len(),
        ),
        14 => (
            // SAFETY: memory in which no other layout is in use.
            unsafe { Barrier::place(region, os, ORIGIN, parties) }.map(drop),
            Barrier::<Os<'_>>::required_len(parties).unwrap_or(ROOM),
        ),
        15 => (
            // SAFETY: memory in which no other layout is in use.
            unsafe { Once::place(region, os, ORIGIN) }.map(drop),
            Once::<Os<'_>>::required_len(),
        ),
        _ => (
            // SAFETY: memory in which no other layout is in use.
            unsafe { OnceValue::<[u16; 3], Os<'_>>::place(region, os, ORIGIN) }.map(drop),
            OnceValue::<[u16; 3], Os<'_>>::required_len(),
        ),
    }
}
