//! The things that a process can hold, behind one face, so that a test is written once for all of them.

use std::{
    io,
    mem::ManuallyDrop,
    os::{fd::AsFd, unix::fs::FileExt},
    time::Duration,
};

use multiproc::{
    Array, Cause, ClaimError, Counter, Create, Error, LockError, Mutex, MutexGuard, Open, Permit,
    ReentrantMutex, ReentrantMutexGuard, Refused, RwLock, RwLockWriteGuard, Segment, Semaphore,
    Value, ValueGuard, WriteGuard,
};
use serde::{Deserialize, Serialize};

/// Longer than any wait here lasts.
pub const FOREVER: Duration = Duration::MAX;
/// Long enough to find what is free, or whose owner is dead.
pub const MOMENT: Duration = Duration::from_millis(50);
/// Within this time everybody is through; what is promised is a fifth of a second, on a machine that is idle.
pub const SOON: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Subject {
    Mutex,
    Reentrant,
    /// To write.
    RwLock,
    Value,
    Array,
    /// Its only permit.
    Semaphore,
}

pub const SUBJECTS: [Subject; 6] = [
    Subject::Mutex,
    Subject::Reentrant,
    Subject::RwLock,
    Subject::Value,
    Subject::Array,
    Subject::Semaphore,
];

/// The range that is claimed of the array.
pub const RANGE: std::ops::Range<usize> = 3..7;

/// What whoever asked for something was told.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Told {
    Sound,
    Died(u32),
    Panicked,
    TimedOut,
    WouldBlock,
    WouldDeadlock,
    NoIdentity,
    Other,
}

impl Subject {
    /// What the next to take it is told after the death of process `pid`, which held it.
    pub fn after_death(self, pid: u32) -> Told {
        match self {
            Subject::Mutex | Subject::Reentrant | Subject::RwLock | Subject::Array => {
                Told::Died(pid)
            }
            Subject::Value | Subject::Semaphore => Told::Sound,
        }
    }

    /// What a thread is told that asks for what it holds. It waits for permits: anybody may release some.
    pub fn when_held_already(self) -> Told {
        match self {
            Subject::Reentrant => Told::Sound,
            Subject::Semaphore => Told::TimedOut,
            _ => Told::WouldDeadlock,
        }
    }
}

pub enum Guard<'a> {
    Mutex(MutexGuard<'a, u64>),
    Reentrant(ReentrantMutexGuard<'a, u64>),
    RwLock(RwLockWriteGuard<'a, u64>),
    Value(ValueGuard<'a, u64>),
    Array(WriteGuard<'a, u64>),
    Semaphore {
        _permit: Permit<'a>,
        /// What is counted under it.
        count: &'a Counter,
    },
}

impl Guard<'_> {
    pub fn add_one(&mut self) {
        match self {
            Guard::Mutex(guard) => **guard += 1,
            Guard::Reentrant(guard) => guard.set(guard.get() + 1),
            Guard::RwLock(guard) => **guard += 1,
            Guard::Value(guard) => **guard += 1,
            Guard::Array(guard) => guard[0] += 1,
            Guard::Semaphore { count, .. } => {
                count.add(1);
            }
        }
    }

    pub fn count(&self) -> u64 {
        match self {
            Guard::Mutex(guard) => **guard,
            Guard::Reentrant(guard) => guard.get(),
            Guard::RwLock(guard) => **guard,
            Guard::Value(guard) => **guard,
            Guard::Array(guard) => guard[0],
            Guard::Semaphore { count, .. } => count.get(),
        }
    }
}

/// One of each.
#[derive(Clone)]
pub struct Objects {
    pub mutex: Mutex<u64>,
    pub reentrant: ReentrantMutex<u64>,
    pub rwlock: RwLock<u64>,
    pub value: Value<u64>,
    pub array: Array<u64>,
    pub semaphore: Semaphore,
    /// What is counted under the semaphore.
    pub count: Counter,
}

impl Objects {
    /// What is asked of [`create`](Objects::create) and [`open`](Objects::open).
    pub const NAMES: [&str; 7] = [
        "mutex",
        "reentrant",
        "rwlock",
        "value",
        "array",
        "semaphore",
        "count",
    ];

    pub fn new() -> Objects {
        Objects::create(|_| Create::anonymous()).unwrap()
    }

    /// Where `place` says, given the name of each.
    pub fn create(place: impl Fn(&str) -> Create) -> Result<Objects, Error> {
        Ok(Objects {
            mutex: Mutex::create(place("mutex"), 0)?,
            reentrant: ReentrantMutex::create(place("reentrant"), 0)?,
            rwlock: RwLock::create(place("rwlock"), 0)?,
            value: Value::create(place("value"), 0)?,
            array: Array::create(place("array"), 10)?,
            semaphore: Semaphore::create(place("semaphore"), 1)?,
            count: Counter::create(place("count"), 0)?,
        })
    }

    pub fn open(place: impl Fn(&str) -> Open) -> Result<Objects, Error> {
        Ok(Objects {
            mutex: Mutex::open(place("mutex"))?,
            reentrant: ReentrantMutex::open(place("reentrant"))?,
            rwlock: RwLock::open(place("rwlock"))?,
            value: Value::open(place("value"))?,
            array: Array::open(place("array"))?,
            semaphore: Semaphore::open(place("semaphore"))?,
            count: Counter::open(place("count"))?,
        })
    }

    /// Takes it, sound or poisoned, and says what one was told.
    pub fn take(&self, subject: Subject, timeout: Duration) -> (Option<Guard<'_>>, Told) {
        match subject {
            Subject::Mutex => guarded(of_lock(self.mutex.lock_timeout(timeout)), Guard::Mutex),
            Subject::Reentrant => guarded(
                of_lock(self.reentrant.lock_timeout(timeout)),
                Guard::Reentrant,
            ),
            Subject::RwLock => guarded(of_lock(self.rwlock.write_timeout(timeout)), Guard::RwLock),
            Subject::Value => guarded(of_lock(self.value.lock_timeout(timeout)), Guard::Value),
            Subject::Array => {
                let (guard, told) = of_claim(self.array.write_timeout(RANGE, timeout));
                if let (Some(guard), Told::Died(_)) = (&guard, told) {
                    let poisoned = guard.poisoned();
                    assert!(
                        poisoned.iter().all(|poisoned| poisoned.range == RANGE),
                        "not exactly what was claimed: {poisoned:?}"
                    );
                }
                guarded((guard, told), Guard::Array)
            }
            Subject::Semaphore => {
                let permit = of_permit(self.semaphore.acquire_timeout(timeout));
                guarded(permit, |_permit| Guard::Semaphore {
                    _permit,
                    count: &self.count,
                })
            }
        }
    }

    /// Takes it if that can be done now, and gives it back.
    pub fn told_at_once(&self, subject: Subject) -> Told {
        match subject {
            Subject::Mutex => of_lock(self.mutex.try_lock()).1,
            Subject::Reentrant => of_lock(self.reentrant.try_lock()).1,
            Subject::RwLock => of_lock(self.rwlock.try_write()).1,
            Subject::Value => of_lock(self.value.try_lock()).1,
            Subject::Array => of_claim(self.array.try_write(RANGE)).1,
            Subject::Semaphore => of_permit(self.semaphore.try_acquire()).1,
        }
    }

    /// As [`take`](Objects::take), and gives it back.
    pub fn told(&self, subject: Subject, timeout: Duration) -> Told {
        self.take(subject, timeout).1
    }

    /// Takes it; nobody else has it, and nobody has died.
    pub fn hold(&self, subject: Subject) -> Guard<'_> {
        let (guard, told) = self.take(subject, FOREVER);
        assert_eq!(told, Told::Sound);
        guard.unwrap()
    }

    /// Takes it for good, as one who keeps a `&'static mut` does.
    pub fn leak(&self, subject: Subject) {
        let mut guard = ManuallyDrop::new(self.hold(subject));
        guard.add_one();
    }

    /// How often `add_one` was called and published.
    pub fn count(&self, subject: Subject) -> u64 {
        let (guard, told) = self.take(subject, FOREVER);
        guard.unwrap_or_else(|| panic!("{told:?}")).count()
    }

    pub fn segment(&self, subject: Subject) -> &Segment {
        match subject {
            Subject::Mutex => self.mutex.segment(),
            Subject::Reentrant => self.reentrant.segment(),
            Subject::RwLock => self.rwlock.segment(),
            Subject::Value => self.value.segment(),
            Subject::Array => self.array.segment(),
            Subject::Semaphore => self.semaphore.segment(),
        }
    }
}

fn guarded<'a, G>(
    (guard, told): (Option<G>, Told),
    subject: impl FnOnce(G) -> Guard<'a>,
) -> (Option<Guard<'a>>, Told) {
    (guard.map(subject), told)
}

fn of_cause(cause: Cause) -> Told {
    match cause {
        Cause::OwnerDied { pid } => Told::Died(pid),
        Cause::Panicked => Told::Panicked,
    }
}

/// The guard, if there is one, and what was said of it.
pub fn of_lock<G>(result: Result<G, LockError<G>>) -> (Option<G>, Told) {
    match result {
        Ok(guard) => (Some(guard), Told::Sound),
        Err(LockError::Poisoned(poisoned)) => {
            let told = of_cause(poisoned.cause());
            (Some(poisoned.into_inner()), told)
        }
        Err(LockError::TimedOut) => (None, Told::TimedOut),
        Err(LockError::WouldBlock) => (None, Told::WouldBlock),
        Err(LockError::WouldDeadlock) => (None, Told::WouldDeadlock),
        Err(LockError::NoIdentity) => (None, Told::NoIdentity),
        Err(other) => panic!("{other}"),
    }
}

/// As [`of_lock`].
pub fn of_claim<G>(result: Result<G, ClaimError<G>>) -> (Option<G>, Told) {
    match result {
        Ok(guard) => (Some(guard), Told::Sound),
        Err(ClaimError::Poisoned(poisoned)) => {
            let told = of_cause(poisoned.first().cause);
            (Some(poisoned.into_inner()), told)
        }
        Err(ClaimError::TimedOut) => (None, Told::TimedOut),
        Err(ClaimError::WouldBlock) => (None, Told::WouldBlock),
        Err(ClaimError::WouldDeadlock) => (None, Told::WouldDeadlock),
        Err(ClaimError::NoIdentity) => (None, Told::NoIdentity),
        Err(_) => (None, Told::Other),
    }
}

/// As [`of_lock`].
fn of_permit(result: Result<Permit<'_>, Refused>) -> (Option<Permit<'_>>, Told) {
    match result {
        Ok(permit) => (Some(permit), Told::Sound),
        Err(Refused::TimedOut) => (None, Told::TimedOut),
        Err(Refused::NoIdentity) => (None, Told::NoIdentity),
        Err(_) => (None, Told::Other),
    }
}

/// How much of a segment is bookkeeping, at most.
const BOOKKEEPING: usize = 4096;

/// Puts one identity in the place of another, wherever that stands in the bookkeeping of a segment.
pub fn forge(segment: &impl AsFd, from: u64, to: u64) {
    let words = words(segment).unwrap();
    let mut found = 0;
    for (i, word) in words.iter().enumerate() {
        // The lowest bit says whether somebody sleeps.
        if word & !1 == from {
            write_word(segment, 8 * i as u64, to | word & 1).unwrap();
            found += 1;
        }
    }
    assert!(found > 0, "nobody holds anything");
}

fn words(segment: &impl AsFd) -> io::Result<Vec<u64>> {
    let file = std::fs::File::from(segment.as_fd().try_clone_to_owned()?);
    let mut bytes = vec![0; BOOKKEEPING.min(file.metadata()?.len() as usize)];
    file.read_exact_at(&mut bytes, 0)?;
    let words = bytes.as_chunks().0;
    Ok(words.iter().copied().map(u64::from_le_bytes).collect())
}

/// Overwrites eight bytes of a segment.
pub fn write_word(segment: &impl AsFd, at: u64, word: u64) -> io::Result<()> {
    let file = std::fs::File::from(segment.as_fd().try_clone_to_owned()?);
    file.write_all_at(&word.to_le_bytes(), at)
}
