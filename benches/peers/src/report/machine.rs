//! On what it is measured.

use std::{ffi::CStr, fmt, fs, mem, ptr, thread};

use serde::Serialize;

use crate::{python, sys::processors};

/// A machine at a moment.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Machine {
    /// The model of its processors, as the kernel names it.
    pub processor: String,
    pub processors: usize,
    /// How many of them this program may use.
    pub allowed: usize,
    /// The kernel says that it runs under a hypervisor. It does not on every architecture.
    pub virtualised: bool,
    pub memory_gib: u64,
    pub kernel: String,
    pub libc: String,
    pub rustc: &'static str,
    pub python: Option<&'static str>,
    /// When this run began, in UTC.
    pub date: String,
    /// How many wanted a processor in the last one, five and fifteen minutes, when this run began.
    pub load: String,
}

impl Machine {
    /// This one, now. What cannot be found out is empty.
    pub fn this() -> Machine {
        let cpuinfo = read("/proc/cpuinfo");
        let processor = field(&cpuinfo, "model name").or_else(|| field(&cpuinfo, "CPU part"));
        let flags = field(&cpuinfo, "flags").unwrap_or_default();
        let memory = read("/proc/meminfo");
        let memory = field(&memory, "MemTotal").unwrap_or_default();
        let kibibytes = memory.trim_end_matches(" kB").parse::<u64>().unwrap_or(0);
        let load = read("/proc/loadavg");
        let load: Vec<_> = load.split(' ').take(3).collect();
        Machine {
            processor: processor.unwrap_or("unknown").to_owned(),
            processors: thread::available_parallelism()
                .map_or(1, usize::from)
                .max(count(&cpuinfo)),
            allowed: processors().len(),
            virtualised: flags.split(' ').any(|flag| flag == "hypervisor"),
            memory_gib: (kibibytes + (1 << 19)) >> 20,
            kernel: version(&read("/proc/sys/kernel/osrelease")),
            libc: libc_version(),
            rustc: env!("RUSTC_VERSION"),
            python: python::version(),
            date: date(),
            load: load.join(" "),
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The first value of this name in a file of lines such as `name : value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = fields.find(|(key, _)| key.trim() == name)?;
    Some(value.trim())
}

/// A version without what a distributor or a builder has added to it.
fn version(release: &str) -> String {
    let release = release.trim();
    release
        .split(['-', '+'])
        .next()
        .unwrap_or(release)
        .to_owned()
}

fn count(cpuinfo: &str) -> usize {
    let keys = cpuinfo.lines().filter_map(|line| line.split_once(':'));
    keys.filter(|(key, _)| key.trim() == "processor").count()
}

#[cfg(target_env = "gnu")]
fn libc_version() -> String {
    // SAFETY: has no conditions.
    let version = unsafe { libc::gnu_get_libc_version() };
    // SAFETY: a C string that lives as long as the program.
    let version = unsafe { CStr::from_ptr(version) };
    format!("glibc {}", version.to_string_lossy())
}

#[cfg(not(target_env = "gnu"))]
fn libc_version() -> String {
    "a libc other than glibc".into()
}

fn date() -> String {
    // SAFETY: asks for the time, and writes it nowhere.
    let now = unsafe { libc::time(ptr::null_mut()) };
    // SAFETY: made of integers and a pointer that may be null, for which zeros are valid.
    let mut date: libc::tm = unsafe { mem::zeroed() };
    // SAFETY: both outlive the call.
    unsafe { libc::gmtime_r(&now, &mut date) };
    let [year, month] = [date.tm_year + 1900, date.tm_mon + 1];
    format!("{year}-{month:02}-{:02}", date.tm_mday)
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine {
            processor,
            processors,
            allowed,
            memory_gib,
            kernel,
            libc,
            rustc,
            date,
            load,
            ..
        } = self;
        let kind = match self.virtualised {
            true => "of a virtual machine",
            false => "of a machine that does not say it is virtual",
        };
        write!(f, "{processor}, {processors} processors {kind}")?;
        if allowed != processors {
            write!(f, ", {allowed} of them allowed")?;
        }
        write!(
            f,
            "; {memory_gib} GiB of memory; Linux {kernel}, {libc}, rustc {rustc}, "
        )?;
        match self.python {
            Some(python) => write!(f, "Python {python}")?,
            None => write!(f, "no Python")?,
        }
        write!(
            f,
            ". Measured on {date}; load average when it began: {load}."
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPUINFO: &str = "processor\t: 0\nmodel name\t: A Processor 1.0\nflags\t\t: fpu hypervisor\n\n\
                           processor\t: 1\nmodel name\t: A Processor 1.0\n";

    #[test]
    fn what_the_kernel_says_is_found() {
        assert_eq!(field(CPUINFO, "model name"), Some("A Processor 1.0"));
        assert_eq!(field(CPUINFO, "bogomips"), None);
        assert_eq!(count(CPUINFO), 2);
    }

    #[test]
    fn of_a_kernel_only_the_version_is_told() {
        assert_eq!(version("6.1.0-18-amd64\n"), "6.1.0");
        assert_eq!(version("6.6.87"), "6.6.87");
    }

    #[test]
    fn a_machine_is_described_in_a_sentence() {
        let machine = Machine {
            processor: "A Processor".into(),
            processors: 2,
            allowed: 2,
            virtualised: true,
            kernel: "6.1".into(),
            python: Some("3.11.2"),
            load: "0.10 0.20 0.30".into(),
            ..Machine::default()
        };
        let text = machine.to_string();
        assert!(text.starts_with("A Processor, 2 processors of a virtual machine; "));
        assert!(text.contains("Linux 6.1"));
        assert!(text.contains("Python 3.11.2"));
        assert!(text.ends_with("0.10 0.20 0.30."));
    }
}
