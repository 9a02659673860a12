//! Reader-writer locks: who waits, who is refused, who is told of the dead. Processes are numbers here; tests with real
//! ones are those of the root package.
#![cfg(not(loom))]

mod common;

use std::{
    panic::{self, AssertUnwindSafe},
    thread,
};

use common::{Fake, ORIGIN, memory};
use multiproc_core::{Cause, LockError, ROWS, Region, RwLock, RwLockReadGuard, RwLockWriteGuard};

type Number = RwLock<'static, u64, Fake>;

fn lock(start: u64) -> Region<'static> {
    let region = memory(Number::required_len());
    // SAFETY: memory that nobody else has.
    unsafe { RwLock::place(region, Fake::new(1), ORIGIN, start) }.unwrap();
    region
}

fn open(region: Region<'static>, who: Fake) -> Number {
    RwLock::attach(region, who, ORIGIN).unwrap()
}

/// Waits until so many wait.
fn until_waiting(lock: &Number, count: usize) {
    while lock.waiting() != count {
        thread::yield_now();
    }
}

fn until_readers(lock: &Number, count: usize) {
    while lock.readers() != count {
        thread::yield_now();
    }
}

/// Runs `body` in a thread that never ends, as a process that is stopped and then killed.
fn lost(body: impl FnOnce() + Send + 'static) {
    thread::spawn(body);
}

/// Runs `body`, which is left by a panic.
fn panics(body: impl FnOnce()) {
    // Without the hook, which would print it.
    let body = || {
        body();
        panic::resume_unwind(Box::new(()))
    };
    let caught: thread::Result<()> = panic::catch_unwind(AssertUnwindSafe(body));
    assert!(caught.is_err());
}

/// Fault 42.
#[test]
fn more_readers_than_rows_wait_unless_that_could_last_for_ever() {
    let region = lock(7);
    let reader = |i: usize| open(region, Fake::new(1000 + i as u32));
    let locks: Vec<_> = (0..ROWS).map(reader).collect();
    let mut guards: Vec<_> = locks.iter().map(|lock| lock.read().unwrap()).collect();
    let other = open(region, Fake::new(401));
    assert_eq!(other.readers(), ROWS);
    assert!(other.try_read().unwrap_err().is_would_block());
    let soon = Fake::new(401).soon(3);
    assert!(other.read_until(soon).unwrap_err().is_timeout());
    assert!(other.write_until(soon).unwrap_err().is_timeout());
    assert!(matches!(locks[0].read(), Err(LockError::TooManyClaims)));
    let waiting = thread::spawn(move || *open(region, Fake::new(402)).read().unwrap());
    let last = guards.pop();
    drop(last);
    assert_eq!(waiting.join().unwrap(), 7);
    // Rows of the dead make room.
    let victim = Fake::new(403);
    let dying = open(region, victim);
    std::mem::forget(dying.read());
    assert_eq!(other.readers(), ROWS);
    victim.die();
    assert_eq!(*other.read().unwrap(), 7);
    drop(guards);
    assert!(!other.is_locked());
}

/// Fault 20.
#[test]
fn dead_readers_are_passed_and_dead_writers_are_told() {
    let region = lock(7);
    let [reader, writer] = [411, 412].map(Fake::new);
    let (first, second) = (open(region, reader), open(region, writer));
    std::mem::forget((first.read(), first.read()));
    let other = open(region, Fake::new(413));
    assert!(other.try_write().unwrap_err().is_would_block());
    reader.die();
    *other.try_write().unwrap() = 8;
    let mut guard = second.write().unwrap();
    *guard = 9;
    std::mem::forget(guard);
    assert!(other.try_read().unwrap_err().is_would_block());
    writer.die();
    let Err(LockError::Poisoned(poisoned)) = other.try_read() else {
        panic!("not told");
    };
    let cause = Cause::OwnerDied { pid: 412 };
    assert_eq!((poisoned.cause(), **poisoned.get_ref()), (cause, 9));
    drop(poisoned);
    // The first cause stays, whoever panics or dies over it.
    panics(|| {
        let mut guard = other.write().unwrap_err().into_guard().unwrap();
        *guard = 10;
        panic::resume_unwind(Box::new(()));
    });
    let third = Fake::new(414);
    let dying = open(region, third);
    std::mem::forget(dying.write());
    third.die();
    assert!(other.read().unwrap_err().is_poisoned());
    assert_eq!(other.poison(), Some(cause));
    let mut guard = other.write().unwrap_err().into_guard().unwrap();
    guard.clear_poison();
    drop(guard);
    assert_eq!(*other.read().unwrap(), 10);
}

/// Fault 20.
#[test]
fn a_writer_who_dies_waiting_is_passed() {
    let region = lock(7);
    let reading = open(region, Fake::new(421));
    let guard = reading.read().unwrap();
    let victim = Fake::new(422).asleep();
    lost(move || drop(open(region, victim).write()));
    until_waiting(&reading, 1);
    let other = open(region, Fake::new(423));
    assert!(other.try_read().unwrap_err().is_would_block());
    victim.die();
    assert_eq!(*other.read().unwrap(), 7);
    drop(guard);
    assert_eq!((other.waiting(), other.poison()), (0, None));
}

#[test]
fn a_panic_poisons_what_was_changed_and_nothing_else() {
    let lock = open(lock(7), Fake::new(431));
    panics(|| {
        let _untouched = lock.write().unwrap();
        panic::resume_unwind(Box::new(()));
    });
    panics(|| {
        let _read = lock.read().unwrap();
        panic::resume_unwind(Box::new(()));
    });
    assert_eq!((*lock.read().unwrap(), lock.poison()), (7, None));
    // What was changed before it became a share had been finished.
    panics(|| {
        let mut guard = lock.write().unwrap();
        *guard = 8;
        let _read = RwLockWriteGuard::downgrade(guard);
        panic::resume_unwind(Box::new(()));
    });
    assert_eq!((*lock.read().unwrap(), lock.poison()), (8, None));
    panics(|| {
        let mut guard = lock.write().unwrap();
        *guard = 9;
        panic::resume_unwind(Box::new(()));
    });
    assert_eq!(lock.poison(), Some(Cause::Panicked));
    lock.write()
        .unwrap_err()
        .into_guard()
        .unwrap()
        .clear_poison();
    // A share made of it while the thread unwinds does not make it sound.
    struct Downgrade<'a>(Option<RwLockWriteGuard<'a, u64, Fake>>);
    impl Drop for Downgrade<'_> {
        fn drop(&mut self) {
            let _: Option<RwLockReadGuard<'_, _, _>> =
                self.0.take().map(RwLockWriteGuard::downgrade);
        }
    }
    panics(|| {
        let mut guard = lock.write().unwrap();
        *guard = 10;
        let _later = Downgrade(Some(guard));
        panic::resume_unwind(Box::new(()));
    });
    assert_eq!(lock.poison(), Some(Cause::Panicked));
    assert!(!lock.is_locked());
}

#[test]
fn a_reader_who_is_let_in_but_stopped_holds_up_no_writer() {
    let region = lock(7);
    let holding = open(region, Fake::new(441));
    let mut guard = holding.write().unwrap();
    *guard = 8;
    let writing = thread::spawn(move || *open(region, Fake::new(442)).write().unwrap());
    until_waiting(&holding, 1);
    lost(move || drop(open(region, Fake::new(443).asleep()).read()));
    until_waiting(&holding, 2);
    drop(RwLockWriteGuard::downgrade(guard));
    assert_eq!(writing.join().unwrap(), 8);
    assert_eq!(holding.waiting(), 1, "the reader is still in line");
}

/// Fault 20.
#[test]
fn a_writer_killed_on_its_way_to_be_a_reader_is_one_or_the_other() {
    let steps = [
        ("downgrade: door open", true),
        ("downgrade: shared", false),
        ("downgrade: about to let go of the table", false),
        ("downgrade: nobody woken yet", false),
    ];
    for (pid, (step, poisoned)) in (451..).zip(steps) {
        let region = lock(7);
        let victim = Fake::new(pid).stops_at(step);
        lost(move || {
            let lock = open(region, victim);
            let mut guard = lock.write().unwrap();
            *guard = 8;
            until_waiting(&lock, 2);
            drop(RwLockWriteGuard::downgrade(guard));
        });
        let lock = open(region, Fake::new(461));
        while !lock.is_locked() {
            thread::yield_now();
        }
        let waiters = [462, 463].map(|pid| {
            thread::spawn(move || {
                let lock = open(region, Fake::new(pid));
                match pid {
                    462 => lock
                        .write()
                        .map(|guard| *guard)
                        .map_err(|error| error.is_poisoned()),
                    _ => lock
                        .read()
                        .map(|guard| *guard)
                        .map_err(|error| error.is_poisoned()),
                }
            })
        });
        victim.until_stopped();
        // Whoever can be let in is, before anybody is proved dead.
        if step == "downgrade: nobody woken yet" {
            until_readers(&lock, 1);
        }
        victim.die();
        let expected = if poisoned { Err(true) } else { Ok(8) };
        let told = waiters.map(|thread| thread.join().unwrap());
        assert_eq!(told, [expected; 2], "at {step}");
        assert!(!lock.is_locked(), "at {step}");
    }
}

/// Fault 10.
#[test]
fn a_lock_that_nobody_has_open_any_more_is_free_and_poisoned_if_somebody_wrote() {
    let region = lock(7);
    let bury = || {
        // SAFETY: nobody uses it: the guards were forgotten.
        unsafe { Number::bury(region, Fake::new(471), ORIGIN) }.unwrap();
    };
    let lock = open(region, Fake::new(472));
    std::mem::forget((lock.read(), lock.read()));
    bury();
    assert_eq!((lock.is_locked(), lock.poison()), (false, None));
    let mut guard = lock.write().unwrap();
    *guard = 8;
    std::mem::forget(guard);
    bury();
    assert_eq!(lock.poison(), Some(Cause::OwnerDied { pid: 472 }));
    assert_eq!(*lock.write().unwrap_err().into_guard().unwrap(), 8);
}
