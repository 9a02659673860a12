//! Waiting until descriptors are ready.

use std::{
    io, mem,
    os::fd::{AsRawFd, BorrowedFd},
    ptr,
    time::{Duration, Instant},
};

use super::checked;

/// What a descriptor is to be ready for. The end of the other side is always waited for, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    Reading,
    Writing,
}

/// How a descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    NotReady,
    /// It would not block, be it that there is something, an error, or the end.
    Ready,
    /// There is no such descriptor.
    Bad,
}

/// Waits until a descriptor is ready, or until the given moment. Tells whether it is.
pub(crate) fn one(
    descriptor: BorrowedFd<'_>,
    what: For,
    until: Option<Instant>,
) -> io::Result<bool> {
    wait(&mut [pollfd(descriptor, what)], until)
}

/// Waits until any descriptor can be read from, is at its end or is bad, or until the given moment. Tells how each is.
pub(crate) fn any(
    descriptors: &[BorrowedFd<'_>],
    until: Option<Instant>,
) -> io::Result<Vec<State>> {
    let questions = descriptors.iter().map(|fd| pollfd(*fd, For::Reading));
    let mut questions: Vec<libc::pollfd> = questions.collect();
    wait(&mut questions, until)?;
    let state = |question: &libc::pollfd| match question.revents {
        0 => State::NotReady,
        answer if answer & libc::POLLNVAL != 0 => State::Bad,
        _ => State::Ready,
    };
    Ok(questions.iter().map(state).collect())
}

fn pollfd(descriptor: BorrowedFd<'_>, what: For) -> libc::pollfd {
    libc::pollfd {
        fd: descriptor.as_raw_fd(),
        events: match what {
            For::Reading => libc::POLLIN,
            For::Writing => libc::POLLOUT,
        },
        revents: 0,
    }
}

fn wait(questions: &mut [libc::pollfd], until: Option<Instant>) -> io::Result<bool> {
    loop {
        let left = until.map(|until| timespec(until.saturating_duration_since(Instant::now())));
        let timeout = left.as_ref().map_or(ptr::null(), ptr::from_ref);
        // SAFETY: so many `pollfd`s, and a time span that is null or outlives the call.
        let ready = unsafe {
            libc::ppoll(
                questions.as_mut_ptr(),
                questions.len() as libc::nfds_t,
                timeout,
                ptr::null(),
            )
        };
        match checked(ready) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(0) if until.is_none_or(|until| until > Instant::now()) => {}
            Ok(ready) => return Ok(ready != 0),
        }
    }
}

fn timespec(span: Duration) -> libc::timespec {
    // A year is as good as for ever: `wait` looks at the clock again.
    let span = span.min(Duration::from_secs(365 * 24 * 60 * 60));
    // SAFETY: zeros are a valid time span.
    let mut result: libc::timespec = unsafe { mem::zeroed() };
    result.tv_sec = span.as_secs() as _;
    result.tv_nsec = span.subsec_nanos() as _;
    result
}
