//! Reentrant mutexes and values made once, among threads that panic, processes that die and waits that give up.
#![cfg(not(loom))]

mod common;

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{atomic::Ordering, mpsc},
    thread,
};

use common::{Fake, Gate, ORIGIN, bytes, memory, wakes};
use multiproc_core::{
    Cause, Kind, LayoutError, LockError, NOW, Once, OnceValue, ReentrantMutex, Refused, Region,
};

fn mutex(start: u64) -> Region<'static> {
    let region = memory(ReentrantMutex::<u64, Fake>::required_len());
    // SAFETY: memory that nobody else has.
    unsafe { ReentrantMutex::place(region, Fake::new(1), ORIGIN, start) }.unwrap();
    region
}

fn open_mutex(region: Region<'static>, who: Fake) -> ReentrantMutex<'static, u64, Fake> {
    ReentrantMutex::attach(region, who, ORIGIN).unwrap()
}

fn once() -> Region<'static> {
    let region = memory(OnceValue::<u64, Fake>::required_len());
    // SAFETY: memory that nobody else has.
    unsafe { OnceValue::<u64, _>::place(region, Fake::new(1), ORIGIN) }.unwrap();
    region
}

fn open_once(region: Region<'static>, who: Fake) -> OnceValue<'static, u64, Fake> {
    OnceValue::attach(region, who, ORIGIN).unwrap()
}

/// Runs `body`, which panics.
fn panics(body: impl FnOnce()) {
    // Without the hook, which would print it.
    let body = || {
        body();
        panic::resume_unwind(Box::new(()))
    };
    let caught: thread::Result<()> = panic::catch_unwind(AssertUnwindSafe(body));
    assert!(caught.is_err());
}

#[test]
fn a_panic_under_an_inner_guard_poisons_though_the_outer_one_is_kept() {
    let mutex = open_mutex(mutex(5), Fake::new(301));
    let outer = mutex.lock().unwrap();
    panics(|| {
        let inner = mutex.lock().unwrap();
        inner.set(6);
        // Lost with the frame, as a guard of an unwinding thread is.
        let _inner = inner;
        panic::resume_unwind(Box::new(()));
    });
    assert_eq!((outer.depth(), outer.get()), (1, 6));
    assert_eq!(mutex.poison(), Some(Cause::Panicked));
    let Err(LockError::Poisoned(again)) = mutex.lock() else {
        panic!("not told");
    };
    assert_eq!(
        (again.cause(), again.get_ref().depth()),
        (Cause::Panicked, 2)
    );
    outer.clear_poison();
    drop(again);
    drop(outer);
    assert_eq!((mutex.poison(), mutex.is_locked()), (None, false));
    assert_eq!(mutex.lock().unwrap().depth(), 1);
}

#[test]
fn threads_and_processes_with_like_numbers_do_not_share_a_lock() {
    let region = mutex(0);
    let holder = Fake::new(311).thread(7);
    let mutex = open_mutex(region, holder);
    let _guards = (mutex.lock().unwrap(), mutex.lock().unwrap());
    for other in [holder.thread(8), Fake::new(312).thread(7)] {
        let mutex = open_mutex(region, other);
        assert!(mutex.try_lock().unwrap_err().is_would_block());
    }
    let nobody = open_mutex(region, Fake::new(0));
    assert!(matches!(nobody.lock(), Err(LockError::NoIdentity)));
}

/// Fault 1.
#[test]
fn the_depth_of_the_dead_is_not_inherited() {
    let region = mutex(5);
    let victim = Fake::new(321);
    for _ in 0..3 {
        std::mem::forget(open_mutex(region, victim).lock());
    }
    victim.die();
    let mutex = open_mutex(region, Fake::new(322));
    let guard = mutex.lock().unwrap_err().into_guard().unwrap();
    assert_eq!(guard.depth(), 1);
    guard.clear_poison();
    drop(guard);
    assert!(!mutex.is_locked());
}

#[test]
fn whoever_is_buried_leaves_a_reentrant_mutex_poisoned() {
    let region = mutex(5);
    let held = open_mutex(region, Fake::new(331));
    std::mem::forget((held.lock(), held.lock()));
    // SAFETY: nobody uses it any more.
    unsafe { ReentrantMutex::<u64, Fake>::bury(region, Fake::new(1), ORIGIN) }.unwrap();
    let mutex = open_mutex(region, Fake::new(332));
    let Err(LockError::Poisoned(poisoned)) = mutex.try_lock() else {
        panic!("not told");
    };
    assert_eq!(poisoned.cause(), Cause::OwnerDied { pid: 331 });
}

#[test]
fn the_words_lie_before_the_data() {
    let region = mutex(5);
    let mutex = open_mutex(region, Fake::new(341));
    let guards = (mutex.lock().unwrap(), mutex.lock().unwrap());
    assert_eq!(bytes(region)[528..536], 2u64.to_le_bytes(), "depth");
    assert_eq!(bytes(region)[544..552], 5u64.to_le_bytes());
    drop(guards);
    let region = once();
    open_once(region, Fake::new(342)).set(7).unwrap();
    assert_eq!(bytes(region)[528..536], 2u64.to_le_bytes(), "ready");
    assert_eq!(bytes(region)[536..544], 7u64.to_le_bytes());
}

#[test]
fn a_value_is_made_by_the_first_whose_initialiser_comes_to_its_end() {
    let region = once();
    let once = open_once(region, Fake::new(351));
    panics(|| {
        let _ = once.get_or_init(|| panic::resume_unwind(Box::new(())));
    });
    assert!(once.get_or_try_init(|| Err("on purpose")).is_err());
    assert_eq!(once.get(), None);
    assert_eq!(once.wait_until(NOW), Err(Refused::WouldBlock));
    // Dead in the middle of it.
    let victim = Fake::new(352);
    let (died, dead) = mpsc::channel();
    thread::spawn(move || {
        let _ = open_once(region, victim).get_or_init(|| {
            victim.die();
            died.send(()).unwrap();
            loop {
                thread::park();
            }
        });
    });
    dead.recv().unwrap();
    let next = open_once(region, Fake::new(353));
    assert_eq!(next.get_or_init_until(NOW, || 7), Ok(&7));
    assert_eq!(once.get(), Some(&7));
    assert_eq!(once.get_or_init(|| 8), Ok(&7));
}

#[test]
fn only_who_makes_a_value_needs_an_identity_and_wakes_others() {
    let region = once();
    let nobody = open_once(region, Fake::new(0));
    assert_eq!(nobody.get_or_init(|| 7), Err(Refused::NoIdentity));
    let before = wakes();
    let gate: &Gate = Box::leak(Box::default());
    gate.open.store(true, Ordering::SeqCst);
    let waiting =
        thread::spawn(move || *open_once(region, Fake::new(0).behind(gate)).wait().unwrap());
    while gate.sleeps.load(Ordering::SeqCst) == 0 {
        thread::yield_now();
    }
    open_once(region, Fake::new(361)).set(7).unwrap();
    assert_eq!(waiting.join().unwrap(), 7);
    assert_eq!(wakes(), before + 1);
    assert_eq!(nobody.get_or_init(|| 8), Ok(&7));
    assert_eq!(wakes(), before + 1);
}

#[test]
fn a_value_that_was_not_finished_is_begun_anew_after_a_burial() {
    let region = once();
    let (began, begun) = mpsc::channel();
    thread::spawn(move || {
        let _ = open_once(region, Fake::new(371)).get_or_init(|| {
            began.send(()).unwrap();
            loop {
                thread::park();
            }
        });
    });
    begun.recv().unwrap();
    let other = open_once(region, Fake::new(372));
    assert_eq!(other.get_or_init_until(NOW, || 7), Err(Refused::WouldBlock));
    // SAFETY: whoever has it does nothing any more.
    unsafe { OnceValue::<u64, Fake>::bury(region, Fake::new(1), ORIGIN) }.unwrap();
    assert_eq!(other.get_or_init_until(NOW, || 7), Ok(&7));
    // SAFETY: likewise.
    unsafe { OnceValue::<u64, Fake>::bury(region, Fake::new(1), ORIGIN) }.unwrap();
    assert_eq!(open_once(region, Fake::new(373)).get(), Some(&7));
}

#[test]
fn what_is_done_once_is_not_opened_as_a_value_of_nothing() {
    let region = memory(Once::<Fake>::required_len());
    // SAFETY: nobody else uses the memory.
    unsafe { Once::<Fake>::place(region, Fake::new(1), ORIGIN) }.unwrap();
    let refused = OnceValue::<(), Fake>::attach(region, Fake::new(1), ORIGIN).unwrap_err();
    assert_eq!(
        refused,
        LayoutError::Kind {
            expected: Kind::OnceValue,
            found: Kind::Once as u32,
        }
    );
    assert!(Once::attach(region, Fake::new(1), ORIGIN).is_ok());
}
