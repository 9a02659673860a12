//! Lock, add one, unlock.

use std::{
    error::Error,
    hint::black_box,
    io,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use multiproc::Process;
use raw_sync::locks::{LockInit, Mutex as RawSync};

use crate::{
    gate::gate,
    measure::work_per_call,
    pthread,
    report::{
        Report,
        beside::{limit, threads},
    },
    sys::{Mapping, Place},
};

const TIMES: u32 = 300_000;

const CYCLES: &str = "On the border, to the last digit on either side of it from run to run. What std does not do (the \
    owner's identity, the mark of the thread by which it learns that it would wait for itself, the count of guards by \
    which a fork can be refused) costs a processor cycle each. How the compiler lays a loop out moves the figure by as \
    much.";
const EXCHANGES: &str = "The two bare exchanges, without which no lock can do, are above this target by themselves \
    where they take 0.7 of what glibc's whole lock does.";
const GLIBC_VARIES: &str = "On the border. Ours costs about the same from run to run, glibc's varies by half: the \
    ratio is between 0.42 and 0.67, most often below 0.6. Two processes contend only while both have a processor: on a \
    machine that is busy otherwise this row says little.";

/// Without anybody else.
pub fn uncontended(report: &mut Report) -> Result<(), Box<dyn Error>> {
    let Some(bench) = report.bench("lock, uncontended", Place::First) else {
        return Ok(());
    };
    let ours = multiproc::Mutex::new(0u64)?;
    let std = Mutex::new(0u64);
    let robust = pthread::Mutex::robust()?;
    let shared = pthread::Mutex::new()?;
    let words = Mapping::new(4096)?.leak_words();
    let raw_sync = RawSyncCounter::new()?;
    bench
        .ours(|| work_per_call(TIMES, || *black_box(&ours).lock().unwrap() += 1))
        .peer(limit("two atomics"), || {
            work_per_call(TIMES, || two_atomics(black_box(words)))
        })
        .target(threads("`std::sync::Mutex`"), 1.05, || {
            work_per_call(TIMES, || *black_box(&std).lock().unwrap() += 1)
        })
        .because(CYCLES)
        .target("glibc pshared robust", 0.7, || {
            work_per_call(TIMES, || *black_box(robust).lock() += 1)
        })
        .because(EXCHANGES)
        .peer("glibc pshared", || {
            work_per_call(TIMES, || *black_box(shared).lock() += 1)
        })
        .peer("raw_sync", || {
            work_per_call(TIMES, || black_box(&raw_sync).increment())
        })
        .python("Python Lock", "lock, uncontended")
        .run(report)
}

/// In two processes at once.
pub fn contended(report: &mut Report) -> Result<(), Box<dyn Error>> {
    let Some(bench) = report.bench("lock, two processes", Place::First) else {
        return Ok(());
    };
    let ours = multiproc::Mutex::new(0u64)?;
    let std = Mutex::new(0u64);
    let robust = pthread::Mutex::robust()?;
    let shared = pthread::Mutex::new()?;
    let words = Mapping::new(4096)?.leak_words();
    let raw_sync = RawSyncCounter::new()?;
    let add_one = || *std.lock().unwrap() += 1;
    let add = || {
        words[0].fetch_add(1, Ordering::Relaxed);
    };
    bench
        .ours(|| {
            Ok(gate().beside(
                || Process::fork(hammer, ours.clone()).map_err(io::Error::other),
                |gate| gate.lead(|| *ours.lock().unwrap() += 1),
                |child| child.join().map_err(io::Error::other),
            )?)
        })
        .peer(limit("one atomic"), || Ok(gate().beside_fork(add, add)?))
        .target("glibc pshared", 0.6, || {
            Ok(gate().beside_fork(|| *shared.lock() += 1, || *shared.lock() += 1)?)
        })
        .because(GLIBC_VARIES)
        .peer("glibc pshared robust", || {
            Ok(gate().beside_fork(|| *robust.lock() += 1, || *robust.lock() += 1)?)
        })
        .peer("raw_sync", || {
            let add = || raw_sync.increment();
            Ok(gate().beside_fork(add, add)?)
        })
        .peer(threads("`std::sync::Mutex`"), || {
            thread::scope(|scope| {
                Ok(gate().beside(
                    || Ok(scope.spawn(|| gate().follow(add_one))),
                    |gate| gate.lead(add_one),
                    |thread| {
                        thread
                            .join()
                            .map_err(|_| io::Error::other("the thread panicked"))
                    },
                )?)
            })
        })
        .run(report)
}

fn hammer(mutex: multiproc::Mutex<u64>) {
    gate().follow(|| *mutex.lock().unwrap() += 1);
}

/// What no lock can do without: one exchange to take it, one to give it back.
#[inline]
fn two_atomics(words: &[AtomicU64]) {
    let (word, number) = (&words[0], &words[1]);
    let taken = word.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed);
    assert!(taken.is_ok());
    number.store(number.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    word.swap(0, Ordering::Release);
}

/// A lock of raw_sync with a number under it.
struct RawSyncCounter(Box<dyn raw_sync::locks::LockImpl>);

impl RawSyncCounter {
    fn new() -> Result<RawSyncCounter, Box<dyn Error>> {
        let words = Mapping::new(4096)?.leak_words();
        let lock = words[0].as_ptr().cast();
        let number = words[64].as_ptr().cast();
        // SAFETY: both places are in one leaked page, far enough from each other, and nobody else knows of them.
        let (lock, _) = unsafe { RawSync::new(lock, number) }.map_err(|error| error.to_string())?;
        Ok(RawSyncCounter(lock))
    }

    #[inline]
    fn increment(&self) {
        let guard = self.0.lock().unwrap();
        let number = guard.cast::<u64>();
        // SAFETY: the number lies where `new` said, and is only touched under the lock.
        unsafe { *number += 1 };
    }
}
