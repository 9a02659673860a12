//! Messages that one party sends to another, and how long each takes.

use std::time::{Duration, Instant};

use crate::{
    measure::{Measured, times},
    pair::{Meeting, Pair},
};

/// How many messages are one repetition, and where. A tenth more is sent before, which does not count.
#[derive(Clone, Copy)]
pub struct Messages(pub u32, pub Pair);

impl Messages {
    /// From process to process, in nanoseconds for each message. Either closure runs in the process that is meant, and
    /// what it returns sends, or receives, so many messages.
    pub fn processes<S: FnMut(u32), R: FnMut(u32)>(
        self,
        sender: impl FnOnce() -> S,
        receiver: impl FnOnce() -> R,
    ) -> Measured {
        let receive = |meeting: &mut Meeting| self.go(meeting, receiver());
        let send = |meeting: &mut Meeting| _ = self.go(meeting, sender());
        Ok(self.of(self.1.processes(receive, send)?))
    }

    /// The same from thread to thread.
    pub fn threads<S: FnMut(u32), R: FnMut(u32)>(
        self,
        sender: impl FnOnce() -> S + Send,
        receiver: impl FnOnce() -> R,
    ) -> Measured {
        let receive = |meeting: &mut Meeting| self.go(meeting, receiver());
        let send = |meeting: &mut Meeting| _ = self.go(meeting, sender());
        Ok(self.of(self.1.threads(receive, send)?))
    }

    fn of(self, took: Duration) -> f64 {
        took.as_nanos() as f64 / f64::from(times(self.0))
    }

    fn go(self, meeting: &mut Meeting, mut pass: impl FnMut(u32)) -> Duration {
        meeting.meet();
        pass(times(self.0) / 10);
        let begun = Instant::now();
        pass(times(self.0));
        let took = begun.elapsed();
        // Until then nobody takes down what the other may still use.
        meeting.meet();
        took
    }
}

/// Does it so many times, with a number that grows.
pub fn each(mut pass: impl FnMut(u64)) -> impl FnMut(u32) {
    move |messages| (0..messages.into()).for_each(&mut pass)
}

/// Receives so many messages by a call that takes several, up to the number that it is given, and says how many.
pub fn in_batches(mut receive: impl FnMut(usize) -> usize) -> impl FnMut(u32) {
    move |messages| {
        let mut left = messages as usize;
        while left > 0 {
            left -= receive(left);
        }
    }
}
