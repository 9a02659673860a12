//! Queues and channels whose users die, stop, fork or starve.

use std::{
    cell::Cell,
    fs, panic,
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use multiproc::{
    Child, Consumer, Counter, Create, JoinQueueError, JoinableQueue, Open, Process, Producer,
    Queue, Raw, Receiver, RecvError, Segment, SendError, Sender, channel, spsc, spsc_raw,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    common::{STUCK, asleep, forked, in_time, kill_self, named, raw::new_name, wait_until},
    copies::inherited,
    flag::Flag,
    identity::open_no_file,
    observe::{go_on, idle, kill, stop},
    reopened::reboot,
    signals::{SIGNALS, interrupt},
    stopped::{is_stopped, stop_at},
    subject::{MOMENT, SOON},
    survivors::{AFTER_A_DEATH, promptly},
};

/// Room for four items of up to eight bytes.
const SMALL: usize = 64;
/// Several slices.
const SLICES: Duration = Duration::from_millis(350);

/// Has what it was given until it is killed.
fn have<E>((_end, begun): (E, Counter)) {
    begun.add(1);
    idle();
}

/// A process that has an end of a channel, alone.
fn holder<E: Serialize + DeserializeOwned>(end: E) -> Child<()> {
    let begun = Counter::new(0).unwrap();
    let child = Process::fork(have, (end, begun.clone())).unwrap();
    wait_until(|| begun.get() == 1);
    child
}

/// Kills one who has the last of an end while another waits at the other end; how long that takes to be told.
fn passed_until_told<E, W>(last: E, wait: fn(W), waits_at: W) -> Duration
where
    E: Serialize + DeserializeOwned,
    W: Serialize + DeserializeOwned,
{
    let victim = holder(last);
    let mut waiter = Process::fork(wait, waits_at).unwrap();
    wait_until(|| asleep(waiter.pid()));
    kill(&victim);
    let dead_since = Instant::now();
    let told = waiter.join_timeout(STUCK).unwrap();
    let passed = dead_since.elapsed();
    assert_eq!(told, Some(()), "it waits for ever");
    passed
}

/// Fault 16.
pub fn who_waits_at_an_end_is_told_soon_that_the_last_at_the_other_was_killed() {
    promptly("the last sender", AFTER_A_DEATH, || {
        let (sender, receiver) = channel::<u64>(SMALL).unwrap();
        sender.send(1).unwrap();
        let wait = |receiver: Receiver<u64>| {
            // What it has sent is received before.
            assert_eq!(receiver.recv(), Ok(1));
            assert_eq!(receiver.recv(), Err(RecvError::Disconnected));
        };
        passed_until_told(sender, wait, receiver)
    });
    promptly("the last receiver", AFTER_A_DEATH, || {
        let (sender, receiver) = channel::<u64>(SMALL).unwrap();
        sender.send_many(0..4).unwrap();
        let wait = |sender: Sender<u64>| {
            assert!(matches!(sender.send(7), Err(SendError::Disconnected(7))));
        };
        passed_until_told(receiver, wait, sender)
    });
    promptly("the producer", AFTER_A_DEATH, || {
        let (producer, consumer) = spsc::<u64>(SMALL).unwrap();
        let wait = |mut consumer: Consumer<u64>| {
            assert_eq!(consumer.recv(), Err(RecvError::Disconnected));
        };
        passed_until_told(producer, wait, consumer)
    });
    promptly("the consumer", AFTER_A_DEATH, || {
        let (mut producer, consumer) = spsc_raw::<u64>(SMALL).unwrap();
        producer.send_many(0..4).unwrap();
        let wait = |mut producer: Producer<u64, Raw>| {
            let told = producer.reserve(1).unwrap_err();
            assert!(matches!(told, SendError::Disconnected(())), "{told}");
        };
        passed_until_told(consumer, wait, producer)
    });
}

/// Fault 14.
pub fn who_joins_is_told_soon_what_was_lost_with_its_taker() {
    promptly("a taker", AFTER_A_DEATH, || {
        let queue = JoinableQueue::new(SMALL).unwrap();
        queue.put_many(0..2u64).unwrap();
        let taken = Flag::new();
        let victim = forked(|| {
            let _items = [queue.get().unwrap(), queue.get().unwrap()];
            taken.raise();
            idle();
        });
        taken.wait();
        let mut joiner = forked(|| queue.join() == Err(JoinQueueError::Lost(2)));
        wait_until(|| asleep(joiner.pid()));
        kill(&victim);
        let dead_since = Instant::now();
        let told = joiner.join_timeout(STUCK).unwrap();
        let passed = dead_since.elapsed();
        assert_eq!(told, Some(true));
        assert_eq!(queue.join(), Ok(()));
        passed
    });
}

/// Fault 16.
pub fn who_does_not_wait_is_told_as_well_that_the_last_was_killed() {
    let (sender, receiver) = channel::<u64>(SMALL).unwrap();
    let victim = holder(sender);
    assert_eq!(receiver.try_recv(), Err(RecvError::Empty));
    assert!(!receiver.is_disconnected());
    kill(&victim);
    // It asks once in a slice.
    wait_until(|| receiver.try_recv() == Err(RecvError::Disconnected));
    assert!(receiver.is_disconnected());

    let (sender, receiver) = channel::<u64>(SMALL).unwrap();
    sender.send_many(0..4).unwrap();
    let victim = holder(receiver);
    assert!(sender.try_send(7).unwrap_err().is_full());
    kill(&victim);
    wait_until(|| sender.try_send(7).unwrap_err().is_disconnected());
    assert!(sender.is_disconnected());
}

/// Fault 7.
pub fn who_is_stopped_at_an_end_is_not_taken_for_dead() {
    let (sender, receiver) = channel::<u64>(SMALL).unwrap();
    let (mut producer, consumer) = spsc::<u64>(SMALL).unwrap();
    producer.send_many(0..4).unwrap();
    let stopped = holder((sender, consumer));
    stop(stopped.pid());
    assert_eq!(receiver.recv_timeout(SLICES), Err(RecvError::Timeout));
    assert!(producer.send_timeout(7, SLICES).unwrap_err().is_timeout());
    assert!(!receiver.is_disconnected() && !producer.is_disconnected());
    go_on(stopped.pid());
    kill(&stopped);
    assert_eq!(receiver.recv(), Err(RecvError::Disconnected));
    assert!(producer.send(7).unwrap_err().is_disconnected());
}

/// What is done beside one who is stopped takes no longer than this: waits of a few times 10 ms, and not until he goes on.
const BESIDE: Duration = Duration::from_millis(500);

/// Stops one at each step of his `act` in turn, and does something `beside` him, which he does not hold up. Once he has gone
/// on and ended, `after` has a look.
fn stopped_at_each_step<Q>(
    what: &str,
    new: impl Fn() -> Q,
    act: impl Fn(&Q),
    beside: impl Fn(&Q),
    after: impl Fn(&Q),
) {
    let is_there = Cell::new(false);
    let passed_beside = |step: u64| {
        let shared = new();
        let mut victim = forked(|| {
            stop_at("", step);
            act(&shared);
            multiproc::__set_step_hook(None);
        });
        wait_until(|| is_stopped(victim.pid()) || !victim.is_alive());
        is_there.set(victim.is_alive());
        let begun = Instant::now();
        beside(&shared);
        let passed = begun.elapsed();
        if is_there.get() {
            go_on(victim.pid());
        }
        assert_eq!(victim.join_timeout(STUCK).unwrap(), Some(()));
        after(&shared);
        passed
    };
    let stopped_at = |step: u64| {
        let what = format!("{what}, beside one at step {step}");
        named(&what, || promptly(&what, BESIDE, || passed_beside(step)));
        is_there.get()
    };
    let steps = (0..).find(|step| !stopped_at(*step));
    assert!(steps.is_some_and(|steps| steps > 3), "{steps:?} steps");
}

/// Fault 7.
pub fn who_is_stopped_while_putting_or_getting_holds_up_nobody_longer_than_they_said() {
    let new = || {
        let queue = Queue::new(SMALL).unwrap();
        queue.put_many(0..2u64).unwrap();
        queue
    };
    let beside = |queue: &Queue<u64>| {
        _ = queue.try_put(10);
        _ = queue.put_timeout(11, Duration::from_millis(5));
        _ = queue.try_get();
        _ = queue.get_timeout(Duration::from_millis(5));
        _ = queue.get_many_timeout(&mut Vec::new(), 2, Duration::from_millis(5));
        _ = (queue.len(), queue.is_full(), queue.is_closed());
    };
    let after = |queue: &Queue<u64>| {
        let mut rest: Vec<_> = queue.try_iter().collect();
        rest.sort_unstable();
        assert!(
            rest.windows(2).all(|pair| pair[0] < pair[1]),
            "twice: {rest:?}"
        );
        assert!(
            rest.iter().all(|item| [0, 1, 2, 10, 11].contains(item)),
            "{rest:?}"
        );
        queue.put_many(20..22).unwrap();
        assert!(queue.try_iter().eq([20, 21]));
    };
    let put = |queue: &Queue<u64>| queue.put(2).unwrap();
    stopped_at_each_step("put", new, put, beside, after);
    let get = |queue: &Queue<u64>| assert!(queue.get().is_ok());
    let beside = |queue: &Queue<u64>| {
        _ = queue.try_put(10);
        _ = queue.put_timeout(11, Duration::from_millis(5));
        _ = queue.is_empty();
        // None is taken from under the hands of one who is stopped.
        let taken = queue.get_timeout(Duration::from_millis(5));
        assert!(taken.is_ok() || taken == Err(RecvError::Timeout));
    };
    stopped_at_each_step("get", new, get, beside, after);
}

/// Fault 7.
pub fn who_is_stopped_while_taking_or_done_holds_up_no_join_longer_than_it_said() {
    let new = || {
        let queue = JoinableQueue::new(SMALL).unwrap();
        queue.put(7u64).unwrap();
        queue
    };
    let act = |queue: &JoinableQueue<u64>| drop(queue.get().unwrap());
    let beside = |queue: &JoinableQueue<u64>| {
        let joined = queue.join_timeout(Duration::from_millis(5));
        assert!(joined.is_ok() || joined == Err(JoinQueueError::Timeout));
        let second = queue.put_timeout(8, Duration::from_millis(5));
        assert!(second.is_ok(), "nobody is stopped while putting");
        drop(queue.get_timeout(Duration::from_millis(5)));
    };
    let after = |queue: &JoinableQueue<u64>| {
        queue.try_iter().for_each(drop);
        assert_eq!((queue.join(), queue.lost()), (Ok(()), 0));
    };
    stopped_at_each_step("take", new, act, beside, after);
}

/// Fault 7.
pub fn who_is_stopped_while_coming_or_going_holds_up_no_drop_and_is_not_taken_for_gone() {
    type Ends = (Sender<u64>, Receiver<u64>);
    let new = || channel::<u64>(SMALL).unwrap();
    // Its first use makes the handle that it inherited its own; a clone more is dropped.
    let act = |(sender, _): &Ends| {
        sender.send(1).unwrap();
        drop(sender.clone());
    };
    let beside = |(sender, receiver): &Ends| {
        let more = sender.clone();
        _ = sender.send_timeout(2, Duration::from_millis(5));
        drop(more);
        _ = receiver.recv_timeout(Duration::from_millis(5));
        let own = receiver.clone();
        assert!(!own.is_disconnected());
    };
    let after = |(sender, receiver): &Ends| {
        sender.try_send(3).unwrap();
        assert_eq!(receiver.try_iter().last(), Some(3));
        assert!(!receiver.is_disconnected() && !sender.is_disconnected());
    };
    stopped_at_each_step("send", new, act, beside, after);
}

/// Fault 7.
pub fn a_close_waits_for_one_stopped_while_putting_and_for_none_while_getting() {
    let getting = Queue::new(SMALL).unwrap();
    getting.put(1u64).unwrap();
    let stopped = forked(|| {
        stop_at("ring: about to consume", 0);
        let got = getting.get();
        multiproc::__set_step_hook(None);
        assert_eq!(got, Ok(1));
    });
    wait_until(|| is_stopped(stopped.pid()));
    let begun = Instant::now();
    getting.close().unwrap();
    assert!(begun.elapsed() < SOON);
    assert!(getting.put(2).unwrap_err().is_disconnected());
    go_on(stopped.pid());
    stopped.join().unwrap();
    assert_eq!(getting.get(), Err(RecvError::Closed));

    let putting = Queue::new(SMALL).unwrap();
    let stopped = forked(|| {
        stop_at("ring: record reserved", 0);
        putting.put(1u64).unwrap();
    });
    wait_until(|| is_stopped(stopped.pid()));
    let late = in_time(MOMENT, || putting.close_timeout(MOMENT)).unwrap_err();
    assert!(late.is_timeout(), "{late}");
    assert!(late.to_string().contains("before the deadline"), "{late}");
    let mut closer = forked(|| putting.close().unwrap());
    wait_until(|| asleep(closer.pid()));
    assert!(!putting.is_closed());
    kill(&stopped);
    assert_eq!(closer.join_timeout(SOON).unwrap(), Some(()));
    assert_eq!(putting.get(), Err(RecvError::Closed));
}

/// Fault 8.
pub fn who_can_open_no_file_takes_nobody_for_dead() {
    let (sender, receiver) = channel::<u64>(SMALL).unwrap();
    let queue = JoinableQueue::new(SMALL).unwrap();
    queue.put(1u64).unwrap();
    let (taken, asked, dead) = (Flag::new(), Flag::new(), Flag::new());
    let (asked_again, gone) = (Flag::new(), Flag::new());
    // Its first use makes it its own.
    let holder = forked(|| {
        sender.send(1).unwrap();
        let _item = queue.get().unwrap();
        taken.raise();
        idle();
    });
    taken.wait();
    drop(sender);
    let waiter = forked(|| {
        // Finds out who it is, and is a receiver, while it can.
        assert_eq!(receiver.recv(), Ok(1));
        assert!(queue.join_timeout(Duration::ZERO).is_err());
        open_no_file();
        let tell = || {
            let told = receiver.recv_timeout(4 * MOMENT);
            assert_eq!(told, Err(RecvError::Timeout));
            assert!(!receiver.is_disconnected());
            let told = queue.join_timeout(4 * MOMENT);
            assert_eq!(told, Err(JoinQueueError::Timeout));
        };
        tell();
        asked.raise();
        dead.wait();
        // A zombie could be told from the living only by reading.
        tell();
        asked_again.raise();
        gone.wait();
        assert_eq!(receiver.recv(), Err(RecvError::Disconnected));
        assert_eq!(queue.join(), Err(JoinQueueError::Lost(1)));
    });
    wait_until(|| asked.is_up() || !waiter.is_alive());
    kill(&holder);
    dead.raise();
    wait_until(|| asked_again.is_up() || !waiter.is_alive());
    drop(holder);
    gone.raise();
    waiter.join().unwrap();
}

/// Where queues stay although nobody has them.
#[derive(Clone)]
enum Place {
    Named(String),
    In(PathBuf),
}

impl Place {
    fn create(&self, what: &str) -> Create {
        match self {
            Place::Named(name) => Create::named(format!("{name}-{what}")).persist(true),
            Place::In(directory) => Create::file(directory.join(what)),
        }
    }

    fn open(&self, what: &str) -> Open {
        match self {
            Place::Named(name) => Open::named(format!("{name}-{what}")),
            Place::In(directory) => Open::file(directory.join(what)),
        }
    }

    fn path(&self, what: &str) -> PathBuf {
        match self {
            Place::Named(name) => format!("/dev/shm/{name}-{what}").into(),
            Place::In(directory) => directory.join(what),
        }
    }
}

/// Queues are left by those who are killed over them, `then` something is done to their files, and they are opened again.
fn left_and_opened(place: &Place, then: impl Fn(&Path)) {
    drop(Queue::<u64>::create(place.create("queue"), 1024).unwrap());
    drop(JoinableQueue::<u64, Raw>::create_raw(place.create("joinable"), 1024).unwrap());
    let left = forked(|| {
        let queue = Queue::<u64>::open(place.open("queue")).unwrap();
        let joinable = JoinableQueue::<u64, Raw>::open_raw(place.open("joinable")).unwrap();
        queue.put_many(0..3).unwrap();
        assert_eq!(queue.get(), Ok(0));
        joinable.put_many(0..5).unwrap();
        joinable.get().unwrap().done();
        let _in_hand = [joinable.get().unwrap(), joinable.get().unwrap()];
        multiproc::__set_step_hook(Some(|at| {
            // With the lock of those who put.
            if at == "ring: record reserved" {
                kill_self();
            }
        }));
        _ = queue.put(3);
    });
    assert!(left.join().unwrap_err().is_killed());
    let files = ["queue", "joinable"].map(|what| place.path(what));
    files.iter().for_each(|file| then(file));
    {
        let queue = Queue::<u64>::open(place.open("queue")).unwrap();
        assert_eq!((queue.len(), queue.is_closed()), (2, false));
        queue.try_put(9).unwrap();
        assert!(queue.try_iter().eq([1, 2, 9]));
        queue.close().unwrap();
        let joinable = JoinableQueue::<u64, Raw>::open_raw(place.open("joinable")).unwrap();
        assert_eq!((joinable.len(), joinable.unfinished()), (2, 4));
        let rest: Vec<_> = joinable.try_iter().map(|item| item.into_inner()).collect();
        assert_eq!(rest, [3, 4]);
        assert_eq!(joinable.join_timeout(SOON), Err(JoinQueueError::Lost(2)));
        assert_eq!((joinable.join(), joinable.lost()), (Ok(()), 2));
    }
    files.iter().for_each(|file| then(file));
    let queue = Queue::<u64>::open(place.open("queue")).unwrap();
    assert_eq!(queue.get(), Err(RecvError::Closed), "it stays closed");
    let joinable = JoinableQueue::<u64, Raw>::open_raw(place.open("joinable")).unwrap();
    assert_eq!((joinable.lost(), joinable.join()), (2, Ok(())));
}

/// Fault 10.
pub fn queues_keep_what_is_in_them_when_nobody_was_left() {
    let reboot = |file: &Path| reboot(&fs::File::options().write(true).open(file).unwrap());
    for reboots in [false, true] {
        let directory = std::env::temp_dir().join(new_name());
        fs::create_dir(&directory).unwrap();
        let name = new_name();
        for place in [Place::Named(name.clone()), Place::In(directory.clone())] {
            left_and_opened(&place, |file| {
                if reboots {
                    reboot(file);
                }
            });
        }
        fs::remove_dir_all(directory).unwrap();
        for what in ["queue", "joinable"] {
            Segment::remove(&format!("{name}-{what}")).unwrap();
        }
    }
}

/// Fault 5. Fault 43.
pub fn a_fork_child_drops_inherited_ends_items_and_places_and_nothing_changes() {
    let (sender, receiver) = channel::<u64>(SMALL).unwrap();
    let (mut producer, mut consumer) = spsc_raw::<u64>(SMALL).unwrap();
    let queue = JoinableQueue::new(SMALL).unwrap();
    let place = new_name();
    let named = Queue::<u64>::create(place.as_str(), SMALL).unwrap();
    queue.put_many(0..4u64).unwrap();
    let items = [(); 4].map(|()| queue.get().unwrap());
    producer.send_slice(&[1, 2]).unwrap();
    let read = consumer.recv_ref().unwrap();
    let mut written = producer.reserve(1).unwrap();
    written[0] = 3;
    let child = forked(|| {
        // SAFETY: in a copy of the process that made them, here and below.
        let [first, second, third, fourth] = unsafe { inherited(&items) };
        drop(first);
        second.give_up();
        assert_eq!(third.into_inner(), 2);
        let fail = || {
            let _fourth = fourth;
            // Without the hook, which would print it.
            panic::resume_unwind(Box::new(()));
        };
        assert!(panic::catch_unwind(AssertUnwindSafe(fail)).is_err());
        // SAFETY: as above.
        drop(unsafe { inherited(&read) });
        // SAFETY: as above.
        drop(unsafe { inherited(&written) });
        // SAFETY: as above.
        drop(unsafe { inherited(&sender) });
        // SAFETY: as above.
        drop(unsafe { inherited(&receiver) });
        // SAFETY: as above.
        drop(unsafe { inherited(&queue) });
        // SAFETY: as above.
        drop(unsafe { inherited(&named) });
    });
    child.join().unwrap();
    assert_eq!((queue.unfinished(), queue.lost()), (4, 0));
    let late = queue.join_timeout(SLICES);
    assert_eq!(late, Err(JoinQueueError::Timeout));
    items.into_iter().for_each(|item| item.done());
    assert_eq!(queue.join(), Ok(()));
    assert_eq!(*read, [1, 2]);
    written.send();
    assert_eq!(producer.len(), 2, "nothing was taken");
    drop(read);
    assert_eq!(consumer.recv(), Ok(3));
    assert!(!receiver.is_disconnected() && !sender.is_disconnected());
    sender.send(1).unwrap();
    assert_eq!(receiver.recv(), Ok(1));
    assert!(Queue::<u64>::open(place.as_str()).is_ok());
    drop(named);
    assert!(Queue::<u64>::open(place).unwrap_err().is_not_found());

    // And the ends from one to one, which may be borrowed no longer.
    let child = forked(|| {
        // SAFETY: in a copy of the process that made them.
        drop(unsafe { inherited(&producer) });
        // SAFETY: as above.
        drop(unsafe { inherited(&consumer) });
    });
    child.join().unwrap();
    assert!(!producer.is_disconnected());
    producer.send(4).unwrap();
    assert_eq!(consumer.recv(), Ok(4));
}

/// Fault 43.
pub fn a_fork_child_that_ends_takes_none_of_its_parents_ends_along() {
    let (sender, receiver) = channel::<u64>(SMALL).unwrap();
    fn nothing(_: ()) {}
    for dies in [false, true] {
        let child = forked(|| {
            if dies {
                kill_self();
            }
        });
        assert_eq!(child.join().is_err(), dies);
        Process::fork(nothing, ()).unwrap().join().unwrap();
    }
    assert_eq!(receiver.recv_timeout(SLICES), Err(RecvError::Timeout));
    drop(sender);
    assert_eq!(receiver.recv(), Err(RecvError::Disconnected));
}

pub fn what_a_closure_brings_along_is_the_childs_from_its_first_use() {
    let (sender, receiver) = channel::<u64>(SMALL).unwrap();
    let (mut producer, mut consumer) = spsc::<u64>(SMALL).unwrap();
    let (used, go) = (Flag::new(), Flag::new());
    let child = forked(|| {
        sender.send(1).unwrap();
        // Of which there is one stays where it is.
        assert!(matches!(producer.send(1), Err(SendError::Moved(1))));
        assert_eq!(consumer.try_recv(), Err(RecvError::Moved));
        used.raise();
        go.wait();
        sender.send(2).unwrap();
    });
    used.wait();
    drop(sender);
    assert_eq!(receiver.recv(), Ok(1));
    assert_eq!(receiver.recv_timeout(SLICES), Err(RecvError::Timeout));
    go.raise();
    assert!(receiver.iter().eq([2]));
    child.join().unwrap();
    producer.send(3).unwrap();
    assert_eq!(consumer.recv(), Ok(3));
}

/// Fault 43.
pub fn a_fork_child_drops_an_inherited_descriptor_and_its_parent_still_watches() {
    let queue = Queue::new(SMALL).unwrap();
    let ready = queue.readiness().unwrap();
    let child = forked(|| {
        // SAFETY: in a copy of the process that made it.
        drop(unsafe { inherited(&ready) });
    });
    child.join().unwrap();
    queue.put(1u64).unwrap();
    let mut poll = libc::pollfd {
        fd: std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(&ready)),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one `pollfd`.
    let found = unsafe { libc::poll(&raw mut poll, 1, STUCK.as_millis() as i32) };
    assert_eq!(found, 1, "nobody watches");
}

/// Fault 36.
pub fn a_thousand_signals_a_second_hide_no_death_from_who_receives() {
    let (sender, receiver) = channel::<u64>(SMALL).unwrap();
    let victim = holder(sender);
    let signals = Flag::new();
    let mut waiter = forked(|| {
        SIGNALS.get_or_init(|| signals);
        interrupt();
        receiver.recv() == Err(RecvError::Disconnected)
    });
    wait_until(|| signals.count() > 150);
    kill(&victim);
    let told = waiter.join_timeout(SOON).unwrap();
    assert_eq!(told, Some(true), "it has no end");
}
