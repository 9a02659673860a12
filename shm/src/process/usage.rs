//! What a running child uses of the machine.

use std::{fs, io};

/// Memory of a process, as [`Child::memory`](crate::Child::memory) tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryUse {
    /// What it has in memory now, shared segments included, in bytes.
    pub resident: u64,
    /// The most it has had, in bytes.
    pub peak: u64,
}

impl MemoryUse {
    /// That of the process with this id, whosever that is now.
    pub(crate) fn of(pid: u32) -> io::Result<MemoryUse> {
        MemoryUse::parse(&fs::read_to_string(format!("/proc/{pid}/status"))?)
    }

    /// What `/proc/<pid>/status` says of it.
    fn parse(status: &str) -> io::Result<MemoryUse> {
        let bytes = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
            kibibytes.checked_mul(1024)
        };
        let parsed = || {
            Some(MemoryUse {
                resident: bytes("VmRSS:")?,
                peak: bytes("VmHWM:")?,
            })
        };
        parsed().ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_lines_are_found() {
        let status = "Name:\tx\nVmPeak:\t 9 kB\nVmHWM:\t    1888 kB\nVmRSS:\t    1024 kB\n";
        let memory = MemoryUse::parse(status).unwrap();
        assert_eq!((memory.resident, memory.peak), (1 << 20, 1888 << 10));
        assert!(MemoryUse::parse("Name:\tx\n").is_err());
        assert!(MemoryUse::parse("VmHWM: 1 kB\nVmRSS: 99999999999999999999 kB").is_err());
    }
}
