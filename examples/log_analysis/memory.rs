//! How much memory this process has had at most.

use std::{fs, io};

/// In bytes, at the worst moment since the process began to run this program.
///
/// (`getrusage` would tell the worst of what the process was before that, too: the process that it was spawned from.)
pub fn peak() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    let kibibytes = kibibytes.ok_or_else(|| io::Error::other("/proc/self/status has no VmHWM"))?;
    Ok(kibibytes << 10)
}
