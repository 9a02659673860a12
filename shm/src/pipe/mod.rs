//! Pipes: messages of any serde type between two ends, which processes and threads have.
//!
//! 1. A message is one packet. So whoever sends or receives at the same time, in threads or in other processes, never
//!    gets half of one, and a process that is killed leaves none.
//! 2. A packet that was taken out of the socket is dealt with, whatever is wrong with it, and says nothing about the next.

use std::{
    convert::Infallible,
    fmt,
    marker::PhantomData,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    sync::Arc,
    time::{Duration, Instant},
};

mod error;
mod iter;
mod receive;
mod send;
#[cfg(test)]
mod tests;
mod travel;

pub use error::{PipeError, PipeSendError};
pub use iter::{PipeIntoIter, PipeIter};

use crate::{
    Error, deadline,
    packet::{Role, Socket},
    sys::socket,
};

/// One end of a pipe: it sends items of one type and receives items of another.
///
/// [`pipe`] makes two ends that do both, [`one_way`] a [`PipeSender`] and a [`PipeReceiver`].
///
/// ```
/// # multiproc::init();
/// use multiproc::{Pipe, Process};
///
/// fn answer(questions: Pipe<String, (f64, f64)>) {
///     for question in &questions {
///         let (a, b) = question.unwrap();
///         questions.send(format!("{a} / {b} = {}", a / b)).unwrap();
///     }
/// }
///
/// let (ours, theirs) = multiproc::pipe()?;
/// let child = Process::spawn(answer, theirs)?;
/// ours.send((1.0, 8.0))?;
/// assert_eq!(ours.recv()?.as_deref(), Some("1 / 8 = 0.125"));
/// drop(ours);
/// child.join()?;
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// Items are of any serde type. Shared objects, ends of channels, [descriptors](crate::Descriptor) and ends of pipes may be
/// anywhere in them, 250 in one message, and are shared with whoever receives them. An end travels to another process
/// inside the arguments and the return value of a task, or through another pipe.
///
/// # Who gets what
///
/// Clones of an end, copies of it in other processes and threads that share it send and receive at the same time without
/// further ado: each message comes whole, to exactly one of those who receive, in the order in which they were sent.
///
/// When all handles to one end are gone, dropped or because their processes have ended in whatever way, the other end is
/// disconnected: it receives what was sent before, and then the end of file. So keep no handle that you do not need:
/// a reader waits for as long as there is one. A process that was [forked](crate::Process::fork) has the ends that are among
/// the arguments of its task, and no others; one that was forked to run a [closure](crate::Process::fork_closure) has copies
/// of all its parent had.
///
/// # How much fits
///
/// A direction holds a few hundred messages if they are short, and about five of more than 32 KiB, however long: those are
/// kept in memory of their own. Then senders wait. Two that send to each other and receive nothing meanwhile wait for ever,
/// if they gave no timeout.
///
/// There is no limit to a message but the [receiver's](Pipe::set_max_message): 1 GiB, unless it says otherwise. What is
/// large and used by many is better an [`Array`](crate::Array), which is not copied; many bytes are better sent by
/// [`send_bytes`](Pipe::send_bytes), which does not encode them one by one.
pub struct Pipe<Tx, Rx> {
    socket: Arc<Socket>,
    max_message: u64,
    types: PhantomData<fn(Tx) -> Rx>,
}

/// The end of a pipe that only sends.
///
/// ```compile_fail
/// fn wrong(sender: multiproc::PipeSender<u32>) {
///     sender.recv();
/// }
/// ```
pub type PipeSender<T> = Pipe<T, Infallible>;

/// The end of a pipe that only receives.
///
/// ```compile_fail
/// fn wrong(receiver: multiproc::PipeReceiver<u32>) {
///     receiver.send_bytes(b"text");
/// }
/// ```
pub type PipeReceiver<T> = Pipe<Infallible, T>;

/// The longest message that is received unless an end says otherwise, in bytes.
const MAX_MESSAGE: u64 = 1 << 30;

/// Two ends that are connected: what one sends, the other receives.
///
/// ```
/// let (ours, theirs) = multiproc::pipe::<u64, String>()?;
/// ours.send(7)?;
/// let number = theirs.recv()?.expect("one was sent");
/// theirs.send(format!("{number}!"))?;
/// assert_eq!(ours.recv()?.as_deref(), Some("7!"));
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// # Errors
///
/// When the system refuses: most likely this process has as many descriptors as it may.
pub fn pipe<A, B>() -> Result<(Pipe<A, B>, Pipe<B, A>), Error> {
    let (one, other) =
        socket::pair().map_err(|why| PipeError::io("making a pair of sockets")(why))?;
    Ok((Pipe::new(one, MAX_MESSAGE), Pipe::new(other, MAX_MESSAGE)))
}

/// A pipe with one direction: the end that sends and the end that receives.
///
/// ```
/// # multiproc::init();
/// use multiproc::{PipeSender, Process};
///
/// fn count(numbers: PipeSender<u32>) {
///     (0..5).for_each(|i| numbers.send(i).unwrap());
/// }
///
/// let (sender, receiver) = multiproc::one_way()?;
/// let child = Process::spawn(count, sender)?;
/// assert_eq!(receiver.iter().collect::<Result<Vec<_>, _>>()?, [0, 1, 2, 3, 4]);
/// child.join()?;
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// # Errors
///
/// As [`pipe`].
pub fn one_way<T>() -> Result<(PipeSender<T>, PipeReceiver<T>), Error> {
    let (sender, receiver) = pipe()?;
    receiver.shut_down_sending()?;
    Ok((sender, receiver))
}

impl<Tx, Rx> Pipe<Tx, Rx> {
    fn new(socket: OwnedFd, max_message: u64) -> Pipe<Tx, Rx> {
        Pipe {
            socket: Arc::new(Socket::new(socket, Role::Pipe)),
            max_message,
            types: PhantomData,
        }
    }

    /// Tells the other end that nothing more will be sent: it receives what was sent before, and then the end of file.
    /// This end still receives.
    ///
    /// This is so for all clones of this end and in all processes that have it.
    ///
    /// ```
    /// let (ours, theirs) = multiproc::pipe::<u64, u64>()?;
    /// ours.send(1)?;
    /// ours.finish_sending()?;
    /// let sum = theirs.iter().sum::<Result<u64, _>>()?;
    /// theirs.send(sum)?;
    /// assert_eq!(ours.recv()?, Some(1));
    /// assert!(ours.send(2).unwrap_err().is_disconnected());
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn finish_sending(&self) -> Result<(), PipeError> {
        self.shut_down_sending()
    }

    fn shut_down_sending(&self) -> Result<(), PipeError> {
        socket::finish_sending(self.as_fd()).map_err(PipeError::io("shutting down a socket"))
    }
}

/// How long a call waits.
#[derive(Clone, Copy)]
enum Patience {
    None,
    /// Until this moment, or for ever.
    Until(Option<Instant>),
}

impl Patience {
    const FOREVER: Patience = Patience::Until(None);

    fn timeout(timeout: Duration) -> Patience {
        Patience::Until(deadline::moment(timeout))
    }
}

impl<Tx, Rx> Clone for Pipe<Tx, Rx> {
    /// Another handle to the same end.
    fn clone(&self) -> Pipe<Tx, Rx> {
        Pipe {
            socket: Arc::clone(&self.socket),
            max_message: self.max_message,
            types: PhantomData,
        }
    }
}

impl<Tx, Rx> AsFd for Pipe<Tx, Rx> {
    /// The socket: readable when there is a message or the end of file. For [`wait`](crate::wait()), `poll` and their kin;
    /// not for reading from it or writing to it.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl<Tx, Rx> AsRawFd for Pipe<Tx, Rx> {
    /// As [`as_fd`](AsFd::as_fd): for those that wait by number.
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl<Tx, Rx> fmt::Debug for Pipe<Tx, Rx> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipe")
            .field("socket", &self.as_fd())
            .field("max_message", &self.max_message)
            .finish()
    }
}
