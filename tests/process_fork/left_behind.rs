//! What forked children leave behind: values that are bytes and nothing else do not come through a socket.

use std::{fs, time::Duration};

use crate::common;
use multiproc::{Child, Event, JoinError, Process};
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
    for len in (0..80).chain([4096, 100_000, 1_000_000]) {
        assert_eq!(same(Bytes(len)), Bytes(len));
    }
}

pub fn what_is_too_long_is_told_of() {
    let refused = |error: JoinError| match error {
        JoinError::NotEncoded { message, .. } => message,
        error => panic!("{error}"),
    };
    let long = Process::fork(Bytes, 2 << 20).unwrap().join();
    assert!(refused(long.unwrap_err()).contains("1048576"));
    let long = Process::fork(|len: usize| panic!("{}", "x".repeat(len)), 2 << 20);
    let long: Result<(), JoinError> = long.unwrap().join();
    assert!(refused(long.unwrap_err()).contains("1048576"));
}

pub fn a_limit_on_files_is_told_of() {
    let copy = common::forked(|| {
        assert_eq!(same(Bytes(100_000)), Bytes(100_000));
        let limit = libc::rlimit {
            rlim_cur: 50_000,
            rlim_max: 50_000,
        };
        // SAFETY: reads `limit`.
        common::raw::must(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &limit) });
        assert_eq!(same(7), 7);
        match Process::fork(Bytes, 100_000).unwrap().join() {
            Err(JoinError::NotEncoded { message, .. }) => message,
            other => panic!("{other:?}"),
        }
    });
    assert!(copy.join().unwrap().contains("size of files"));
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

pub fn a_child_that_was_let_go_writes_over_nobody() {
    let gate = Event::new().unwrap();
    // They tell at the same moment as the others, which are joined.
    for _ in 0..10 {
        let start = |number| Process::fork(wait_and_double, (gate.clone(), number)).unwrap();
        start(1000).detach();
        let children: Vec<Child<usize>> = (0..5).map(start).collect();
        gate.set();
        for (number, child) in children.into_iter().enumerate() {
            assert_eq!(child.join().unwrap(), 2 * number);
        }
        gate.clear();
    }
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
    fn fail(_: ()) {
        panic!("{}", "x".repeat(10_000));
    }
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    same(1);
    let before = open();
    for number in 0..200 {
        assert_eq!(same(number), number);
        assert!(Process::fork(fail, ()).unwrap().join().is_err());
    }
    assert_eq!(open(), before);
}
