//! Who an owner is, and what proves that he is dead: never stolen from the living.

use std::{fs, io, ptr, thread, time::Duration};

use crate::{
    common::{
        forked,
        raw::{self, must},
        wait_until,
    },
    copies::{for_each_subject, holding},
    flag::Flag,
    namespaces,
    observe::{birth, identity, idle, is_in_state, kill},
    subject::{FOREVER, MOMENT, Objects, SOON, SUBJECTS, Told, forge, of_lock},
};

/// Somebody who has nothing to do with any of this, until he is killed.
fn innocent() -> multiproc::Child<()> {
    forked(idle)
}

/// Fault 8.
pub fn a_process_id_given_out_again_is_not_taken_for_the_owner() {
    for_each_subject(|subject, objects| {
        let owner = holding(objects, subject);
        let owners = identity(owner.pid(), birth(owner.pid()));
        kill(&owner);
        let other = innocent();
        let others = birth(other.pid());
        let segment = objects.segment(subject);
        // As if the innocent himself held it: he lives.
        forge(segment, owners, identity(other.pid(), others));
        assert_eq!(objects.told(subject, MOMENT), Told::TimedOut);
        // As if one held it who had the same id and was born earlier: he is dead, the innocent notwithstanding.
        let earlier = identity(other.pid(), others - 1);
        forge(segment, identity(other.pid(), others), earlier);
        let told = objects.told(subject, FOREVER);
        assert_eq!(told, subject.after_death(other.pid()));
        assert!(other.is_alive());
    });
}

/// Fault 8.
pub fn a_process_id_given_out_again_by_the_system_is_not_taken_for_the_owner() {
    namespaces::play_in(libc::CLONE_NEWPID, "", "pid reuse");
}

/// The first process of a new PID namespace, which may say which id comes next.
pub fn pid_reuse(_: &str) {
    for subject in SUBJECTS {
        let objects = Objects::new();
        let owner = holding(&objects, subject);
        let born = birth(owner.pid());
        kill(&owner);
        let pid = owner.pid();
        drop(owner);
        let heir = loop {
            fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).unwrap();
            let heir = innocent();
            assert_eq!(heir.pid(), pid);
            // Births are counted in ticks: no two processes have one id in the same.
            if birth(pid) > born {
                break heir;
            }
        };
        let told = objects.told(subject, SOON);
        assert_eq!(told, subject.after_death(pid), "{subject:?}");
        assert!(heir.is_alive());
    }
}

/// Lets this process open no file from now on. Returns what allows it again.
pub fn open_no_file() -> libc::rlimit {
    let mut before = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `before` is writable.
    must(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut before) });
    limit_files(libc::rlimit {
        rlim_cur: 0,
        ..before
    });
    assert!(fs::File::open("/proc/self/stat").is_err());
    before
}

fn limit_files(limit: libc::rlimit) {
    // SAFETY: the limit is read.
    must(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) });
}

/// Fault 8.
pub fn a_waiter_that_can_open_no_file_steals_from_nobody() {
    for_each_subject(|subject, objects| {
        let owner = holding(objects, subject);
        let pid = owner.pid();
        let (asked, dead, asked_again, gone) = (Flag::new(), Flag::new(), Flag::new(), Flag::new());
        let waiter = forked(|| {
            // Finds out who it is while it can.
            assert_eq!(objects.told(subject, Duration::ZERO), Told::TimedOut);
            open_no_file();
            let of_the_living = objects.told(subject, 4 * MOMENT);
            asked.raise();
            dead.wait();
            // A zombie could be told from the living only by reading.
            let of_a_zombie = objects.told(subject, 4 * MOMENT);
            asked_again.raise();
            gone.wait();
            [of_the_living, of_a_zombie, objects.told(subject, FOREVER)]
        });
        asked.wait();
        kill(&owner);
        dead.raise();
        asked_again.wait();
        drop(owner);
        gone.raise();
        let told = waiter.join().unwrap();
        let expected = [Told::TimedOut, Told::TimedOut, subject.after_death(pid)];
        assert_eq!(told, expected);
    });
}

/// Fault 8.
pub fn a_process_that_cannot_tell_who_it_is_is_refused() {
    for_each_subject(|subject, objects| {
        let child = forked(|| {
            // Nobody has asked yet who this new process is.
            let before = open_no_file();
            let nobody = objects.told(subject, MOMENT);
            limit_files(before);
            (nobody, objects.told(subject, MOMENT))
        });
        assert_eq!(child.join().unwrap(), (Told::NoIdentity, Told::Sound));
    });
}

/// Fault 8.
pub fn a_waiter_from_whom_the_owner_is_hidden_steals_from_nobody() {
    let objects = Objects::new();
    let mutex = &objects.mutex;
    let (held, asked, gone) = (Flag::new(), Flag::new(), Flag::new());
    raw::expect_in_child(|| {
        hide_processes();
        let owner = raw::start(|| {
            become_nobody();
            let _guard = mutex.lock().unwrap();
            held.raise();
            idle();
        });
        held.wait();
        let waiter = raw::start(|| {
            become_nobody();
            let hidden = fs::read_to_string(format!("/proc/{owner}/task/{owner}/stat"));
            assert!(hidden.is_err(), "not hidden");
            let told = of_lock(mutex.lock_timeout(4 * MOMENT)).1;
            assert_eq!(told, Told::TimedOut);
            asked.raise();
            gone.wait();
            let told = of_lock(mutex.lock()).1;
            assert_eq!(told, Told::Died(owner as u32));
        });
        wait_until(|| asked.is_up() || is_in_state(waiter as u32, "Z"));
        // SAFETY: no memory is involved.
        must(unsafe { libc::kill(owner, libc::SIGKILL) });
        raw::wait(owner);
        gone.raise();
        raw::expect(raw::wait(waiter));
    });
}

/// From now on this process and its children see in `/proc` only what they may trace.
fn hide_processes() {
    // SAFETY: no memory is involved.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        raw::skip(&format!("unshare: {}", io::Error::last_os_error()));
    }
    namespaces::mount_proc(Some("hidepid=2"));
}

/// Gives up being root, which sees everything; as after any such change others may not trace this process.
fn become_nobody() {
    const NOBODY: libc::uid_t = 65534;
    // SAFETY: no groups are read. The group of root sees everything as well.
    must(unsafe { libc::setgroups(0, ptr::null()) });
    // SAFETY: no memory is involved.
    must(unsafe { libc::setgid(NOBODY) });
    // SAFETY: likewise; this process has one thread.
    must(unsafe { libc::setuid(NOBODY) });
}

/// Fault 8.
pub fn a_process_whose_leading_thread_has_ended_still_holds() {
    for_each_subject(|subject, objects| {
        for dies in [false, true] {
            let (held, release) = (Flag::new(), Flag::new());
            let owner = raw::start(|| {
                // The other thread cannot borrow from a frame of this one, which ends first.
                let objects: &'static Objects = Box::leak(Box::new(objects.clone()));
                thread::spawn(move || {
                    let mut guard = objects.hold(subject);
                    held.raise();
                    release.wait();
                    guard.add_one();
                    drop(guard);
                    // SAFETY: ends the process and runs nothing of what it inherited.
                    unsafe { libc::_exit(0) };
                });
                held.wait();
                // SAFETY: ends this thread alone, without unwinding: nothing of its frames is used any more.
                unsafe { libc::syscall(libc::SYS_exit, 0) };
            });
            held.wait();
            wait_until(|| is_in_state(owner as u32, "Z"));
            assert_eq!(objects.told(subject, 4 * MOMENT), Told::TimedOut);
            let expected = if dies {
                // SAFETY: no memory is involved.
                must(unsafe { libc::kill(owner, libc::SIGKILL) });
                subject.after_death(owner as u32)
            } else {
                release.raise();
                Told::Sound
            };
            assert_eq!(objects.told(subject, FOREVER), expected);
            raw::wait(owner);
        }
        assert_eq!(objects.count(subject), 1);
    });
}
