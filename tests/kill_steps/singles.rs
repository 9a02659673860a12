//! Channels from one to one, which have no locks: whoever dies, his partner gets all that was published, and then hears
//! that nobody is left.

use multiproc::{Child, Consumer, Process, Producer, Raw, SendError, spsc_raw};

use crate::{
    common::{STUCK, asleep, wait_until},
    engine::{Steps, dies_from_the_start},
    records::{Log, Record, all_of, number, record},
    ways::taken,
};

type Sending = Producer<Record, Raw>;
type Receiving = Consumer<Record, Raw>;

const CAPACITY: usize = 512;
/// How many records the victim sends, or takes, at once.
const BATCH: usize = 2;
/// And how many in all: one, a batch, and one in its place in the ring.
const ALL: usize = 1 + BATCH + 1;

/// The sender of all records.
const SENDER: u64 = 0;

/// Sends records in every way that there is; `before` of them are in the channel.
fn send((mut producer, before): (Sending, u64)) {
    let mut records = (before..).map(|which| record(SENDER, which));
    producer.send(records.next().unwrap()).unwrap();
    let batch = records.by_ref().take(BATCH);
    assert_eq!(producer.send_many(batch).unwrap(), BATCH);
    let mut slot = producer.reserve(1).unwrap();
    slot.copy_from_slice(&[records.next().unwrap()]);
    slot.send();
}

/// Takes records in every way that there is, and writes them down.
fn receive((mut consumer, log): (Receiving, Log)) {
    log.add(number(consumer.recv().unwrap()));
    let mut batch = Vec::new();
    consumer.recv_many(&mut batch, BATCH).unwrap();
    batch.into_iter().for_each(|record| log.add(number(record)));
    let slot = consumer.recv_ref().unwrap();
    let read = number(slot[0]);
    drop(slot);
    log.add(read);
}

/// Takes all until nobody is left.
fn receive_all(mut consumer: Receiving) -> Vec<u64> {
    std::iter::from_fn(|| taken(consumer.recv()))
        .map(number)
        .collect()
}

/// Sends, after the first so many, until nobody is left; how many there were then.
fn send_on((mut producer, before): (Sending, u64)) -> u64 {
    for which in before.. {
        match producer.send(record(SENDER, which)) {
            Ok(()) => {}
            Err(SendError::Disconnected(_)) => return which,
            Err(why) => panic!("{why}"),
        }
    }
    unreachable!("records without an end")
}

/// A channel with as many records in it as there is room for, or with none; and how many.
fn new(full: bool) -> (Sending, Receiving, u64) {
    let (mut producer, consumer) = spsc_raw(CAPACITY).unwrap();
    let mut before = 0;
    while full && producer.try_send(record(SENDER, before)).is_ok() {
        before += 1;
    }
    (producer, consumer, before)
}

/// Starts a partner of the victim, and waits until it sleeps or is through.
fn partner<T>(start: impl FnOnce() -> Child<T>) -> Child<T> {
    let partner = start();
    wait_until(|| asleep(partner.pid()) || !partner.is_alive());
    partner
}

fn join<T: serde::de::DeserializeOwned>(mut partner: Child<T>) -> T {
    let told = partner.join_timeout(STUCK).unwrap();
    told.expect("the partner is stuck")
}

/// Runs `run` for every step, with a victim that comes to an empty and to a full channel, before and after its partner.
/// Somebody must have died at each step of `must_pass`.
fn in_every_case(must_pass: &[&str], run: impl Fn(bool, bool, u64) -> Option<&'static str>) {
    Steps::until_passed(must_pass, || {
        let mut steps = Steps::default();
        for full in [false, true] {
            for victim_first in [false, true] {
                steps.add(Steps::all(|step| run(full, victim_first, step)));
            }
        }
        steps
    });
}

const ENTERS: &[&str] = &[
    "lock: taken",
    "tally: row has its owner",
    "channel: entered",
    "ring: about to sleep",
    "ring: awake",
];
const LEAVES: &[&str] = &["channel: left", "channel: found abandoned", "ring: closed"];

/// Fault 13. Fault 16.
pub fn a_kill_at_any_step_of_the_only_producer_leaves_all_that_it_has_published() {
    let puts: &[&str] = &["ring: record reserved", "ring: published"];
    let must_pass = [ENTERS, LEAVES, puts].concat();
    in_every_case(&must_pass, |full, victim_first, step| {
        let (producer, consumer, before) = new(full);
        let partner = || partner(|| Process::fork(receive_all, consumer).unwrap());
        let start = || Process::fork(send, (producer, before)).unwrap();
        let (died, received) = beside(victim_first, step, start, partner);
        let received: Vec<u64> = join(received);
        let all: Vec<u64> = all_of(SENDER, before + ALL as u64).collect();
        assert!(all.starts_with(&received), "not in order: {received:x?}");
        let of_victim = received.len() - before as usize;
        // A batch was published at once, unless there was no room for it.
        assert!(
            full || [0, 1, 1 + BATCH, ALL].contains(&of_victim),
            "half a batch"
        );
        assert!(died.is_some() || of_victim == ALL, "lost: {received:x?}");
        died
    });
}

/// Fault 14. Fault 16.
pub fn a_kill_at_any_step_of_the_only_consumer_is_told_to_the_producer() {
    let takes: &[&str] = &["ring: about to consume", "ring: consumed"];
    let must_pass = [ENTERS, LEAVES, takes].concat();
    in_every_case(&must_pass, |full, victim_first, step| {
        let (producer, consumer, before) = new(full);
        let log = Log::new();
        let partner = || partner(|| Process::fork(send_on, (producer, before)).unwrap());
        let start = || Process::fork(receive, (consumer, log.clone())).unwrap();
        let (died, sent) = beside(victim_first, step, start, partner);
        let sent = join(sent);
        let received = log.read();
        let all: Vec<u64> = all_of(SENDER, sent).collect();
        assert!(all.starts_with(&received), "not in order: {received:x?}");
        assert!(
            died.is_some() || received.len() == ALL,
            "lost: {received:x?}"
        );
        died
    });
}

/// The victim, which dies at this step, beside its partner; where it died.
fn beside<T>(
    victim_first: bool,
    step: u64,
    start: impl FnOnce() -> Child<()>,
    partner: impl FnOnce() -> Child<T>,
) -> (Option<&'static str>, Child<T>) {
    if victim_first {
        let mut started = None;
        let died = dies_from_the_start(step, start, || started = Some(partner()));
        (died, started.unwrap())
    } else {
        let started = partner();
        (dies_from_the_start(step, start, || ()), started)
    }
}
