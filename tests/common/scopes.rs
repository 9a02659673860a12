//! What a scope does with the children that were started in it.

use std::{process, time::Duration};

use multiproc::{Counter, JoinError, StartMethod};

use super::{STUCK, builder, idle, is_gone};
use crate::fifo::Fifo;

pub fn a_scope_joins_what_it_started(method: StartMethod) {
    fn count((counter, n): (Counter, u64)) -> u64 {
        counter.add(n)
    }
    let counter = Counter::new(0).unwrap();
    let first = multiproc::scope(|s| {
        let builder = builder(method);
        let first = s.start(&builder, count, (counter.clone(), 1))?.join()?;
        for n in [10, 100] {
            s.start(&builder, count, (counter.clone(), n))?;
        }
        Ok::<_, multiproc::Error>(first)
    });
    assert_eq!((first.unwrap(), counter.get()), (0, 111));
}

/// In a scope: a child that waits for ever, once it does.
fn idling_in<'s>(s: &'s multiproc::Scope, method: StartMethod) -> multiproc::ScopedChild<'s, ()> {
    let begun = Fifo::new();
    let child = s.start(&builder(method), idle, begun.clone()).unwrap();
    assert_eq!(begun.receive(), "begun");
    begun.remove();
    child
}

pub fn a_scope_ends_with_the_first_failure(method: StartMethod) {
    fn leave(code: i32) {
        process::exit(code)
    }
    let mut idle = 0;
    let failed = multiproc::scope(|s| {
        idle = idling_in(s, method).pid();
        s.start(&builder(method), leave, 9).unwrap();
        Ok::<_, JoinError>(())
    });
    assert_eq!(failed.unwrap_err().exit_code(), Some(9));
    assert!(is_gone(idle));
}

pub fn a_scope_that_fails_or_panics_kills_what_still_runs(method: StartMethod) {
    let mut pid = 0;
    let failed = multiproc::scope(|s| {
        let mut child = idling_in(s, method);
        assert!(child.is_alive());
        assert_eq!(child.try_join().unwrap(), None);
        assert!(child.memory().unwrap().private > 0);
        assert!(child.cpu_time().unwrap() > Duration::ZERO);
        pid = child.pid();
        // Whatever becomes of the handle.
        std::mem::forget(child);
        Err::<(), _>(multiproc::Error::NoProc)
    });
    assert!(matches!(failed, Err(multiproc::Error::NoProc)));
    assert!(is_gone(pid));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        multiproc::scope(|s| {
            pid = idling_in(s, method).pid();
            // Without the hook, which would print it.
            std::panic::resume_unwind(Box::new(()));
            #[allow(unreachable_code, reason = "it gives the type")]
            Ok::<(), JoinError>(())
        })
    }));
    assert!(panicked.is_err());
    assert!(is_gone(pid));
}

pub fn a_scope_does_not_join_again_what_was_joined_in_time(method: StartMethod) {
    fn give(number: u32) -> u32 {
        number
    }
    fn fail(_: ()) {
        panic!("on purpose")
    }
    let joined = multiproc::scope(|s| {
        let mut gives = s.start(&builder(method), give, 3)?;
        let mut fails = s.start(&builder(method), fail, ())?;
        assert_eq!(gives.join_timeout(STUCK)?, Some(3));
        // A failure that was handled is none of the scope's.
        let failure = fails.join_timeout(STUCK).unwrap_err();
        assert!(failure.is_panic(), "{failure}");
        for again in [
            gives.join_timeout(STUCK).map(drop),
            fails.join_timeout(STUCK).map(drop),
        ] {
            let again = again.unwrap_err();
            assert!(matches!(again, JoinError::AlreadyJoined { .. }), "{again}");
        }
        Ok::<_, multiproc::Error>(())
    });
    joined.unwrap();
}

/// Fault 43.
pub fn a_copy_that_leaves_a_scope_ends_none_of_its_children(method: StartMethod) {
    let me = process::id();
    let left: Result<(), Box<dyn std::error::Error>> = multiproc::scope(|s| {
        let child = idling_in(s, method);
        // SAFETY: the copy leaves the scope and ends: of other threads it needs nothing.
        let copy = unsafe { libc::fork() };
        if copy == 0 {
            return Err("the copy leaves".into());
        }
        // SAFETY: takes numbers and a null pointer.
        let waited = unsafe { libc::waitpid(copy, std::ptr::null_mut(), 0) };
        assert_eq!(waited, copy);
        assert!(child.is_alive());
        Err("this process leaves".into())
    });
    if process::id() != me {
        // SAFETY: takes a number.
        unsafe { libc::_exit(0) };
    }
    assert_eq!(left.unwrap_err().to_string(), "this process leaves");
}
