//! Other PID and time namespaces, where process ids, births and clocks mean something else.

use std::{
    ffi::CString,
    fs, io, ptr,
    time::{Duration, Instant},
};

use multiproc::{Counter, Create, Error, LayoutError, Mutex, Open};

use crate::{
    common::{
        asleep, forked, named,
        raw::{self, must, new_name},
        wait_until,
    },
    flag::Flag,
    roles,
    subject::{Objects, SOON, SUBJECTS, Told},
    waits::{TIMED_WAITS, ends_in_time},
};

/// Runs `body` in a new process in a new namespace of this kind, as its first one; `offsets` are those of the clocks,
/// for a time namespace. Skips where that is not allowed.
fn in_new(kind: i32, offsets: &str, body: impl FnOnce()) {
    raw::expect_in_child(|| {
        let mounts = if kind == libc::CLONE_NEWPID {
            libc::CLONE_NEWNS
        } else {
            0
        };
        // SAFETY: no memory is involved.
        if unsafe { libc::unshare(kind | mounts) } != 0 {
            raw::skip(&format!("unshare: {}", io::Error::last_os_error()));
        }
        if !offsets.is_empty() {
            fs::write("/proc/self/timens_offsets", offsets).unwrap();
        }
        // Only children are in the new namespace.
        raw::expect_in_child(|| {
            if mounts != 0 {
                mount_proc(None);
            }
            body();
        });
    });
}

/// Has this executable play a role as the first process of a new namespace.
pub fn play_in(kind: i32, offsets: &str, role: &str) {
    in_new(kind, offsets, || roles::become_program(role, ""));
}

/// Mounts a `/proc` of its own, which other mount namespaces do not see.
pub fn mount_proc(options: Option<&str>) {
    let mount = |kind: &str, at: &str, flags, options: Option<&str>| {
        let [kind, at] = [kind, at].map(|text| CString::new(text).unwrap());
        let options = options.map(|options| CString::new(options).unwrap());
        let options = options.as_ref().map_or(ptr::null(), |text| text.as_ptr());
        // SAFETY: C strings, the last of which may be null.
        must(unsafe {
            libc::mount(
                kind.as_ptr(),
                at.as_ptr(),
                kind.as_ptr(),
                flags,
                options.cast(),
            )
        });
    };
    mount("none", "/", libc::MS_REC | libc::MS_PRIVATE, None);
    mount("proc", "/proc", 0, options);
}

/// Both ways to find a segment by name, with something of each kind made there.
fn in_both_places(test: impl Fn(&Objects, &dyn Fn(&str) -> Open)) {
    let name = new_name();
    let objects = Objects::create(|what| Create::named(format!("{name}-{what}"))).unwrap();
    named("named", || {
        test(&objects, &|what| Open::named(format!("{name}-{what}")))
    });

    let directory = std::env::temp_dir().join(&name);
    fs::create_dir(&directory).unwrap();
    let objects = Objects::create(|what| Create::file(directory.join(what))).unwrap();
    named("in a file", || {
        test(&objects, &|what| Open::file(directory.join(what)))
    });
    fs::remove_dir_all(directory).unwrap();
}

fn every_error(place: &dyn Fn(&str) -> Open) -> Vec<Error> {
    use multiproc::{Array, Value};
    vec![
        Mutex::<u64>::open(place("mutex")).unwrap_err(),
        Value::<u64>::open(place("value")).unwrap_err(),
        Value::<u64>::open_read_only(place("value")).unwrap_err(),
        Array::<u64>::open(place("array")).unwrap_err(),
    ]
}

/// Fault 9.
pub fn another_pid_namespace_is_refused_by_name() {
    in_both_places(|_, place| {
        in_new(libc::CLONE_NEWPID, "", || {
            for error in every_error(place) {
                let own = matches!(error, Error::Unfit { why: LayoutError::ForeignPidNamespace { expected, found }, .. } if expected != found);
                assert!(own, "{error}");
                assert!(error.to_string().contains("PID namespace"), "{error}");
            }
        });
    });
}

/// Fault 9.
pub fn another_time_namespace_is_refused_by_name() {
    in_both_places(|_, place| {
        in_new(
            libc::CLONE_NEWTIME,
            "monotonic 1000 0\nboottime 1000 0\n",
            || {
                for error in every_error(place) {
                    let own = matches!(error, Error::Unfit { why: LayoutError::ForeignTimeNamespace { expected, found }, .. } if expected != found);
                    assert!(own, "{error}");
                    assert!(error.to_string().contains("time namespace"), "{error}");
                }
            },
        );
    });
}

/// Fault 9.
pub fn a_child_in_another_namespace_can_take_no_lock_that_it_inherited() {
    let objects = Objects::new();
    let counter = Counter::new(0).unwrap();
    for (kind, offsets) in [
        (libc::CLONE_NEWPID, ""),
        (libc::CLONE_NEWTIME, "boottime 1000 0\n"),
    ] {
        in_new(kind, offsets, || {
            for subject in SUBJECTS {
                assert_eq!(objects.told(subject, Duration::ZERO), Told::NoIdentity);
            }
            // What has no owner is as good there as here.
            counter.add(1);
            assert_eq!(objects.value.get(), 0);
            let error = Mutex::create(new_name(), 0u64).unwrap_err();
            assert!(matches!(error, Error::NoIdentity), "{error}");
        });
    }
    for subject in SUBJECTS {
        assert_eq!(objects.told(subject, Duration::ZERO), Told::Sound);
    }
}

/// Fault 35.
pub fn timed_waits_are_exact_where_the_clock_is_shifted() {
    let uptime = fs::read_to_string("/proc/uptime").unwrap();
    let uptime: f64 = uptime.split_whitespace().next().unwrap().parse().unwrap();
    for seconds in [1_000_000, -(uptime as i64) / 2] {
        let offsets = format!("monotonic {seconds} 0\nboottime {seconds} 0\n");
        named(&offsets, || {
            play_in(libc::CLONE_NEWTIME, &offsets, "shifted clock")
        });
    }
}

/// A process whose clock shows another time than that of the rest of the machine.
pub fn shifted_clock(_: &str) {
    const TIMEOUT: Duration = Duration::from_millis(250);
    for (what, wait) in TIMED_WAITS {
        ends_in_time(what, wait, TIMEOUT);
    }
    for subject in SUBJECTS {
        let objects = Objects::new();
        let release = Flag::new();
        let guard = objects.hold(subject);
        let waiter = forked(|| {
            let begun = Instant::now();
            let told = objects.told(subject, TIMEOUT);
            (told, begun.elapsed())
        });
        let (told, waited) = waiter.join().unwrap();
        assert_eq!(told, Told::TimedOut);
        assert!(waited >= TIMEOUT && waited < TIMEOUT + SOON, "{waited:?}");
        // A wake-up and a death are noticed there as well.
        let mut woken = forked(|| {
            objects.hold(subject).add_one();
            objects.leak(subject);
            release.raise();
        });
        wait_until(|| asleep(woken.pid()));
        drop(guard);
        assert_eq!(woken.join_timeout(SOON).unwrap(), Some(()));
        assert!(release.is_up());
        let told = objects.told(subject, SOON);
        assert_eq!(told, subject.after_death(woken.pid()));
    }
}
