//! `TaskRing`: a ring whose takers are workers, each with a row that says which task it has in hand.
//!
//! A record begins with a word that names its task. A worker that dies has had one task in hand or none, and its row says
//! which, exactly. Invariants:
//!
//! 1. Under the lock of those who take, a worker notes where the head is and which row is its own, then enters the task into
//!    that row, then moves the head. Whoever takes the lock next and finds the head where the note says has the lock from
//!    one who died before he moved it: the task is still in the ring, and is taken out of that row before anything else.
//! 2. So a row of the dead names a task that was taken from the ring, once somebody has looked so.
//! 3. `progress` says how many items of its task a worker has ended, by one exchange that finds out whether it was condemned
//!    meanwhile. While it is condemned it ends none.

use core::{fmt, mem::size_of, num::NonZeroU64};

use crate::{
    atomic::{AtomicU64, Ordering},
    consumer::Consumer,
    error::LayoutError,
    header::Kind,
    origin::Origin,
    os::Os,
    region::Region,
    ring::{Records, Ring},
    ring_bytes::{read, write},
    ring_error::RingError,
    ring_layout::{KindWords, RingPlace},
    ring_wait::Sleeper,
};

/// How many workers can take from one ring.
pub const MAX_WORKERS: usize = if cfg!(loom) { 2 } else { 1000 };

/// The name of a task that was cancelled. Nothing else is named so.
const CANCELLED: u64 = 0;

/// How many bytes of a record are its name.
const NAME: usize = size_of::<u64>();

/// How far a worker is with the task that it has in hand.
///
/// ```text
///  63          62        32 31                  0
/// ┌───────────┬────────────┬─────────────────────┐
/// │ condemned │ items done │ bytes of what it has│
/// │           │            │ to tell of them     │
/// └───────────┴────────────┴─────────────────────┘
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress(u64);

impl Progress {
    const CONDEMNED: u64 = 1 << 63;

    /// So many items are done, and so many bytes are there to tell of them. Of the number of items the low 31 bits count.
    #[must_use]
    pub const fn new(items: u32, bytes: u32) -> Progress {
        Progress((items as u64) << 32 & !Progress::CONDEMNED | bytes as u64)
    }

    /// How many items are done.
    #[must_use]
    pub const fn items(self) -> u32 {
        ((self.0 & !Progress::CONDEMNED) >> 32) as u32
    }

    /// How many bytes are there to tell of them.
    #[must_use]
    pub const fn bytes(self) -> u32 {
        self.0 as u32
    }

    /// Whether the item after them will not be done.
    #[must_use]
    pub const fn is_condemned(self) -> bool {
        self.0 & Progress::CONDEMNED != 0
    }
}

/// What one worker has in hand.
#[repr(C, align(64))]
#[derive(Debug)]
struct Row {
    /// The name of its task, or 0.
    task: AtomicU64,
    /// A [`Progress`].
    progress: AtomicU64,
    /// When it has begun with the next item, or 0.
    since: AtomicU64,
    /// How many tasks it has ended.
    ended: AtomicU64,
}

/// The words of a task ring beside those of its ring. Public for embedders and for models.
#[repr(C)]
#[derive(Debug)]
pub struct Hands {
    /// Where the head was when somebody last took, as a position without marks.
    place: AtomicU64,
    /// Whose row that was.
    row: AtomicU64,
    rows: [Row; MAX_WORKERS],
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Hands>() == 64 + 64 * MAX_WORKERS);

/// A place at which nobody has taken anything: no position has these low bits.
const NOWHERE: u64 = 3;

impl Hands {
    /// Nobody has anything in hand.
    #[must_use]
    pub fn new() -> Hands {
        Hands {
            place: AtomicU64::new(NOWHERE),
            row: AtomicU64::new(0),
            rows: core::array::from_fn(|_| Row {
                task: AtomicU64::new(0),
                progress: AtomicU64::new(0),
                since: AtomicU64::new(0),
                ended: AtomicU64::new(0),
            }),
        }
    }
}

impl Default for Hands {
    fn default() -> Hands {
        Hands::new()
    }
}

// SAFETY: atomics alone.
unsafe impl KindWords for Hands {
    const KIND: Kind = Kind::TaskRing;
    const ROOM: usize = size_of::<Hands>();

    fn reset(&self) {
        self.place.store(NOWHERE, Ordering::Relaxed);
        self.row.store(0, Ordering::Relaxed);
        for row in &self.rows {
            for word in [&row.task, &row.progress, &row.since, &row.ended] {
                word.store(0, Ordering::Relaxed);
            }
        }
    }

    fn bury(&self) {
        self.reset();
    }
}

/// What a worker had in hand when it died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The name of the task.
    pub task: u64,
    /// How far it was.
    pub progress: Progress,
}

/// A bounded queue of tasks for workers that may die.
///
/// A task is a record: its name, a number that no two tasks share, and a byte string, its body. Each worker has a row, by
/// number, that nobody else uses while the worker lives.
pub struct TaskRing<'m, O> {
    ring: Ring<'m>,
    hands: &'m Hands,
    os: O,
}

impl<'m, O: Os> TaskRing<'m, O> {
    /// How many bytes it takes in memory.
    ///
    /// # Errors
    ///
    /// [`LayoutError::RingTooLarge`] for more than 4 GiB.
    pub fn required_len(capacity: usize) -> Result<usize, LayoutError> {
        Ok(RingPlace::<Hands>::spec::<u8>(capacity)?.total())
    }

    /// Places an empty ring for at least `capacity` bytes in fresh memory; they are rounded up to a power of two. Records
    /// take 8 bytes more than their own, rounded up to 8.
    ///
    /// # Errors
    ///
    /// [`LayoutError::TooShort`] when the memory is shorter than [`required_len`](Self::required_len).
    ///
    /// # Safety
    ///
    /// No process uses a layout that overlaps `region`.
    pub unsafe fn place(
        region: Region<'m>,
        os: O,
        origin: Origin,
        capacity: usize,
    ) -> Result<Self, LayoutError> {
        // SAFETY: promised by the caller.
        let place = unsafe { RingPlace::place::<u8>(&region, origin, capacity) }?;
        Ok(Self::view(&place, os))
    }

    /// The ring that somebody placed in `region`.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] when the bytes do not hold such a ring of this `origin`.
    pub fn attach(region: Region<'m>, os: O, origin: Origin) -> Result<Self, LayoutError> {
        let place = RingPlace::attach::<u8>(&region, origin)?;
        Ok(Self::view(&place, os))
    }

    /// Declares every process that ever had it open dead: what they had in hand is forgotten, what is in the ring stays.
    ///
    /// # Errors
    ///
    /// As [`attach`](Self::attach), except that any origin will do.
    ///
    /// # Safety
    ///
    /// Nobody else has the memory open.
    pub unsafe fn bury(region: Region<'m>, _: O, origin: Origin) -> Result<(), LayoutError> {
        // SAFETY: promised by the caller.
        unsafe { RingPlace::<Hands>::bury::<u8>(&region, origin) }
    }

    fn view(place: &RingPlace<'m, Hands>, os: O) -> Self {
        // SAFETY: of one layout.
        unsafe { TaskRing::over(Ring::new(place.words, place.data), place.kind, os) }
    }

    /// The task ring of these parts, wherever they are: for models.
    ///
    /// # Safety
    ///
    /// Whoever reaches the data of this ring does so through task rings over these same words.
    pub unsafe fn over(ring: Ring<'m>, hands: &'m Hands, os: O) -> Self {
        TaskRing { ring, hands, os }
    }

    /// Puts a task, waiting for room until `until` on the clock of [`Os::now`].
    ///
    /// # Errors
    ///
    /// [`RingError`]; then nothing was put.
    #[inline]
    pub fn put(&self, task: NonZeroU64, body: &[u8], until: u64) -> Result<(), RingError> {
        let fill = |at| self.write(at, task, body);
        let len = NAME + body.len();
        self.ring.put(&self.os, until, len, || (), fill)
    }

    /// Puts tasks, as many at once as there is room for; returns how many were put, and why not all.
    pub fn put_many<B: AsRef<[u8]>>(
        &self,
        tasks: impl IntoIterator<Item = (NonZeroU64, B)>,
        until: u64,
    ) -> (usize, Result<(), RingError>) {
        let mut tasks = Tasks {
            ring: self,
            rest: tasks.into_iter(),
            next: None,
            put: 0,
        };
        let result = self.ring.put_many(&self.os, until, || (), &mut tasks);
        (tasks.put, result)
    }

    #[inline]
    fn write(&self, at: usize, task: NonZeroU64, body: &[u8]) {
        // Relaxed: published with the tail.
        self.ring.data[at].store(task.get(), Ordering::Relaxed);
        write(self.ring.data, at + 1, body);
    }

    /// Takes a task, as the worker with this row, waiting for one until `until` on the clock of [`Os::now`]. From then on it
    /// is in hand until it is [done](Self::done).
    ///
    /// `take` is given its name and its body, under the lock of those who take: it should copy and return. If it panics, the
    /// task stays.
    ///
    /// # Errors
    ///
    /// [`RingError`]; then nothing was taken. [`RingError::TooManyProcesses`] when there is no such row.
    pub fn take<R>(
        &self,
        row: usize,
        until: u64,
        mut take: impl FnMut(u64, &[u8]) -> R,
    ) -> Result<R, RingError> {
        let own = self
            .hands
            .rows
            .get(row)
            .ok_or(RingError::TooManyProcesses)?;
        let mut wait = None;
        loop {
            let mut consumer = self.side(until)?;
            while let Some((at, len)) = consumer.next_record()? {
                let task = self.name(at, len)?;
                if task == CANCELLED {
                    continue;
                }
                let taken = take(task, read(self.ring.data, at + 1, len - NAME));
                self.enter(own, row, task, &consumer);
                consumer.consume();
                return Ok(taken);
            }
            let tail = consumer.seen();
            if consumer.shown() > 0 {
                // All that is there was cancelled. The note must not be found after so many that the head is there again.
                self.hands.place.store(NOWHERE, Ordering::Relaxed);
                consumer.consume();
            } else {
                drop(consumer);
            }
            wait.get_or_insert_with(|| Sleeper::for_records(&self.ring, &self.os))
                .sleep(tail, until)?;
        }
    }

    /// Enters a task into a row, before the head moves.
    #[inline]
    fn enter(&self, own: &Row, row: usize, task: u64, consumer: &Consumer<'_, 'm, O>) {
        let Hands {
            place, row: whose, ..
        } = self.hands;
        // Relaxed, all that lies under the lock: its Release is behind them, and its Acquire before who looks.
        whose.store(row as u64, Ordering::Relaxed);
        place.store(consumer.head().unmarked(), Ordering::Relaxed);
        self.os.step("task: noted whose it will be");
        own.since.store(0, Ordering::Relaxed);
        // Release: pairs with the Acquire of `condemn`: who finds this task does not find since when the last one was done.
        own.task.store(task, Ordering::Release);
        self.os.step("task: in the row, and in the ring");
        // Release: pairs with the Acquire of `condemn`: who finds this finds the task that it is about.
        own.progress.store(0, Ordering::Release);
    }

    /// Takes the side of those who take. What one who died with it had entered and not taken is out of his row then.
    #[inline]
    fn side(&self, until: u64) -> Result<Consumer<'_, 'm, O>, RingError> {
        let consumer = self.ring.consumer(&self.os, until)?;
        // Relaxed: under the lock. The head moves whenever something is taken, so it is never again where it was.
        if self.hands.place.load(Ordering::Relaxed) == consumer.head().unmarked() {
            self.put_back();
        }
        Ok(consumer)
    }

    #[cold]
    #[inline(never)]
    fn put_back(&self) {
        let row = self.hands.row.load(Ordering::Relaxed) as usize;
        if let Some(row) = self.hands.rows.get(row) {
            row.task.store(0, Ordering::Relaxed);
            self.os.step("task: out of the row of the dead");
        }
        self.hands.place.store(NOWHERE, Ordering::Relaxed);
    }

    /// The name of the task in the record that begins at this unit.
    #[inline]
    fn name(&self, at: usize, len: usize) -> Result<u64, RingError> {
        let word = self.ring.data.get(at).filter(|_| len >= NAME);
        // Relaxed: published with the tail, or changed under the lock that the caller has.
        Ok(word.ok_or(RingError::Damaged)?.load(Ordering::Relaxed))
    }

    /// Notes when the worker with this row begins with the next item of its task, on the clock of [`Os::now`].
    #[inline]
    pub fn begin(&self, row: usize, now: u64) {
        if let Some(row) = self.hands.rows.get(row) {
            // Release: pairs with the Acquire of `condemn`: it belongs to no earlier item.
            row.since.store(now, Ordering::Release);
        }
    }

    /// The worker with this row has come from `from` to `to`: it has ended an item, or has told of all that it ended.
    /// `false` when it may not, because it was [condemned](Self::condemn).
    #[inline]
    #[must_use = "a condemned worker has not ended the item"]
    pub fn advance(&self, row: usize, from: Progress, to: Progress) -> bool {
        self.hands.rows.get(row).is_some_and(|row| {
            // Relaxed: before the Release below. It is late with no item that it has ended.
            row.since.store(0, Ordering::Relaxed);
            self.os.step("task: about to advance");
            // Release: pairs with the Acquire of `lost` and `condemn`: what there is to tell is written.
            row.progress
                .compare_exchange(from.0, to.0, Ordering::Release, Ordering::Relaxed)
                .is_ok()
        })
    }

    /// As [`advance`](Self::advance), for a worker that nobody condemns.
    #[inline]
    pub fn note(&self, row: usize, to: Progress) {
        if let Some(row) = self.hands.rows.get(row) {
            self.os.step("task: about to note");
            // Release: as in `advance`.
            row.progress.store(to.0, Ordering::Release);
        }
    }

    /// The worker with this row has nothing in hand any more: it has told how its task ended.
    #[inline]
    pub fn done(&self, row: usize) {
        if let Some(row) = self.hands.rows.get(row) {
            self.os.step("task: told, still in hand");
            // Relaxed: of its own row, and read by others only to be shown, or once it is dead.
            let ended = row.ended.load(Ordering::Relaxed).wrapping_add(1);
            row.ended.store(ended, Ordering::Relaxed);
            row.task.store(0, Ordering::Relaxed);
        }
    }

    /// Lets the worker with this row end no further item of `task`, if it has begun with the one that it is at before
    /// `before` on the clock of [`Os::now`]; how far it is then. `None` when it has come further meanwhile.
    ///
    /// Whoever condemns a worker kills it, or lets it go on by [`pardon`](Self::pardon).
    pub fn condemn(&self, row: usize, task: u64, before: u64) -> Option<Progress> {
        let row = self.hands.rows.get(row)?;
        // Acquire: pairs with the Releases of `enter` and `advance`.
        let seen = Progress(row.progress.load(Ordering::Acquire));
        let is_late = || {
            let is_it = row.task.load(Ordering::Acquire) == task;
            let since = row.since.load(Ordering::Acquire);
            is_it && since != 0 && since < before
        };
        if seen.is_condemned() || !is_late() {
            return None;
        }
        let condemned = seen.0 | Progress::CONDEMNED;
        row.progress
            .compare_exchange(seen.0, condemned, Ordering::Acquire, Ordering::Relaxed)
            .ok()?;
        self.os.step("task: condemned");
        // From here on it stays where it is. But it may have come to another item between the looks and the exchange.
        if is_late() {
            return Some(seen);
        }
        row.progress
            .fetch_and(!Progress::CONDEMNED, Ordering::Relaxed);
        None
    }

    /// Lets a condemned worker go on.
    pub fn pardon(&self, row: usize) {
        if let Some(row) = self.hands.rows.get(row) {
            row.progress
                .fetch_and(!Progress::CONDEMNED, Ordering::Relaxed);
        }
    }

    /// What the worker with this row had in hand, which is dead; the row is then free for another.
    ///
    /// # Errors
    ///
    /// [`RingError`] when the side of those who take cannot be had before `until`; then nothing has changed.
    pub fn lost(&self, row: usize, until: u64) -> Result<Option<Lost>, RingError> {
        let own = self
            .hands
            .rows
            .get(row)
            .ok_or(RingError::TooManyProcesses)?;
        // While it is held nobody finds a task in the ring that is in that row, too.
        let side = self.side(until)?;
        let task = own.task.load(Ordering::Relaxed);
        let progress = Progress(own.progress.load(Ordering::Acquire));
        own.task.store(0, Ordering::Relaxed);
        own.since.store(0, Ordering::Relaxed);
        drop(side);
        Ok((task != 0).then_some(Lost { task, progress }))
    }

    /// Takes a task out of the ring, so that nobody will take it; whether it was still there.
    ///
    /// # Errors
    ///
    /// [`RingError`] when the side of those who take cannot be had before `until`, or the ring is damaged.
    pub fn cancel(&self, task: u64, until: u64) -> Result<bool, RingError> {
        let mut side = self.side(until)?;
        loop {
            match side.next_record() {
                Ok(Some((at, len))) if self.name(at, len)? == task => {
                    // Relaxed: under the lock. The rest of the record stays as it is.
                    self.ring.data[at].store(CANCELLED, Ordering::Relaxed);
                    return Ok(true);
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(RingError::Closed) => return Ok(false),
                Err(why) => return Err(why),
            }
        }
    }

    /// Runs `body` while nobody takes anything.
    ///
    /// # Errors
    ///
    /// [`RingError`] when the side of those who take cannot be had before `until`; then `body` has not run.
    pub fn alone<R>(&self, until: u64, body: impl FnOnce() -> R) -> Result<R, RingError> {
        let side = self.side(until)?;
        let result = body();
        drop(side);
        Ok(result)
    }

    /// Lets nothing more be put. What is in the ring can still be taken.
    ///
    /// # Errors
    ///
    /// [`RingError`] when its locks cannot be had before `until`.
    pub fn close(&self, until: u64) -> Result<(), RingError> {
        self.ring.close(&self.os, until)
    }
}

impl<'m, O> TaskRing<'m, O> {
    /// The ring.
    pub fn ring(&self) -> &Ring<'m> {
        &self.ring
    }

    /// The name of the task that the worker with this row has in hand at this moment, and when it has begun with the item
    /// that it is at, or 0.
    #[must_use]
    pub fn in_hand(&self, row: usize) -> Option<(u64, u64)> {
        let row = self.hands.rows.get(row)?;
        let task = row.task.load(Ordering::Relaxed);
        (task != 0).then(|| (task, row.since.load(Ordering::Relaxed)))
    }

    /// How many tasks workers with this row have ended.
    #[must_use]
    pub fn ended(&self, row: usize) -> u64 {
        let row = self.hands.rows.get(row);
        row.map_or(0, |row| row.ended.load(Ordering::Relaxed))
    }
}

/// Tasks on their way into a ring.
struct Tasks<'a, 'm, O, I: Iterator> {
    ring: &'a TaskRing<'m, O>,
    rest: I,
    /// The next one, and the length that its body had when it was asked for that.
    next: Option<(I::Item, usize)>,
    /// How many were written.
    put: usize,
}

impl<O: Os, B: AsRef<[u8]>, I: Iterator<Item = (NonZeroU64, B)>> Records for Tasks<'_, '_, O, I> {
    #[inline]
    fn next_len(&mut self) -> Option<usize> {
        if self.next.is_none() {
            let next = self.rest.next();
            self.next = next.map(|(task, body)| {
                let len = body.as_ref().len();
                ((task, body), len)
            });
        }
        self.next.as_ref().map(|(_, len)| NAME + len)
    }

    #[inline]
    fn fill(&mut self, at: usize) {
        if let Some(((task, body), len)) = self.next.take() {
            let body = body.as_ref();
            // No more than there was room made for, whatever it says now.
            self.ring.write(at, task, body.get(..len).unwrap_or(body));
            self.put += 1;
        }
    }
}

impl<O> fmt::Debug for TaskRing<'_, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskRing")
            .field("capacity", &self.ring.capacity())
            .field("len", &self.ring.len())
            .field("is_closed", &self.ring.is_closed())
            .finish_non_exhaustive()
    }
}
