//! What runs out is said when a segment is made, and never later: room, memory, descriptors, addresses.

mod common;

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    process::{self, ExitCode},
};

use common::raw::{expect_in_child, new_name, set_limit, skip};
use multiproc::{Array, Counter, Create, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::Error as _};

const MIB: usize = 1 << 20;

fn main() -> ExitCode {
    common::run(&[
        ("a_full_dev_shm_is_no_space", a_full_dev_shm_is_no_space),
        (
            "a_copy_with_holes_is_opened_where_there_is_room_for_all_of_it",
            a_copy_with_holes_is_opened_where_there_is_room_for_all_of_it,
        ),
        (
            "a_control_group_without_memory_is_no_memory",
            a_control_group_without_memory_is_no_memory,
        ),
        (
            "the_limit_on_file_sizes_is_an_error_and_no_signal",
            the_limit_on_file_sizes_is_an_error_and_no_signal,
        ),
        (
            "the_limit_on_descriptors_is_an_error",
            the_limit_on_descriptors_is_an_error,
        ),
        (
            "what_is_encoded_instead_of_an_object_that_cannot_be_handed_over_arrives",
            what_is_encoded_instead_of_an_object_that_cannot_be_handed_over_arrives,
        ),
        (
            "the_limit_on_addresses_is_an_error",
            the_limit_on_addresses_is_an_error,
        ),
    ])
}

/// An array of so many bytes.
fn array(create: Create, bytes: usize) -> Result<Array<u8>, Error> {
    Array::create(create, bytes)
}

/// How many descriptors this process has, one for counting included.
fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// That an attempt fails, in each way of making a segment, and leaves nothing behind.
fn refused_everywhere(bytes: usize, is_right: impl Fn(&Error) -> bool) {
    let name = new_name();
    let before = descriptors();
    for create in [Create::anonymous(), Create::named(&name)] {
        let error = array(create, bytes).unwrap_err();
        assert!(is_right(&error), "{error}");
    }
    assert_eq!(descriptors(), before);
    assert!(!Path::new("/dev/shm").join(name).exists());
}

/// Fault 30.
fn a_full_dev_shm_is_no_space() {
    expect_in_child(|| {
        mount_small_dev_shm();
        let name = new_name();
        for _ in 0..3 {
            let error = array(Create::named(&name), 2 * MIB).unwrap_err();
            assert!(
                matches!(error, Error::NoSpace { needed, .. } if needed > 2 << 20),
                "{error}"
            );
            assert_eq!(fs::read_dir("/dev/shm").unwrap().count(), 0);
        }
        // All of what fits can be written: nothing is promised that is not there.
        let fits = array(Create::named(&name), MIB / 2).unwrap();
        fits.write(..).unwrap().fill(1);
        assert!(array(Create::named(new_name()), MIB / 2).is_err());
    });
}

/// Fault 30.
fn a_copy_with_holes_is_opened_where_there_is_room_for_all_of_it() {
    expect_in_child(|| {
        mount_small_dev_shm();
        let name = new_name();
        let path = Path::new("/dev/shm").join(&name);
        drop(array(Create::named(&name).persist(true), 4096).unwrap());
        let hole_until = |len: usize| {
            let file = File::options().write(true).open(&path).unwrap();
            file.set_len(len as u64).unwrap();
        };
        let open = || Array::<u8>::open(name.as_str());
        hole_until(2 * MIB);
        let error = open().unwrap_err();
        assert!(matches!(error, Error::NoSpace { .. }), "{error}");
        hole_until(MIB / 2);
        let opened = open().unwrap();
        // Nobody else gets the room that the hole takes up now.
        assert!(array(Create::named(new_name()), MIB / 2).is_err());
        drop(opened);
    });
}

/// Gives this process a `/dev/shm` of its own, of one MiB.
fn mount_small_dev_shm() {
    // SAFETY: no memory is involved.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        skip("no right to a mount namespace");
    }
    mount(c"none", c"/", c"none", libc::MS_REC | libc::MS_PRIVATE, c"");
    mount(c"small", c"/dev/shm", c"tmpfs", 0, c"size=1m");
}

fn mount(
    source: &std::ffi::CStr,
    target: &std::ffi::CStr,
    kind: &std::ffi::CStr,
    flags: libc::c_ulong,
    data: &std::ffi::CStr,
) {
    // SAFETY: strings that end in NUL.
    let result = unsafe {
        libc::mount(
            source.as_ptr(),
            target.as_ptr(),
            kind.as_ptr(),
            flags,
            data.as_ptr().cast(),
        )
    };
    if result != 0 {
        skip(&format!("cannot mount: {}", io::Error::last_os_error()));
    }
}

/// Fault 30.
fn a_control_group_without_memory_is_no_memory() {
    const LIMIT: usize = 64 * MIB;
    let groups = [
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        ("/sys/fs/cgroup", "memory.max"),
    ];
    let name = format!("multiproc-test-{}", process::id());
    let made = groups.iter().find_map(|(mount, limit)| {
        let directory = own_group(mount)?.join(&name);
        fs::create_dir(&directory).ok()?;
        if fs::write(directory.join(limit), LIMIT.to_string()).is_ok() {
            return Some(directory);
        }
        let _ = fs::remove_dir(directory);
        None
    });
    let Some(directory) = made else {
        println!("skipped: no right to a control group with a limit on memory");
        return;
    };
    expect_in_child(|| {
        if fs::write(directory.join("cgroup.procs"), process::id().to_string()).is_err() {
            skip("no right to join a control group");
        }
        // Whatever the machine could give.
        refused_everywhere(
            4 * LIMIT,
            |error| matches!(error, Error::NoMemory { available, .. } if *available <= LIMIT as u64),
        );
        drop(array(Create::anonymous(), LIMIT / 4).unwrap());
    });
    fs::remove_dir(directory).unwrap();
}

/// The directory of the control group that this process is in, if groups of its kind are mounted there.
fn own_group(mount: &str) -> Option<PathBuf> {
    let version_2 = mount == "/sys/fs/cgroup";
    let membership = fs::read_to_string("/proc/self/cgroup").ok()?;
    membership.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let wanted = if version_2 { "" } else { "memory" };
        (controllers == wanted).then(|| Path::new(mount).join(path.trim_start_matches('/')))
    })
}

/// Fault 30.
fn the_limit_on_file_sizes_is_an_error_and_no_signal() {
    expect_in_child(|| {
        set_limit(libc::RLIMIT_FSIZE as i32, MIB as u64);
        refused_everywhere(
            2 * MIB,
            |error| matches!(error, Error::FileSizeLimit { limit, .. } if *limit == 1 << 20),
        );
        drop(array(Create::anonymous(), MIB / 2).unwrap());
    });
}

/// Fault 30.
fn the_limit_on_descriptors_is_an_error() {
    for knows_itself in [true, false] {
        expect_in_child(|| {
            if knows_itself {
                drop(Counter::new(0).unwrap());
            }
            let name = new_name();
            let next = File::open("/dev/null").unwrap().as_raw_fd();
            set_limit(libc::RLIMIT_NOFILE as i32, next as u64);
            for create in [Create::anonymous(), Create::named(&name)] {
                let error = array(create, MIB).unwrap_err();
                assert!(is_too_many_files(&error), "{error}");
            }
            assert!(!Path::new("/dev/shm").join(name).exists());
        });
    }
}

/// A counter, or how far it had got.
enum Count {
    Shared(Counter),
    Copied(u64),
}

impl Serialize for Count {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            // Tried by itself: what has been tried with `serializer` cannot be taken back.
            Count::Shared(counter) if serde_json::to_string(counter).is_err() => {
                counter.get().serialize(serializer)
            }
            Count::Shared(_) => Err(S::Error::custom("it can be handed over")),
            Count::Copied(count) => count.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Count, D::Error> {
        u64::deserialize(deserializer).map(Count::Copied)
    }
}

fn what_is_encoded_instead_of_an_object_that_cannot_be_handed_over_arrives() {
    multiproc::init();
    let child = common::forked(|| {
        let counter = Counter::new(7).unwrap();
        let next = File::open("/dev/null").unwrap().as_raw_fd();
        set_limit(libc::RLIMIT_NOFILE as i32, next as u64);
        Count::Shared(counter)
    });
    match child.join().unwrap() {
        Count::Copied(count) => assert_eq!(count, 7),
        Count::Shared(_) => unreachable!("never decoded"),
    }
}

fn is_too_many_files(error: &Error) -> bool {
    matches!(error, Error::Io { why, .. } if why.raw_os_error() == Some(libc::EMFILE))
}

/// Fault 30.
fn the_limit_on_addresses_is_an_error() {
    expect_in_child(|| {
        let pages: u64 = fs::read_to_string("/proc/self/statm")
            .unwrap()
            .split(' ')
            .next()
            .and_then(|pages| pages.parse().ok())
            .unwrap();
        set_limit(libc::RLIMIT_AS as i32, pages * 4096 + (8 << 20));
        refused_everywhere(
            32 * MIB,
            |error| matches!(error, Error::Io { why, .. } if why.kind() == ErrorKind::OutOfMemory),
        );
        drop(array(Create::anonymous(), MIB).unwrap());
    });
}
