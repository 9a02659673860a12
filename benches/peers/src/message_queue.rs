//! POSIX message queues: the kernel's own queue of records.

use std::{
    ffi::CString,
    fs, io, mem, process, ptr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::turns::Baton;

/// One without a name any more, for this process and its forks. It holds as many messages as anybody may ask for.
pub struct MessageQueue(libc::mqd_t);

impl MessageQueue {
    /// For messages of exactly so many bytes.
    pub fn new(message: usize) -> io::Result<MessageQueue> {
        static QUEUES: AtomicU64 = AtomicU64::new(0);
        let number = QUEUES.fetch_add(1, Relaxed);
        let name = CString::new(format!("/multiproc-peers-{}-{number}", process::id()))?;
        // SAFETY: made of integers, for which zeros are valid.
        let mut shape: libc::mq_attr = unsafe { mem::zeroed() };
        shape.mq_maxmsg = limit("msg_max")? as _;
        shape.mq_msgsize = message as _;
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC;
        let mode: libc::mode_t = 0o600;
        // SAFETY: the name and the attributes outlive the call.
        let queue = unsafe { libc::mq_open(name.as_ptr(), flags, mode, &shape) };
        if queue < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the name outlives the call. Nothing has it open by name, and nothing will.
        unsafe { libc::mq_unlink(name.as_ptr()) };
        Ok(MessageQueue(queue))
    }

    /// The longest message that anybody may ask for, in bytes; 0 where there are no such queues.
    pub fn longest_message() -> usize {
        limit("msgsize_max").unwrap_or(0)
    }

    /// Waits for room.
    pub fn send(&self, message: &[u8]) {
        // SAFETY: the message is as long as is said and outlives the call.
        let result = unsafe { libc::mq_send(self.0, message.as_ptr().cast(), message.len(), 0) };
        assert_eq!(result, 0, "mq_send: {}", io::Error::last_os_error());
    }

    /// Waits for a message and says how long it is. There must be room for any that the queue may hold.
    pub fn receive(&self, message: &mut [u8]) -> usize {
        let to = message.as_mut_ptr().cast();
        // SAFETY: there is as much room as is said, and it outlives the call.
        let len = unsafe { libc::mq_receive(self.0, to, message.len(), ptr::null_mut()) };
        usize::try_from(len)
            .unwrap_or_else(|_| panic!("mq_receive: {}", io::Error::last_os_error()))
    }
}

impl Drop for MessageQueue {
    fn drop(&mut self) {
        // SAFETY: the queue is ours, and nobody uses it afterwards.
        unsafe { libc::mq_close(self.0) };
    }
}

/// What the kernel allows to anybody.
fn limit(name: &str) -> io::Result<usize> {
    let text = fs::read_to_string(format!("/proc/sys/fs/mqueue/{name}"))?;
    text.trim().parse().map_err(io::Error::other)
}

impl Baton for [MessageQueue; 2] {
    fn give(&self, to: usize) {
        self[to].send(&1u64.to_ne_bytes());
    }

    fn take(&self, me: usize) {
        self[me].receive(&mut [0; 8]);
    }
}
