//! Channels: who is at the other end.

use loom::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
};
use multiproc_core::{
    Channel, End, Ends, FOREVER, Locked, NOW, Ring, RingError, RingWords,
    atomic::{AtomicU64, fence},
};

use crate::world::{Process, model, processes};

struct Shared {
    words: RingWords,
    ends: Ends<Locked>,
    data: Vec<AtomicU64>,
    /// Whether a sender is on its way: the kernel would know.
    in_transit: AtomicBool,
}

type Of<'a> = Channel<'a, u8, Process>;

impl Shared {
    fn new() -> Arc<Shared> {
        Arc::new(Shared {
            words: RingWords::new(0, 0),
            ends: Ends::new(),
            data: (0..8).map(|_| AtomicU64::new(0)).collect(),
            in_transit: AtomicBool::new(false),
        })
    }

    fn of(&self, os: Process) -> Of<'_> {
        // SAFETY: all over these.
        unsafe { Channel::over(Ring::new(&self.words, &self.data), &self.ends, os) }
    }

    fn in_transit(&self) -> bool {
        fence(SeqCst);
        let in_transit = self.in_transit.load(SeqCst);
        fence(SeqCst);
        in_transit
    }

    /// Puts a record of no bytes: the data are loom's own, and no place for any.
    fn put(&self, os: Process) -> Result<(), RingError> {
        self.of(os).put(&[], FOREVER, || false)
    }

    fn get(&self, os: Process, until: u64) -> Result<(), RingError> {
        let take = |record: &[u8]| assert!(record.is_empty());
        self.of(os).get(until, || self.in_transit(), take)
    }
}

#[test]
fn of_several_who_leave_at_once_the_last_is_told_to_who_waits() {
    model(2, || {
        let shared = Shared::new();
        let [one, other, receiver] = processes();
        let senders = [one, other].map(|os| {
            let entered = shared.of(os).enter(End::Sender, FOREVER).unwrap();
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.of(os).leave(entered, || false))
        });
        assert_eq!(shared.get(receiver, FOREVER), Err(RingError::Closed));
        let _ = senders.map(|thread| thread.join().unwrap());
    });
}

#[test]
fn what_the_last_has_sent_before_it_left_is_received() {
    model(2, || {
        let shared = Shared::new();
        let [sender, receiver] = processes();
        let entered = shared.of(sender).enter(End::Sender, FOREVER).unwrap();
        let sending = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                shared.put(sender).unwrap();
                shared.of(sender).leave(entered, || false);
            })
        };
        assert_eq!(shared.get(receiver, FOREVER), Ok(()));
        assert_eq!(shared.get(receiver, FOREVER), Err(RingError::Closed));
        sending.join().unwrap();
    });
}

/// Fault 16.
#[test]
fn the_death_of_the_last_sender_is_found_out() {
    for at in [
        "channel: entered",
        "ring: record reserved",
        "channel: left",
        "channel: found abandoned",
    ] {
        model(2, move || {
            let shared = Shared::new();
            let [victim, receiver] = processes();
            let dying = {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let work = |os: &Process| {
                        let entered = shared.of(*os).enter(End::Sender, FOREVER).unwrap();
                        shared.put(*os).unwrap();
                        shared.of(*os).leave(entered, || false);
                    };
                    assert!(victim.killed_at(at, work));
                })
            };
            dying.join().unwrap();
            let mut got = shared.get(receiver, FOREVER);
            if got == Ok(()) {
                got = shared.get(receiver, FOREVER);
            }
            assert_eq!(got, Err(RingError::Closed));
        });
    }
}

#[test]
fn a_sender_on_its_way_is_never_taken_for_gone() {
    model(2, || {
        let shared = Shared::new();
        let [parent, child, receiver] = processes();
        let entered = shared.of(parent).enter(End::Sender, FOREVER).unwrap();
        // What the parent does before it leaves: the message is on its way.
        shared.in_transit.store(true, SeqCst);
        let leaving = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.of(parent).leave(entered, || shared.in_transit()))
        };
        let arriving = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let channel = shared.of(child);
                let entered = channel.enter(End::Sender, FOREVER).unwrap();
                fence(SeqCst);
                shared.in_transit.store(false, SeqCst);
                shared.put(child).unwrap();
                channel.leave(entered, || shared.in_transit());
            })
        };
        let at_once = shared.get(receiver, NOW);
        assert_ne!(at_once, Err(RingError::Closed));
        leaving.join().unwrap();
        arriving.join().unwrap();
        if at_once.is_err() {
            assert_eq!(shared.get(receiver, NOW), Ok(()));
        }
        assert_eq!(shared.get(receiver, NOW), Err(RingError::Closed));
    });
}
