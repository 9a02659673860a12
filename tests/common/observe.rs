//! What can be seen of another process, and done to it, from outside.
#![allow(dead_code, reason = "each test uses its part")]

use std::{fs, io, thread};

use multiproc::Child;

use crate::common::wait_until;

/// The fields of its stat, from the third on.
fn stat(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/task/{pid}/stat")).ok()?;
    let fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some(fields.map(str::to_owned).collect())
}

/// When a process was born, in clock ticks since boot.
pub fn birth(pid: u32) -> u64 {
    stat(pid).unwrap()[22 - 3].parse().unwrap()
}

/// Whether the process, or its leading thread, is in this state: `T` is stopped, `Z` a zombie.
pub fn is_in_state(pid: u32, state: &str) -> bool {
    stat(pid).is_some_and(|fields| fields[0] == state)
}

/// The identity of a process as it stands in words of shared memory; see `core/src/owner.rs`.
pub fn identity(pid: u32, birth: u64) -> u64 {
    birth << 23 | u64::from(pid) << 1
}

/// Stops a process, and returns once it stands still.
pub fn stop(pid: u32) {
    signal(pid, libc::SIGSTOP);
    wait_until(|| is_in_state(pid, "T"));
}

/// Lets a stopped process go on.
pub fn go_on(pid: u32) {
    signal(pid, libc::SIGCONT);
}

pub fn signal(pid: u32, signal: i32) {
    // SAFETY: no memory is involved.
    let sent = unsafe { libc::kill(pid as libc::pid_t, signal) };
    assert_eq!(sent, 0, "{}", io::Error::last_os_error());
}

/// Does nothing until it is killed.
pub fn idle() {
    loop {
        thread::park();
    }
}

/// Kills a child and returns once the kernel shows it dead. It stays to be joined.
pub fn kill<R>(child: &Child<R>) {
    child.kill().unwrap();
    wait_until(|| !child.is_alive());
}
