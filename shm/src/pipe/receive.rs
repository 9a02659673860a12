//! Receiving from a pipe.

use std::{
    os::fd::AsFd,
    time::{Duration, Instant},
};

use serde::de::DeserializeOwned;

use super::{
    Patience, Pipe, PipeError,
    send::{BYTES, ITEM},
};
use crate::{
    deadline,
    packet::{self, Incoming, Next, codec},
    sys::poll::{self, For},
};

impl<Tx, Rx: DeserializeOwned> Pipe<Tx, Rx> {
    /// Receives the next item; waits until there is one. `None` at the end of file: the other end is gone and all that
    /// it had sent was received.
    ///
    /// # Errors
    ///
    /// [`PipeError`]: of that one message. The next is received as if nothing had been.
    pub fn recv(&self) -> Result<Option<Rx>, PipeError> {
        self.recv_item(Patience::FOREVER)
    }

    /// Receives the next item if there is one now. `None` at the end of file.
    ///
    /// ```
    /// let (sender, receiver) = multiproc::one_way::<u64>()?;
    /// assert!(receiver.try_recv().unwrap_err().is_would_block());
    /// sender.send(7)?;
    /// drop(sender);
    /// assert_eq!(receiver.try_recv()?, Some(7));
    /// assert_eq!(receiver.try_recv()?, None);
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`recv`](Pipe::recv), and [`PipeError::Empty`].
    pub fn try_recv(&self) -> Result<Option<Rx>, PipeError> {
        self.recv_item(Patience::None)
    }

    /// Receives the next item; waits for one, but not longer than `timeout`. `None` at the end of file.
    ///
    /// ```
    /// let (_sender, receiver) = multiproc::one_way::<u64>()?;
    /// let nothing = receiver.recv_timeout(std::time::Duration::from_millis(5));
    /// assert!(nothing.unwrap_err().is_timeout());
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`recv`](Pipe::recv), and [`PipeError::TimedOut`].
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Option<Rx>, PipeError> {
        self.recv_item(Patience::timeout(timeout))
    }

    /// Waits until there is a message or the end of file, at most for `timeout`, or for ever if that is `None`. Says
    /// whether there is one; it stays where it is.
    ///
    /// Another handle to the same end may be the first to receive it.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let (sender, receiver) = multiproc::one_way::<u64>()?;
    /// assert!(!receiver.poll(Duration::ZERO)?);
    /// sender.send(7)?;
    /// assert!(receiver.poll(None)?);
    /// assert_eq!(receiver.recv()?, Some(7));
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn poll(&self, timeout: impl Into<Option<Duration>>) -> Result<bool, PipeError> {
        let timeout = timeout.into();
        self.wait_for_message(timeout.and_then(deadline::moment))
    }

    /// Receives the next message, which was sent by [`send_bytes`](Pipe::send_bytes); waits until there is one. `None` at
    /// the end of file.
    ///
    /// # Errors
    ///
    /// [`PipeError`]: of that one message. [`PipeError::Item`] when it was not sent as bytes.
    pub fn recv_bytes(&self) -> Result<Option<Vec<u8>>, PipeError> {
        self.recv_bytes_with(Patience::FOREVER)
    }

    /// As [`recv_bytes`](Pipe::recv_bytes), if there is a message now.
    ///
    /// # Errors
    ///
    /// As [`recv_bytes`](Pipe::recv_bytes), and [`PipeError::Empty`].
    pub fn try_recv_bytes(&self) -> Result<Option<Vec<u8>>, PipeError> {
        self.recv_bytes_with(Patience::None)
    }

    /// As [`recv_bytes`](Pipe::recv_bytes), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`recv_bytes`](Pipe::recv_bytes), and [`PipeError::TimedOut`].
    pub fn recv_bytes_timeout(&self, timeout: Duration) -> Result<Option<Vec<u8>>, PipeError> {
        self.recv_bytes_with(Patience::timeout(timeout))
    }

    fn recv_bytes_with(&self, patience: Patience) -> Result<Option<Vec<u8>>, PipeError> {
        let Some(message) = self.next_bytes(patience)? else {
            return Ok(None);
        };
        let (payload, _) = message.open()?;
        Ok(Some(payload.into_vec()))
    }

    /// As [`recv_bytes`](Pipe::recv_bytes), into a buffer. Gives the length of the message.
    ///
    /// ```
    /// let (sender, receiver) = multiproc::one_way::<()>()?;
    /// sender.send_bytes(b"short")?;
    /// sender.send_bytes(b"longer than that")?;
    /// let mut buffer = [0; 8];
    /// let len = receiver.recv_bytes_into(&mut buffer)?.unwrap();
    /// assert_eq!(&buffer[..len], b"short");
    /// match receiver.recv_bytes_into(&mut buffer) {
    ///     Err(multiproc::PipeError::BufferTooShort { message, .. }) => {
    ///         assert_eq!(message, b"longer than that");
    ///     }
    ///     other => panic!("{other:?}"),
    /// }
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`recv_bytes`](Pipe::recv_bytes), and [`PipeError::BufferTooShort`], which has the message inside; the buffer is
    /// then as it was.
    pub fn recv_bytes_into(&self, buffer: &mut [u8]) -> Result<Option<usize>, PipeError> {
        self.recv_bytes_into_with(buffer, Patience::FOREVER)
    }

    /// As [`recv_bytes_into`](Pipe::recv_bytes_into), if there is a message now.
    ///
    /// # Errors
    ///
    /// As [`recv_bytes_into`](Pipe::recv_bytes_into), and [`PipeError::Empty`].
    pub fn try_recv_bytes_into(&self, buffer: &mut [u8]) -> Result<Option<usize>, PipeError> {
        self.recv_bytes_into_with(buffer, Patience::None)
    }

    /// As [`recv_bytes_into`](Pipe::recv_bytes_into), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`recv_bytes_into`](Pipe::recv_bytes_into), and [`PipeError::TimedOut`].
    pub fn recv_bytes_into_timeout(
        &self,
        buffer: &mut [u8],
        timeout: Duration,
    ) -> Result<Option<usize>, PipeError> {
        self.recv_bytes_into_with(buffer, Patience::timeout(timeout))
    }

    fn recv_bytes_into_with(
        &self,
        buffer: &mut [u8],
        patience: Patience,
    ) -> Result<Option<usize>, PipeError> {
        let room = buffer.len();
        let Some(message) = self.next_bytes(patience)? else {
            return Ok(None);
        };
        let len = usize::try_from(message.header.payload).unwrap_or(usize::MAX);
        match buffer.get_mut(..len) {
            Some(part) => message.open_into(part)?,
            None => {
                let (payload, _) = message.open()?;
                return Err(PipeError::BufferTooShort {
                    message: payload.into_vec(),
                    room,
                });
            }
        }
        Ok(Some(len))
    }

    fn recv_item(&self, patience: Patience) -> Result<Option<Rx>, PipeError> {
        let Some(message) = self.next(patience)? else {
            return Ok(None);
        };
        let kind = message.header.kind;
        let (payload, descriptors) = message.open()?;
        match kind {
            ITEM => codec::decode(&payload, descriptors)
                .map(Some)
                .map_err(|message| PipeError::NotDecoded { message }),
            BYTES => Err(PipeError::Bytes {
                bytes: payload.into_vec(),
            }),
            kind => Err(foreign(kind)),
        }
    }

    /// The next message, which is bytes.
    fn next_bytes(&self, patience: Patience) -> Result<Option<Incoming>, PipeError> {
        let message = self.next(patience)?;
        match message.as_ref().map(|message| message.header.kind) {
            None | Some(BYTES) => Ok(message),
            Some(ITEM) => Err(PipeError::Item),
            Some(kind) => Err(foreign(kind)),
        }
    }
}

fn foreign(kind: u8) -> PipeError {
    packet::WireError::from(packet::frame::FrameError::Kind(kind)).into()
}

impl<Tx, Rx> Pipe<Tx, Rx> {
    /// The longest message that this handle receives, in bytes of its encoding.
    #[must_use]
    pub fn max_message(&self) -> u64 {
        self.max_message
    }

    /// Changes the longest message that this handle receives, and those that are cloned from it or sent elsewhere later; in
    /// bytes of its encoding, 1 GiB at first.
    ///
    /// A longer one is refused before memory is taken for it.
    ///
    /// ```
    /// let (sender, mut receiver) = multiproc::one_way::<String>()?;
    /// receiver.set_max_message(10);
    /// sender.send("much longer than that".to_owned())?;
    /// sender.send("short".to_owned())?;
    /// let error = receiver.recv().unwrap_err();
    /// assert!(error.is_too_long());
    /// assert_eq!(error.to_string(), "a message of 22 bytes came, this end takes up to 10");
    /// assert_eq!(receiver.recv()?.as_deref(), Some("short"));
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn set_max_message(&mut self, bytes: u64) {
        self.max_message = bytes;
    }

    fn next(&self, patience: Patience) -> Result<Option<Incoming>, PipeError> {
        loop {
            match packet::receive(self.as_fd())? {
                Next::Packet(message) => return self.within_limit(message).map(Some),
                Next::End => return Ok(None),
                Next::Nothing => {}
            }
            let Patience::Until(until) = patience else {
                return Err(PipeError::Empty);
            };
            if !self.wait_for_message(until)? {
                return Err(PipeError::TimedOut);
            }
        }
    }

    fn within_limit(&self, message: Incoming) -> Result<Incoming, PipeError> {
        let (len, limit) = (message.header.payload, self.max_message);
        if len > limit {
            return Err(PipeError::TooLong { len, limit });
        }
        if message.descriptors.len() != message.expected() {
            // More than a packet can carry were announced.
            return Err(PipeError::DescriptorsLost {
                expected: message.expected(),
            });
        }
        Ok(message)
    }

    fn wait_for_message(&self, until: Option<Instant>) -> Result<bool, PipeError> {
        poll::one(self.as_fd(), For::Reading, until)
            .map_err(PipeError::io("waiting for a message in a pipe"))
    }
}
