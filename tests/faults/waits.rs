//! Waits for what nobody owns.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use multiproc::{
    Barrier, BarrierError, BreakCause, Condvar, Consumer, Event, JoinableQueue, Mutex, Once,
    OnceValue, Process, Producer, Queue, RwLock, Semaphore, Value, channel, spsc,
};

use crate::{
    common::{
        asleep, forked, in_time, kill_self, named,
        raw::{self, new_name},
        wait_until,
    },
    flag::Flag,
    observe::{go_on, kill, stop},
    once::{fork, leave},
    reopened::reboot,
    stopped::{is_stopped, stop_at},
    subject::SOON,
};

/// A wait for what does not come; whether it timed out.
pub type TimedWait = fn(Duration) -> bool;

pub const TIMED_WAITS: [(&str, TimedWait); 16] = [
    ("an event", |timeout| {
        !Event::new().unwrap().wait_timeout(timeout)
    }),
    ("a notification", |timeout| {
        let (mutex, changed) = (Mutex::new(0u64).unwrap(), Condvar::new().unwrap());
        let guard = mutex.lock().unwrap();
        let (_guard, how) = changed
            .wait_timeout_while(guard, timeout, |_| true)
            .unwrap();
        how.timed_out()
    }),
    ("a party", |timeout| {
        let barrier = Barrier::new(2).unwrap();
        barrier.wait_timeout(timeout).unwrap_err().is_timeout()
    }),
    ("another value", |timeout| {
        let value = Value::new([0u64; 9]).unwrap();
        let (_, how) = value.wait_timeout_while(timeout, |_| true).unwrap();
        how.timed_out()
    }),
    ("a value that is made", |timeout| {
        let value = OnceValue::<u64>::new().unwrap();
        value.wait_timeout(timeout).unwrap_err().is_timeout()
    }),
    ("what is done once", |timeout| {
        let once = Once::new().unwrap();
        once.wait_timeout(timeout).unwrap_err().is_timeout()
    }),
    ("a permit", |timeout| {
        let semaphore = Semaphore::new(0).unwrap();
        semaphore.acquire_timeout(timeout).unwrap_err().is_timeout()
    }),
    ("several permits", |timeout| {
        let semaphore = Semaphore::new(1).unwrap();
        let refused = semaphore.acquire_many_timeout(2, timeout).unwrap_err();
        refused.is_timeout()
    }),
    ("a message", |timeout| {
        let (_sender, receiver) = multiproc::one_way::<u64>().unwrap();
        receiver.recv_timeout(timeout).unwrap_err().is_timeout()
    }),
    ("room in a pipe", |timeout| {
        let (sender, _receiver) = multiproc::one_way::<u64>().unwrap();
        while sender.try_send(0).is_ok() {}
        sender.send_timeout(0, timeout).unwrap_err().is_timeout()
    }),
    ("one of several", |timeout| {
        let (one, other) = multiproc::pipe::<u64, u64>().unwrap();
        let ready = multiproc::wait(&[one, other], Some(timeout)).unwrap();
        ready.is_empty()
    }),
    ("an item", |timeout| {
        let queue = Queue::<u64>::new(64).unwrap();
        queue.get_timeout(timeout).unwrap_err().is_timeout()
    }),
    ("room", |timeout| {
        let queue = Queue::new(64).unwrap();
        queue.put_many(0..4u64).unwrap();
        queue.put_timeout(4, timeout).unwrap_err().is_timeout()
    }),
    ("all to be done", |timeout| {
        let queue = JoinableQueue::new(64).unwrap();
        queue.put(1u64).unwrap();
        queue.join_timeout(timeout).unwrap_err().is_timeout()
    }),
    ("what is sent", |timeout| {
        let (_sender, receiver) = channel::<u64>(64).unwrap();
        receiver.recv_timeout(timeout).unwrap_err().is_timeout()
    }),
    ("what is sent from one to one", |timeout| {
        let (_producer, mut consumer) = spsc::<u64>(64).unwrap();
        consumer.recv_timeout(timeout).unwrap_err().is_timeout()
    }),
];

/// Panics unless a wait takes as long as it was told to.
pub fn ends_in_time(what: &str, wait: TimedWait, timeout: Duration) {
    let late = named(what, || in_time(timeout, || wait(timeout)));
    assert!(late, "{what} came");
}

/// One who is stopped at `step` of his `act`, when he has yet to wake others, holds up nobody who does `wait`.
fn stopped_before_waking(step: &'static str, wait: impl FnOnce(), act: impl FnOnce()) {
    let mut waiter = forked(wait);
    wait_until(|| asleep(waiter.pid()));
    let stopped = forked(|| {
        stop_at(step, 0);
        act();
        multiproc::__set_step_hook(None);
    });
    wait_until(|| is_stopped(stopped.pid()) || !stopped.is_alive());
    assert!(stopped.is_alive(), "there is no step {step:?}");
    let through = waiter.join_timeout(SOON).unwrap();
    assert_eq!(through, Some(()), "stuck behind one at {step:?}");
    go_on(stopped.pid());
    stopped.join().unwrap();
}

/// Fault 7.
pub fn who_is_stopped_before_waking_others_holds_up_nobody() {
    let event = Event::new().unwrap();
    stopped_before_waking("event: set, nobody woken", || event.wait(), || event.set());

    let (mutex, changed) = (Mutex::new(0u64).unwrap(), Condvar::new().unwrap());
    let wait = || {
        let guard = mutex.lock().unwrap();
        drop(changed.wait_while(guard, |number| *number == 0).unwrap());
    };
    let change = || {
        *mutex.lock().unwrap() = 1;
        changed.notify_one();
    };
    stopped_before_waking("notify: counted, nobody woken", wait, change);

    let barrier = Barrier::new(2).unwrap();
    let meet = || assert!(barrier.wait().is_ok());
    stopped_before_waking("barrier: state changed, nobody woken", meet, meet);

    let value = Value::new(0u64).unwrap();
    let see = || assert_eq!(value.wait_while(|n| *n == 0), Ok(1));
    stopped_before_waking("value: published", see, || value.set(1).unwrap());

    let once = OnceValue::new().unwrap();
    let see = || assert_eq!(once.wait(), Ok(&1));
    let make = || assert_eq!(once.set(1), Ok(()));
    stopped_before_waking("once: published, nobody woken", see, make);

    let semaphore = Semaphore::new(0).unwrap();
    let acquire = || semaphore.acquire().unwrap().forget();
    let release = || semaphore.release(1).unwrap();
    stopped_before_waking("permits: released, nobody woken", acquire, release);

    for step in [
        "ring: published",
        "unlock: freed, nobody woken yet",
        "unlock: turn moved, no watcher woken yet",
    ] {
        let queue = Queue::new(64).unwrap();
        let get = || assert_eq!(queue.get(), Ok(1));
        stopped_before_waking(step, get, || queue.put(1u64).unwrap());
    }

    for step in [
        "joinable: all done, nobody woken yet",
        "joinable: mark removed, nobody woken yet",
    ] {
        let queue = JoinableQueue::new(64).unwrap();
        queue.put(1u64).unwrap();
        let join = || assert_eq!(queue.join(), Ok(()));
        stopped_before_waking(step, join, || drop(queue.get().unwrap()));
    }
}

/// Fault 7.
pub fn who_is_stopped_before_waking_the_only_receiver_holds_it_up_no_longer() {
    let (producer, consumer) = spsc::<u64>(64).unwrap();
    let receive = |mut consumer: Consumer<u64>| assert_eq!(consumer.recv(), Ok(1));
    let mut waiter = Process::fork(receive, consumer).unwrap();
    wait_until(|| asleep(waiter.pid()));
    let sends = |mut producer: Producer<u64>| {
        stop_at("ring: published", 0);
        producer.send(1).unwrap();
        multiproc::__set_step_hook(None);
    };
    let stopped = Process::fork(sends, producer).unwrap();
    wait_until(|| is_stopped(stopped.pid()));
    assert_eq!(waiter.join_timeout(SOON).unwrap(), Some(()));
    go_on(stopped.pid());
    stopped.join().unwrap();
}

/// Fault 7.
pub fn who_is_stopped_while_giving_a_permit_back_has_given_it() {
    let semaphore = Semaphore::new(1).unwrap();
    for step in [
        "permits: given back, nobody woken",
        "permits: turn changed, nobody woken",
    ] {
        let (held, release) = (Flag::new(), Flag::new());
        let mut holder = forked(|| {
            let permit = semaphore.acquire().unwrap();
            stop_at(step, 0);
            held.raise();
            release.wait();
            drop(permit);
        });
        held.wait();
        let mut waiter = forked(|| drop(semaphore.acquire().unwrap()));
        wait_until(|| asleep(waiter.pid()));
        release.raise();
        wait_until(|| is_stopped(holder.pid()));
        assert_eq!(waiter.join_timeout(SOON).unwrap(), Some(()), "{step}");
        go_on(holder.pid());
        assert_eq!(holder.join_timeout(SOON).unwrap(), Some(()));
    }
}

/// Fault 7.
pub fn a_stopped_party_of_a_barrier_is_waited_for_and_not_taken_for_dead() {
    let barrier = Barrier::new(3).unwrap();
    let party = || {
        let party = forked(|| barrier.wait().map(drop).map_err(|error| error.to_string()));
        wait_until(|| asleep(party.pid()));
        party
    };
    let (first, second) = (party(), party());
    stop(first.pid());
    // Several slices, in which the second asks for the first.
    let begun = Instant::now();
    wait_until(|| begun.elapsed() > Duration::from_millis(350));
    assert_eq!((barrier.waiting(), barrier.is_broken()), (2, false));
    assert!(barrier.wait().is_ok());
    assert_eq!(second.join().unwrap(), Ok(()));
    go_on(first.pid());
    assert_eq!(first.join().unwrap(), Ok(()));
}

/// Fault 18.
pub fn the_last_at_a_barrier_finds_out_who_died_waiting_there() {
    for waiting in 1..4 {
        let barrier = Barrier::new(waiting + 1).unwrap();
        let begun = Instant::now();
        let parties: Vec<_> = (0..waiting)
            .map(|_| {
                let party = forked(|| barrier.wait().is_ok());
                wait_until(|| asleep(party.pid()));
                party
            })
            .collect();
        // The last before this one, so that nobody else watches it but the first.
        let (victim, others) = parties.split_last().unwrap();
        others.iter().for_each(|other| stop(other.pid()));
        kill(victim);
        // So long ago that it must ask.
        wait_until(|| begun.elapsed() > Duration::from_millis(5));
        let pid = victim.pid();
        let died = BarrierError::Broken(BreakCause::PartyDied { pid });
        assert_eq!(barrier.wait(), Err(died));
        others.iter().for_each(|other| go_on(other.pid()));
        for other in parties.into_iter().take(waiting - 1) {
            assert!(!other.join().unwrap(), "let through");
        }
    }
}

/// Fault 5. Fault 43.
pub fn a_fork_child_that_comes_out_of_the_action_of_a_barrier_is_no_party() {
    let barrier = Barrier::new(1).unwrap();
    let seen = Flag::new();
    raw::expect_in_child(|| {
        let mut is_child = false;
        let told = barrier.wait_with(|| {
            is_child = fork();
            if !is_child {
                seen.wait();
            }
        });
        if is_child {
            let none = BarrierError::Broken(BreakCause::Aborted);
            assert_eq!(told, Err(none));
            assert!(!barrier.is_broken());
            seen.raise();
            leave();
        }
        assert!(told.is_ok());
    });
    assert!(barrier.wait().is_ok());
}

/// Barriers and events are left by those who wait there, `then` something is done to their files, and they are opened
/// again.
fn left_and_opened(then: impl Fn(&Path)) {
    let file = |what: &str| std::env::temp_dir().join(format!("{}-{what}", new_name()));
    let [barrier, event, rwlock] = ["barrier", "event", "rwlock"].map(file);
    drop(Barrier::create(barrier.as_path(), 2).unwrap());
    drop(Event::create(event.as_path()).unwrap());
    drop(RwLock::create(rwlock.as_path(), 7u64).unwrap());
    let left = forked(|| {
        let lock = RwLock::<u64>::open(rwlock.as_path()).unwrap();
        let _reading = lock.read().unwrap();
        kill_self();
    });
    assert!(left.join().unwrap_err().is_killed());
    let wait_at_barrier = forked(|| Barrier::open(barrier.as_path()).unwrap().wait().is_ok());
    let wait_for_event = forked(|| Event::open(event.as_path()).unwrap().wait_timeout(SOON));
    for waiting in [wait_at_barrier, wait_for_event] {
        wait_until(|| asleep(waiting.pid()));
        kill(&waiting);
    }
    let files = [&barrier, &event, &rwlock];
    files.iter().for_each(|file| then(file));
    {
        let barrier = Barrier::open(barrier.as_path()).unwrap();
        assert_eq!((barrier.waiting(), barrier.is_broken()), (0, false));
        let other = forked(|| barrier.wait().is_ok());
        assert!(barrier.wait().is_ok() && other.join().unwrap());
        let lock = RwLock::<u64>::open(rwlock.as_path()).unwrap();
        assert_eq!(lock.readers(), 0, "the dead read");
        assert_eq!(*lock.try_write().unwrap(), 7);
        let event = Event::open(event.as_path()).unwrap();
        assert!(!event.is_set());
        event.set();
    }
    files.iter().for_each(|file| then(file));
    assert!(Event::open(event.as_path()).unwrap().is_set());
    files.iter().for_each(|file| fs::remove_file(file).unwrap());
}

/// Fault 10.
pub fn barriers_are_as_new_and_events_stay_set_when_nobody_was_left() {
    named("nobody was left", || left_and_opened(|_| ()));
    named("after a reboot", || {
        left_and_opened(|file| reboot(&fs::File::options().write(true).open(file).unwrap()));
    });
}
