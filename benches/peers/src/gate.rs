//! Two parties that do the same thing at the same time, and how long each time took.

use std::{
    io,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use crate::measure::span;
use crate::sys::{Child, Mapping, Place, can_cross, pin};

/// How long one repetition of two contending parties takes.
const SPAN: Duration = Duration::from_millis(20);
/// How long to wait for the other party before giving up on it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the two parties meet: three words in a shared mapping, each on lines of its own.
pub struct Gate {
    ready: &'static AtomicU64,
    stop: &'static AtomicU64,
    done: &'static AtomicU64,
}

/// The gate of this program; children of a fork inherit it.
pub fn gate() -> &'static Gate {
    static GATE: OnceLock<Gate> = OnceLock::new();
    GATE.get_or_init(|| {
        let words = Mapping::new(4096).expect("a page").leak_words();
        Gate {
            ready: &words[0],
            stop: &words[64],
            done: &words[128],
        }
    })
}

impl Gate {
    /// The other party: does `op` on the second processor from when the first is ready until that stops.
    pub fn follow(&self, mut op: impl FnMut()) {
        pin(Place::Second);
        self.ready.store(1, SeqCst);
        while self.ready.load(SeqCst) != 2 {
            std::hint::spin_loop();
        }
        let mut times = 0;
        while self.stop.load(SeqCst) == 0 {
            for _ in 0..32 {
                op();
            }
            times += 32;
        }
        // Not 0, even if it was never given a processor.
        self.done.store(times + 1, SeqCst);
    }

    /// The party that measures: nanoseconds for each time that either party has done `op`.
    pub fn lead(&self, mut op: impl FnMut()) -> io::Result<f64> {
        self.go()?;
        let begun = Instant::now();
        let mut times = 0;
        let span = span(SPAN);
        while begun.elapsed() < span {
            for _ in 0..256 {
                op();
            }
            times += 256;
        }
        let took = begun.elapsed();
        times += self.stop()?;
        Ok(took.as_nanos() as f64 / times as f64)
    }

    /// Waits for the other party and lets it begin.
    pub fn go(&self) -> io::Result<()> {
        wait_until(|| self.ready.load(SeqCst) == 1)?;
        self.ready.store(2, SeqCst);
        Ok(())
    }

    /// Stops the other party and says how often it has done its `op`.
    pub fn stop(&self) -> io::Result<u64> {
        self.stop.store(1, SeqCst);
        wait_until(|| self.done.load(SeqCst) != 0)?;
        Ok(self.done.load(SeqCst) - 1)
    }

    /// Starts the other party with `start`, does `work` beside it, and ends it with `join`.
    pub fn beside<P, T>(
        &self,
        start: impl FnOnce() -> io::Result<P>,
        work: impl FnOnce(&Gate) -> io::Result<T>,
        join: impl FnOnce(P) -> io::Result<()>,
    ) -> io::Result<T> {
        if !can_cross() {
            return Err(io::Error::other("this row needs two processors"));
        }
        for word in [self.ready, self.stop, self.done] {
            word.store(0, SeqCst);
        }
        let partner = start()?;
        let done = work(self);
        self.ready.store(2, SeqCst);
        self.stop.store(1, SeqCst);
        join(partner)?;
        done
    }

    /// One op in a forked process, one in this.
    pub fn beside_fork(&self, theirs: impl FnMut(), ours: impl FnMut()) -> io::Result<f64> {
        let start = || Child::fork(|| self.follow(theirs));
        self.beside(start, |gate| gate.lead(ours), Child::wait)
    }
}

fn wait_until(mut done: impl FnMut() -> bool) -> io::Result<()> {
    let begun = Instant::now();
    while !done() {
        if begun.elapsed() > PATIENCE {
            return Err(io::Error::other("the other party does not answer"));
        }
        std::hint::spin_loop();
    }
    Ok(())
}
