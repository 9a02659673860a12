//! Telling another process that it is time, with no shared object in between: a named pipe.

use std::{
    env,
    ffi::CString,
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    os::unix::ffi::OsStrExt,
    path::PathBuf,
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use serde::{Deserialize, Serialize};

/// A pipe with a name, which children are told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fifo(PathBuf);

impl Fifo {
    pub fn new() -> Fifo {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("multiproc-test-{}-{number}", process::id()));
        let name = CString::new(path.as_os_str().as_bytes()).expect("no zero in the path");
        // SAFETY: a C string.
        let made = unsafe { libc::mkfifo(name.as_ptr(), 0o600) };
        assert_eq!(
            made,
            0,
            "mkfifo {}: {}",
            path.display(),
            std::io::Error::last_os_error()
        );
        Fifo(path)
    }

    /// Sends a text; waits until somebody receives.
    pub fn send(&self, text: &str) {
        let mut file = OpenOptions::new()
            .write(true)
            .open(&self.0)
            .expect("the pipe is there");
        file.write_all(text.as_bytes()).expect("somebody reads");
    }

    /// Waits for a text.
    pub fn receive(&self) -> String {
        let mut text = String::new();
        let mut file = File::open(&self.0).expect("the pipe is there");
        file.read_to_string(&mut text).expect("a text");
        text
    }

    /// Removes the name. Not on drop: children have copies of this.
    pub fn remove(self) {
        let _ = fs::remove_file(self.0);
    }
}
