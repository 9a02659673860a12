//! What a running process uses of the machine.

use std::{fs, io};

/// Memory of a process, as [`Child::memory`](crate::Child::memory) and
/// [`CurrentProcess::memory`](crate::CurrentProcess::memory) tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryUse {
    /// What it has in memory now, in bytes. It counts the shared memory that it has touched, which others may count, too.
    pub resident: u64,
    /// What of that belongs to no file and no shared memory, in bytes: its heaps and stacks. In a copy of a process it counts
    /// what neither has changed since, too.
    pub private: u64,
    /// The most that was resident, in bytes, since the process began to run its program.
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
                private: bytes("RssAnon:")?,
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
    fn the_three_lines_are_found() {
        let status = "Name:\tx\nVmPeak:\t 9 kB\nVmHWM:\t    1888 kB\nVmRSS:\t    1024 kB\nRssAnon:\t      64 kB\n";
        let memory = MemoryUse::parse(status).unwrap();
        let expected = MemoryUse {
            resident: 1 << 20,
            private: 64 << 10,
            peak: 1888 << 10,
        };
        assert_eq!(memory, expected);
        assert!(MemoryUse::parse("Name:\tx\n").is_err());
        assert!(
            MemoryUse::parse("VmHWM: 1 kB\nRssAnon: 1 kB\nVmRSS: 99999999999999999999 kB").is_err()
        );
    }
}
