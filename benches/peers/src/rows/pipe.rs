//! `Pipe`: a message to and fro.

use std::os::unix::net::UnixStream;

use multiproc::Pipe;

use crate::{
    futex::Futexes,
    pair::Pair,
    report::{Report, beside::limit},
    rows::Outcome,
    turns::{Baton, asleep},
};

/// Each sends the other a word.
pub fn round_trip(report: &mut Report) -> Outcome {
    let ours = multiproc::pipe::<u64, u64>()?;
    let futexes = Futexes::new()?;
    let sockets = UnixStream::pair()?;
    for pair in [Pair::Same, Pair::Cross] {
        let name = format!("`Pipe` round trip, {}", pair.name());
        let Some(bench) = report.bench(name, pair.place()) else {
            continue;
        };
        bench
            .ours(|| asleep(pair, &ours))
            .peer(limit("bare futex"), || asleep(pair, &futexes))
            .peer("socket pair", || asleep(pair, &sockets))
            .python("Python Pipe", "pipe")
            .run(report)?;
    }
    Ok(())
}

impl Baton for (Pipe<u64, u64>, Pipe<u64, u64>) {
    fn give(&self, to: usize) {
        let mine = if to == 0 { &self.1 } else { &self.0 };
        mine.send(1).unwrap();
    }

    fn take(&self, me: usize) {
        let mine = if me == 0 { &self.0 } else { &self.1 };
        mine.recv().unwrap().unwrap();
    }
}
