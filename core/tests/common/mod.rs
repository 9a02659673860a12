//! Memory of our own and processes that are only numbers, to try the layouts without an operating system.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    cell::Cell,
    num::NonZeroU32,
    ptr::NonNull,
    sync::{Mutex, atomic::AtomicBool},
    time::{Duration, Instant},
};

use multiproc_core::{
    ALIGN, Liveness, Origin, Os, Owner, Region, Wait,
    atomic::{AtomicU64, Ordering},
};

pub const ORIGIN: Origin = Origin {
    boot: 0x0123_4567_89ab,
    pid_ns: 4_026_531_836,
    time_ns: 4_026_531_834,
};

/// Zeroed memory, aligned as layouts need it, that views of any lifetime may point into: it is never freed.
pub fn memory(len: usize) -> Region<'static> {
    #[repr(align(128))]
    #[derive(Clone)]
    struct Line(#[allow(dead_code)] [u8; ALIGN]);
    let lines = vec![Line([0; ALIGN]); len.div_ceil(ALIGN).max(1)];
    let base = NonNull::from(Box::leak(lines.into_boxed_slice())).cast();
    // SAFETY: at least `len` bytes that live for ever and that only the layouts under test reach.
    unsafe { Region::new(base, len) }.unwrap()
}

/// The bytes of a region, at a moment when nobody changes them.
pub fn bytes(region: Region<'_>) -> &mut [u8] {
    // SAFETY: the tests that look at bytes have no thread beside them and no reference into the region.
    unsafe { std::slice::from_raw_parts_mut(region.as_ptr().as_ptr(), region.len()) }
}

/// A process that is a number, and whose threads are numbers too.
#[derive(Clone, Copy, Debug)]
pub struct Fake {
    pid: u32,
    thread: u64,
    asleep: bool,
    stops_at: Option<&'static str>,
    gate: Option<&'static Gate>,
    question: Option<&'static Question>,
}

/// What is done whenever a process asks whether another lives.
pub struct Question(Box<dyn Fn() + Send + Sync>);

impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Question")
    }
}

/// Keeps a process from waking up, and counts how often it falls asleep.
#[derive(Debug, Default)]
pub struct Gate {
    pub open: AtomicBool,
    pub sleeps: AtomicU64,
}

fn stop() -> ! {
    loop {
        std::thread::park();
    }
}

static DEAD: Mutex<Vec<Owner>> = Mutex::new(Vec::new());
/// Who has come to the step at which it stops.
static STOPPED: Mutex<Vec<Owner>> = Mutex::new(Vec::new());

thread_local! {
    static WAKES: Cell<u64> = const { Cell::new(0) };
    static LONGEST_SLEEP: Cell<u64> = const { Cell::new(0) };
}

/// How long the calling thread has been asked to sleep at once, at most, in nanoseconds.
pub fn longest_sleep() -> u64 {
    LONGEST_SLEEP.get()
}

/// How often the calling thread has woken others.
pub fn wakes() -> u64 {
    WAKES.get()
}

impl Fake {
    /// Each test takes numbers of its own, since the dead stay dead.
    pub fn new(pid: u32) -> Fake {
        Fake {
            pid,
            thread: 1,
            asleep: false,
            stops_at: None,
            gate: None,
            question: None,
        }
    }

    /// The same process, stopped as soon as it waits for anything.
    pub fn asleep(self) -> Fake {
        Fake {
            asleep: true,
            ..self
        }
    }

    /// The same process, stopped as soon as it comes to this step.
    pub fn stops_at(self, step: &'static str) -> Fake {
        Fake {
            stops_at: Some(step),
            ..self
        }
    }

    /// Another thread of the same process.
    pub fn thread(self, thread: u64) -> Fake {
        Fake { thread, ..self }
    }

    /// The same process, whose sleeps do not end while the gate is closed.
    pub fn behind(self, gate: &'static Gate) -> Fake {
        Fake {
            gate: Some(gate),
            ..self
        }
    }

    /// The same process, which does `what` whenever it asks whether another lives.
    pub fn at_each_question(self, what: impl Fn() + Send + Sync + 'static) -> Fake {
        Fake {
            question: Some(Box::leak(Box::new(Question(Box::new(what))))),
            ..self
        }
    }

    /// Waits until the process has come to the step at which it stops.
    pub fn until_stopped(self) {
        while !STOPPED.lock().unwrap().contains(&self.me()) {
            std::thread::yield_now();
        }
    }

    pub fn die(self) {
        DEAD.lock().unwrap().push(self.me());
    }

    /// A moment `millis` from now.
    pub fn soon(&self, millis: u64) -> u64 {
        self.now() + millis * 1_000_000
    }
}

// SAFETY: the identity is the number; a process is dead once the test has said so, and does nothing afterwards.
unsafe impl Os for Fake {
    fn me(&self) -> Owner {
        NonZeroU32::new(self.pid)
            .and_then(|pid| Owner::new(pid, 99))
            .unwrap_or(Owner::NONE)
    }

    fn thread(&self) -> u64 {
        self.thread
    }

    fn liveness(&self, owner: Owner) -> Liveness {
        if let Some(Question(what)) = self.question {
            what();
        }
        if DEAD.lock().unwrap().contains(&owner) {
            Liveness::Dead
        } else {
            Liveness::Alive
        }
    }

    fn now(&self) -> u64 {
        static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
        START.elapsed().as_nanos() as u64 + 1
    }

    fn wait(&self, word: &AtomicU64, expected: u64, until: u64) -> Wait {
        let asked = until.saturating_sub(self.now());
        LONGEST_SLEEP.set(asked.max(LONGEST_SLEEP.get()));
        if self.asleep {
            stop();
        }
        if let Some(gate) = self.gate {
            gate.sleeps.fetch_add(1, Ordering::SeqCst);
            while !gate.open.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
        }
        while word.load(Ordering::Relaxed) as u32 == expected as u32 {
            if self.now() >= until {
                return Wait::TimedOut;
            }
            std::thread::sleep(Duration::from_micros(50));
        }
        Wait::Woken
    }

    fn wake(&self, _: &AtomicU64, _: u32) -> u32 {
        WAKES.set(WAKES.get() + 1);
        // Sleepers look for themselves: how many there are is not known.
        u32::MAX
    }

    fn panicking(&self) -> bool {
        std::thread::panicking()
    }

    fn step(&self, at: &'static str) {
        if self.stops_at == Some(at) {
            STOPPED.lock().unwrap().push(self.me());
            stop();
        }
    }
}
