//! Children that are the same executable anew, started beside the threads of the test harness.

#[path = "common/fifo.rs"]
mod fifo;
#[path = "common/outcomes.rs"]
mod outcomes;

use std::{os::fd::AsRawFd, thread, time::Duration};

use multiproc::{Counter, Error, JoinError, MapError, Process, StartError, StartMethod, TaskError};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

multiproc::init_in_tests!();

macro_rules! spawned {
    ($($name:ident,)*) => {
        mod spawn {
            $(
                #[test]
                fn $name() {
                    super::outcomes::$name(multiproc::StartMethod::Spawn);
                }
            )*
        }

        mod forkserver {
            $(
                #[test]
                fn $name() {
                    super::outcomes::$name(multiproc::StartMethod::ForkServer);
                }
            )*
        }
    };
}

for_each_outcome!(spawned);

/// The numbers of this process's descriptors, without the one that reads them.
fn descriptors() -> Vec<i32> {
    let list = std::fs::read_dir("/proc/self/fd").unwrap();
    let mut numbers: Vec<i32> = list
        .map(|entry| {
            entry
                .unwrap()
                .file_name()
                .to_str()
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect();
    numbers.sort_unstable();
    numbers.pop();
    numbers
}

/// Fault 40.
#[test]
fn a_child_inherits_no_descriptor_that_was_not_handed_to_it() {
    fn none(_: ()) -> Vec<i32> {
        descriptors()
    }
    fn one(_kept: Counter) -> Vec<i32> {
        descriptors()
    }
    let file = std::fs::File::open("/dev/null").unwrap();
    // SAFETY: copies a descriptor, to stay open on exec as a C library's might.
    let leaky = unsafe { libc::dup(file.as_raw_fd()) };
    assert_ne!(leaky, -1);
    assert_eq!(
        Process::spawn(none, ()).unwrap().join().unwrap(),
        [0, 1, 2, 3]
    );
    let counter = Counter::new(0).unwrap();
    let with_one = Process::spawn(one, counter).unwrap().join().unwrap();
    assert_eq!(with_one.len(), 5, "{with_one:?}");
    // SAFETY: ours.
    unsafe { libc::close(leaky) };
}

#[test]
fn a_child_begins_with_no_signal_blocked() {
    fn blocked(_: ()) -> String {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("SigBlk:"));
        line.unwrap().to_owned()
    }
    let spawn = || {
        // SAFETY: zeros are a valid signal set.
        let mut all: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: `all` is writable.
        unsafe { libc::sigfillset(&mut all) };
        // SAFETY: `all` outlives the call.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &all, std::ptr::null_mut()) };
        Process::spawn(blocked, ()).unwrap().join().unwrap()
    };
    let line = thread::spawn(spawn).join().unwrap();
    assert_eq!(line, "SigBlk:\t0000000000000000");
}

#[test]
fn many_threads_start_children_at_once() {
    fn double(x: u32) -> u32 {
        2 * x
    }
    thread::scope(|scope| {
        for i in 0..8 {
            scope.spawn(move || {
                for j in 0..10 {
                    let child = Process::spawn(double, i * j).unwrap();
                    assert_eq!(child.join().unwrap(), 2 * i * j);
                }
            });
        }
    });
}

/// Fault 39.
#[test]
fn fork_beside_threads_is_refused_with_their_number() {
    fn nothing(_: ()) {}
    let error = Process::fork(nothing, ()).unwrap_err();
    assert!(
        matches!(error, StartError::ThreadsRunning { count: 1.. }),
        "{error}"
    );
}

/// Encodes, or does not, depending on what it holds; never decodes.
#[derive(Debug)]
struct Bad {
    encodes: bool,
}

impl Serialize for Bad {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.encodes {
            true => serializer.serialize_unit(),
            false => Err(serde::ser::Error::custom("bad")),
        }
    }
}

impl<'de> Deserialize<'de> for Bad {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Bad, D::Error> {
        Err(serde::de::Error::custom("bad"))
    }
}

#[test]
fn arguments_that_cannot_travel_are_an_error() {
    fn nothing(_: Bad) {}
    let error = Process::spawn(nothing, Bad { encodes: false }).unwrap_err();
    assert!(matches!(error, StartError::NotEncoded { .. }), "{error}");
    let error = Process::spawn(nothing, Bad { encodes: true })
        .unwrap()
        .join()
        .unwrap_err();
    assert!(matches!(error, JoinError::NotBegun { .. }), "{error}");
}

#[test]
fn a_name_with_a_zero_byte_is_refused() {
    fn nothing(_: ()) {}
    let error = Process::builder()
        .name("a\0b")
        .start(nothing, ())
        .unwrap_err();
    assert!(matches!(error, StartError::InvalidName { .. }), "{error}");
}

#[test]
fn a_closure_is_a_task_if_it_captures_nothing() {
    let child = Process::spawn(|x: u8| x + 1, 1).unwrap();
    assert_eq!(child.join().unwrap(), 2);
}

#[test]
fn start_methods_are_read_as_they_are_shown() {
    for method in StartMethod::ALL {
        assert_eq!(method.to_string().parse::<StartMethod>().unwrap(), method);
    }
    assert!("thread".parse::<StartMethod>().is_err());
}

#[test]
fn ps_shows_the_name_of_a_spawned_child() {
    fn title(_: ()) -> String {
        std::fs::read_to_string("/proc/self/comm").unwrap()
    }
    let named = Process::builder().name("a name that is longer than the kernel keeps");
    let child = named.start(title, ()).unwrap();
    assert_eq!(child.join().unwrap(), "a name that is \n");
}

#[test]
fn one_error_answers_for_children_and_for_tasks() {
    let ended = |task: fn(())| Error::from(Process::spawn(task, ()).unwrap().join().unwrap_err());
    let exited = ended(|()| std::process::exit(3));
    assert!(matches!(exited, Error::Join(_)));
    assert_eq!((exited.exit_code(), exited.signal()), (Some(3), None));
    let aborted = ended(|()| std::process::abort());
    assert_eq!(aborted.signal(), Some(libc::SIGABRT));
    assert!(ended(|()| panic!("on purpose")).is_panic());
    let late = TaskError::DeadlineExceeded {
        deadline: Duration::from_secs(1),
    };
    let item = MapError::Task {
        index: 2,
        error: late.clone(),
    };
    for late in [Error::from(late), Error::from(item)] {
        assert!(late.is_timeout() && !late.is_panic());
        assert_eq!((late.signal(), late.exit_code()), (None, None));
    }
    let exited = TaskError::WorkerExited {
        pid: 1,
        code: Some(4),
        what: "exited".into(),
    };
    assert_eq!(Error::from(exited).exit_code(), Some(4));
}

#[test]
fn a_program_that_returns_an_error_prints_its_text() {
    let unread = "thread".parse::<StartMethod>().unwrap_err();
    assert_eq!(format!("{unread:?}"), unread.to_string());
    let full = Error::from(multiproc::RingError::TimedOut);
    assert_eq!(format!("{full:?}"), full.to_string());
    assert!(std::error::Error::source(&full).is_none(), "told twice");
}
