//! Nobody sleeps longer than a slice: whoever should wake it may be dead.
#![cfg(not(loom))]

mod common;

use std::{num::NonZeroUsize, thread};

use common::{Fake, ORIGIN, longest_sleep, memory};
use multiproc_core::{
    Array, Barrier, Condvar, Event, Mutex, OnceValue, ReentrantMutex, RwLock, Semaphore, Value,
};

/// A slice, in nanoseconds.
const SLICE: u64 = 100_000_000;
/// When a wait is given up, in milliseconds: in the second of its whole slices.
const WAIT: u64 = 160;

fn holder() -> Fake {
    Fake::new(801)
}

fn waiter() -> Fake {
    Fake::new(802)
}

/// One of a type, as two processes see it.
macro_rules! placed {
    ($type:ty $(, $value:expr)?) => {{
        type Object = $type;
        let region = memory(1 << 14);
        // SAFETY: memory that nobody else has.
        let held = unsafe { Object::place(region, holder(), ORIGIN $(, $value)?) }.unwrap();
        (held, Object::attach(region, waiter(), ORIGIN).unwrap())
    }};
}

#[test]
fn no_wait_is_longer_than_a_slice() {
    let until = || waiter().soon(WAIT);
    let waits: [(&str, &(dyn Fn() + Sync)); 15] = [
        ("mutex", &|| {
            let (held, mutex) = placed!(Mutex<'static, u64, Fake>, 0);
            let _guard = held.lock().unwrap();
            assert!(mutex.lock_until(until()).unwrap_err().is_timeout());
        }),
        ("reentrant mutex", &|| {
            let (held, mutex) = placed!(ReentrantMutex<'static, u64, Fake>, 0);
            let _guard = held.lock().unwrap();
            assert!(mutex.lock_until(until()).unwrap_err().is_timeout());
        }),
        ("reader", &|| {
            let (held, lock) = placed!(RwLock<'static, u64, Fake>, 0);
            let _guard = held.write().unwrap();
            assert!(lock.read_until(until()).unwrap_err().is_timeout());
        }),
        ("writer behind a writer", &|| {
            let (held, lock) = placed!(RwLock<'static, u64, Fake>, 0);
            let _guard = held.write().unwrap();
            assert!(lock.write_until(until()).unwrap_err().is_timeout());
        }),
        ("writer behind a reader", &|| {
            let (held, lock) = placed!(RwLock<'static, u64, Fake>, 0);
            let _guard = held.read().unwrap();
            assert!(lock.write_until(until()).unwrap_err().is_timeout());
        }),
        ("permit", &|| {
            let (held, semaphore) = placed!(Semaphore<'static, Fake>, 1);
            let _permit = held.acquire().unwrap();
            assert!(semaphore.acquire_until(until()).unwrap_err().is_timeout());
        }),
        ("range to read", &|| {
            let (held, array) = placed!(Array<'static, u64, Fake>, &[8]);
            let _guard = held.write(2..5).unwrap();
            assert!(array.read_until(4.., until()).unwrap_err().is_timeout());
        }),
        ("range to write", &|| {
            let (held, array) = placed!(Array<'static, u64, Fake>, &[8]);
            let _guard = held.read(2..5).unwrap();
            assert!(array.write_until(4.., until()).unwrap_err().is_timeout());
        }),
        ("lock of a value", &|| {
            let (held, value) = placed!(Value<'static, u64, Fake>, 0);
            let _guard = held.lock().unwrap();
            assert!(value.lock_until(until()).unwrap_err().is_timeout());
        }),
        ("change of a value", &|| {
            let (_, value) = placed!(Value<'static, u64, Fake>, 0);
            let (_, how) = value.wait_until_while(until(), |_| true).unwrap();
            assert!(how.timed_out());
        }),
        ("condition", &|| {
            let (_, mutex) = placed!(Mutex<'static, u64, Fake>, 0);
            let (_, changed) = placed!(Condvar<'static, Fake>);
            let guard = mutex.lock().unwrap();
            let (_guard, how) = changed.wait_until_while(guard, until(), |_| true).unwrap();
            assert!(how.timed_out());
        }),
        ("event", &|| {
            let (_, event) = placed!(Event<'static, Fake>);
            assert!(!event.wait_until(until()));
        }),
        ("barrier", &|| {
            let parties = NonZeroUsize::new(2).unwrap();
            let (_, barrier) = placed!(Barrier<'static, Fake>, parties);
            assert!(barrier.wait_until(until()).is_err());
        }),
        ("value that nobody makes", &|| {
            let (_, value) = placed!(OnceValue<'static, u64, Fake>);
            assert!(value.wait_until(until()).unwrap_err().is_timeout());
        }),
        ("value that another makes", &|| {
            let (making, value) = placed!(OnceValue<'static, u64, Fake>);
            let make = || {
                assert!(value.wait_until(until()).unwrap_err().is_timeout());
                assert!(value.set_until(until(), 2).unwrap_err().is_timeout());
                1
            };
            assert_eq!(making.get_or_init(make), Ok(&1));
        }),
    ];
    let longest = |wait: &(dyn Fn() + Sync)| {
        wait();
        longest_sleep()
    };
    thread::scope(|scope| {
        let running = waits.map(|(what, wait)| (what, scope.spawn(move || longest(wait))));
        for (what, thread) in running {
            let longest = thread.join().unwrap();
            assert!(longest > 0 && longest <= SLICE, "{what}: {longest} ns");
        }
    });
}
