//! Who owns what, where that is hard to tell: children that no handler knows of, ids given out again, `/proc` out of
//! reach, leaders that ended, foreign namespaces. Faults 5, 8, 9 and 10.

mod common;

use std::{
    env,
    fs::{self, File},
    io::{self, Read, Write},
    os::fd::AsRawFd,
    process::{self, Command, ExitCode},
    thread,
    time::Duration,
};

use common::{
    kill_self,
    raw::{expect, expect_in_child, must, new_name, set_limit, skip, start, wait},
    wait_until,
};
use multiproc::{Cause, Create, Error, LayoutError, LockError, Mutex, Segment};

/// Two slices of waiting and more: whoever could be found dead would be.
const LONG: Duration = Duration::from_millis(250);

/// Given before a name: makes a mutex of that name, locks it and ends.
const LEAVE: &str = "--leave-locked";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().collect();
    if let [_, option, name] = &arguments[..]
        && option == LEAVE
    {
        leave_locked(name);
        return ExitCode::SUCCESS;
    }
    common::run(&[
        (
            "a_child_that_no_fork_handler_knows_of_owns_nothing",
            a_child_that_no_fork_handler_knows_of_owns_nothing,
        ),
        (
            "an_id_given_out_again_is_not_its_old_owner",
            an_id_given_out_again_is_not_its_old_owner,
        ),
        (
            "without_proc_nobody_is_taken_for_dead",
            without_proc_nobody_is_taken_for_dead,
        ),
        (
            "a_process_lives_on_when_its_leading_thread_has_ended",
            a_process_lives_on_when_its_leading_thread_has_ended,
        ),
        (
            "another_pid_namespace_is_refused",
            another_pid_namespace_is_refused,
        ),
        (
            "another_time_namespace_is_refused",
            another_time_namespace_is_refused,
        ),
        (
            "whoever_moves_to_another_time_namespace_takes_nobody_for_dead",
            whoever_moves_to_another_time_namespace_takes_nobody_for_dead,
        ),
        (
            "under_another_proc_nobody_is_taken_for_dead",
            under_another_proc_nobody_is_taken_for_dead,
        ),
        (
            "what_is_left_from_another_world_is_poisoned_and_kept",
            what_is_left_from_another_world_is_poisoned_and_kept,
        ),
    ])
}

fn leave_locked(name: &str) {
    let mutex = Mutex::create(Create::named(name).persist(true), 0u64).unwrap();
    let mut guard = mutex.lock().unwrap();
    *guard = 7;
    std::mem::forget(guard);
}

/// That the lock is held by somebody who is not proved dead, and not by this thread.
fn refused_for_now(mutex: &Mutex<u64>) {
    let refused = mutex.lock_timeout(LONG).unwrap_err();
    assert!(matches!(refused, LockError::TimedOut), "{refused}");
}

/// That the lock is given at once, with the news that this process died while it had it.
fn left_by(mutex: &Mutex<u64>, pid: libc::pid_t) {
    match mutex.lock_timeout(LONG) {
        Err(LockError::Poisoned(poisoned)) => {
            let pid = pid as u32;
            assert_eq!(poisoned.cause(), Cause::OwnerDied { pid });
        }
        result => panic!("{result:?}"),
    }
}

/// Fault 5.
fn a_child_that_no_fork_handler_knows_of_owns_nothing() {
    let mutex = Mutex::new(0u64).unwrap();
    let mut guard = Some(mutex.lock().unwrap());
    // SAFETY: like `fork`, but behind the C library's back; this process has one thread.
    let child = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
    if child == 0 {
        refused_for_now(&mutex);
        drop(guard.take());
        refused_for_now(&mutex);
        process::exit(0);
    }
    expect(wait(child as libc::pid_t));
    assert!(mutex.is_locked());
    drop(guard);
    *mutex.lock().unwrap() += 1;
}

/// Fault 8.
fn an_id_given_out_again_is_not_its_old_owner() {
    const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";
    let mutex = Mutex::new(0u64).unwrap();
    let owner = start(|| {
        std::mem::forget(mutex.lock().unwrap());
        kill_self();
    });
    let born = birth_of(owner);
    wait(owner);
    let next = (owner - 1).to_string();
    if fs::write(LAST_PID, &next).is_err() {
        println!("skipped: no right to choose the next process id");
        return;
    }
    for _ in 0..10_000 {
        fs::write(LAST_PID, &next).unwrap();
        let (reader, writer) = io::pipe().unwrap();
        let mut writer = Some(writer);
        let innocent = start(|| {
            drop(writer.take());
            // Until the parent has looked.
            io::read_to_string(reader).unwrap();
        });
        // Others may be faster; and who is born in the same tick of the clock would be the same owner. The kernel
        // gives out all other ids before it gives out one again, which takes longer.
        if innocent == owner && birth_of(innocent) != born {
            left_by(&mutex, owner);
            end(innocent);
            return;
        }
        end(innocent);
    }
    println!("skipped: others take all process ids");
}

fn end(child: libc::pid_t) {
    // SAFETY: a child of this process that was not waited for.
    must(unsafe { libc::kill(child, libc::SIGKILL) });
    wait(child);
}

/// Field 22 of a process's stat.
fn birth_of(process: libc::pid_t) -> String {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    stat.split(' ').nth(21).unwrap().into()
}

/// Fault 8.
fn without_proc_nobody_is_taken_for_dead() {
    let mutex = Mutex::new(0u64).unwrap();
    let guard = mutex.lock().unwrap();
    expect_in_child(|| {
        let other = Mutex::new(0u64).unwrap();
        drop(other.lock().unwrap());
        let next = File::open("/dev/null").unwrap().as_raw_fd() as u64;
        set_limit(libc::RLIMIT_NOFILE as i32, next);
        assert!(File::open("/proc/self/stat").is_err());
        refused_for_now(&mutex);
    });
    drop(guard);
}

/// Fault 8.
fn a_process_lives_on_when_its_leading_thread_has_ended() {
    let mutex = Mutex::new(0u64).unwrap();
    let (reader, writer) = io::pipe().unwrap();
    let mut writer = Some(writer);
    let owner = start(|| {
        drop(writer.take());
        let mutex = mutex.clone();
        thread::spawn(move || {
            std::mem::forget(mutex.lock().unwrap());
            io::read_to_string(reader).unwrap();
            kill_self();
        });
        // SAFETY: ends this thread and nothing else: it leaves no stack that anybody uses.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    });
    wait_until(|| mutex.is_locked());
    wait_until(|| {
        let stat = fs::read_to_string(format!("/proc/{owner}/stat")).unwrap();
        stat.contains(") Z ")
    });
    refused_for_now(&mutex);
    drop(writer);
    wait(owner);
    left_by(&mutex, owner);
}

/// Runs `body` in a child in a new namespace.
fn expect_in_namespace(kind: libc::c_int, body: impl FnOnce()) {
    expect_in_child(|| {
        // SAFETY: no memory is involved.
        if unsafe { libc::unshare(kind) } != 0 {
            skip(&format!("no new namespace: {}", io::Error::last_os_error()));
        }
        // Only children are in it.
        expect_in_child(body);
    });
}

/// Fault 9.
fn another_pid_namespace_is_refused() {
    let name = &new_name();
    let mutex = Mutex::create(name.as_str(), 0u64).unwrap();
    drop(mutex.lock().unwrap());
    expect_in_namespace(libc::CLONE_NEWPID, || {
        let error = mutex.lock().unwrap_err();
        assert!(matches!(error, LockError::NoIdentity), "{error}");
        let error = Mutex::<u64>::open(name.as_str()).unwrap_err();
        assert!(
            matches!(error, Error::ForeignProc { expected: 1, .. }),
            "{error}"
        );
    });
    expect_in_namespace(libc::CLONE_NEWPID | libc::CLONE_NEWNS, || {
        mount_proc();
        let error = mutex.lock().unwrap_err();
        assert!(matches!(error, LockError::NoIdentity), "{error}");
        let error = Mutex::<u64>::open(name.as_str()).unwrap_err();
        assert!(
            matches!(
                error,
                Error::Unfit { why: LayoutError::ForeignPidNamespace { expected, found }, .. } if expected != found
            ),
            "{error}"
        );
    });
}

/// Shows the processes of this PID namespace.
fn mount_proc() {
    let flags = libc::MS_REC | libc::MS_PRIVATE;
    let none = c"none".as_ptr();
    // SAFETY: strings that end in NUL; `data` may be null.
    must(unsafe { libc::mount(none, c"/".as_ptr(), none, flags, std::ptr::null()) });
    let (at, kind) = (c"/proc".as_ptr(), c"proc".as_ptr());
    // SAFETY: as above.
    must(unsafe { libc::mount(kind, at, kind, 0, std::ptr::null()) });
}

/// Fault 9.
fn another_time_namespace_is_refused() {
    let name = &new_name();
    let mutex = Mutex::create(name.as_str(), 0u64).unwrap();
    drop(mutex.lock().unwrap());
    expect_in_namespace(libc::CLONE_NEWTIME, || {
        let error = mutex.lock().unwrap_err();
        assert!(matches!(error, LockError::NoIdentity), "{error}");
        let error = Mutex::<u64>::open(name.as_str()).unwrap_err();
        assert!(
            matches!(
                error,
                Error::Unfit { why: LayoutError::ForeignTimeNamespace { expected, found }, .. } if expected != found
            ),
            "{error}"
        );
    });
}

/// Locks a mutex of its own: so this process has found out who it is.
fn know_oneself() {
    drop(Mutex::new(0u64).unwrap().lock().unwrap());
}

/// Fault 8.
fn whoever_moves_to_another_time_namespace_takes_nobody_for_dead() {
    let mutex = Mutex::new(0u64).unwrap();
    let guard = mutex.lock().unwrap();
    expect_in_child(|| {
        know_oneself();
        // SAFETY: no memory is involved.
        if unsafe { libc::unshare(libc::CLONE_NEWTIME) } != 0 {
            skip(&format!("no new namespace: {}", io::Error::last_os_error()));
        }
        fs::write("/proc/self/timens_offsets", "boottime 1000 0").unwrap();
        let namespace = File::open("/proc/self/ns/time_for_children").unwrap();
        // SAFETY: no memory is involved.
        must(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWTIME) });
        refused_for_now(&mutex);
    });
    drop(guard);
}

/// Where the very number of the owner is that of somebody else.
/// Fault 8.
fn under_another_proc_nobody_is_taken_for_dead() {
    let mutex = Mutex::new(0u64).unwrap();
    let guard = mutex.lock().unwrap();
    let owner = process::id() as libc::pid_t;
    expect_in_child(|| {
        know_oneself();
        // SAFETY: no memory is involved.
        if unsafe { libc::unshare(libc::CLONE_NEWPID | libc::CLONE_NEWNS) } != 0 {
            skip(&format!("no new namespace: {}", io::Error::last_os_error()));
        }
        let (mut ready, told) = io::pipe().unwrap();
        let (reader, writer) = io::pipe().unwrap();
        let mut ends = Some((told, writer));
        let first = start(|| {
            let (mut told, writer) = ends.take().unwrap();
            drop(writer);
            mount_proc();
            fs::write("/proc/sys/kernel/ns_last_pid", (owner - 1).to_string()).unwrap();
            let other = start(|| {
                told.write_all(&[1]).unwrap();
                io::read_to_string(&reader).unwrap();
            });
            assert_eq!(other, owner);
            expect(wait(other));
        });
        let (told, writer) = ends.take().unwrap();
        drop(told);
        assert_eq!(ready.read(&mut [0]).unwrap(), 1);
        assert!(fs::read_link("/proc/self").is_err());
        refused_for_now(&mutex);
        drop(writer);
        expect(wait(first));
    });
    drop(guard);
}

/// Another time namespace stands for an earlier boot, which is told apart in the same way.
/// Fault 10.
fn what_is_left_from_another_world_is_poisoned_and_kept() {
    let name = &new_name();
    expect_in_namespace(libc::CLONE_NEWTIME, || {
        let exe = env::current_exe().unwrap();
        let status = Command::new(exe).args([LEAVE, name]).status().unwrap();
        assert!(status.success());
    });
    match Mutex::<u64>::open(name.as_str()) {
        Err(error) if error.is_not_found() => return,
        opened => {
            let mutex = opened.unwrap();
            match mutex.lock() {
                Err(LockError::Poisoned(poisoned)) => assert_eq!(*poisoned.into_inner(), 7),
                result => panic!("{result:?}"),
            }
        }
    }
    Segment::remove(name).unwrap();
}
