//! Channels from one to one: a single handle at each end, and therefore no locks.

use std::fmt;

use multiproc_core::{Element, End, Sole};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

use super::{
    consumer::Consumer,
    endpoint::{Endpoint, pair},
    producer::Producer,
};
use crate::{
    error::Error,
    handle,
    message::{Format, Raw},
};

/// A bounded channel of at least `capacity` bytes from one to one: the ends cannot be cloned, and there are no locks.
///
/// Everything else is as with a [`channel`](crate::channel). An end that is handed to another process is that process's: the
/// handle that was handed over gives [`SendError::Moved`](crate::SendError::Moved) and [`RecvError::Moved`](crate::RecvError::Moved). A
/// [closure](crate::Process::fork_closure) that is forked cannot use it: hand it over as an argument.
///
/// ```
/// # multiproc::init();
/// use multiproc::{Producer, Process, spsc};
///
/// fn count(mut numbers: Producer<u64>) {
///     for number in 1..=3 {
///         numbers.send(number).unwrap();
///     }
/// }
///
/// let (producer, mut consumer) = spsc(4096)?;
/// let child = Process::spawn(count, producer)?;
/// assert_eq!(consumer.iter().collect::<Vec<_>>(), [1, 2, 3]);
/// child.join()?;
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// # Errors
///
/// [`Error`] when the segment cannot be made.
pub fn spsc<T: Serialize + DeserializeOwned>(
    capacity: usize,
) -> Result<(Producer<T>, Consumer<T>), Error> {
    make(capacity)
}

/// A channel from one to one, as [`spsc`], that passes elements as the bytes that they are; they can be written and read
/// in their place in the ring.
///
/// ```
/// # multiproc::init();
/// let (mut producer, mut consumer) = multiproc::spsc_raw::<f64>(1 << 20)?;
///
/// let mut row = producer.reserve(1000)?; // room for as many, in the ring
/// row.fill(0.5);
/// row.send();
///
/// let row = consumer.recv_ref()?; // in the ring, until it is dropped
/// assert_eq!(row.iter().sum::<f64>(), 500.0);
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// # Errors
///
/// [`Error`] when the segment cannot be made.
pub fn spsc_raw<T: Element>(
    capacity: usize,
) -> Result<(Producer<T, Raw>, Consumer<T, Raw>), Error> {
    make(capacity)
}

fn make<T, F: Format<T>>(capacity: usize) -> Result<(Producer<T, F>, Consumer<T, F>), Error> {
    let (sender, receiver) = pair::<F::Record, Sole>(capacity)?;
    Ok((Producer(sender), Consumer(receiver)))
}

macro_rules! travels {
    ($type:ident, $end:expr) => {
        impl<T, F: Format<T>> Serialize for $type<T, F> {
            /// As a handle: only within arguments, return values and messages of pipes. This handle is then of no use.
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                handle::serialize_end(&self.0, serializer)
            }
        }

        impl<'de, T, F: Format<T>> Deserialize<'de> for $type<T, F> {
            /// From a handle: only within arguments, return values and messages of pipes.
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let received = |segment, transit| Endpoint::received(segment, transit, $end);
                handle::deserialize_end(deserializer, received).map($type)
            }
        }

        impl<T, F: Format<T>> fmt::Debug for $type<T, F> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.debug(stringify!($type), f)
            }
        }
    };
}

travels!(Producer, End::Sender);
travels!(Consumer, End::Receiver);
