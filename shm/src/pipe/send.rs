//! Sending through a pipe.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    thread,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{Patience, Pipe, PipeError, PipeSendError};
use crate::{
    packet::{Outgoing, codec},
    sys::{
        poll::{self, For},
        socket::{self, BATCH},
    },
};

/// A message that is an item, encoded.
pub(super) const ITEM: u8 = 16;
/// A message that is bytes, as they are.
pub(super) const BYTES: u8 = 17;

/// How long to wait before trying again where nobody tells when descriptors have arrived.
const IN_FLIGHT: Duration = Duration::from_millis(1);

impl<Tx: Serialize, Rx> Pipe<Tx, Rx> {
    /// Sends an item; waits while the pipe has no room.
    ///
    /// When this returns, the item is in the pipe: it arrives whatever becomes of this process, as long as somebody
    /// receives.
    ///
    /// # Errors
    ///
    /// With the item: nobody can receive it any more, or it could not be encoded, or holds more than 250 descriptors.
    pub fn send(&self, item: Tx) -> Result<(), PipeSendError<Tx>> {
        self.send_item(item, Patience::FOREVER)
    }

    /// Sends an item if the pipe has room now.
    ///
    /// ```
    /// let (sender, receiver) = multiproc::one_way::<u64>()?;
    /// let sent = (0..).take_while(|i| sender.try_send(*i).is_ok()).count();
    /// assert!(sender.try_send(0).unwrap_err().is_would_block());
    /// drop(sender);
    /// assert_eq!(receiver.iter().count(), sent);
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`send`](Pipe::send), and [`PipeError::Full`].
    pub fn try_send(&self, item: Tx) -> Result<(), PipeSendError<Tx>> {
        self.send_item(item, Patience::None)
    }

    /// Sends an item; waits for room, but not longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`send`](Pipe::send), and [`PipeError::TimedOut`].
    pub fn send_timeout(&self, item: Tx, timeout: Duration) -> Result<(), PipeSendError<Tx>> {
        self.send_item(item, Patience::timeout(timeout))
    }

    /// Sends bytes as they are, which [`recv_bytes`](Pipe::recv_bytes) receives; waits while the pipe has no room.
    ///
    /// ```
    /// let (sender, receiver) = multiproc::one_way::<()>()?;
    /// sender.send_bytes(b"as they are")?;
    /// assert_eq!(receiver.recv_bytes()?.unwrap(), b"as they are");
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When nobody can receive them any more, or there is no memory.
    pub fn send_bytes(&self, bytes: &[u8]) -> Result<(), PipeError> {
        self.transmit(BYTES, bytes, &[], Patience::FOREVER)
    }

    /// As [`send_bytes`](Pipe::send_bytes), if the pipe has room now.
    ///
    /// # Errors
    ///
    /// As [`send_bytes`](Pipe::send_bytes), and [`PipeError::Full`].
    pub fn try_send_bytes(&self, bytes: &[u8]) -> Result<(), PipeError> {
        self.transmit(BYTES, bytes, &[], Patience::None)
    }

    /// As [`send_bytes`](Pipe::send_bytes), but waits for room no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`send_bytes`](Pipe::send_bytes), and [`PipeError::TimedOut`].
    pub fn send_bytes_timeout(&self, bytes: &[u8], timeout: Duration) -> Result<(), PipeError> {
        self.transmit(BYTES, bytes, &[], Patience::timeout(timeout))
    }

    fn send_item(&self, item: Tx, patience: Patience) -> Result<(), PipeSendError<Tx>> {
        let encoded = match codec::encode(&item) {
            Ok(encoded) => encoded,
            Err(message) => {
                let why = PipeError::NotEncoded { message };
                return Err(PipeSendError { item, why });
            }
        };
        match self.transmit(ITEM, &encoded.bytes, &encoded.descriptors, patience) {
            Ok(()) => {
                encoded.moves.are_made();
                Ok(())
            }
            Err(why) => Err(PipeSendError { item, why }),
        }
    }
}

impl<Tx, Rx> Pipe<Tx, Rx> {
    fn transmit(
        &self,
        kind: u8,
        payload: &[u8],
        descriptors: &[OwnedFd],
        patience: Patience,
    ) -> Result<(), PipeError> {
        let mut message = Outgoing::new(kind, payload, descriptors);
        if !message.fits_inline() {
            pack(&mut message)?;
        }
        loop {
            let descriptors = message.descriptors();
            if descriptors.len() > BATCH {
                return Err(PipeError::TooManyDescriptors {
                    count: descriptors.len(),
                    limit: BATCH,
                });
            }
            match message.send(self.as_fd(), &descriptors) {
                Ok(()) => return Ok(()),
                Err(error) if socket::is_full(&error) => self.wait_for_room(patience)?,
                Err(error) if socket::is_disconnected(&error) => {
                    return Err(PipeError::Disconnected);
                }
                Err(error) if socket::has_too_many_in_flight(&error) => {
                    self.wait_for_arrivals(error, patience)?;
                }
                // Sockets have little room here (net.core.wmem_default).
                Err(error) if socket::is_too_long(&error) && !message.is_parcel() => {
                    pack(&mut message)?;
                }
                Err(error) if socket::is_too_long(&error) && message.weigh_down(false) => {}
                Err(error) => return Err(PipeError::io("sending through a pipe")(error)),
            }
        }
    }

    fn wait_for_room(&self, patience: Patience) -> Result<(), PipeError> {
        let Patience::Until(until) = patience else {
            return Err(PipeError::Full);
        };
        match poll::one(self.as_fd(), For::Writing, until) {
            Ok(true) => Ok(()),
            Ok(false) => Err(PipeError::TimedOut),
            Err(error) => Err(PipeError::io("waiting for room in a pipe")(error)),
        }
    }

    /// Waits until there may be fewer descriptors on their way, of which the system allows a user as many as a process may
    /// open. Those that are in this pipe arrive when the other end receives; others may stay for ever.
    fn wait_for_arrivals(&self, error: io::Error, patience: Patience) -> Result<(), PipeError> {
        let refused = PipeError::io("sending descriptors through a pipe");
        if !socket::has_unreceived(self.as_fd()).map_err(&refused)? {
            return Err(refused(error));
        }
        match patience {
            Patience::None => return Err(PipeError::Full),
            Patience::Until(Some(until)) if until <= Instant::now() => {
                return Err(PipeError::TimedOut);
            }
            Patience::Until(_) => thread::sleep(IN_FLIGHT),
        }
        Ok(())
    }
}

fn pack(message: &mut Outgoing<'_>) -> Result<(), PipeError> {
    message.pack()?;
    message.weigh_down(true);
    Ok(())
}
