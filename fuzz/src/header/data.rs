//! What holds data: values, a mutex, arrays, counters.

use multiproc_core::{
    Array, AtomicArray, Counter, Element, Mutex, Region, Shape, ShardedCounter, Value,
    atomic::Ordering,
};

use super::super::{
    hostile::{Hostile, show},
    memory::{self, ORIGIN},
};
use super::{ZERO, attached};

/// Attaches to the segment as each of them, uses what that gives, and buries it.
pub(super) fn attach(region: Region<'static>, os: Hostile<'_>) {
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

fn dims(shape: &Shape) -> Vec<usize> {
    shape.dims().iter().map(|dim| *dim as usize).collect()
}
