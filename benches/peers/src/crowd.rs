//! Any number of parties that do the same thing at the same time, on all processors.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use crate::{
    measure::{Measured, span},
    sys::{Child, Mapping, Place, die_in, pin},
};

/// How long one repetition of a crowd that works on and on takes.
const SPAN: Duration = Duration::from_millis(30);
/// How long a party may take. Whoever is not done then is ended, which makes the point an error.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the parties meet, in memory that they share.
struct Meeting<'a> {
    ready: &'a AtomicU64,
    /// When it began, in nanoseconds since `epoch`; 0 before.
    begun: &'a AtomicU64,
    stopped: &'a AtomicU64,
    /// How often something was done, or when the last one was done.
    result: &'a AtomicU64,
    epoch: Instant,
}

impl Meeting<'_> {
    fn of(page: &Mapping) -> Meeting<'_> {
        let words = page.words();
        Meeting {
            ready: &words[0],
            begun: &words[64],
            stopped: &words[128],
            result: &words[192],
            epoch: Instant::now(),
        }
    }

    fn now(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    /// A party waits until all others are there.
    fn arrive(&self) {
        self.ready.fetch_add(1, SeqCst);
        while self.begun.load(SeqCst) == 0 {
            thread::yield_now();
        }
    }

    /// A party does something on and on.
    fn work_on(&self, mut op: impl FnMut()) {
        self.arrive();
        let mut times = 0;
        while self.stopped.load(SeqCst) == 0 {
            for _ in 0..32 {
                op();
            }
            times += 32;
        }
        self.result.fetch_add(times, SeqCst);
    }

    /// Lets so many parties begin.
    fn begin(&self, parties: usize) -> io::Result<()> {
        let since = Instant::now();
        while self.ready.load(SeqCst) < parties as u64 {
            if since.elapsed() > PATIENCE {
                self.stop();
                return Err(io::Error::other("a party does not come"));
            }
            thread::yield_now();
        }
        self.begun.store(self.now(), SeqCst);
        Ok(())
    }

    fn stop(&self) {
        self.stopped.store(1, SeqCst);
        // Whoever still waits may go.
        _ = self.begun.compare_exchange(0, 1, SeqCst, SeqCst);
    }

    /// Lets all work for a while and says how many nanoseconds that was.
    fn let_work(&self, parties: usize) -> io::Result<u64> {
        self.begin(parties)?;
        thread::sleep(span(SPAN));
        self.stop();
        Ok(self.now() - self.begun.load(SeqCst))
    }
}

/// Processes that do something on and on, each what `op` makes for it: nanoseconds for each time that any has done it.
pub fn processes<O: FnMut()>(parties: usize, op: impl Fn(usize) -> O) -> Measured {
    let page = Mapping::new(4096)?;
    let meeting = Meeting::of(&page);
    let party = |i| {
        Child::fork(|| {
            die_in(PATIENCE);
            pin(Place::All);
            meeting.work_on(op(i));
        })
    };
    let children: Vec<_> = (0..parties).map(party).collect();
    let took = meeting.let_work(parties);
    join(children)?;
    Ok(took? as f64 / meeting.result.load(SeqCst) as f64)
}

/// The same with threads of one process.
pub fn threads<O: FnMut()>(parties: usize, op: impl Fn(usize) -> O + Sync) -> Measured {
    let page = Mapping::new(4096)?;
    let meeting = Meeting::of(&page);
    let took = thread::scope(|scope| {
        for i in 0..parties {
            let (meeting, op) = (&meeting, &op);
            scope.spawn(move || meeting.work_on(op(i)));
        }
        meeting.let_work(parties)
    })?;
    Ok(took as f64 / meeting.result.load(SeqCst) as f64)
}

/// Processes that each do a part of something once: nanoseconds from when all may begin to when the last is done.
pub fn once(parties: usize, part: impl Fn(usize)) -> Measured {
    let page = Mapping::new(4096)?;
    let meeting = Meeting::of(&page);
    let party = |i| {
        Child::fork(|| {
            die_in(PATIENCE);
            pin(Place::All);
            meeting.arrive();
            part(i);
            meeting.result.fetch_max(meeting.now(), SeqCst);
        })
    };
    let children: Vec<_> = (0..parties).map(party).collect();
    let begun = meeting.begin(parties);
    join(children)?;
    begun?;
    Ok((meeting.result.load(SeqCst) - meeting.begun.load(SeqCst)) as f64)
}

fn join(children: Vec<io::Result<Child>>) -> io::Result<()> {
    let ends: Vec<_> = children
        .into_iter()
        .map(|c| c.and_then(Child::wait))
        .collect();
    ends.into_iter().collect()
}
