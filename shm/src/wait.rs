//! Waiting for the first of several.

use std::{os::fd::AsFd, time::Duration};

use crate::{
    Error, deadline,
    sys::poll::{self, State},
};

/// Waits until at least one of `sources` is ready, at most for `timeout`, or for ever if that is `None`. Gives the indices
/// of those that are, in ascending order; none of them when the timeout has passed first.
///
/// Ready is a [`Pipe`](crate::Pipe) with a message in it or at end of file (so one that only sends always is), a
/// [`Child`](crate::Child) that has ended, the [`Readiness`](crate::Readiness) of a queue with something in it, and any
/// other descriptor that can be read from without waiting. Nothing is consumed: who else has the same end of a pipe may be
/// first to receive.
///
/// ```
/// # multiproc::init();
/// use multiproc::{PipeSender, Process};
/// use std::os::fd::AsFd;
///
/// fn report(progress: PipeSender<u32>) {
///     progress.send(100).unwrap();
/// }
///
/// let (sender, progress) = multiproc::one_way()?;
/// let child = Process::spawn(report, sender)?;
/// let ready = multiproc::wait(&[&progress as &dyn AsFd, &child], None)?;
/// assert!(ready.contains(&0), "a child that has reported");
/// assert_eq!(progress.recv()?, Some(100));
/// child.join()?;
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// Of nothing nothing is ever ready: then it waits out the timeout, and returns at once where there is none.
///
/// # Errors
///
/// [`Error::BadDescriptor`] with the index of one that is closed, and [`Error::Io`] when the system refuses: there are more
/// sources than a process may have descriptors.
pub fn wait<F: AsFd>(sources: &[F], timeout: Option<Duration>) -> Result<Vec<usize>, Error> {
    let descriptors: Vec<_> = sources.iter().map(AsFd::as_fd).collect();
    if descriptors.is_empty() && timeout.is_none() {
        return Ok(Vec::new());
    }
    let states = poll::any(&descriptors, timeout.and_then(deadline::moment))
        .map_err(|why| Error::io("wait for", format!("{} sources", sources.len()), why))?;
    if let Some(index) = states.iter().position(|state| *state == State::Bad) {
        return Err(Error::BadDescriptor { index });
    }
    let ready = states.iter().enumerate();
    Ok(ready
        .filter(|(_, state)| **state == State::Ready)
        .map(|(index, _)| index)
        .collect())
}
