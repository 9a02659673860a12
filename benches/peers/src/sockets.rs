//! Pipes and pairs of sockets, as the standard library has them.

use std::{
    io::{self, PipeReader, PipeWriter, Read, Write},
    os::{fd::AsRawFd, unix::net::UnixStream},
};

use crate::turns::Baton;

/// A pipe that holds so many bytes, a power of two of at least 4096.
pub fn pipe(capacity: usize) -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    let capacity = capacity as libc::c_int;
    // SAFETY: a call on a descriptor that is open; it touches no memory.
    let result = unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETPIPE_SZ, capacity) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((reader, writer))
}

/// The next eight bytes.
pub fn word_of(mut stream: impl Read) -> u64 {
    let mut word = [0; 8];
    stream.read_exact(&mut word).unwrap();
    u64::from_ne_bytes(word)
}

/// Reads records of so many bytes into memory that is there already, and has `look` look at each.
pub fn whole_records(
    mut stream: impl Read,
    bytes: usize,
    mut look: impl FnMut(&[u8]),
) -> impl FnMut(u64) {
    let mut record = vec![0; bytes];
    move |_| {
        stream.read_exact(&mut record).unwrap();
        look(&record);
    }
}

/// A pipe to each of two processes.
pub struct Pipes(pub [(PipeReader, PipeWriter); 2]);

impl Baton for Pipes {
    fn give(&self, to: usize) {
        let mut writer = &self.0[to].1;
        writer.write_all(&1u64.to_ne_bytes()).unwrap();
    }

    fn take(&self, me: usize) {
        word_of(&self.0[me].0);
    }
}

/// Two sockets that are connected, one for each of two processes.
impl Baton for (UnixStream, UnixStream) {
    fn give(&self, to: usize) {
        let mut mine = if to == 0 { &self.1 } else { &self.0 };
        mine.write_all(&1u64.to_ne_bytes()).unwrap();
    }

    fn take(&self, me: usize) {
        let mine = if me == 0 { &self.0 } else { &self.1 };
        word_of(mine);
    }
}
