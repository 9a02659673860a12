//! Channels from one to one, whose ends belong to a process each.

use multiproc::{Consumer, Pipe, Producer, Raw, pipe, spsc_raw};

/// The way on which the receiving end of a channel from one to one comes to its process from the one that sends.
pub struct Handed(
    Pipe<Consumer<u64, Raw>, Consumer<u64, Raw>>,
    Pipe<Consumer<u64, Raw>, Consumer<u64, Raw>>,
);

impl Handed {
    /// A way with nothing on it.
    pub fn new() -> Result<Handed, multiproc::Error> {
        let (here, there) = pipe()?;
        Ok(Handed(here, there))
    }

    /// To be called by who sends: makes a channel of so many bytes.
    pub fn producer(&self, capacity: usize) -> Producer<u64, Raw> {
        let (producer, consumer) = spsc_raw(capacity).unwrap();
        self.0.send(consumer).unwrap();
        producer
    }

    /// To be called by who receives: waits for the other end.
    pub fn consumer(&self) -> Consumer<u64, Raw> {
        self.1.recv().unwrap().unwrap()
    }
}
