//! What forked children leave behind: numbers, and why a task failed, do not come through a socket.

use std::{fs, io::Read, os::fd::AsRawFd, panic, thread, time::Duration};

use crate::common::{
    self,
    raw::{limit_descriptors, set_limit},
};
use multiproc::{Child, Event, JoinError, Process, Value};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

/// More than have a slot at a time.
const MANY: usize = 100;

/// A test that takes longer is stuck.
const STUCK: Duration = Duration::from_secs(60);

/// As many bytes once it is encoded.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bytes(usize);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&vec![7; self.0])
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        let bytes = <&[u8]>::deserialize(deserializer)?;
        assert!(bytes.iter().all(|byte| *byte == 7));
        Ok(Bytes(bytes.len()))
    }
}

fn same<T: Serialize + DeserializeOwned + Copy>(value: T) -> T {
    Process::fork(|value: T| value, value)
        .unwrap()
        .join()
        .unwrap()
}

pub fn values_of_any_length_come_back() {
    same(());
    assert_eq!(same(u64::MAX), u64::MAX);
    assert_eq!(same(u128::MAX), u128::MAX);
    let odd = f64::from_bits(0x7ff8_dead_beef_0001);
    assert_eq!(same(odd).to_bits(), odd.to_bits());
    assert_eq!(same((-1i8, 'ß', Some(true))), (-1, 'ß', Some(true)));
    assert_eq!(same([u16::MAX; 32]), [u16::MAX; 32]);
    for len in (0..80).chain([4096, 100_000, 2_000_000]) {
        assert_eq!(same(Bytes(len)), Bytes(len));
    }
}

fn fail(len: usize) {
    panic!("{}", "x".repeat(len));
}

/// The message of the panic of `fail`.
fn message_of(child: Child<()>) -> String {
    match child.join() {
        Err(JoinError::Panicked { panic, .. }) => {
            assert!(panic.location.unwrap().contains("left_behind"));
            panic.message
        }
        other => panic!("{other:?}"),
    }
}

pub fn a_long_panic_is_told_by_its_beginning() {
    for len in [0, 10, 100_000, 2 << 20] {
        let message = message_of(Process::fork(fail, len).unwrap());
        if len <= 100_000 {
            assert_eq!(message.len(), len);
        } else {
            assert!(message.len() > 900_000 && message.ends_with("x ..."));
        }
    }
}

pub fn a_limit_on_files_keeps_no_panic_back() {
    let copy = common::forked(|| {
        // What is printed may go to a file.
        let nowhere = fs::File::options().write(true).open("/dev/null").unwrap();
        // SAFETY: replaces standard error.
        assert_eq!(unsafe { libc::dup2(nowhere.as_raw_fd(), 2) }, 2);
        message_of(Process::fork(fail, 10).unwrap());
        set_limit(libc::RLIMIT_FSIZE as i32, 2048);
        assert_eq!(same(7), 7);
        let others: Vec<Child<()>> = (0..3)
            .map(|_| Process::fork(fail, 10_000).unwrap())
            .collect();
        others
            .into_iter()
            .map(|child| message_of(child).len())
            .sum::<usize>()
    });
    assert_eq!(copy.join().unwrap(), 30_000);
}

fn wait_and_double((gate, number): (Event, usize)) -> usize {
    assert!(gate.wait_timeout(STUCK), "the gate stays closed");
    2 * number
}

pub fn many_can_live_at_once() {
    let gate = Event::new().unwrap();
    let start = |number| Process::fork(wait_and_double, (gate.clone(), number)).unwrap();
    for _ in 0..2 {
        let children: Vec<Child<usize>> = (0..MANY).map(start).collect();
        gate.set();
        for (number, child) in children.into_iter().enumerate() {
            assert_eq!(child.join().unwrap(), 2 * number);
        }
        gate.clear();
    }
}

/// Whether a process has ended, be it that nobody has taken its status.
fn has_ended(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().unwrap_or_default().trim_start();
    state.is_empty() || state.starts_with('Z')
}

/// What comes of a child that is killed while it waits.
fn killed_while_it_waits(meanwhile: impl FnOnce()) -> JoinError {
    let never = Event::new().unwrap();
    let child = Process::fork(wait_and_double, (never, 1)).unwrap();
    meanwhile();
    child.kill().unwrap();
    child.join().unwrap_err()
}

pub fn a_detached_child_writes_over_nobody() {
    let gate = Event::new().unwrap();
    let detached = Process::fork(wait_and_double, (gate.clone(), 500)).unwrap();
    let pid = detached.pid();
    detached.detach();
    // Nothing can be asked of it while no descriptor may be polled.
    let before = limit_descriptors(0);
    let _ = multiproc::active_children();
    limit_descriptors(before);
    let error = killed_while_it_waits(|| {
        gate.set();
        common::wait_until(|| has_ended(pid));
    });
    assert!(matches!(error, JoinError::Killed { .. }), "{error}");
}

pub fn a_copy_that_a_task_made_by_itself_tells_nothing() {
    fn leave_a_copy((gate, copy): (Event, Value<u32>)) -> usize {
        // SAFETY: there is one thread.
        match unsafe { libc::fork() } {
            0 => {
                let number = wait_and_double((gate, 500));
                assert_eq!(number, 1000);
                number
            }
            pid => {
                copy.set(pid as u32).unwrap();
                // SAFETY: takes a number.
                unsafe { libc::_exit(3) }
            }
        }
    }
    let gate = Event::new().unwrap();
    let copy = Value::new(0u32).unwrap();
    let child = Process::fork(leave_a_copy, (gate.clone(), copy.clone())).unwrap();
    let error = child.join().unwrap_err();
    assert!(
        matches!(error, JoinError::Exited { code: 3, .. }),
        "{error}"
    );
    let copy = copy.get();
    let error = killed_while_it_waits(|| {
        gate.set();
        common::wait_until(|| has_ended(copy));
    });
    assert!(matches!(error, JoinError::Killed { .. }), "{error}");
}

pub fn a_child_whose_parent_dies_before_it_lets_it_go_does_nothing() {
    extern "C" fn die() {
        common::kill_self();
    }
    let ran = Event::new().unwrap();
    let (mut alive, theirs) = std::io::pipe().unwrap();
    let copy = {
        let ran = ran.clone();
        common::forked(move || {
            // It and its child have this end for as long as they live.
            std::mem::forget(theirs);
            // SAFETY: what is called takes nothing, and asks for nothing that is locked.
            common::raw::must(unsafe { libc::pthread_atfork(None, Some(die), None) });
            Process::fork(|ran: Event| ran.set(), ran)
                .unwrap()
                .join()
                .unwrap();
        })
    };
    let error = copy.join().unwrap_err();
    assert!(matches!(error, JoinError::Killed { .. }), "{error}");
    assert_eq!(alive.read(&mut [0]).unwrap(), 0);
    assert!(!ran.is_set());
}

pub fn a_panic_hook_that_another_thread_is_in_holds_up_no_child() {
    fn forks_beside_it(_: ()) -> u64 {
        let (entered, gate) = (Event::new().unwrap(), Event::new().unwrap());
        let (enter, leave) = (entered.clone(), gate.clone());
        panic::set_hook(Box::new(move |_| {
            enter.set();
            let _ = leave.wait_timeout(STUCK);
        }));
        // A child has the hook of this library around that of its parent.
        let outer = || {
            let panics = thread::spawn(|| panic::catch_unwind(|| panic!("in the hook")).is_err());
            assert!(entered.wait_timeout(STUCK));
            let fork = || Process::fork(same_number, 5).unwrap().join().unwrap();
            // SAFETY: it needs nothing that the other thread has.
            let mut child = unsafe { Process::builder().start_closure(fork) }.unwrap();
            let number = child.join_timeout(STUCK).unwrap();
            gate.set();
            assert!(panics.join().unwrap());
            number.expect("the child is stuck")
        };
        // SAFETY: there is one thread.
        let child = unsafe { Process::builder().start_closure(outer) }.unwrap();
        child.join().unwrap()
    }
    fn same_number(number: u64) -> u64 {
        number
    }
    assert_eq!(
        Process::fork(forks_beside_it, ()).unwrap().join().unwrap(),
        5
    );
}

pub fn a_child_forks_children_of_its_own() {
    fn sum(depth: u64) -> u64 {
        if depth == 0 {
            return 1;
        }
        let children = [(); 2].map(|()| Process::fork(sum, depth - 1).unwrap());
        children.map(|child| child.join().unwrap()).iter().sum()
    }
    assert_eq!(sum(4), 16);
    assert_eq!(Process::fork(sum, 3).unwrap().join().unwrap(), 8);
}

pub fn nothing_is_left_open() {
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    same(1);
    let before = open();
    for number in 0..200 {
        assert_eq!(same(number), number);
        message_of(Process::fork(fail, 10_000).unwrap());
    }
    assert_eq!(open(), before);
}
