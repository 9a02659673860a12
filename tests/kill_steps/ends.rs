//! The ends of channels: whoever comes, leaves, hands over or dies, those at the other end get what was sent and then
//! hear that nobody is left; never before, and never not at all.

use std::{cell::RefCell, sync::atomic::Ordering::SeqCst};

use multiproc::{
    AtomicArray, Child, OnDrop, Process, Raw, Receiver, Sender, StartMethod, channel_raw,
};

use crate::{
    common::{STUCK, forked, kill_self, wait_until},
    engine::{
        End,
        Order::{First, Last},
        Scenario, Steps, asleep_at, dies_at, dies_from_the_start, in_the_middle, killed_everywhere,
        killed_in_each_run, killed_while_recovering,
    },
    records::{Log, Record, all_of, each_once, number, record},
    ways::taken,
};

type Sending = Sender<Record, Raw>;
type Receiving = Receiver<Record, Raw>;

const CAPACITY: usize = 256;

// Whose records they are.
const VICTIM: u64 = 0;
const BYSTANDER: u64 = 1;
const OTHERS: u64 = 10;

/// Words that all see.
const VICTIM_IS_IN: usize = 0;
const PARENT_HAS_LEFT: usize = 1;
const BYSTANDER_IS_IN: usize = 2;
const VICTIM_IS_DEAD: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq)]
enum At {
    Sender,
    Receiver,
}

/// The victim comes to an end, uses it, and leaves it. The others are at the other end until they hear that nobody is left
/// at this one. A bystander may have a handle of it that outlives the victim.
struct Leaving {
    at: At,
    sender: RefCell<Option<Sending>>,
    receiver: RefCell<Option<Receiving>>,
    bystander: bool,
    words: AtomicArray<u64>,
    /// What the victim, and the bystander, have received.
    received: [Log; 2],
    before: u64,
}

impl Leaving {
    fn new(at: At, bystander: bool) -> Leaving {
        let (sender, receiver) = channel_raw(CAPACITY).unwrap();
        let before = match at {
            At::Sender => 0,
            At::Receiver => (0..)
                .take_while(|&which| sender.try_send(record(OTHERS - 1, which)).is_ok())
                .count() as u64,
        };
        Leaving {
            at,
            sender: RefCell::new(Some(sender)),
            receiver: RefCell::new(Some(receiver)),
            bystander,
            words: AtomicArray::zeroed(4).unwrap(),
            received: [Log::new(), Log::new()],
            before,
        }
    }

    fn tell(&self, word: usize) {
        self.words[word].store(1, SeqCst);
    }

    fn is_told(&self, word: usize) -> bool {
        self.words[word].load(SeqCst) == 1
    }

    fn wait_for(&self, word: usize) {
        wait_until(|| self.is_told(word));
    }

    /// This process drops what it has of the end.
    fn leave(&self) {
        match self.at {
            At::Sender => drop(self.sender.take()),
            At::Receiver => drop(self.receiver.take()),
        }
        self.tell(PARENT_HAS_LEFT);
    }

    /// Comes to the end, does its work there in two parts, and leaves it.
    fn visit(&self, whose: u64, came: impl FnOnce(), between: impl FnOnce()) {
        match self.at {
            At::Sender => {
                let inherited = self.sender.take().unwrap();
                let sender = inherited.clone();
                drop(inherited);
                came();
                sender.send(record(whose, 0)).unwrap();
                between();
                sender.send(record(whose, 1)).unwrap();
            }
            At::Receiver => {
                let mut receiver = self.receiver.take().unwrap();
                // The victim comes to it by its first use, this time.
                if whose != VICTIM {
                    receiver = receiver.clone();
                }
                let log = &self.received[whose as usize];
                log.add(number(receiver.recv().unwrap()));
                came();
                between();
                log.add(number(receiver.recv().unwrap()));
            }
        }
    }
}

impl Scenario for Leaving {
    /// What one has received, or how much it has sent.
    type Told = (Vec<u64>, u64);

    fn work(&self, _: impl FnOnce()) -> (Vec<u64>, u64) {
        (Vec::new(), 0)
    }

    fn victim(&self, middle: impl FnOnce()) {
        self.visit(
            VICTIM,
            || self.tell(VICTIM_IS_IN),
            || {
                middle();
                if !self.bystander {
                    // From now on this is the last handle.
                    self.wait_for(PARENT_HAS_LEFT);
                }
            },
        );
    }

    fn other(&self, index: usize) -> (Vec<u64>, u64) {
        let whose = OTHERS + index as u64;
        match self.at {
            At::Sender => {
                let receiver = self.receiver.take().unwrap();
                let received = std::iter::from_fn(|| taken(receiver.recv()));
                (received.map(number).collect(), 0)
            }
            At::Receiver => {
                let sender = self.sender.take().unwrap();
                let sent = (0..).take_while(|&which| match sender.send(record(whose, which)) {
                    Ok(()) => true,
                    Err(why) if why.is_disconnected() => false,
                    Err(why) => panic!("{why}"),
                });
                (Vec::new(), sent.count() as u64)
            }
        }
    }

    fn let_go(&self) -> Vec<Child<(Vec<u64>, u64)>> {
        if self.bystander {
            let came = || {
                self.tell(BYSTANDER_IS_IN);
                self.wait_for(VICTIM_IS_DEAD);
                self.wait_for(PARENT_HAS_LEFT);
            };
            let stay = move || {
                self.visit(BYSTANDER, came, || ());
                self.work(|| ())
            };
            return vec![forked(stay)];
        }
        if self.is_told(VICTIM_IS_IN) {
            self.leave();
        }
        Vec::new()
    }

    fn relieve(&self, _: bool) -> Vec<Child<(Vec<u64>, u64)>> {
        self.tell(VICTIM_IS_DEAD);
        if self.bystander {
            self.wait_for(BYSTANDER_IS_IN);
        }
        self.leave();
        Vec::new()
    }

    fn check(&self, end: &End<(Vec<u64>, u64)>) {
        let is_dead = !end.dead.is_empty();
        if self.at == At::Sender {
            let mut received: Vec<u64> = Vec::new();
            end.told
                .iter()
                .for_each(|(of_one, _)| received.extend(of_one));
            let receiver = self.receiver.take().unwrap();
            received.extend(receive_all(&receiver));
            let received = each_once(&received);
            let of_victim = all_of(VICTIM, 2)
                .take_while(|one| received.contains(one))
                .count();
            assert!(is_dead || of_victim == 2, "lost: {end:?}");
            let of_bystander = if self.bystander { 2 } else { 0 };
            assert!(all_of(BYSTANDER, of_bystander).all(|one| received.contains(&one)));
            assert_eq!(received.len() as u64, of_victim as u64 + of_bystander);
        } else {
            let sender = self.sender.take().unwrap();
            // It asks ten times a second.
            wait_until(|| sender.is_disconnected());
            assert!(sender.try_send(record(0, 0)).unwrap_err().is_disconnected());
            let sent: u64 = end.told.iter().map(|(_, sent)| sent).sum();
            let received = self.received.each_ref().map(Log::read).concat();
            let received = each_once(&received).len() as u64;
            let gone = self.before + sent - received - sender.len() as u64;
            assert!(gone <= end.dead.len() as u64, "{gone} are gone: {end:?}");
        }
    }
}

fn killed_at_an_end(at: At) {
    let mut steps = Steps::default();
    for bystander in [false, true] {
        let new = |_| Leaving::new(at, bystander);
        steps.add(killed_in_each_run(&[First, Last], new));
    }
    steps.expect(&[
        "tally: row made known",
        "tally: row has its owner",
        "channel: entered",
        "channel: left",
        "channel: found abandoned",
        "ring: closed",
    ]);
}

/// Fault 16.
pub fn a_kill_at_any_step_of_a_sender_that_comes_and_goes_is_told_to_receivers() {
    killed_at_an_end(At::Sender);
}

/// Fault 16.
pub fn a_kill_at_any_step_of_a_receiver_that_comes_and_goes_is_told_to_senders() {
    killed_at_an_end(At::Receiver);
}

/// The last sender is dead, and receivers find that out.
struct Abandoned(Receiving);

impl Abandoned {
    fn new() -> Abandoned {
        let (sender, receiver) = channel_raw(CAPACITY).unwrap();
        let dying = forked(|| {
            sender.send(record(VICTIM, 0)).unwrap();
            kill_self();
        });
        assert!(dying.join().unwrap_err().is_killed());
        receiver.recv().unwrap();
        Abandoned(receiver)
    }
}

impl Scenario for Abandoned {
    type Told = ();

    fn work(&self, middle: impl FnOnce()) {
        in_the_middle("tally: owner found dead", middle, || {
            assert_eq!(taken(self.0.recv()), None);
        });
    }

    fn check(&self, _: &End<()>) {
        assert_eq!(taken(self.0.recv_timeout(STUCK)), None);
        wait_until(|| self.0.is_disconnected());
    }
}

const FOUND: &[&str] = &[
    "tally: owner found dead",
    "tally: row of the dead freed",
    "channel: found abandoned",
    "ring: closed",
];

/// Fault 16.
pub fn a_kill_at_any_step_of_finding_out_that_nobody_is_left_hides_it_from_nobody() {
    killed_everywhere(&[First, Last], |_| Abandoned::new(), FOUND);
}

/// Fault 3. Fault 16.
pub fn a_killed_recovery_of_an_abandoned_channel() {
    killed_while_recovering(Abandoned::new, FOUND);
}

/// Words of a handing over: whether the taker has begun, and has ended.
const BEGUN: usize = 0;
const ENDED: usize = 1;

/// Who was handed a sender sends with it.
fn take_over((sender, words): (Sending, AtomicArray<u64>)) {
    words[BEGUN].store(1, SeqCst);
    for which in 0..2 {
        sender.send(record(VICTIM, which)).unwrap();
    }
    drop(sender);
    words[ENDED].store(1, SeqCst);
}

fn receive_all(receiver: &Receiving) -> Vec<u64> {
    std::iter::from_fn(|| taken(receiver.recv_timeout(STUCK)))
        .map(number)
        .collect()
}

/// Fault 16.
pub fn a_kill_at_any_step_of_handing_an_end_over_leaves_it_to_one_or_to_nobody() {
    for method in [StartMethod::Fork, StartMethod::Spawn] {
        let steps = Steps::all(|step| {
            let (sender, receiver) = channel_raw(CAPACITY).unwrap();
            let words = AtomicArray::zeroed(2).unwrap();
            let waiting = asleep_at(|| receive_all(&receiver));
            let died = dies_at(step, || {
                let mine = sender.clone();
                let builder = Process::builder().method(method).on_drop(OnDrop::Detach);
                let started = builder.start(take_over, (mine, words.clone()));
                drop(started.unwrap());
            });
            drop(sender);
            // Whoever has it now is the last.
            let received = waiting.join().unwrap();
            if died.is_none() || words[BEGUN].load(SeqCst) == 1 {
                wait_until(|| words[ENDED].load(SeqCst) == 1);
                assert_eq!(received, all_of(VICTIM, 2).collect::<Vec<_>>());
            } else {
                assert!(received.is_empty(), "from nobody: {received:x?}");
            }
            died.map(|(_, at)| at)
        });
        steps.expect(&["channel: entered", "channel: left"]);
    }
}

/// Fault 16.
pub fn a_kill_at_any_step_of_taking_an_end_over_is_told_to_the_other_end() {
    let run = |step| {
        let (sender, receiver) = channel_raw(CAPACITY).unwrap();
        let words = AtomicArray::zeroed(2).unwrap();
        let waiting = asleep_at(|| receive_all(&receiver));
        let arguments = (sender, words.clone());
        let start = || Process::fork(take_over, arguments).unwrap();
        let died = dies_from_the_start(step, start, || ());
        let received = waiting.join().unwrap();
        let all: Vec<u64> = all_of(VICTIM, 2).collect();
        assert!(all.starts_with(&received));
        assert!(died.is_some() || received == all, "lost: {received:x?}");
        died
    };
    let must_pass = [
        "tally: row has its owner",
        "channel: entered",
        "channel: left",
        "ring: closed",
    ];
    Steps::until_passed(&must_pass, || Steps::all(run));
}
