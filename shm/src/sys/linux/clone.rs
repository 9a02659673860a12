//! New processes: this executable anew, or a copy of the calling process.

use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    fs, io,
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::fs::MetadataExt,
    },
    ptr,
    sync::atomic::{AtomicI32, AtomicU8, Ordering},
};

use super::{checked, pidfd, signal::Blocked};

/// Where a new program finds the descriptor that was handed to it.
pub(crate) const HANDED: RawFd = 3;

/// How many hexadecimal digits the child writes its process id with.
pub(crate) const PID_DIGITS: usize = 8;

/// A new program that is about to start, with everything allocated that its start needs.
pub(crate) struct Program<'a> {
    /// The executable.
    pub(crate) path: &'a CStr,
    /// Its arguments, the zeroth among them.
    pub(crate) arguments: &'a [CString],
    /// Its environment.
    pub(crate) environment: &'a [CString],
    /// One more entry of the environment, which ends with room for [`PID_DIGITS`] digits and a zero byte: the child
    /// writes its own process id there.
    pub(crate) own_entry: &'a mut [u8],
    /// The only descriptor besides 0, 1 and 2 that it gets, as [`HANDED`].
    pub(crate) handed: BorrowedFd<'a>,
}

/// What the child reads between clone and exec, when it may neither allocate nor lock.
struct Plan {
    path: *const c_char,
    arguments: *const *const c_char,
    environment: *const *const c_char,
    digits: *mut c_char,
    handed: RawFd,
    /// The errno of a failed exec.
    error: AtomicI32,
}

/// Room for the few small frames of the child between clone and exec, also in a debug build.
const STACK: usize = 64 * 1024;

/// Starts a new program and gives its process id and a descriptor of it.
///
/// The child runs in this memory, on a stack of its own, while the calling thread waits for its exec
/// (as `posix_spawn` does it): nothing is copied, however large this process is.
pub(crate) fn program(program: Program<'_>) -> io::Result<(u32, OwnedFd)> {
    let Some(at) = program.own_entry.len().checked_sub(PID_DIGITS + 1) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let entry = program.own_entry.as_mut_ptr().cast::<c_char>();
    let arguments = pointers(program.arguments, None);
    let environment = pointers(program.environment, Some(entry));
    let stack = Stack::new()?;
    // Handlers of this process must not run in the child, which shares its memory.
    let blocked = Blocked::new();
    let plan = Plan {
        path: program.path.as_ptr(),
        arguments: arguments.as_ptr(),
        environment: environment.as_ptr(),
        // SAFETY: `at` lies inside the entry.
        digits: unsafe { entry.add(at) },
        handed: program.handed.as_raw_fd(),
        error: AtomicI32::new(0),
    };
    let mut process: c_int = -1;
    // SAFETY: CLONE_VFORK holds this thread until the child has left `run_program`, so everything that `plan` points
    // to outlives its use there; the stack is used by nobody else.
    let pid = unsafe {
        libc::clone(
            run_program,
            stack.top(),
            libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD,
            ptr::from_ref(&plan).cast_mut().cast(),
            ptr::from_mut(&mut process),
        )
    };
    let pid = checked(pid)?;
    drop(blocked);
    if process < 0 {
        // Kernels before 5.2 do not know CLONE_PIDFD, and do not say so.
        kill_and_reap(pid as u32);
        return Err(io::ErrorKind::Unsupported.into());
    }
    // SAFETY: the kernel has just made this descriptor for us.
    let process = unsafe { OwnedFd::from_raw_fd(process) };
    match plan.error.load(Ordering::Relaxed) {
        0 => Ok((pid as u32, process)),
        error => {
            // The child has told why and is ending; nobody else may see it. If its status is gone (SIGCHLD is ignored),
            // that is no reason to hide why.
            let _ = pidfd::reap(fd(&process), None);
            Err(io::Error::from_raw_os_error(error))
        }
    }
}

fn fd(owned: &OwnedFd) -> BorrowedFd<'_> {
    std::os::fd::AsFd::as_fd(owned)
}

/// The array of pointers that exec wants: the strings, one more, and a null.
fn pointers(strings: &[CString], more: Option<*const c_char>) -> Vec<*const c_char> {
    strings
        .iter()
        .map(|string| string.as_ptr())
        .chain(more)
        .chain([ptr::null()])
        .collect()
}

/// The child between clone and exec. It shares the memory of its parent, whose calling thread stands still: only
/// system calls from here on, no allocation, no lock, no panic.
extern "C" fn run_program(plan: *mut c_void) -> c_int {
    // SAFETY: the `Plan` of `program`, which waits.
    let plan = unsafe { &*plan.cast::<Plan>() };
    let error = become_program(plan);
    plan.error.store(error, Ordering::Relaxed);
    exit_now(127)
}

/// Does not return unless something failed: then with its errno.
fn become_program(plan: &Plan) -> c_int {
    // SAFETY: takes nothing, cannot fail.
    let pid = unsafe { libc::getpid() } as u32;
    for i in 0..PID_DIGITS {
        let digit = (pid >> (4 * (PID_DIGITS - 1 - i))) as u8 & 0xf;
        let letter = if digit < 10 {
            b'0' + digit
        } else {
            b'a' - 10 + digit
        };
        // SAFETY: `program` made sure that there is room for the digits.
        let place = unsafe { plan.digits.add(i) };
        // SAFETY: likewise.
        unsafe { place.write(letter as c_char) };
    }
    let handed = if plan.handed == HANDED {
        // SAFETY: only clears the flag that would close it on exec.
        unsafe { libc::fcntl(HANDED, libc::F_SETFD, 0) }
    } else {
        // SAFETY: this table of descriptors is the child's own; what was there before is closed in it alone.
        unsafe { libc::dup2(plan.handed, HANDED) }
    };
    if handed == -1 {
        return errno();
    }
    if let Err(error) = close_from(HANDED as u32 + 1) {
        return error;
    }
    reset_handlers();
    let_signals_in();
    // SAFETY: strings and arrays that end as exec wants it, made by `program`.
    unsafe { libc::execve(plan.path, plan.arguments, plan.environment) };
    errno()
}

/// The kernel's own `struct sigaction`: the handler first, then flags, a restorer, a mask of 8 bytes.
type Action = [usize; 4];

/// Handlers of the parent must not run here once signals are let in again. What is ignored stays so.
///
/// Not by `sigaction`: that takes a lock of libc for SIGABRT, and hides the signals that libc keeps to itself.
fn reset_handlers() {
    const MASK: usize = size_of::<u64>();
    const DEFAULT: Action = [libc::SIG_DFL; 4];
    const NONE: *mut Action = ptr::null_mut();
    for signal in 1..=64 {
        let mut now = DEFAULT;
        // SAFETY: only asks; `now` is writable.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, NONE, &mut now, MASK) };
        if now[0] != libc::SIG_DFL && now[0] != libc::SIG_IGN {
            // SAFETY: installs no handler. The table of handlers is the child's own.
            unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, &DEFAULT, NONE, MASK) };
        }
    }
}

/// A new program begins with no signal blocked: what the calling thread blocks, others of its process may handle.
fn let_signals_in() {
    // SAFETY: zeros are a set of no signals.
    let none: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set outlives the call.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &none, ptr::null_mut()) };
}

/// Closes every descriptor from `first` on, also those of libraries that forgot CLOEXEC.
fn close_from(first: u32) -> Result<(), c_int> {
    // SAFETY: closes descriptors of the child's own table, which nobody uses any more.
    if unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) } == 0 {
        return Ok(());
    }
    // A kernel before 5.9, or a sandbox that does not know the call.
    close_on_exec_from(first)
}

/// Marks every descriptor from `first` on to be closed on exec. Marking, not closing, leaves the list that is being
/// read as it is.
fn close_on_exec_from(first: u32) -> Result<(), c_int> {
    each_number(c"/proc/self/fd", |number| {
        if number >= first {
            // SAFETY: only sets a flag in the child's own table.
            unsafe { libc::fcntl(number as RawFd, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    })
}

/// Calls `found` with each name in a directory that is a number; errors are errno. Allocates nothing, so that a child
/// may use it between clone and exec, and a process that is about to fork keeps its heap as it is.
fn each_number(directory: &CStr, mut found: impl FnMut(u32)) -> Result<(), c_int> {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: the path is a C string.
    let list = unsafe { libc::open(directory.as_ptr(), flags) };
    if list == -1 {
        return Err(errno());
    }
    // The kernel writes records there, each aligned to 8 bytes: inode and offset (8 bytes each), the record's
    // length (2), a type (1), the name with a zero behind it.
    let mut records = [[0u8; 8]; 64];
    let result = loop {
        let room = size_of_val(&records);
        // SAFETY: `records` is writable for that many bytes.
        let got = unsafe { libc::syscall(libc::SYS_getdents64, list, records.as_mut_ptr(), room) };
        if got <= 0 {
            break if got == 0 { Ok(()) } else { Err(errno()) };
        }
        let bytes = records.as_flattened();
        let mut rest = bytes.get(..got as usize).unwrap_or(bytes);
        while let Some((head, name)) = rest.split_first_chunk::<19>() {
            let end = name
                .iter()
                .position(|byte| *byte == 0)
                .unwrap_or(name.len());
            if let Some(number) = name.get(..end).and_then(decimal) {
                found(number);
            }
            let len = usize::from(u16::from_ne_bytes([head[16], head[17]]));
            rest = rest.get(len.max(19)..).unwrap_or(&[]);
        }
    };
    // SAFETY: opened above, and nobody else's.
    unsafe { libc::close(list) };
    result
}

fn decimal(digits: &[u8]) -> Option<u32> {
    let number = digits.iter().try_fold(0u32, |number, digit| {
        let digit = digit.is_ascii_digit().then_some(u32::from(digit & 0xf))?;
        number.checked_mul(10)?.checked_add(digit)
    });
    number.filter(|_| !digits.is_empty())
}

fn errno() -> c_int {
    io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(libc::EIO)
}

/// Ends the process at once: no handlers of `atexit`, no flushing.
#[inline]
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: takes a number.
    unsafe { libc::_exit(code) }
}

/// A stack for the child, with a page below it that nobody may touch.
struct Stack {
    base: *mut c_void,
    len: usize,
}

impl Stack {
    fn new() -> io::Result<Stack> {
        // SAFETY: takes a number.
        let page = checked(unsafe { libc::sysconf(libc::_SC_PAGESIZE) })? as usize;
        let len = page + STACK;
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let stack = Stack { base, len };
        // SAFETY: the lowest page of that mapping, which nobody uses.
        checked(unsafe { libc::mprotect(base, page, libc::PROT_NONE) })?;
        Ok(stack)
    }

    fn top(&self) -> *mut c_void {
        // SAFETY: one past the end of the mapping.
        unsafe { self.base.byte_add(self.len) }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the mapping of `new`; the child has left it.
        unsafe { libc::munmap(self.base, self.len) };
    }
}

/// Which of the two processes [`fork`] returned in.
pub(crate) enum Side {
    /// The new one.
    Child,
    /// The calling one, with the process id of the new one.
    Parent(u32),
}

/// Copies the calling process.
///
/// # Safety
///
/// No other thread of this process holds anything that the child will ask for: libc takes care of its own locks only.
#[inline]
pub(crate) unsafe fn fork() -> io::Result<Side> {
    // SAFETY: promised by the caller.
    match checked(unsafe { libc::fork() })? {
        0 => Ok(Side::Child),
        pid => Ok(Side::Parent(pid as u32)),
    }
}

/// Names the calling thread, and with it the process, for `ps` and `top`.
pub(crate) fn set_title(title: &str) {
    // The kernel takes 15 bytes and a zero.
    let mut bytes = [0; 16];
    for (slot, byte) in bytes.iter_mut().take(15).zip(title.bytes()) {
        *slot = byte;
    }
    // SAFETY: ends with a zero.
    unsafe { libc::prctl(libc::PR_SET_NAME, bytes.as_ptr()) };
}

/// The calling process. Not by std, whose code a copy of this process would come to for nothing else.
#[inline]
pub(crate) fn own_id() -> u32 {
    // SAFETY: takes nothing, cannot fail.
    unsafe { libc::getpid() as u32 }
}

/// The process that started this one, or that took it over.
pub(crate) fn parent() -> u32 {
    // SAFETY: takes nothing, cannot fail.
    unsafe { libc::getppid() as u32 }
}

/// Ends a child that nobody has heard of and forgets its status.
pub(crate) fn kill_and_reap(pid: u32) {
    // SAFETY: takes two numbers.
    unsafe { libc::kill(pid as libc::pid_t, libc::SIGKILL) };
    // SAFETY: takes numbers and a null pointer. An interrupted wait is begun again.
    while unsafe { libc::waitpid(pid as libc::pid_t, ptr::null_mut(), 0) } == -1
        && errno() == libc::EINTR
    {}
}

/// Whether this program runs with rights that whoever started it may not have: its environment and its descriptors
/// are then not to be trusted.
pub(crate) fn has_foreign_rights() -> bool {
    // SAFETY: takes a number.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Whether this executable would find, once executed by this process, that it [has foreign
/// rights](has_foreign_rights).
pub(crate) fn would_have_foreign_rights() -> bool {
    // SAFETY: takes nothing, cannot fail.
    let (user, group) = (unsafe { libc::getuid() }, unsafe { libc::getgid() });
    has_foreign_rights() || [user, group] != effective_ids()
}

/// The user and the group that this process acts as.
pub(crate) fn effective_ids() -> [u32; 2] {
    // SAFETY: takes nothing, cannot fail.
    let user = unsafe { libc::geteuid() };
    // SAFETY: likewise.
    let group = unsafe { libc::getegid() };
    [user, group]
}

/// Overwrites what follows the last colon in a variable of the environment with zeros, where it stands. For when it
/// cannot be removed, because other threads may be reading the environment.
pub(crate) fn blank_digits(variable: &CStr) {
    // SAFETY: a C string.
    let value = unsafe { libc::getenv(variable.as_ptr()) };
    if value.is_null() {
        return;
    }
    // SAFETY: not null, so a C string.
    let text = unsafe { CStr::from_ptr(value) }.to_bytes();
    let start = text
        .iter()
        .rposition(|byte| *byte == b':')
        .map_or(text.len(), |colon| colon + 1);
    for at in start..text.len() {
        // SAFETY: inside the string.
        let byte = unsafe { value.add(at) };
        // SAFETY: the entry came with exec, so it lies in memory that the kernel made writable and nobody frees.
        unsafe { AtomicU8::from_ptr(byte.cast()) }.store(b'0', Ordering::Relaxed);
    }
}

/// How many threads this process has.
///
/// The kernel lets a process leave its group of threads only if it is alone in it, and then nothing changes: asked so, it
/// says in no time that there is one. Otherwise it has counted them as links of the directory that lists them, beside the
/// two that every directory has.
pub(crate) fn threads() -> io::Result<usize> {
    // SAFETY: takes a number; of a process of one thread nothing is changed, and otherwise it fails.
    if unsafe { libc::unshare(libc::CLONE_THREAD) } == 0 {
        return Ok(1);
    }
    let links = fs::metadata("/proc/self/task")?.nlink();
    Ok(usize::try_from(links)
        .unwrap_or(usize::MAX)
        .saturating_sub(2))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::{super::socket, *};

    #[test]
    fn a_program_that_is_not_there_is_an_error_and_leaves_no_child() {
        let (_ours, theirs) = socket::pair().unwrap();
        let mut entry = *b"PID=00000000\0";
        let error = program(Program {
            path: c"/nowhere",
            arguments: &[],
            environment: &[],
            own_entry: &mut entry,
            handed: theirs.as_fd(),
        });
        assert_eq!(error.unwrap_err().raw_os_error(), Some(libc::ENOENT));
        let digits = std::str::from_utf8(&entry[4..12]).unwrap();
        let pid = u32::from_str_radix(digits, 16).unwrap();
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn descriptors_can_be_closed_without_close_range() {
        const FAR: RawFd = 700;
        // SAFETY: copies a descriptor to a number that nobody else uses.
        let copy = unsafe { libc::fcntl(2, libc::F_DUPFD, FAR) };
        assert!(copy >= FAR);
        // SAFETY: asks about a flag.
        let flags = || unsafe { libc::fcntl(copy, libc::F_GETFD) };
        assert_eq!(flags(), 0);
        close_on_exec_from(FAR as u32 + 10_000).unwrap();
        assert_eq!(flags(), 0);
        close_on_exec_from(FAR as u32).unwrap();
        assert_eq!(flags(), libc::FD_CLOEXEC);
        // SAFETY: ours.
        unsafe { libc::close(copy) };
    }

    #[test]
    fn numbers_are_read_and_nothing_else_is() {
        assert_eq!(decimal(b"0"), Some(0));
        assert_eq!(decimal(b"4294967295"), Some(u32::MAX));
        for wrong in [&b""[..], b".", b"..", b"4294967296", b"1x"] {
            assert_eq!(decimal(wrong), None);
        }
    }
}
