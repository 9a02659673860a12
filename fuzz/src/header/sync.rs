//! What threads wait on.

use std::{fmt, num::NonZeroUsize};

use multiproc_core::{
    Barrier, Condvar, Element, Event, LayoutError, NOW, OnceValue, ReentrantMutex, Region, RwLock,
    Semaphore,
};

use super::super::{
    hostile::{Hostile, show},
    memory::ORIGIN,
};
use super::{Sample, ZERO, attached};

/// Attaches to the segment as each of them, uses what that gives, and buries it.
pub(super) fn attach(region: Region<'static>, os: Hostile<'_>) {
    as_reentrant(region, os);
    as_rwlock(region, os);
    as_semaphore::<false>(region, os);
    as_semaphore::<true>(region, os);
    as_condvar(region, os);
    as_event(region, os);
    as_barrier(region, os);
    as_once::<[u16; 3], false>(region, os);
    as_once::<(), true>(region, os);
}

/// Whether everybody could be buried.
fn buried(os: Hostile<'_>, bury: impl FnOnce() -> Result<(), LayoutError>) -> bool {
    os.0.call(bury).is_ok()
}

fn as_reentrant(region: Region<'static>, os: Hostile<'_>) {
    let view = || ReentrantMutex::<u64, _>::attach(region, os, ORIGIN);
    let mutex = attached(region, view(), |_, fresh| {
        // SAFETY: fresh memory, in which no layout is in use.
        unsafe { ReentrantMutex::place(fresh, os, ORIGIN, 0u64) }.map(drop)
    });
    if let Some(mutex) = mutex {
        match os.0.call(|| mutex.try_lock()) {
            Ok(guard) => guard.set(guard.get().wrapping_add(1)),
            Err(error) => show(error),
        }
        show(&mutex);
    }
    // SAFETY: nobody else has it open.
    if buried(os, || unsafe {
        ReentrantMutex::<u64, _>::bury(region, os, ORIGIN)
    }) {
        let mutex = view().expect("it was buried here");
        assert!(!mutex.is_locked(), "everybody is buried");
    }
}

fn as_rwlock(region: Region<'static>, os: Hostile<'_>) {
    let view = || RwLock::<Sample, _>::attach(region, os, ORIGIN);
    let lock = attached(region, view(), |_, fresh| {
        // SAFETY: fresh memory, in which no layout is in use.
        unsafe { RwLock::place(fresh, os, ORIGIN, ZERO) }.map(drop)
    });
    if let Some(lock) = lock {
        match os.0.call(|| lock.try_write()) {
            Ok(mut guard) => guard.n = guard.n.wrapping_add(1),
            Err(error) => show(error),
        }
        match os.0.call(|| lock.try_read()) {
            Ok(guard) => show(guard.n),
            Err(error) => show(error),
        }
        show(&lock);
    }
    // SAFETY: nobody else has it open.
    if buried(os, || unsafe {
        RwLock::<Sample, _>::bury(region, os, ORIGIN)
    }) {
        let lock = view().expect("it was buried here");
        assert!(!lock.is_locked(), "everybody is buried");
        assert_eq!(lock.waiting(), 0, "everybody is buried");
    }
}

fn as_semaphore<const BOUNDED: bool>(region: Region<'static>, os: Hostile<'_>) {
    let view = || Semaphore::<_, BOUNDED>::attach(region, os, ORIGIN);
    let semaphore = attached(region, view(), |_, fresh| {
        // SAFETY: fresh memory, in which no layout is in use.
        unsafe { Semaphore::<_, BOUNDED>::place(fresh, os, ORIGIN, 0) }.map(drop)
    });
    if let Some(semaphore) = semaphore {
        show(os.0.call(|| semaphore.try_acquire_many(2)));
        show(os.0.call(|| semaphore.release(1)));
        show((&semaphore, os.0.call(|| semaphore.value())));
    }
    // SAFETY: nobody else has it open.
    if buried(os, || unsafe {
        Semaphore::<_, BOUNDED>::bury(region, os, ORIGIN)
    }) {
        let semaphore = view().expect("it was buried here");
        let value = os.0.call(|| semaphore.value());
        assert_eq!(value, Ok(semaphore.permits()), "everybody is buried");
    }
}

fn as_condvar(region: Region<'static>, os: Hostile<'_>) {
    let view = || Condvar::attach(region, os, ORIGIN);
    let condvar = attached(region, view(), |_, fresh| {
        // SAFETY: fresh memory, in which no layout is in use.
        unsafe { Condvar::place(fresh, os, ORIGIN) }.map(drop)
    });
    if let Some(condvar) = condvar {
        os.0.call(|| condvar.notify_n(2));
        os.0.call(|| condvar.notify_all());
        show(&condvar);
    }
    // SAFETY: nobody else has it open.
    if buried(os, || unsafe { Condvar::bury(region, os, ORIGIN) }) {
        view().map(drop).expect("it was buried here");
    }
}

fn as_event(region: Region<'static>, os: Hostile<'_>) {
    let view = || Event::attach(region, os, ORIGIN);
    let event = attached(region, view(), |_, fresh| {
        // SAFETY: fresh memory, in which no layout is in use.
        unsafe { Event::place(fresh, os, ORIGIN) }.map(drop)
    });
    if let Some(event) = event {
        show(&event);
        os.0.call(|| event.set());
        assert!(os.0.call(|| event.wait_until(NOW)), "it is set");
        show(event.clear());
    }
    // SAFETY: nobody else has it open.
    if buried(os, || unsafe { Event::bury(region, os, ORIGIN) }) {
        let event = view().expect("it was buried here");
        assert_eq!(os.0.call(|| event.wait_until(NOW)), event.is_set());
    }
}

fn as_barrier(region: Region<'static>, os: Hostile<'_>) {
    let view = || Barrier::attach(region, os, ORIGIN);
    let barrier = attached(region, view(), |view, fresh| {
        let parties = NonZeroUsize::new(view.parties()).expect("a barrier is for somebody");
        // SAFETY: fresh memory, in which no layout is in use.
        unsafe { Barrier::place(fresh, os, ORIGIN, parties) }.map(drop)
    });
    if let Some(barrier) = barrier {
        assert!(barrier.waiting() <= barrier.parties());
        show(os.0.call(|| barrier.try_wait()));
        let until = os.0.now() + 1;
        show(os.0.call(|| barrier.wait_until(until)));
        show(&barrier);
    }
    // SAFETY: nobody else has it open.
    if buried(os, || unsafe { Barrier::bury(region, os, ORIGIN) }) {
        let barrier = view().expect("it was buried here");
        assert!(!barrier.is_broken(), "it is as new");
        assert_eq!(barrier.waiting(), 0, "everybody is buried");
    }
}

fn as_once<T: Element + fmt::Debug, const IS_ONCE: bool>(region: Region<'static>, os: Hostile<'_>) {
    let view = || OnceValue::<T, _, IS_ONCE>::attach(region, os, ORIGIN);
    let once = attached(region, view(), |_, fresh| {
        // SAFETY: fresh memory, in which no layout is in use.
        unsafe { OnceValue::<T, _, IS_ONCE>::place(fresh, os, ORIGIN) }.map(drop)
    });
    if let Some(once) = once {
        show(&once);
        show(os.0.call(|| once.get_or_init_until(NOW, T::zeroed)));
    }
    // SAFETY: nobody else has it open.
    if buried(os, || unsafe {
        OnceValue::<T, _, IS_ONCE>::bury(region, os, ORIGIN)
    }) {
        let once = view().expect("it was buried here");
        let made = once.is_initialized();
        let set = os.0.call(|| once.set_until(NOW, T::zeroed()));
        assert_eq!(set.is_ok(), !made, "everybody is buried: {set:?}");
    }
}
