//! Whoever waits is woken by whoever ends its wait. Without wake-ups all would go on, since each looks for itself at the
//! end of every slice, but slowly: how long a turn takes to go to and fro tells them apart.

use std::{
    thread,
    time::{Duration, Instant},
};

use multiproc::{
    Array, Barrier, Condvar, Consumer, Counter, Event, JoinableQueue, Mutex, OnceValue, Producer,
    Queue, Receiver, ReentrantMutex, RwLock, Semaphore, Sender, Value, channel, spsc,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    common::wait_until,
    parties::{Method, meet, run},
};

/// How often the turn is handed over.
const TURNS: u64 = 60;
/// How long each keeps its turn: longer than the first sleep of whoever waits for it, whose next lasts a slice of
/// 100 ms. Of such slices at least every other turn costs one if nobody is woken: three seconds and more.
const KEEP: Duration = Duration::from_millis(8);
/// Half a second when all are woken.
const SOON: Duration = Duration::from_secs(2);

/// Something by which two parties take turns.
trait Turns: Clone + Serialize + DeserializeOwned + Send + 'static {
    fn new() -> Self;

    /// Waits for this turn, [keeps](keep) it, and hands over to the other party, unless it is the last.
    fn take(&self, turn: u64);
}

fn keep() {
    thread::sleep(KEEP);
}

/// One of two parties that take turns.
trait Party: Serialize + DeserializeOwned + Send + 'static {
    /// As [`Turns::take`].
    fn take(&mut self, turn: u64);
}

impl<T: Turns> Party for T {
    fn take(&mut self, turn: u64) {
        Turns::take(self, turn);
    }
}

/// Fails when the turn is handed over slowly in each of a few attempts: the machine may be busy with other things.
fn is_quick<T: Turns>(method: Method) {
    is_quick_between(method, || {
        let turns = T::new();
        [turns.clone(), turns]
    });
}

/// As [`is_quick`], between two that do not have the same.
fn is_quick_between<P: Party>(method: Method, parties: impl Fn() -> [P; 2]) {
    fn take_turns<P: Party>((mut party, met, own): (P, Counter, u64)) -> Duration {
        meet(&met, 2);
        let begun = Instant::now();
        (own..TURNS).step_by(2).for_each(|turn| party.take(turn));
        begun.elapsed()
    }
    let attempt = || {
        let met = Counter::new(0).unwrap();
        let with_met = |(own, party)| (party, met.clone(), own);
        run(method, take_turns, (0..).zip(parties()).map(with_met))[0]
    };
    let took: Vec<_> = (0..3)
        .map(|_| attempt())
        .take_while(|&took| took > SOON)
        .collect();
    assert!(took.len() < 3, "nobody is woken: {took:?}");
}

impl Turns for [Event; 2] {
    fn new() -> Self {
        let events = [(); 2].map(|()| Event::new().unwrap());
        events[0].set();
        events
    }

    fn take(&self, turn: u64) {
        let own = turn as usize % 2;
        self[own].wait();
        assert!(self[own].clear());
        keep();
        self[1 - own].set();
    }
}

pub fn who_waits_for_an_event_is_woken(method: Method) {
    is_quick::<[Event; 2]>(method);
}

impl Turns for (Mutex<u64>, Condvar) {
    fn new() -> Self {
        (Mutex::new(0).unwrap(), Condvar::new().unwrap())
    }

    fn take(&self, turn: u64) {
        let (number, changed) = self;
        let guard = number.lock().unwrap();
        drop(changed.wait_while(guard, |number| *number != turn).unwrap());
        keep();
        *number.lock().unwrap() += 1;
        changed.notify_one();
    }
}

pub fn who_waits_for_a_notification_is_woken(method: Method) {
    is_quick::<(Mutex<u64>, Condvar)>(method);
}

impl Turns for Barrier {
    fn new() -> Self {
        Barrier::new(2).unwrap()
    }

    /// Whoever has the turn comes last.
    fn take(&self, turn: u64) {
        if turn > 0 {
            self.wait().unwrap();
        }
        keep();
        if turn + 1 < TURNS {
            self.wait().unwrap();
        }
    }
}

pub fn who_waits_at_a_barrier_is_woken(method: Method) {
    is_quick::<Barrier>(method);
}

impl Turns for Vec<OnceValue<u64>> {
    fn new() -> Self {
        let turns: Self = (0..=TURNS).map(|_| OnceValue::new().unwrap()).collect();
        assert_eq!(turns[0].set(0), Ok(()));
        turns
    }

    fn take(&self, turn: u64) {
        assert_eq!(self[turn as usize].wait(), Ok(&turn));
        keep();
        let next = turn + 1;
        assert_eq!(self[next as usize].set(next), Ok(()));
    }
}

pub fn who_waits_for_what_another_makes_is_woken(method: Method) {
    is_quick::<Vec<OnceValue<u64>>>(method);
}

impl Turns for [Semaphore; 2] {
    fn new() -> Self {
        [1, 0].map(|permits| Semaphore::new(permits).unwrap())
    }

    fn take(&self, turn: u64) {
        let own = turn as usize % 2;
        self[own].acquire().unwrap().forget();
        keep();
        self[1 - own].release(1).unwrap();
    }
}

pub fn who_waits_for_what_is_released_is_woken(method: Method) {
    is_quick::<[Semaphore; 2]>(method);
}

impl Turns for Value<u64> {
    fn new() -> Self {
        Value::new(0).unwrap()
    }

    fn take(&self, turn: u64) {
        self.wait_while(|now| *now != turn).unwrap();
        keep();
        self.update(|now| *now += 1).unwrap();
    }
}

pub fn who_waits_for_a_value_to_change_is_woken(method: Method) {
    is_quick::<Value<u64>>(method);
}

impl Turns for [Queue<u64>; 2] {
    fn new() -> Self {
        let queues = [(); 2].map(|()| Queue::new(64).unwrap());
        queues[0].put(0).unwrap();
        queues
    }

    fn take(&self, turn: u64) {
        let own = turn as usize % 2;
        assert_eq!(self[own].get(), Ok(turn));
        keep();
        self[1 - own].put(turn + 1).unwrap();
    }
}

pub fn who_waits_for_an_item_is_woken(method: Method) {
    is_quick::<[Queue<u64>; 2]>(method);
}

/// Queues that are full, but for the one of whose turn it is.
#[derive(Clone, Serialize, Deserialize)]
struct Full([Queue<u64>; 2]);

impl Turns for Full {
    fn new() -> Self {
        let queues = [(); 2].map(|()| Queue::new(64).unwrap());
        queues[0].put_many(0..3).unwrap();
        queues[1].put_many(0..4).unwrap();
        Full(queues)
    }

    fn take(&self, turn: u64) {
        let own = turn as usize % 2;
        self.0[own].put(turn).unwrap();
        keep();
        self.0[1 - own].get().unwrap();
    }
}

pub fn who_waits_for_room_is_woken(method: Method) {
    is_quick::<Full>(method);
}

/// What each waits to be done, and what the other then does.
#[derive(Clone, Serialize, Deserialize)]
struct Joined([JoinableQueue<u64>; 2]);

impl Turns for Joined {
    fn new() -> Self {
        let queues = [(); 2].map(|()| JoinableQueue::new(64).unwrap());
        queues[1].put(0).unwrap();
        Joined(queues)
    }

    fn take(&self, turn: u64) {
        let own = turn as usize % 2;
        self.0[own].join().unwrap();
        // To be waited for by oneself the next time, and done by the other.
        self.0[own].put(turn).unwrap();
        keep();
        drop(self.0[1 - own].get().unwrap());
    }
}

pub fn who_waits_for_all_to_be_done_is_woken(method: Method) {
    is_quick::<Joined>(method);
}

impl Party for (Sender<u64>, Receiver<u64>) {
    fn take(&mut self, turn: u64) {
        assert_eq!(self.1.recv(), Ok(turn));
        keep();
        // The other has gone after the last.
        _ = self.0.send(turn + 1);
    }
}

pub fn who_waits_for_what_is_sent_is_woken(method: Method) {
    is_quick_between(method, || {
        let ((there, here), (back, away)) = (channel(64).unwrap(), channel(64).unwrap());
        back.send(0).unwrap();
        [(there, away), (back, here)]
    });
}

impl Party for (Producer<u64>, Consumer<u64>) {
    fn take(&mut self, turn: u64) {
        assert_eq!(self.1.recv(), Ok(turn));
        keep();
        _ = self.0.send(turn + 1);
    }
}

pub fn who_waits_for_what_is_sent_from_one_to_one_is_woken(method: Method) {
    is_quick_between(method, || {
        let ((there, here), (mut back, away)) = (spsc(64).unwrap(), spsc(64).unwrap());
        back.send(0).unwrap();
        [(there, away), (back, here)]
    });
}

/// Room in what each sends to the other.
#[derive(Serialize, Deserialize)]
struct Ring {
    own: Producer<u64>,
    others: Consumer<u64>,
}

impl Party for Ring {
    fn take(&mut self, turn: u64) {
        // The other may be through with its last.
        _ = self.own.send(turn);
        keep();
        self.others.recv().unwrap();
    }
}

pub fn who_waits_for_room_from_one_to_one_is_woken(method: Method) {
    is_quick_between(method, || {
        let ((mut own, away), (mut back, others)) = (spsc(64).unwrap(), spsc(64).unwrap());
        own.send_many(0..3).unwrap();
        back.send_many(0..4).unwrap();
        let other = Ring {
            own: back,
            others: away,
        };
        [Ring { own, others }, other]
    });
}

/// What is held alternately, and whose turn it is to ask for it: while the other party holds it.
#[derive(Clone, Serialize, Deserialize)]
struct Held<L>(L, Counter);

trait Hold: Clone + Serialize + DeserializeOwned + Send + 'static {
    fn new() -> Self;

    /// Runs `body` while it holds it, for the given turn.
    fn hold(&self, turn: u64, body: impl FnOnce());
}

impl<L: Hold> Turns for Held<L> {
    fn new() -> Self {
        Held(L::new(), Counter::new(0).unwrap())
    }

    fn take(&self, turn: u64) {
        let Held(lock, turns) = self;
        wait_until(|| turns.get() == turn);
        lock.hold(turn, || {
            turns.add(1);
            keep();
        });
    }
}

impl Hold for Mutex<u64> {
    fn new() -> Self {
        Mutex::new(0).unwrap()
    }

    fn hold(&self, _: u64, body: impl FnOnce()) {
        let _guard = self.lock().unwrap();
        body();
    }
}

pub fn who_waits_for_a_mutex_is_woken(method: Method) {
    is_quick::<Held<Mutex<u64>>>(method);
}

impl Hold for ReentrantMutex<u64> {
    fn new() -> Self {
        ReentrantMutex::new(0).unwrap()
    }

    fn hold(&self, _: u64, body: impl FnOnce()) {
        let _guards = [self.lock().unwrap(), self.lock().unwrap()];
        body();
    }
}

pub fn who_waits_for_a_reentrant_mutex_is_woken(method: Method) {
    is_quick::<Held<ReentrantMutex<u64>>>(method);
}

impl Hold for RwLock<u64> {
    fn new() -> Self {
        RwLock::new(0).unwrap()
    }

    fn hold(&self, _: u64, body: impl FnOnce()) {
        let _guard = self.write().unwrap();
        body();
    }
}

pub fn who_waits_to_write_is_woken(method: Method) {
    is_quick::<Held<RwLock<u64>>>(method);
}

/// Written by one of the parties, read by the other.
#[derive(Clone, Serialize, Deserialize)]
struct ReadAndWritten(RwLock<u64>);

impl Hold for ReadAndWritten {
    fn new() -> Self {
        ReadAndWritten(RwLock::new(0).unwrap())
    }

    fn hold(&self, turn: u64, body: impl FnOnce()) {
        if turn.is_multiple_of(2) {
            let _guard = self.0.write().unwrap();
            return body();
        }
        let _guard = self.0.read().unwrap();
        body();
    }
}

pub fn who_waits_to_read_is_woken(method: Method) {
    is_quick::<Held<ReadAndWritten>>(method);
}

impl Hold for Value<u64> {
    fn new() -> Self {
        Value::new(0).unwrap()
    }

    fn hold(&self, _: u64, body: impl FnOnce()) {
        let _guard = self.lock().unwrap();
        body();
    }
}

pub fn who_waits_for_the_lock_of_a_value_is_woken(method: Method) {
    is_quick::<Held<Value<u64>>>(method);
}

impl Hold for Array<u64> {
    fn new() -> Self {
        Array::zeroed(8).unwrap()
    }

    fn hold(&self, turn: u64, body: impl FnOnce()) {
        let start = turn as usize % 4;
        let _guard = self.write(start..start + 4).unwrap();
        body();
    }
}

pub fn who_waits_for_a_range_is_woken(method: Method) {
    is_quick::<Held<Array<u64>>>(method);
}

impl Hold for Semaphore {
    fn new() -> Self {
        Semaphore::new(1).unwrap()
    }

    fn hold(&self, _: u64, body: impl FnOnce()) {
        let _permit = self.acquire().unwrap();
        body();
    }
}

pub fn who_waits_for_a_permit_is_woken(method: Method) {
    is_quick::<Held<Semaphore>>(method);
}
