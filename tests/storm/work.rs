//! What a worker does: one thing of every kind, in any order, for ever, and looks whether all is as it should be.

use std::{
    cell::Cell,
    hint::black_box,
    sync::atomic::Ordering::{Relaxed, SeqCst},
    time::{Duration, Instant},
};

use multiproc::{
    Array, Barrier, BarrierError, BoundedSemaphore, ClaimError, Condvar, Event, JoinableQueue,
    LockError, Mutex, Once, OnceValue, Queue, Raw, Receiver, RecvError, ReentrantMutex, RwLock,
    RwLockWriteGuard, Semaphore, SendError, Sender, Value, channel_raw,
};

use crate::{
    board::{Board, Flow, ONCES, Place, Seen, board, expect_no_other, having, linger, me, others},
    common::STUCK,
    random::Random,
};

/// Two numbers that are equal unless somebody died while changing them.
type Pair = [u64; 2];

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Mutex,
    ReentrantMutex,
    Value,
    ValueWatched,
    Array,
    RwLock,
    Semaphore,
    BoundedSemaphore,
    Tokens,
    Barrier,
    Condvar,
    Event,
    Once,
    Queue,
    Channel,
    JoinableQueue,
}

pub const ALL: [Kind; 16] = [
    Kind::Mutex,
    Kind::ReentrantMutex,
    Kind::Value,
    Kind::ValueWatched,
    Kind::Array,
    Kind::RwLock,
    Kind::Semaphore,
    Kind::BoundedSemaphore,
    Kind::Tokens,
    Kind::Barrier,
    Kind::Condvar,
    Kind::Event,
    Kind::Once,
    Kind::Queue,
    Kind::Channel,
    Kind::JoinableQueue,
];
pub const KINDS: usize = ALL.len();

const SEATS: u32 = 3;
const BOUND: u32 = 2;
const ELEMENTS: u64 = 16;
const PARTIES: usize = 3;
/// For how many items there is room in the stock.
const ROOM: u64 = 3;
/// How many bytes of items the queues hold: some twenty of them.
const RING: usize = 512;
/// The most items that are put or taken at once.
const MANY: u64 = 4;
/// How long is waited for what others may or may not do. All else is waited for without an end.
const A_WHILE: Duration = Duration::from_millis(5);

/// One of each.
#[derive(Debug)]
pub struct Objects {
    mutex: Mutex<Pair>,
    reentrant: ReentrantMutex<Pair>,
    value: Value<Pair>,
    array: Array<u64>,
    rwlock: RwLock<Pair>,
    seats: Semaphore,
    bounded: BoundedSemaphore,
    tokens: Semaphore,
    barrier: Barrier,
    /// How many items were put in, and taken out.
    stock: Mutex<Pair>,
    filled: Condvar,
    emptied: Condvar,
    event: Event,
    onces: Vec<(OnceValue<Pair>, Once)>,
    queue: Queue<Pair, Raw>,
    channel: (Sender<Pair, Raw>, Receiver<Pair, Raw>),
    jobs: JoinableQueue<Pair, Raw>,
}

/// Counts what one was told of.
fn told(kind: Kind) {
    board().told[kind as usize].fetch_add(1, Relaxed);
}

/// What was locked, and whether one was told of a death.
fn locked<G>(kind: Kind, result: Result<G, LockError<G>>) -> (G, bool) {
    match result {
        Ok(guard) => (guard, false),
        Err(error) => {
            told(kind);
            (error.into_guard().unwrap(), true)
        }
    }
}

/// What was claimed.
fn claimed<G>(result: Result<G, ClaimError<G>>) -> G {
    result.unwrap_or_else(|error| {
        told(Kind::Array);
        error.into_guard().unwrap()
    })
}

/// Adds one to both of a pair, which are equal unless somebody has died over them.
fn add_one(pair: &Cell<Pair>, told: bool, random: &mut Random) {
    let [first, second] = pair.get();
    assert!(first == second || told, "{pair:?} untold");
    pair.set([first, first]);
    black_box(pair).set([first + 1, first]);
    linger(random.below(200));
    black_box(pair).set([first + 1; 2]);
}

/// An item like no other, of two equal halves.
fn item(flow: &Flow) -> Pair {
    [flow.number.fetch_add(1, SeqCst); 2]
}

/// Counts as many items as came off.
fn put(flow: &Flow, most: u64, put: impl FnOnce() -> u64) -> bool {
    flow.begun.fetch_add(most, SeqCst);
    let count = put();
    flow.put.fetch_add(count, SeqCst);
    count > 0
}

fn was_put<T>(result: Result<(), SendError<T>>) -> bool {
    match result {
        Ok(()) => true,
        Err(why) if why.is_timeout() => false,
        Err(why) => panic!("{why}"),
    }
}

/// Counts items that were taken, if any were, and looks at each.
fn took(flow: &Flow, most: u64, take: impl FnOnce() -> Result<Vec<Pair>, RecvError>) -> bool {
    flow.taking.fetch_add(most, SeqCst);
    let items = match take() {
        Ok(items) => items,
        Err(why) if why.is_timeout() => Vec::new(),
        Err(why) => panic!("{why}"),
    };
    for [first, second] in &items {
        assert_eq!(first, second, "torn");
        assert!(*first < flow.number.load(SeqCst), "nobody has put that");
    }
    flow.taken.fetch_add(items.len() as u64, SeqCst);
    flow.taking.fetch_sub(most, SeqCst);
    !items.is_empty()
}

impl Objects {
    pub fn new() -> Objects {
        let once = || (OnceValue::new().unwrap(), Once::new().unwrap());
        Objects {
            mutex: Mutex::new([0; 2]).unwrap(),
            reentrant: ReentrantMutex::new([0; 2]).unwrap(),
            value: Value::new([0; 2]).unwrap(),
            array: Array::zeroed(ELEMENTS as usize).unwrap(),
            rwlock: RwLock::new([0; 2]).unwrap(),
            seats: Semaphore::new(SEATS).unwrap(),
            bounded: BoundedSemaphore::new(BOUND).unwrap(),
            tokens: Semaphore::new(0).unwrap(),
            barrier: Barrier::new(PARTIES).unwrap(),
            stock: Mutex::new([0; 2]).unwrap(),
            filled: Condvar::new().unwrap(),
            emptied: Condvar::new().unwrap(),
            event: Event::new().unwrap(),
            onces: (0..ONCES).map(|_| once()).collect(),
            queue: Queue::raw(RING).unwrap(),
            channel: channel_raw(RING).unwrap(),
            jobs: JoinableQueue::raw(RING).unwrap(),
        }
    }

    /// Works until all come to an end, or this process is killed.
    pub fn work(&self, mut random: Random) {
        while board().stop.load(Relaxed) == 0 {
            let kind = ALL[random.below(KINDS as u64) as usize];
            me().begin(kind);
            if self.work_at(kind, &mut random) {
                board().done[kind as usize].fetch_add(1, Relaxed);
            }
        }
    }

    /// Whether it came to anything.
    fn work_at(&self, kind: Kind, random: &mut Random) -> bool {
        match kind {
            Kind::Mutex => self.mutex(random),
            Kind::ReentrantMutex => self.reentrant(random),
            Kind::Value => self.value(random),
            Kind::ValueWatched => return self.watch(),
            Kind::Array => self.array(random),
            Kind::RwLock => self.rwlock(random),
            Kind::Semaphore => return self.seats(random),
            Kind::BoundedSemaphore => self.bounded(),
            Kind::Tokens => return self.tokens(random),
            Kind::Barrier => return self.barrier(random),
            Kind::Condvar => return self.stock(random),
            Kind::Event => return self.event(random),
            Kind::Once => self.once(random),
            Kind::Queue => return self.queue(random),
            Kind::Channel => return self.channel(random),
            Kind::JoinableQueue => return self.jobs(random),
        }
        true
    }

    fn mutex(&self, random: &mut Random) {
        let (mut guard, told) = locked(Kind::Mutex, self.mutex.lock());
        having(Place::Mutex, 1, || {
            expect_no_other(Place::Mutex);
            add_one(Cell::from_mut(&mut *guard), told, random);
            guard.clear_poison();
        });
    }

    fn reentrant(&self, random: &mut Random) {
        let (outer, told) = locked(Kind::ReentrantMutex, self.reentrant.lock());
        let again = || {
            let guard = self.reentrant.try_lock();
            guard.or_else(|error| error.into_guard()).unwrap()
        };
        let last = having(Place::Reentrant, 1, || {
            expect_no_other(Place::Reentrant);
            let inner = again();
            assert_eq!(inner.depth(), 2);
            drop(outer);
            add_one(&inner, told, random);
            inner.clear_poison();
            let last = again();
            drop(inner);
            assert_eq!(last.depth(), 1);
            last
        });
        drop(last);
    }

    fn value(&self, random: &mut Random) {
        match random.below(3) {
            0 => {
                let mut guard = self.value.lock().unwrap();
                guard[0] = u64::MAX;
                guard.discard();
            }
            1 => self
                .value
                .update(|pair| add_one(Cell::from_mut(pair), false, random))
                .unwrap(),
            _ => {
                let [first, second] = self.value.get();
                assert_eq!(first, second, "torn");
            }
        }
    }

    fn watch(&self) -> bool {
        let now = self.value.get();
        let is_unchanged = |pair: &Pair| *pair == now;
        let seen = self.value.wait_timeout_while(A_WHILE, is_unchanged);
        let ([first, second], how) = seen.unwrap();
        assert_eq!(first, second, "torn");
        !how.timed_out()
    }

    fn array(&self, random: &mut Random) {
        let start = random.below(ELEMENTS);
        let end = start + 1 + random.below(ELEMENTS - start);
        let range = start as usize..end as usize;
        let mask = (1 << end) - (1 << start);
        let expect_apart = |place| {
            let common = others(place).fold(0, |all, one| all | one) & mask;
            assert_eq!(common, 0, "others have that too, {place:?}");
        };
        if random.once_in(2) {
            let guard = claimed(self.array.read(range));
            having(Place::ArrayRead, mask, || {
                expect_apart(Place::ArrayWritten);
                linger(random.below(200));
            });
            drop(guard);
        } else {
            let mut guard = claimed(self.array.write(range));
            having(Place::ArrayWritten, mask, || {
                expect_apart(Place::ArrayWritten);
                expect_apart(Place::ArrayRead);
                let mine = random.next();
                guard.fill(mine);
                linger(random.below(200));
                assert!(guard.iter().all(|element| *element == mine));
                guard.clear_poison();
            });
        }
    }

    fn rwlock(&self, random: &mut Random) {
        let reading = |pair: &Pair, told: bool| {
            having(Place::Reading, 1, || {
                expect_no_other(Place::Writing);
                assert!(pair[0] == pair[1] || told, "{pair:?} untold");
                linger(100);
            });
        };
        if !random.once_in(3) {
            let (guard, told) = locked(Kind::RwLock, self.rwlock.read());
            return reading(&guard, told);
        }
        let (mut guard, told) = locked(Kind::RwLock, self.rwlock.write());
        having(Place::Writing, 1, || {
            expect_no_other(Place::Writing);
            expect_no_other(Place::Reading);
            add_one(Cell::from_mut(&mut *guard), told, random);
            guard.clear_poison();
        });
        if random.once_in(2) {
            reading(&RwLockWriteGuard::downgrade(guard), false);
        }
    }

    fn seats(&self, random: &mut Random) -> bool {
        let count = 1 + random.below(SEATS.into()) as u32;
        let permit = match random.below(3) {
            0 => self.seats.try_acquire_many(count).ok(),
            1 => self.seats.acquire_many_timeout(count, A_WHILE).ok(),
            _ => Some(self.seats.acquire_many(count).unwrap()),
        };
        let Some(_permit) = permit else { return false };
        having(Place::Seats, count.into(), || {
            let taken = others(Place::Seats).sum::<u64>() + u64::from(count);
            assert!(taken <= SEATS.into(), "{taken} seats are taken");
            linger(random.below(200));
        });
        true
    }

    fn bounded(&self) {
        let _permit = self.bounded.acquire().unwrap();
        having(Place::Bounded, 1, || {
            let taken = others(Place::Bounded).sum::<u64>() + 1;
            assert!(taken <= BOUND.into(), "{taken} are taken");
            assert!(self.bounded.release(1).is_err(), "there were fewer");
        });
    }

    fn tokens(&self, random: &mut Random) -> bool {
        let Board {
            released, used_up, ..
        } = board();
        if random.once_in(2) {
            released.count(|| self.tokens.release(1).unwrap());
            return true;
        }
        let permit = self.tokens.acquire_timeout(A_WHILE);
        permit
            .map(|permit| used_up.count(|| permit.forget()))
            .is_ok()
    }

    fn barrier(&self, random: &mut Random) -> bool {
        if random.once_in(200) {
            self.barrier.abort();
        }
        match self.barrier.wait_timeout(A_WHILE) {
            Ok(_) => true,
            Err(BarrierError::TimedOut) => false,
            Err(_) => {
                told(Kind::Barrier);
                self.barrier.reset_if_broken();
                false
            }
        }
    }

    fn stock(&self, random: &mut Random) -> bool {
        let puts = random.once_in(2);
        let (own, partners, count) = if puts {
            (&self.emptied, &self.filled, 0)
        } else {
            (&self.filled, &self.emptied, 1)
        };
        let must_wait = |[put, taken]: Pair| put - taken == if puts { ROOM } else { 0 };
        let begun = Instant::now();
        let (mut guard, _) = locked(Kind::Condvar, self.stock.lock());
        while must_wait(*guard) {
            let left = A_WHILE.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return false;
            }
            let waited = own.wait_timeout(guard, left);
            ((guard, _), _) = locked(Kind::Condvar, waited);
        }
        having(Place::Stock, 1, || {
            expect_no_other(Place::Stock);
            guard[count] += 1;
            let [put, taken] = *guard;
            assert!(taken <= put && put - taken <= ROOM, "{guard:?}");
            guard.clear_poison();
        });
        drop(guard);
        partners.notify_one();
        true
    }

    fn event(&self, random: &mut Random) -> bool {
        match random.below(4) {
            0 => self.event.set(),
            1 => return self.event.clear(),
            _ => return self.event.wait_timeout(A_WHILE),
        }
        true
    }

    fn once(&self, random: &mut Random) {
        let present = board().once.load(Relaxed);
        let (value, once) = &self.onces[present];
        let Seen { value: seen, did } = &board().onces[present];
        if random.once_in(2) {
            if once.call_once(|| linger(500)).unwrap() {
                assert_eq!(did.fetch_add(1, SeqCst), 0, "done twice");
            }
            return;
        }
        let make = || {
            linger(random.below(500));
            [me().name(); 2]
        };
        let [made, again] = *value.get_or_init(make).unwrap();
        assert_eq!(made, again, "half made");
        let first = seen.compare_exchange(0, made, SeqCst, SeqCst);
        let first = first.unwrap_or_else(|first| first);
        assert!(first == 0 || first == made, "made twice");
    }

    fn queue(&self, random: &mut Random) -> bool {
        let (flow, queue) = (&board().queue, &self.queue);
        let many = 1 + random.below(MANY);
        match random.below(4) {
            0 => put(flow, 1, || {
                was_put(queue.put_timeout(item(flow), A_WHILE)).into()
            }),
            1 => put(flow, many, || {
                let items: Vec<Pair> = (0..many).map(|_| item(flow)).collect();
                match queue.put_many_timeout(items, A_WHILE) {
                    Ok(sent) => sent as u64,
                    Err(error) => {
                        assert!(error.why.is_timeout(), "{error}");
                        error.sent as u64
                    }
                }
            }),
            2 => took(flow, 1, || {
                queue.get_timeout(A_WHILE).map(|item| vec![item])
            }),
            _ => took(flow, many, || {
                let mut items = Vec::new();
                queue.get_many_timeout(&mut items, many as usize, A_WHILE)?;
                Ok(items)
            }),
        }
    }

    fn channel(&self, random: &mut Random) -> bool {
        let flow = &board().channel;
        let (sender, receiver) = &self.channel;
        if random.once_in(2) {
            let copy;
            let sender = if random.once_in(4) {
                copy = sender.clone();
                &copy
            } else {
                sender
            };
            put(flow, 1, || {
                was_put(sender.send_timeout(item(flow), A_WHILE)).into()
            })
        } else {
            took(flow, 1, || {
                receiver.recv_timeout(A_WHILE).map(|item| vec![item])
            })
        }
    }

    fn jobs(&self, random: &mut Random) -> bool {
        let (flow, jobs) = (&board().jobs, &self.jobs);
        match random.below(5) {
            0 | 1 => put(flow, 1, || {
                was_put(jobs.put_timeout(item(flow), A_WHILE)).into()
            }),
            2 => match jobs.join_timeout(A_WHILE) {
                Ok(()) => true,
                Err(why) if why.is_lost() => {
                    told(Kind::JoinableQueue);
                    true
                }
                Err(why) => {
                    assert!(why.is_timeout(), "{why}");
                    false
                }
            },
            _ => took(flow, 1, || {
                let job = jobs.get_timeout(A_WHILE)?;
                linger(random.below(200));
                let item = *job;
                if random.once_in(8) {
                    job.give_up();
                }
                Ok(vec![item])
            }),
        }
    }

    /// Takes what is left, and looks whether all that was put was taken, if not by the dead.
    fn check_flow(flow: &Flow, left: Vec<Pair>) {
        flow.taken.fetch_add(left.len() as u64, SeqCst);
        let [begun, put, taking, taken] =
            [&flow.begun, &flow.put, &flow.taking, &flow.taken].map(|count| count.load(SeqCst));
        // What the dead were putting may be there, and what they were taking may be gone.
        assert!(taken <= begun, "{taken} of {begun} were taken");
        assert!(put <= taken + taking, "{put} were put, {taken} taken");
    }

    /// Panics unless all is as it should be now that everybody has gone.
    pub fn check(&self) {
        let (mutex, told) = locked(Kind::Mutex, self.mutex.lock());
        assert!(mutex[0] == mutex[1] || told, "{mutex:?} untold");
        let (reentrant, told) = locked(Kind::ReentrantMutex, self.reentrant.lock());
        let [first, second] = reentrant.get();
        assert!(first == second || told, "{reentrant:?} untold");
        let (rwlock, told) = locked(Kind::RwLock, self.rwlock.write());
        assert!(rwlock[0] == rwlock[1] || told, "{rwlock:?} untold");
        let [first, second] = self.value.get();
        assert_eq!(first, second, "torn");
        drop(claimed(self.array.write(..)));
        assert_eq!(self.seats.value(), Ok(SEATS));
        assert_eq!(self.bounded.value(), Ok(BOUND));
        let tokens = u64::from(self.tokens.value().unwrap());
        let Board {
            released, used_up, ..
        } = board();
        // What was begun may not have been done: then less is certain than there is.
        let least = released.done().saturating_sub(used_up.begun());
        let most = released.begun() - used_up.done();
        assert!(
            (least..=most).contains(&tokens),
            "{tokens} tokens, not {least} to {most}"
        );
        let (stock, _) = locked(Kind::Condvar, self.stock.lock());
        assert!(stock[1] <= stock[0] && stock[0] - stock[1] <= ROOM);
        Self::check_flow(&board().queue, self.queue.try_iter().collect());
        // A channel whose every other user was killed in turn still has the two ends of this process.
        let (sender, receiver) = &self.channel;
        assert!(!sender.is_disconnected() && !receiver.is_disconnected());
        Self::check_flow(&board().channel, receiver.try_iter().collect());
        let left = self.jobs.try_iter().map(|job| *job).collect();
        Self::check_flow(&board().jobs, left);
        let joined = self.jobs.join_timeout(STUCK);
        assert!(joined.is_ok() || joined.is_err_and(|why| why.is_lost()));
        assert_eq!(self.jobs.unfinished(), 0);
        self.barrier.reset();
        assert_eq!(self.barrier.waiting(), 0);
        self.event.set();
        assert!(self.event.wait_timeout(Duration::ZERO));
        for ((value, _), seen) in self.onces.iter().zip(&board().onces) {
            let seen = seen.value.load(SeqCst);
            assert!(seen == 0 || value.get() == Some(&[seen; 2]));
        }
    }
}
