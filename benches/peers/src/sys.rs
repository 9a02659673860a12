//! The few system calls that the peers are made of, bare.

use std::{
    ffi::{CString, c_char},
    io, mem,
    os::unix::{ffi::OsStrExt, process::ExitStatusExt},
    panic::{self, AssertUnwindSafe},
    path::Path,
    process::ExitStatus,
    ptr::{self, NonNull},
    sync::{OnceLock, atomic::AtomicU64},
    time::Duration,
};

/// The processors that this program was allowed when it began, the first two of them.
fn processors() -> &'static [usize] {
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
            .take(2)
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
    /// On either of them.
    Both,
}

/// Whether there are two processors to run on.
pub fn can_cross() -> bool {
    processors().len() == 2
}

/// Moves the calling thread there. Its children begin at the same place.
pub fn pin(place: Place) {
    let all = processors();
    let chosen = match place {
        Place::First => &all[..1],
        Place::Second => &all[all.len() - 1..],
        Place::Both => all,
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

/// A plain shared mapping of `len` bytes, zeros at first.
pub struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

impl Mapping {
    /// `MAP_SHARED | MAP_ANONYMOUS`.
    pub fn new(len: usize) -> io::Result<Mapping> {
        Mapping::map(len, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1)
    }

    /// A mapping of a new memfd, closed again.
    pub fn of_memfd(len: usize) -> io::Result<Mapping> {
        // SAFETY: the name is a C string that outlives the call.
        let fd = checked(unsafe { libc::memfd_create(c"bare".as_ptr(), libc::MFD_CLOEXEC) })?;
        // SAFETY: a call on a descriptor; it touches no memory.
        let sized = checked(unsafe { libc::ftruncate(fd, len as libc::off_t) });
        let mapping = sized.and_then(|_| Mapping::map(len, libc::MAP_SHARED, fd));
        // SAFETY: the descriptor is ours and nobody uses it afterwards.
        unsafe { libc::close(fd) };
        mapping
    }

    fn map(len: usize, flags: i32, fd: i32) -> io::Result<Mapping> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at a place that the kernel chooses overlaps no other memory.
        let start = unsafe { libc::mmap(ptr::null_mut(), len, access, flags, fd, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mapped at 0"))?;
        Ok(Mapping { start, len })
    }

    /// The first byte.
    pub fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Writes the first byte, so that there is a page behind it.
    pub fn touch(&self) {
        // SAFETY: the byte is mapped writable, and `&self` is the only way to it in the rows that touch.
        unsafe { self.as_ptr().write_volatile(1) };
    }

    /// The whole mapping as words.
    pub fn words(&self) -> &[AtomicU64] {
        let len = self.len / size_of::<AtomicU64>();
        let start = self.as_ptr().cast_const().cast();
        // SAFETY: page aligned, mapped as long as the borrow, and any bytes are valid atomics.
        unsafe { std::slice::from_raw_parts(start, len) }
    }

    /// The whole mapping as words, for the rest of the program.
    pub fn leak_words(self) -> &'static [AtomicU64] {
        Box::leak(Box::new(self)).words()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what `map` mapped; what borrowed it is gone.
        unsafe { libc::munmap(self.as_ptr().cast(), self.len) };
    }
}

/// A child of a bare `fork`, or of a bare `posix_spawn`.
pub struct Child(libc::pid_t);

impl Child {
    /// Forks; the child runs `body` and ends. To be called while there are no other threads.
    pub fn fork(body: impl FnOnce()) -> io::Result<Child> {
        // SAFETY: the program has one thread here, so the child may do all that the parent may.
        match checked(unsafe { libc::fork() })? {
            0 => {
                // The rest of the program, to which a panic would unwind, is the parent's.
                let panicked = panic::catch_unwind(AssertUnwindSafe(body)).is_err();
                // SAFETY: ends the process, as is meant.
                unsafe { libc::_exit(panicked.into()) }
            }
            pid => Ok(Child(pid)),
        }
    }

    /// Executes this very program with one argument.
    pub fn exec_self(program: &Path, arg: &str) -> io::Result<Child> {
        unsafe extern "C" {
            static environ: *const *mut c_char;
        }
        let program = CString::new(program.as_os_str().as_bytes())?;
        let arg = CString::new(arg)?;
        let argv = [
            program.as_ptr().cast_mut(),
            arg.as_ptr().cast_mut(),
            ptr::null_mut(),
        ];
        // SAFETY: read while no other thread changes the environment.
        let environment = unsafe { environ };
        let mut pid = 0;
        // SAFETY: the strings and both arrays, each ended by null, outlive the call.
        let error = unsafe {
            libc::posix_spawn(
                &mut pid,
                program.as_ptr(),
                ptr::null(),
                ptr::null(),
                argv.as_ptr(),
                environment,
            )
        };
        if error != 0 {
            return Err(io::Error::from_raw_os_error(error));
        }
        Ok(Child(pid))
    }

    /// Waits until it has ended; an error unless it ended well.
    pub fn wait(self) -> io::Result<()> {
        let mut status = 0;
        // SAFETY: the status outlives the call.
        checked(unsafe { libc::waitpid(self.0, &mut status, 0) })?;
        if status != 0 {
            let status = ExitStatus::from_raw(status);
            return Err(io::Error::other(format!("a child ended with {status}")));
        }
        Ok(())
    }
}

fn checked(result: i32) -> io::Result<i32> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}
