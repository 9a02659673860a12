//! How much memory could still be had.
//!
//! The kernel promises memory that it does not have, and ends processes when they come for it. Asking before is not
//! exact, but turns most of those deaths into errors.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The bytes that are left to this process: to the machine, and to each control group that it is in. Rather too many
/// than too few; `None` if nobody says.
pub fn memory_left() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok()?;
    let swap = kibibytes(&machine, "SwapFree:").unwrap_or(0);
    let memory = kibibytes(&machine, "MemAvailable:")?;
    // Groups may have their own limits to swapping; what the machine has is the most they could get.
    let groups = groups();
    let of_groups = groups.iter().filter_map(Group::left);
    of_groups
        .chain([memory])
        .min()
        .map(|left| left.saturating_add(swap))
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    number_after(text, name)?.checked_mul(1024)
}

/// The number behind the first line that starts with `name`.
fn number_after(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// A control group that limits memory.
struct Group {
    directory: PathBuf,
    files: &'static Files,
}

/// What the two versions of control groups call the same things.
struct Files {
    limit: &'static str,
    used: &'static str,
    /// The lines of `memory.stat` for the memory of files, which is given up when others want it.
    reclaimable: [&'static str; 2],
}

const VERSION_1: Files = Files {
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    reclaimable: ["total_inactive_file ", "total_active_file "],
};
const VERSION_2: Files = Files {
    limit: "memory.max",
    used: "memory.current",
    reclaimable: ["inactive_file ", "active_file "],
};

/// The groups of this process and those around them, as far as they can be seen from here.
fn groups() -> Vec<Group> {
    let membership = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mut groups = Vec::new();
    for (mount, path, files) in membership.lines().filter_map(group_of) {
        let innermost = Path::new(mount).join(path);
        let around = innermost
            .ancestors()
            .take_while(|directory| directory.starts_with(mount));
        groups.extend(around.map(|directory| Group {
            directory: directory.into(),
            files,
        }));
    }
    groups
}

/// Where a line of `/proc/self/cgroup` leads: `number:controllers:/path`, without controllers in version 2.
fn group_of(line: &str) -> Option<(&'static str, &str, &'static Files)> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, path) = (parts.next()?, parts.next()?);
    let path = path.trim_start_matches('/');
    if controllers.is_empty() {
        return Some(("/sys/fs/cgroup", path, &VERSION_2));
    }
    controllers
        .split(',')
        .any(|controller| controller == "memory")
        .then_some(("/sys/fs/cgroup/memory", path, &VERSION_1))
}

impl Group {
    fn left(&self) -> Option<u64> {
        let read = |name| fs::read_to_string(self.directory.join(name)).ok();
        // "max" is no number: there is no limit.
        let limit: u64 = read(self.files.limit)?.trim().parse().ok()?;
        let used: u64 = read(self.files.used)?.trim().parse().ok()?;
        let stat = read("memory.stat").unwrap_or_default();
        let reclaimable = self
            .files
            .reclaimable
            .iter()
            .filter_map(|name| number_after(&stat, name))
            .fold(0, u64::saturating_add);
        Some(limit.saturating_sub(used.saturating_sub(reclaimable)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_some_memory_left_but_not_all_that_can_be_addressed() {
        let left = memory_left().unwrap();
        assert!((1 << 20..1 << 50).contains(&left), "{left}");
    }

    #[test]
    fn both_versions_of_control_groups_are_understood() {
        let (mount, path, files) = group_of("0::/user.slice/a:b").unwrap();
        assert_eq!((mount, path), ("/sys/fs/cgroup", "user.slice/a:b"));
        assert_eq!(files.limit, "memory.max");
        let (mount, path, files) = group_of("4:cpu,memory:/box").unwrap();
        assert_eq!((mount, path), ("/sys/fs/cgroup/memory", "box"));
        assert_eq!(files.limit, "memory.limit_in_bytes");
        assert!(group_of("9:name=systemd:/").is_none());
    }
}
