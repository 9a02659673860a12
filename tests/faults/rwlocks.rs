//! Reader-writer locks, and those who wait for a value: what a fork child has of them, and what the dead leave.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use multiproc::{Cause, RwLock, RwLockWriteGuard, Value};

use crate::{
    common::{asleep, forked, kill_self, wait_until},
    copies::inherited,
    flag::Flag,
    observe::{go_on, idle, kill, stop},
    subject::{MOMENT, SOON},
};

/// Fault 5. Fault 43.
pub fn a_fork_child_can_do_nothing_with_the_guards_of_a_rwlock_that_it_inherited() {
    let lock = RwLock::new(7u64).unwrap();
    let mut guard = lock.write().unwrap();
    *guard = 8;
    let child = forked(|| {
        // SAFETY: in a copy of the process that holds it.
        let mut copy = unsafe { inherited(&guard) };
        copy.clear_poison();
        drop(copy);
        // SAFETY: as above.
        let copy = unsafe { inherited(&guard) };
        drop(RwLockWriteGuard::downgrade(copy));
        lock.read_timeout(MOMENT).unwrap_err().is_timeout()
    });
    assert!(child.join().unwrap());
    assert_eq!(lock.readers(), 0);
    let guard = RwLockWriteGuard::downgrade(guard);
    let child = forked(|| {
        // SAFETY: in a copy of the process that holds it.
        drop(unsafe { inherited(&guard) });
        // The copy of a thread that reads is another one.
        let told = lock.write_timeout(MOMENT).unwrap_err().is_timeout();
        told && lock.try_read().is_ok_and(|guard| *guard == 8)
    });
    assert!(child.join().unwrap());
    assert_eq!((lock.readers(), *guard), (1, 8));
    drop(guard);
    assert_eq!((lock.is_locked(), lock.poison()), (false, None));
}

/// Fault 20.
pub fn those_who_die_reading_writing_or_waiting_hold_up_nobody() {
    let lock = RwLock::new(7u64).unwrap();
    let held = Flag::new();
    let reader = forked(|| {
        let _guard = lock.read().unwrap();
        held.raise();
        idle();
    });
    held.wait();
    let doomed = forked(|| drop(lock.write()));
    wait_until(|| asleep(doomed.pid()));
    let writer = forked(|| *lock.write().unwrap() += 1);
    wait_until(|| lock.waiting() == 2 && asleep(writer.pid()));
    kill(&doomed);
    kill(&reader);
    let since = Instant::now();
    writer.join().unwrap();
    assert!(since.elapsed() < SOON);
    assert_eq!((*lock.read().unwrap(), lock.poison()), (8, None));
    let held = Flag::new();
    let victim = forked(|| {
        let _guard = lock.write().unwrap();
        held.raise();
        idle();
    });
    held.wait();
    let readers = [(); 2].map(|()| forked(|| lock.read().is_err_and(|error| error.is_poisoned())));
    wait_until(|| readers.iter().all(|reader| asleep(reader.pid())));
    let pid = victim.pid();
    kill(&victim);
    let since = Instant::now();
    for reader in readers {
        assert!(reader.join().unwrap(), "not told");
    }
    assert!(since.elapsed() < SOON);
    assert_eq!(lock.poison(), Some(Cause::OwnerDied { pid }));
}

/// Fault 7.
pub fn a_stopped_reader_is_waited_for_and_a_stopped_waiter_is_passed() {
    let lock = RwLock::new(7u64).unwrap();
    let (held, release) = (Flag::new(), Flag::new());
    let reader = forked(|| {
        let guard = lock.read().unwrap();
        held.raise();
        release.wait();
        *guard
    });
    held.wait();
    stop(reader.pid());
    assert!(lock.write_timeout(3 * MOMENT).unwrap_err().is_timeout());
    let waiting = forked(|| *lock.write().unwrap() += 1);
    wait_until(|| lock.waiting() == 1 && asleep(waiting.pid()));
    stop(waiting.pid());
    release.raise();
    go_on(reader.pid());
    assert_eq!(reader.join().unwrap(), 7);
    let since = Instant::now();
    *lock.write().unwrap() += 1;
    assert!(since.elapsed() < SOON);
    go_on(waiting.pid());
    waiting.join().unwrap();
    assert_eq!(*lock.read().unwrap(), 9);
}

/// Fault 11. Fault 19.
pub fn who_waits_for_a_value_learns_what_was_published_by_one_who_was_killed_at_once() {
    /// How often the hook lets the step pass.
    static PASSES: AtomicU64 = AtomicU64::new(0);
    let value = Value::new(0u64).unwrap();
    let waiters = [(); 2].map(|()| forked(|| value.wait_while(|n| *n < 2).unwrap()));
    wait_until(|| waiters.iter().all(|waiter| asleep(waiter.pid())));
    let killed = forked(|| {
        PASSES.store(1, Ordering::Relaxed);
        multiproc::__set_step_hook(Some(|at| {
            if at == "value: published" && PASSES.fetch_sub(1, Ordering::Relaxed) == 0 {
                kill_self();
            }
        }));
        value.set(1).unwrap();
        value.set(2).unwrap();
    });
    assert!(killed.join().unwrap_err().is_killed());
    let since = Instant::now();
    for waiter in waiters {
        assert_eq!(waiter.join().unwrap(), 2);
    }
    assert!(since.elapsed() < SOON);
    // A waiter that is killed costs nobody anything.
    let doomed = forked(|| value.wait_while(|n| *n == 2).unwrap());
    wait_until(|| asleep(doomed.pid()));
    kill(&doomed);
    value.set(3).unwrap();
    assert_eq!(value.wait_while(|n| *n == 2), Ok(3));
}
