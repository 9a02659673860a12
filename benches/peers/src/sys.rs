//! The few system calls that the peers are made of, bare.

mod child;
mod mapping;

use std::{fs, io, mem, sync::OnceLock, time::Duration};

pub use child::Child;
pub use mapping::{Mapping, PAGE};

/// The processors that this program was allowed when it began.
pub fn processors() -> &'static [usize] {
    static PROCESSORS: OnceLock<Vec<usize>> = OnceLock::new();
    PROCESSORS.get_or_init(|| {
        // SAFETY: a cpu_set_t is an array of integers, for which zeros are valid.
        let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
        // SAFETY: the set is as long as is said and outlives the call.
        if unsafe { libc::sched_getaffinity(0, size_of_val(&set), &mut set) } != 0 {
            return vec![0];
        }
        (0..libc::CPU_SETSIZE as usize)
            // SAFETY: the index is below CPU_SETSIZE.
            .filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) })
            .collect()
    })
}

/// Where the parties run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the first processor.
    First,
    /// On the second processor; on the first when there is only one.
    Second,
    /// On either of these two.
    Both,
    /// On any.
    All,
}

/// Whether there are two processors to run on.
pub fn can_cross() -> bool {
    processors().len() >= 2
}

/// Moves the calling thread there. Its children begin at the same place.
pub fn pin(place: Place) {
    let all = processors();
    let chosen = match place {
        Place::First => &all[..1],
        Place::Second if all.len() > 1 => &all[1..2],
        Place::Second => all,
        Place::Both => &all[..all.len().min(2)],
        Place::All => all,
    };
    // SAFETY: a cpu_set_t is an array of integers, for which zeros are valid.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    for &cpu in chosen {
        // SAFETY: the number came from `processors`, which is below CPU_SETSIZE.
        unsafe { libc::CPU_SET(cpu, &mut set) };
    }
    // SAFETY: the set is as long as is said and outlives the call.
    let result = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &set) };
    assert_eq!(
        result,
        0,
        "sched_setaffinity: {}",
        io::Error::last_os_error()
    );
}

/// Ends the calling process by a signal if it still runs after so many whole seconds.
pub fn die_in(patience: Duration) {
    // SAFETY: sets a timer; nobody catches its signal.
    unsafe { libc::alarm(patience.as_secs() as u32) };
}

/// How long the calling thread has run so far.
pub fn thread_time() -> io::Result<Duration> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the time outlives the call.
    checked(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) })?;
    Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

/// How often the calling thread has lost its processor without having given it up.
pub fn evictions() -> io::Result<i64> {
    // SAFETY: a rusage is made of integers, for which zeros are valid.
    let mut usage: libc::rusage = unsafe { mem::zeroed() };
    // SAFETY: the usage outlives the call.
    checked(unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut usage) })?;
    Ok(usage.ru_nivcsw)
}

/// How much memory could be had without taking it from anybody, in bytes: of all kinds, and where names are.
pub fn available_memory() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let field = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let kibibytes = field.and_then(|field| field.trim().strip_suffix("kB"));
    let memory = kibibytes.and_then(|number| number.trim().parse::<u64>().ok());
    let memory =
        memory.ok_or_else(|| io::Error::other("/proc/meminfo does not say what is available"))?;
    // SAFETY: made of integers, for which zeros are valid.
    let mut named: libc::statvfs = unsafe { mem::zeroed() };
    // SAFETY: the path is a C string; both outlive the call.
    checked(unsafe { libc::statvfs(c"/dev/shm".as_ptr(), &mut named) })?;
    Ok((memory * 1024).min(named.f_bavail * named.f_frsize))
}

fn checked(result: i32) -> io::Result<i32> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}
