//! Processes, bare.

use std::{
    ffi::{CString, c_char},
    io,
    os::unix::{ffi::OsStrExt, process::ExitStatusExt},
    panic::{self, AssertUnwindSafe},
    path::Path,
    process::ExitStatus,
    ptr,
};

use super::checked;

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
