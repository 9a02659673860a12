//! Channels: queues whose two ends know when nobody is left at the other.

mod consumer;
mod endpoint;
mod producer;
mod receiver;
mod sender;
mod slot;
mod spsc;

use multiproc_core::{Element, Locked};
use serde::{Serialize, de::DeserializeOwned};

pub use consumer::Consumer;
pub(crate) use endpoint::has_ends;
pub use producer::Producer;
pub use receiver::Receiver;
pub use sender::Sender;
pub use slot::{RecvSlot, SendSlot};
pub use spsc::{spsc, spsc_raw};

use self::endpoint::{Endpoint, pair};
use crate::{
    error::Error,
    message::{Format, Raw},
};

/// A bounded channel of at least `capacity` bytes for items of any serde type. Both ends can be cloned, and travel to
/// other processes inside arguments, return values and pipes.
///
/// When the last [`Sender`] is dropped, or its process dies, receivers get what is left, and then
/// [`RecvError::Disconnected`](crate::RecvError::Disconnected). When the last [`Receiver`] goes, senders get
/// [`SendError::Disconnected`](crate::SendError::Disconnected).
///
/// ```
/// # multiproc::init();
/// use multiproc::{Process, Sender, channel};
///
/// fn count(numbers: Sender<u64>) {
///     for number in 1..=3 {
///         numbers.send(number).unwrap();
///     }
/// }
///
/// let (sender, receiver) = channel(4096)?;
/// let child = Process::spawn(count, sender)?;
/// // It ends when the child has dropped its sender, or dies.
/// assert_eq!(receiver.iter().collect::<Vec<_>>(), [1, 2, 3]);
/// child.join()?;
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// Form, capacity and cost are those of a [`Queue`](crate::Queue). Up to 93 processes can be at each end; a channel takes
/// 4 KiB beside its capacity. It has no name: who is to use it is given an end.
///
/// Items cannot contain shared objects, ends or descriptors: those travel through a [`Pipe`](crate::Pipe), in arguments and
/// return values.
///
/// # Who counts
///
/// An end counts from when it is made or cloned until it is dropped or its process has ended, also while it is on its way to
/// another process. That a process was killed is found out by whoever waits at the other end, within a fifth of a second.
///
/// A child that is forked has the ends that are among the arguments of its task, and no others. The ends that a
/// [closure](crate::Process::fork_closure) brings along count from their first use in the child: until then keep yours.
///
/// # Errors
///
/// [`Error`] when the segment cannot be made.
pub fn channel<T: Serialize + DeserializeOwned>(
    capacity: usize,
) -> Result<(Sender<T>, Receiver<T>), Error> {
    make(capacity)
}

/// A [`channel`] that passes elements as the bytes that they are, without encoding.
///
/// ```
/// # multiproc::init();
/// use multiproc::{capacity_for, channel_raw};
///
/// let (sender, receiver) = channel_raw(capacity_for::<[f64; 2]>(1000))?;
/// sender.send([1.5, 2.5])?;
/// assert_eq!(receiver.recv()?, [1.5, 2.5]);
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// # Errors
///
/// [`Error`] when the segment cannot be made.
pub fn channel_raw<T: Element>(
    capacity: usize,
) -> Result<(Sender<T, Raw>, Receiver<T, Raw>), Error> {
    make(capacity)
}

fn make<T, F: Format<T>>(capacity: usize) -> Result<(Sender<T, F>, Receiver<T, F>), Error> {
    let (sender, receiver) = pair::<F::Record, Locked>(capacity)?;
    Ok((Sender::new(sender), Receiver::new(receiver)))
}
