//! Packet sockets between two processes: whole messages, descriptors that travel with them, and nobody ever waits.
//!
//! 1. Every call passes MSG_DONTWAIT: what does not fit is an error, not a wait for the peer.
//! 2. A received descriptor is an `OwnedFd` before anything else happens, so that no path leaks one.

use std::{
    io::{self, IoSlice},
    mem::{self, MaybeUninit},
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    ptr,
};

use super::checked;

/// How many descriptors one packet carries at most; the kernel's own limit is 253.
pub(crate) const BATCH: usize = 250;

/// Room for a control message with [`BATCH`] descriptors, aligned as its header must be.
type Control = [u64; 160];

const _: () = {
    // SAFETY: CMSG_SPACE is arithmetic.
    let needed = unsafe { libc::CMSG_SPACE((BATCH * size_of::<RawFd>()) as u32) };
    assert!(needed as usize <= size_of::<Control>());
    assert!(align_of::<libc::cmsghdr>() <= align_of::<Control>());
};

/// The errno of a process that may open no more descriptors.
pub(crate) const TOO_MANY_OPEN: i32 = libc::EMFILE;

/// Two ends of a connection that keeps messages apart, closed on exec.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    // SAFETY: `ends` has room for the two descriptors.
    let done = unsafe {
        libc::socketpair(
            libc::AF_UNIX,
            libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC,
            0,
            ends.as_mut_ptr(),
        )
    };
    checked(done)?;
    // SAFETY: the kernel has just made this descriptor for us.
    let one = unsafe { OwnedFd::from_raw_fd(ends[0]) };
    // SAFETY: likewise.
    let other = unsafe { OwnedFd::from_raw_fd(ends[1]) };
    Ok((one, other))
}

/// Who made a pair of sockets, as the kernel noted it then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Maker {
    pub(crate) pid: u32,
    /// The user and the group that it acted as.
    pub(crate) ids: [u32; 2],
}

/// Who made the pair of sockets of which this number is one; `None` when it is no such socket.
pub(crate) fn maker(socket: RawFd) -> Option<Maker> {
    if !is_of_our_kind(socket) {
        return None;
    }
    let [pid, user, group]: [u32; 3] = option(socket, libc::SO_PEERCRED)?;
    Some(Maker {
        pid,
        ids: [user, group],
    })
}

/// Whether a descriptor is a socket as [`pair`] makes them.
pub(crate) fn keeps_messages_apart(socket: BorrowedFd<'_>) -> bool {
    is_of_our_kind(socket.as_raw_fd())
}

fn is_of_our_kind(socket: RawFd) -> bool {
    option(socket, libc::SO_DOMAIN) == Some(libc::AF_UNIX)
        && option(socket, libc::SO_TYPE) == Some(libc::SOCK_SEQPACKET)
}

/// Reads a socket option that is made of integers.
fn option<T: Copy + Default>(socket: RawFd, name: libc::c_int) -> Option<T> {
    let mut value = T::default();
    let mut len = size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` is writable for `len` bytes and any bytes are valid for it; a number that is no socket fails.
    let done = unsafe {
        libc::getsockopt(
            socket,
            libc::SOL_SOCKET,
            name,
            ptr::from_mut(&mut value).cast(),
            &mut len,
        )
    };
    (done == 0 && len as usize == size_of::<T>()).then_some(value)
}

/// Takes over the descriptor `number`, closed on exec from now on; `None` when there is none.
///
/// # Safety
///
/// Nothing else in this process owns it.
pub(crate) unsafe fn adopt(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: only changes a flag of the descriptor, and fails when there is none.
    let done = unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    // SAFETY: it is open, and nobody else's (promised by the caller).
    (done == 0).then(|| unsafe { OwnedFd::from_raw_fd(number) })
}

/// Sends one packet made of two parts, with up to [`BATCH`] descriptors.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    parts: [&[u8]; 2],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    debug_assert!(descriptors.len() <= BATCH);
    let parts = parts.map(IoSlice::new);
    let mut control = MaybeUninit::<Control>::uninit();
    // SAFETY: zeros are a valid message header.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    // `IoSlice` has the layout of `iovec`; the kernel does not write through it here.
    message.msg_iov = parts.as_ptr().cast_mut().cast();
    message.msg_iovlen = parts.len() as _;
    if !descriptors.is_empty() {
        let bytes = size_of_val(descriptors) as u32;
        message.msg_control = control.as_mut_ptr().cast();
        // SAFETY: arithmetic.
        message.msg_controllen = unsafe { libc::CMSG_SPACE(bytes) } as _;
        // SAFETY: `msg_control` is aligned and has room for one header (asserted above).
        let header = unsafe { libc::CMSG_FIRSTHDR(&message) };
        // SAFETY: zeros are a valid header. (Not written out: musl's has padding with a name.)
        let mut filled: libc::cmsghdr = unsafe { mem::zeroed() };
        filled.cmsg_level = libc::SOL_SOCKET;
        filled.cmsg_type = libc::SCM_RIGHTS;
        // SAFETY: arithmetic.
        filled.cmsg_len = unsafe { libc::CMSG_LEN(bytes) } as _;
        // SAFETY: `header` points into `control`.
        unsafe { header.write(filled) };
        // SAFETY: `header` points into `control`.
        let data = unsafe { libc::CMSG_DATA(header) };
        // SAFETY: `control` has room for `BATCH` descriptors, and a `BorrowedFd` is the number and nothing else.
        unsafe { ptr::copy_nonoverlapping(descriptors.as_ptr().cast(), data, bytes as usize) };
    }
    loop {
        // SAFETY: everything that `message` points to outlives the call.
        let sent = unsafe {
            libc::sendmsg(
                socket.as_raw_fd(),
                &message,
                libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT,
            )
        };
        match checked(sent) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A packet is sent whole or not at all.
            result => return result.map(drop),
        }
    }
}

/// Whether an error of [`send`] says that the packet is too long for the socket, or for what is in it already.
pub(crate) fn had_no_room(error: &io::Error) -> bool {
    is_full(error) || is_too_long(error)
}

/// Whether an error of [`send`] says that there is no room now.
pub(crate) fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

/// Whether an error of [`send`] says that there will never be room for so long a packet.
pub(crate) fn is_too_long(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EMSGSIZE)
}

/// Whether an error of [`send`] says that nobody can receive.
pub(crate) fn is_disconnected(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EPIPE | libc::ECONNRESET | libc::ENOTCONN | libc::ECONNREFUSED)
    )
}

/// Whether an error of [`send`] says that this user has as many descriptors on their way as a process may have open.
pub(crate) fn has_too_many_in_flight(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ETOOMANYREFS)
}

/// Whether something that was sent from this end has not been received yet.
pub(crate) fn has_unreceived(socket: BorrowedFd<'_>) -> io::Result<bool> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: `bytes` is writable.
    checked(unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) })?;
    Ok(bytes != 0)
}

/// Shuts down the direction in which this end sends.
pub(crate) fn finish_sending(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: takes two numbers.
    checked(unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_WR) }).map(drop)
}

/// Gives a socket as little room as there can be.
#[cfg(test)]
pub(crate) fn have_little_room(socket: BorrowedFd<'_>) {
    let least: libc::c_int = 0;
    // SAFETY: reads `least`.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_SNDBUF,
            ptr::from_ref(&least).cast(),
            size_of_val(&least) as libc::socklen_t,
        )
    };
    checked(set).unwrap();
}

/// What [`receive`] found in one packet.
pub(crate) struct Packet {
    /// How many bytes it brought; 0 at the end of the connection.
    pub(crate) len: usize,
    /// The descriptors that came with it.
    pub(crate) descriptors: Vec<OwnedFd>,
    /// Whether bytes were cut off for want of room in the buffer.
    pub(crate) bytes_lost: bool,
    /// Whether descriptors were cut off, because this process may open no more.
    pub(crate) descriptors_lost: bool,
}

/// Takes the next packet into an empty buffer, as much of it as that has room for; [`io::ErrorKind::WouldBlock`] when
/// there is none.
pub(crate) fn receive(socket: BorrowedFd<'_>, buffer: &mut Vec<u8>) -> io::Result<Packet> {
    receive_into(socket, buffer, 0)
}

/// As [`receive`], but the packet stays, to be received again: its descriptors are copies.
pub(crate) fn peek(socket: BorrowedFd<'_>, buffer: &mut Vec<u8>) -> io::Result<Packet> {
    receive_into(socket, buffer, libc::MSG_PEEK)
}

/// Looks at the bytes of the next packet, which stays, and at no descriptors; how many there are.
pub(crate) fn peek_bytes(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    receive_bytes(socket, buffer, libc::MSG_PEEK)
}

/// Throws the next packet away, and what descriptors came with it.
pub(crate) fn discard(socket: BorrowedFd<'_>) -> io::Result<()> {
    receive_bytes(socket, &mut [0], 0).map(drop)
}

/// How many bytes the next packet has, which stays. Of several that receive at the same time another may take it meanwhile.
pub(crate) fn next_len(socket: BorrowedFd<'_>) -> io::Result<usize> {
    receive_bytes(socket, &mut [], libc::MSG_PEEK | libc::MSG_TRUNC)
}

/// Receives bytes alone. Without room for them the kernel closes the descriptors that come with them.
fn receive_bytes(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    flags: libc::c_int,
) -> io::Result<usize> {
    loop {
        // SAFETY: `buffer` is writable for its length.
        let got = unsafe {
            libc::recv(
                socket.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                flags | libc::MSG_DONTWAIT,
            )
        };
        match checked(got) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return Ok(result? as usize),
        }
    }
}

fn receive_into(
    socket: BorrowedFd<'_>,
    buffer: &mut Vec<u8>,
    flags: libc::c_int,
) -> io::Result<Packet> {
    buffer.clear();
    let flags = flags | libc::MSG_DONTWAIT;
    let packet = receive_with(socket, buffer.spare_capacity_mut(), flags)?;
    // SAFETY: the kernel has written so many bytes there, and no more than there is room for.
    unsafe { buffer.set_len(packet.len) };
    Ok(packet)
}

/// Takes the next packet and waits until there is one, or until the peer is gone.
pub(crate) fn receive_waiting(
    socket: BorrowedFd<'_>,
    buffer: &mut [MaybeUninit<u8>],
) -> io::Result<Packet> {
    receive_with(socket, buffer, 0)
}

fn receive_with(
    socket: BorrowedFd<'_>,
    buffer: &mut [MaybeUninit<u8>],
    flags: libc::c_int,
) -> io::Result<Packet> {
    let mut part = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    let mut control = MaybeUninit::<Control>::uninit();
    // SAFETY: zeros are a valid message header.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of::<Control>() as _;
    let len = loop {
        // SAFETY: everything that `message` points to outlives the call and is writable.
        let got = unsafe {
            libc::recvmsg(
                socket.as_raw_fd(),
                &mut message,
                flags | libc::MSG_CMSG_CLOEXEC,
            )
        };
        match checked(got) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => break result? as usize,
        }
    };
    let descriptors = take_descriptors(&message);
    Ok(Packet {
        len,
        descriptors,
        bytes_lost: message.msg_flags & libc::MSG_TRUNC != 0,
        descriptors_lost: message.msg_flags & libc::MSG_CTRUNC != 0,
    })
}

/// Owns every descriptor that the kernel put into a received message.
fn take_descriptors(message: &libc::msghdr) -> Vec<OwnedFd> {
    let mut descriptors = Vec::new();
    // SAFETY: the kernel filled the control buffer and set its length.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    // SAFETY: a header that the kernel wrote, or null.
    while let Some(control) = unsafe { header.as_ref() } {
        if control.cmsg_level == libc::SOL_SOCKET && control.cmsg_type == libc::SCM_RIGHTS {
            // SAFETY: the data of that header follows it in the control buffer.
            let data = unsafe { libc::CMSG_DATA(header) }.cast::<RawFd>();
            // SAFETY: arithmetic.
            let overhead = unsafe { libc::CMSG_LEN(0) } as usize;
            #[allow(clippy::unnecessary_cast, reason = "musl's length has another type")]
            let len = control.cmsg_len as usize;
            let count = len.saturating_sub(overhead) / size_of::<RawFd>();
            for i in 0..count {
                // SAFETY: the kernel wrote `count` numbers there.
                let place = unsafe { data.add(i) };
                // SAFETY: likewise; the buffer promises no alignment for them.
                let number = unsafe { place.read_unaligned() };
                // SAFETY: the kernel has just opened this descriptor for us.
                descriptors.push(unsafe { OwnedFd::from_raw_fd(number) });
            }
        }
        // SAFETY: `header` belongs to `message`.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    descriptors
}
