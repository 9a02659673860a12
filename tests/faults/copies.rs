//! What outlives the thread or the program that took it, and what a fork child has of its parent's.

use std::{
    env, fs,
    mem::ManuallyDrop,
    os::unix::process::CommandExt,
    panic::{self, AssertUnwindSafe},
    path::Path,
    process::Command,
    ptr, thread,
};

use multiproc::{Array, Condvar, Counter, Create, Mutex, Open, Process, StartError};

use crate::{
    common::{asleep, forked, named, raw::new_name, wait_until},
    flag::Flag,
    observe::{idle, kill},
    roles,
    subject::{FOREVER, Guard, MOMENT, Objects, SUBJECTS, Subject, Told, of_lock},
};

pub fn for_each_subject(test: impl Fn(Subject, &Objects)) {
    for subject in SUBJECTS {
        named(&format!("{subject:?}"), || test(subject, &Objects::new()));
    }
}

/// Fault 4.
pub fn what_an_ended_thread_has_leaked_stays_held_until_its_process_ends() {
    for_each_subject(|subject, objects| {
        let (leaked, end) = (Flag::new(), Flag::new());
        let child = forked(|| {
            thread::scope(|scope| scope.spawn(|| objects.leak(subject)).join()).unwrap();
            let told = objects.told(subject, MOMENT);
            let refused = Process::fork(|(): ()| (), ()).map(drop);
            leaked.raise();
            end.wait();
            (
                told,
                matches!(refused, Err(StartError::GuardsHeld { count: 1 })),
            )
        });
        let pid = child.pid();
        leaked.wait();
        assert_eq!(objects.told(subject, MOMENT), Told::TimedOut);
        end.raise();
        let in_its_own_process = child.join().unwrap();
        assert_eq!(in_its_own_process, (Told::TimedOut, true));
        assert_eq!(objects.told(subject, FOREVER), subject.after_death(pid));
        // What was written through a leaked reference is there; of a value nothing was published.
        let written = u64::from(subject != Subject::Value);
        assert_eq!(objects.count(subject), written);
    });
}

/// Fault 4.
pub fn a_leaked_read_claim_keeps_writers_out_and_poisons_nothing() {
    let array = Array::<u64>::zeroed(10).unwrap();
    let (leaked, end) = (Flag::new(), Flag::new());
    let child = forked(|| {
        let leak = || std::mem::forget(array.read(3..7).unwrap());
        thread::scope(|scope| scope.spawn(leak).join()).unwrap();
        leaked.raise();
        end.wait();
    });
    leaked.wait();
    assert!(array.write_timeout(6.., MOMENT).unwrap_err().is_timeout());
    assert!(array.try_read(..).is_ok(), "readers share");
    end.raise();
    child.join().unwrap();
    assert!(array.write(..).is_ok());
}

/// A copy of a guard, as a fork child has one.
///
/// # Safety
///
/// The calling process is a copy of the one that made the guard, which does not drop its own here.
pub unsafe fn inherited<T>(guard: &T) -> T {
    // SAFETY: promised by the caller.
    unsafe { ptr::read(guard) }
}

/// Fault 5. Fault 43.
pub fn a_fork_child_drops_an_inherited_guard_and_its_parent_still_holds() {
    for_each_subject(|subject, objects| {
        let mut guard = objects.hold(subject);
        guard.add_one();
        let child = forked(|| {
            // SAFETY: in a copy of the process that holds it.
            let mut copy = unsafe { inherited(&guard) };
            if let Guard::Value(copy) = &mut copy {
                // A private copy of the value, which must not be published.
                **copy = 77;
            }
            drop(copy);
            objects.told(subject, MOMENT)
        });
        assert_eq!(child.join().unwrap(), Told::TimedOut);
        guard.add_one();
        drop(guard);
        assert_eq!(objects.told(subject, MOMENT), Told::Sound);
        assert_eq!(objects.count(subject), 2);
    });
}

/// Fault 5.
pub fn a_fork_child_that_waits_with_an_inherited_guard_locks_for_itself() {
    let (mutex, changed) = (Mutex::new(0u64).unwrap(), Condvar::new().unwrap());
    let mut guard = mutex.lock().unwrap();
    let (looked, notified) = (Flag::new(), Flag::new());
    let child = forked(|| {
        // SAFETY: in a copy of the process that holds it.
        let copy = unsafe { ptr::read(&raw const guard) };
        let is_zero = |number: &mut u64| {
            let is_zero = *number == 0;
            // Whoever held the lock could not miss a notification here.
            looked.raise();
            notified.wait();
            is_zero
        };
        *changed.wait_while(copy, is_zero).unwrap()
    });
    looked.wait();
    *guard += 1;
    changed.notify_all();
    notified.raise();
    // It waits for the lock, which this process still has.
    wait_until(|| asleep(child.pid()));
    *guard += 1;
    drop(guard);
    assert_eq!(child.join().unwrap(), 2);
    assert_eq!(*mutex.lock().unwrap(), 2);
}

/// Fault 5.
pub fn a_panic_in_a_fork_child_poisons_nothing_of_its_parent() {
    for_each_subject(|subject, objects| {
        let guard = objects.hold(subject);
        let child = forked(|| {
            let fail = || {
                // SAFETY: in a copy of the process that holds it.
                let _copy = unsafe { inherited(&guard) };
                // Without the hook, which would print it.
                panic::resume_unwind(Box::new(()));
            };
            assert!(panic::catch_unwind(AssertUnwindSafe(fail)).is_err());
        });
        child.join().unwrap();
        drop(guard);
        assert_eq!(objects.told(subject, MOMENT), Told::Sound);
    });
}

/// Fault 5.
pub fn a_fork_child_waits_for_what_its_parent_holds() {
    for_each_subject(|subject, objects| {
        let guard = objects.hold(subject);
        // The thread is a copy of the one that holds it, but would not wait for itself.
        let child = forked(|| objects.told(subject, FOREVER));
        wait_until(|| asleep(child.pid()));
        drop(guard);
        assert_eq!(child.join().unwrap(), Told::Sound);
    });
}

/// Fault 43.
pub fn a_fork_child_drops_inherited_handles_and_the_name_stays() {
    let name = new_name();
    let place = |what: &str| format!("{name}-{what}");
    let objects = Objects::create(|what| Create::named(place(what))).unwrap();
    let counter = Counter::create(place("counter"), 5).unwrap();
    let guards = SUBJECTS.map(|subject| objects.hold(subject));
    let child = forked(|| {
        // SAFETY: in a copy of the process that made them.
        drop(unsafe { inherited(&guards) });
        // SAFETY: likewise.
        drop(unsafe { inherited(&objects) });
        // SAFETY: likewise.
        drop(unsafe { inherited(&counter) });
    });
    child.join().unwrap();
    let opened = Objects::open(|what| Open::named(place(what))).unwrap();
    assert_eq!(Counter::open(place("counter")).unwrap().get(), 5);
    for subject in SUBJECTS {
        let elsewhere = forked(|| opened.told(subject, MOMENT));
        assert_eq!(elsewhere.join().unwrap(), Told::TimedOut, "{subject:?}");
    }
    drop(guards);
    for subject in SUBJECTS {
        assert_eq!(opened.told(subject, MOMENT), Told::Sound, "{subject:?}");
    }
    drop((objects, counter));
    assert!(
        Mutex::<u64>::open(place("mutex"))
            .unwrap_err()
            .is_not_found()
    );
    assert!(Counter::open(place("counter")).unwrap_err().is_not_found());
}

/// Whether a process has become `cat`, and waits for input.
fn is_cat(pid: u32) -> bool {
    let says = |file: &str, text: &str| {
        let found = fs::read_to_string(format!("/proc/{pid}/{file}"));
        found.is_ok_and(|found| found.contains(text))
    };
    // The second, because it has its new name before it has closed all files of its old image.
    says("comm", "cat") && says("wchan", "pipe_read")
}

/// Fault 6.
pub fn what_a_program_held_before_exec_is_recovered_when_it_ends() {
    for_each_subject(|subject, objects| {
        let (input, end) = std::io::pipe().unwrap();
        let child = forked::<()>(|| {
            objects.leak(subject);
            // It ends at the end of its input.
            panic!("{}", Command::new("cat").stdin(input).exec());
        });
        let pid = child.pid();
        wait_until(|| is_cat(pid));
        assert_eq!(objects.told(subject, MOMENT), Told::TimedOut);
        drop(end);
        wait_until(|| !child.is_alive());
        assert_eq!(objects.told(subject, FOREVER), subject.after_death(pid));
    });
}

/// Fault 6.
pub fn a_new_image_owns_nothing_and_waits_for_what_the_old_one_held() {
    let name = new_name();
    let mutex = Mutex::create(name.clone(), 0u64).unwrap();
    let child = forked::<()>(|| {
        let _held = ManuallyDrop::new(mutex.lock().unwrap());
        roles::become_program("after exec", &name)
    });
    let pid = child.pid();
    assert_eq!(child.join().unwrap_err().exit_code(), Some(0));
    assert_eq!(of_lock(mutex.lock()).1, Told::Died(pid));
}

/// Fault 6. Fault 10.
pub fn what_nobody_has_after_exec_is_recovered_when_it_is_opened() {
    let path = std::env::temp_dir().join(new_name());
    drop(Mutex::create(path.as_path(), 0u64).unwrap());
    let (input, end) = std::io::pipe().unwrap();
    let child = forked::<()>(|| {
        let mutex = Mutex::<u64>::open(path.as_path()).unwrap();
        let _held = ManuallyDrop::new(mutex.lock().unwrap());
        panic!("{}", Command::new("cat").stdin(input).exec());
    });
    let pid = child.pid();
    wait_until(|| is_cat(pid));
    // The process lives, but it has neither the memory nor any way back to it.
    let mutex = Mutex::<u64>::open(path.as_path()).unwrap();
    assert_eq!(of_lock(mutex.lock_timeout(MOMENT)).1, Told::Died(pid));
    assert!(child.is_alive());
    drop(end);
    fs::remove_file(path).unwrap();
}

/// The new image: it has the identity of the old one, which held the mutex of this name.
pub fn after_exec(name: &str) {
    assert!(
        Path::new("/dev/shm").join(name).exists(),
        "{:?}",
        env::args()
    );
    let mutex = Mutex::<u64>::open(name).unwrap();
    assert_eq!(of_lock(mutex.lock_timeout(MOMENT)).1, Told::TimedOut);
    assert_eq!(of_lock(mutex.try_lock()).1, Told::WouldBlock);
    assert!(mutex.is_locked());
}

/// A process that holds the subject, once that is so; it waits to be killed.
pub fn holding(objects: &Objects, subject: Subject) -> multiproc::Child<()> {
    let held = Flag::new();
    let child = forked(|| {
        objects.leak(subject);
        held.raise();
        idle();
    });
    held.wait();
    child
}

/// The identity, by process id, of one who held the subject and was killed. It is not known to anybody yet.
pub fn killed_while_holding(objects: &Objects, subject: Subject) -> u32 {
    let child = holding(objects, subject);
    kill(&child);
    child.pid()
}
