//! Ends that a `Serialize`, a `Deserialize` or a fork tries to have twice, or to keep on their way.

use std::{
    process,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use multiproc::{
    Child, Consumer, Process, Producer, Queue, Raw, RecvError, SendError, Sender, channel, one_way,
    pipe, spsc_raw,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::common::{STUCK, forked, wait_until};

type Numbers = Producer<u64, Raw>;

/// How an end is encoded: its segment and what stands for it on its way.
type Encoded = ((u32, u32), u32);

fn encoded((segment, transit): Encoded) -> Vec<u8> {
    postcard::to_allocvec(&(segment, transit)).unwrap()
}

/// Arrives as two.
struct Twice([Option<Numbers>; 2]);

impl Serialize for Twice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0[0].as_ref().unwrap().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Twice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Twice, D::Error> {
        let (segment, transit) = Encoded::deserialize(deserializer)?;
        let make = |number| postcard::from_bytes(&encoded((segment, number))).ok();
        Ok(Twice([transit, segment.0].map(make)))
    }
}

/// Fault 5.
pub fn an_end_of_which_there_is_one_arrives_once_whatever_is_decoded() {
    let (producer, mut consumer) = spsc_raw(4096).unwrap();
    let (sender, receiver) = one_way().unwrap();
    sender.send(Twice([Some(producer), None])).unwrap();
    let Twice(mut both) = receiver.recv().unwrap().unwrap();
    assert_eq!(both.iter().flatten().count(), 1);
    both[0].as_mut().unwrap().send(1).unwrap();
    assert_eq!(consumer.recv(), Ok(1));
}

/// Leaves as a consumer and arrives as a producer.
struct Turned(Option<Consumer<u64, Raw>>);

impl Serialize for Turned {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.as_ref().unwrap().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Turned {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Turned, D::Error> {
        Numbers::deserialize(deserializer).map(|_| Turned(None))
    }
}

/// Fault 28.
pub fn an_end_does_not_arrive_as_the_other_one() {
    let (_producer, consumer) = spsc_raw::<u64>(4096).unwrap();
    let (sender, receiver) = one_way().unwrap();
    sender.send(Turned(Some(consumer))).unwrap();
    let error = receiver.recv().err().unwrap().to_string();
    assert!(error.contains("not handed over"), "{error}");
}

static HIDDEN: Mutex<Option<Numbers>> = Mutex::new(None);
static PARENT: AtomicU32 = AtomicU32::new(0);

/// Has an end in it in a fork child only.
struct Sly;

impl Serialize for Sly {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if process::id() == PARENT.load(Relaxed) {
            return serializer.serialize_unit();
        }
        HIDDEN
            .lock()
            .unwrap()
            .as_ref()
            .unwrap()
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Sly {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Sly, D::Error> {
        Ok(Sly)
    }
}

fn send_hidden(number: u64) -> bool {
    let sent = HIDDEN.lock().unwrap().as_mut().unwrap().send(number);
    assert!(matches!(sent, Ok(()) | Err(SendError::Moved(_))));
    sent.is_ok()
}

/// Fault 5.
pub fn a_fork_child_does_not_take_over_an_end_that_was_not_given_to_it() {
    PARENT.store(process::id(), Relaxed);
    let (producer, mut consumer) = spsc_raw(4096).unwrap();
    *HIDDEN.lock().unwrap() = Some(producer);
    let child = Process::fork(|_: Sly| send_hidden(1), Sly).unwrap();
    assert!(!child.join().unwrap());
    assert!(send_hidden(2));
    assert_eq!(consumer.try_iter().collect::<Vec<_>>(), [2]);
    *HIDDEN.lock().unwrap() = None;
}

static CHILD: Mutex<Option<Child<bool>>> = Mutex::new(None);

/// Forks while it is decoded; the child tries to decode the same.
struct Split(Option<Numbers>);

impl Serialize for Split {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.as_ref().unwrap().serialize(serializer)
    }
}

fn decodes(bytes: Vec<u8>) -> bool {
    postcard::from_bytes::<Numbers>(&bytes).is_ok()
}

impl<'de> Deserialize<'de> for Split {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Split, D::Error> {
        let bytes = encoded(Encoded::deserialize(deserializer)?);
        let child = Process::fork(decodes, bytes.clone()).unwrap();
        *CHILD.lock().unwrap() = Some(child);
        Ok(Split(postcard::from_bytes(&bytes).ok()))
    }
}

/// Fault 5.
pub fn a_fork_child_does_not_go_on_with_a_message_that_its_parent_reads() {
    let (producer, _consumer) = spsc_raw(4096).unwrap();
    let (sender, receiver) = one_way().unwrap();
    sender.send(Split(Some(producer))).unwrap();
    let Split(got) = receiver.recv().unwrap().unwrap();
    let child = CHILD.lock().unwrap().take().unwrap();
    assert!(!child.join().unwrap());
    assert!(got.is_some());
}

fn pass_back(sender: Sender<u64>) -> Sender<u64> {
    sender
}

fn idle(_: ()) {
    loop {
        thread::park();
    }
}

/// Far less than the idle child lives.
const SOON: Duration = Duration::from_secs(20);

pub fn what_a_child_has_returned_in_vain_is_on_its_way_no_longer_than_its_handle_lives() {
    let (sender, receiver) = channel::<u64>(4096).unwrap();
    let returning = Process::spawn(pass_back, sender).unwrap();
    wait_until(|| !returning.is_alive());
    let idle = Process::fork(idle, ()).unwrap();
    drop(returning);
    assert_eq!(receiver.recv_timeout(SOON), Err(RecvError::Disconnected));
    drop(idle);
}

static IDLE: Mutex<Option<Child<()>>> = Mutex::new(None);

/// Forks while it is encoded.
struct Forks(Sender<u64>);

impl Serialize for Forks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let encoded = self.0.serialize(serializer);
        *IDLE.lock().unwrap() = Some(Process::fork(idle, ()).unwrap());
        encoded
    }
}

impl<'de> Deserialize<'de> for Forks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Forks, D::Error> {
        Sender::deserialize(deserializer).map(Forks)
    }
}

/// Fault 16. Fault 43.
pub fn a_fork_child_keeps_nothing_on_its_way_that_its_parent_was_about_to_send() {
    let (sender, receiver) = channel::<u64>(4096).unwrap();
    let (to, from) = one_way().unwrap();
    to.send(Forks(sender)).unwrap();
    drop(from.recv().unwrap());
    assert_eq!(receiver.recv_timeout(SOON), Err(RecvError::Disconnected));
    drop(IDLE.lock().unwrap().take());
}

/// Puts an end into a queue while it is sent itself.
struct Diverts(Sender<u64>, Queue<Sender<u64>>);

impl Serialize for Diverts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let refused = self.1.try_put(self.0.clone()).unwrap_err();
        assert!(matches!(refused, SendError::Encode { .. }), "{refused}");
        serializer.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for Diverts {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Diverts, D::Error> {
        Err(serde::de::Error::custom("one way"))
    }
}

/// Fault 43.
pub fn what_is_put_into_a_queue_while_a_message_is_made_is_no_part_of_that() {
    let (sender, _receiver) = channel(4096).unwrap();
    let queue = Queue::new(4096).unwrap();
    let (to, _from) = one_way().unwrap();
    to.send(Diverts(sender, queue.clone())).unwrap();
    assert!(queue.is_empty());
}

/// Fault 43.
pub fn a_fork_child_that_drops_a_readiness_has_its_own_threads() {
    let queue = Queue::<u64>::new(1024).unwrap();
    let ready = queue.readiness().unwrap();
    let child = forked(move || {
        let own = thread::spawn(|| 7);
        ready.rearm();
        drop(ready);
        own.join().unwrap()
    });
    assert_eq!(child.join().unwrap(), 7);
}

/// Fault 39.
pub fn a_fork_beside_threads_that_make_pipes_makes_pipes_itself() {
    // In a process of its own, which ends with its thread.
    let parent = forked(|| {
        thread::spawn(|| {
            loop {
                drop(pipe::<u8, u8>().unwrap());
            }
        });
        for _ in 0..200 {
            let mut child = forked(|| drop(pipe::<u8, u8>().unwrap()));
            assert_eq!(child.join_timeout(STUCK).unwrap(), Some(()));
        }
    });
    parent.join().unwrap();
}

/// Fault 16.
pub fn an_end_arrives_though_a_process_is_stopped_with_its_table() {
    use crate::observe::go_on;
    let (sender, receiver) = channel::<u64>(4096).unwrap();
    let stopped = forked(|| {
        multiproc::__set_step_hook(Some(|at| {
            if at == "channel: entered" {
                multiproc::__set_step_hook(None);
                // SAFETY: no memory is involved.
                unsafe { libc::raise(libc::SIGSTOP) };
            }
        }));
        drop(sender.clone());
    });
    wait_until(|| crate::observe::is_in_state(stopped.pid(), "T"));
    let (to, from) = one_way().unwrap();
    to.send(sender).unwrap();
    let begun = Instant::now();
    let arrived: Sender<u64> = from.recv_timeout(SOON).unwrap().unwrap();
    assert!(begun.elapsed() < SOON);
    assert!(arrived.send_timeout(1, Duration::from_millis(5)).is_err());
    // Until it has entered, what stands for it is there.
    assert_eq!(
        receiver.recv_timeout(Duration::from_millis(300)),
        Err(RecvError::Timeout)
    );
    go_on(stopped.pid());
    arrived.send(2).unwrap();
    assert_eq!(receiver.recv(), Ok(2));
    stopped.join().unwrap();
}
