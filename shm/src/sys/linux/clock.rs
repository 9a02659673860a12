//! How long a process has been on a processor.

use std::{io, mem, time::Duration};

use super::checked;

/// How long all threads of process `pid` together have been on a processor, ended ones too.
pub(crate) fn processor_time(pid: u32) -> io::Result<Duration> {
    let mut clock = 0;
    // SAFETY: `clock` is writable.
    match unsafe { libc::clock_getcpuclockid(pid as libc::pid_t, &mut clock) } {
        0 => {}
        code => return Err(io::Error::from_raw_os_error(code)),
    }
    // SAFETY: zeros are a valid time.
    let mut time: libc::timespec = unsafe { mem::zeroed() };
    // SAFETY: `time` is writable.
    checked(unsafe { libc::clock_gettime(clock, &mut time) })?;
    Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_this_process_grows_with_its_work() {
        let before = processor_time(std::process::id()).unwrap();
        while processor_time(std::process::id()).unwrap() == before {
            std::hint::spin_loop();
        }
    }
}
