//! Queues and channels: a record is wholly there or not at all, and goes to one taker; only what the dead had taken is
//! gone with them.

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    sync::atomic::Ordering::SeqCst,
};

use multiproc::{AtomicArray, Child, Queue, Raw};

use crate::{
    common::{forked, wait_until},
    engine::{
        End,
        Order::{self, First, Last, Waits},
        Scenario, Steps, in_the_middle, killed_everywhere, killed_in_each_run,
        killed_while_recovering,
    },
    records::{Log, Record, all_of, each_once, expect_in_order, number, record},
    ways::{
        Channel,
        Party::{self, Consumer, Producer},
        Way,
    },
};

type Records = Queue<Record, Raw>;

/// How much is in the ring at first.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Start {
    Empty,
    One,
    Full,
}
use Start::{Empty, Full, One};

/// Who does what.
#[derive(Clone, Copy, Debug)]
struct Plan {
    victim: Party,
    others: Party,
    start: Start,
    /// How many records are put, and taken, at once.
    batch: usize,
    /// So many producers, and as many consumers, come in the end.
    crowd: u64,
}

/// How often a producer puts, and the victim takes.
const TURNS: u64 = 2;

// Whose records they are.
const VICTIM: u64 = 0;
const THERE_BEFORE: u64 = 1;
const HOLDER: u64 = 2;
const OTHERS: u64 = 10;
const CROWD: u64 = 20;

/// Words that all see: how many producers have begun, and how many have ended.
const BEGUN: usize = 0;
const ENDED: usize = 1;

/// Producers put a few records each, consumers take until there will be no more.
struct Traffic<W> {
    way: W,
    plan: Plan,
    /// Whose records are expected, how many each. All but the victim's.
    parties: RefCell<Vec<(u64, u64)>>,
    words: AtomicArray<u64>,
    /// What the victim has taken, and what this process has.
    taken_by_victim: Log,
    taken: RefCell<Vec<u64>>,
    /// Whether the victim has consumed any.
    consumed: Cell<bool>,
}

impl<W: Way> Traffic<W> {
    fn new(plan: Plan, others: usize) -> Traffic<W> {
        let way = W::new();
        let before = match plan.start {
            Empty => 0,
            One => u64::from(way.try_put(record(THERE_BEFORE, 0))),
            Full => (0..)
                .take_while(|&which| way.try_put(record(THERE_BEFORE, which)))
                .count() as u64,
        };
        let each = TURNS * plan.batch as u64;
        let mut parties = vec![(THERE_BEFORE, before)];
        if plan.others == Producer {
            parties.extend((0..others as u64).map(|index| (OTHERS + index, each)));
        }
        parties.extend((0..plan.crowd).map(|index| (CROWD + index, each)));
        Traffic {
            way,
            plan,
            parties: RefCell::new(parties),
            words: AtomicArray::zeroed(2).unwrap(),
            taken_by_victim: Log::new(),
            taken: RefCell::default(),
            consumed: Cell::new(false),
        }
    }

    fn put(&self, whose: u64, turn: u64) {
        let batch = self.plan.batch as u64;
        let records = (turn * batch..(turn + 1) * batch).map(|which| record(whose, which));
        self.way.put(&records.collect::<Vec<_>>());
    }

    fn produce(&self, whose: u64) -> Vec<u64> {
        self.way.begin(Producer);
        self.words[BEGUN].fetch_add(1, SeqCst);
        (0..TURNS).for_each(|turn| self.put(whose, turn));
        self.way.end();
        self.count_as_ended()
    }

    fn consume(&self) -> Vec<u64> {
        self.way.begin(Consumer);
        let some = || self.way.get(self.plan.batch);
        std::iter::from_fn(some).flatten().collect()
    }

    fn work_of(&self, party: Party, whose: u64) -> Vec<u64> {
        match party {
            Producer => self.produce(whose),
            Consumer => self.consume(),
        }
    }

    /// How many producers there are beside the victim and this process.
    fn producers(&self) -> u64 {
        let parties = self.parties.borrow();
        parties.iter().filter(|(whose, _)| *whose >= OTHERS).count() as u64
    }

    /// A producer, or this process, has put its last.
    fn count_as_ended(&self) -> Vec<u64> {
        let ended = self.words[ENDED].fetch_add(1, SeqCst) + 1;
        if ended == self.producers() + 1 {
            self.way.close();
        }
        Vec::new()
    }

    /// This process puts no more, since all others have begun who will. Whoever closes the way may have to wait for the
    /// victim, so that is left to a child.
    fn leave_it_to_others(&self) -> Child<Vec<u64>> {
        wait_until(|| self.words[BEGUN].load(SeqCst) == self.producers());
        self.way.end();
        forked(|| self.count_as_ended())
    }
}

impl<W: Way> Scenario for Traffic<W> {
    /// What one has taken.
    type Told = Vec<u64>;

    const NOTED: &str = "ring: consumed";

    fn work(&self, _: impl FnOnce()) -> Vec<u64> {
        self.consume()
    }

    fn victim(&self, middle: impl FnOnce()) {
        let mut middle = Some(middle);
        for turn in 0..TURNS {
            match self.plan.victim {
                Producer => self.put(VICTIM, turn),
                Consumer => match self.way.get(self.plan.batch) {
                    Some(taken) => taken
                        .into_iter()
                        .for_each(|one| self.taken_by_victim.add(one)),
                    None => return,
                },
            }
            if let Some(middle) = middle.take() {
                middle();
            }
        }
        if self.plan.victim == Producer {
            self.way.end();
        }
    }

    fn other(&self, index: usize) -> Vec<u64> {
        self.work_of(self.plan.others, OTHERS + index as u64)
    }

    fn hold(&self, middle: impl FnOnce()) {
        in_the_middle("lock: taken", middle, || match self.plan.victim {
            Producer => {
                self.put(HOLDER, 0);
                let all = self.plan.batch as u64;
                self.parties.borrow_mut().push((HOLDER, all));
            }
            Consumer => self.taken.borrow_mut().extend(self.way.get(1).unwrap()),
        });
    }

    fn let_go(&self) -> Vec<Child<Vec<u64>>> {
        let crowd = (0..self.plan.crowd).flat_map(|index| {
            [Producer, Consumer].map(|party| forked(|| self.work_of(party, CROWD + index)))
        });
        let mut crowd: Vec<_> = crowd.collect();
        if self.plan.victim == Consumer {
            // It may wait until there will be no more.
            crowd.push(self.leave_it_to_others());
        }
        crowd
    }

    fn steal(&self, hold: impl FnOnce()) {
        self.taken.borrow_mut().extend(self.way.try_get());
        hold();
    }

    fn relieve(&self, consumed: bool) -> Vec<Child<Vec<u64>>> {
        self.consumed.set(consumed);
        let is_needed = self.plan.victim == Producer;
        is_needed
            .then(|| self.leave_it_to_others())
            .into_iter()
            .collect()
    }

    fn check(&self, end: &End<Vec<u64>>) {
        assert_eq!(self.way.try_get(), None, "there is more");
        let by_victim = self.taken_by_victim.read();
        let mut taken: Vec<&[u64]> = end.told.iter().map(Vec::as_slice).collect();
        let mine = self.taken.borrow();
        taken.extend([by_victim.as_slice(), &mine]);
        taken.iter().for_each(|of_one| expect_in_order(of_one));
        let arrived = each_once(&taken.concat());

        let Plan {
            victim,
            start,
            batch,
            ..
        } = self.plan;
        let is_dead = !end.dead.is_empty();
        let its_own = all_of(VICTIM, TURNS * batch as u64);
        let put = its_own.take_while(|one| arrived.contains(one)).count();
        if victim == Producer {
            assert!(is_dead || put as u64 == TURNS * batch as u64, "lost");
            assert!(start == Full || put % batch == 0, "{put}: half a batch");
        }
        let expected = self.parties.borrow();
        let expected = expected
            .iter()
            .flat_map(|&(whose, count)| all_of(whose, count));
        let expected: HashSet<u64> = expected.chain(all_of(VICTIM, put as u64)).collect();
        assert!(arrived.is_subset(&expected), "nobody has put that");
        let gone = expected.len() - arrived.len();
        let may_be_gone = if is_dead && self.consumed.get() {
            batch
        } else {
            0
        };
        assert!(gone <= may_be_gone, "{gone} are gone: {end:x?}");
    }
}

/// A plan, but for the numbers in it: when the victim comes, who it is, who the others are, and how much there is.
type Case<'a> = (&'a [Order], Party, Party, Start);

/// The victim puts: for sleepers; into what is full; and where another is just putting.
const PUTTING: &[Case<'_>] = &[
    (&[Last], Producer, Consumer, Empty),
    (&[First], Producer, Producer, Full),
    (&[Waits], Producer, Producer, One),
];

/// The victim takes: what sleepers wait to be rid of; from what is empty; and where another is just taking.
const TAKING: &[Case<'_>] = &[
    (&[Last], Consumer, Producer, Full),
    (&[First], Consumer, Consumer, Empty),
    (&[Waits], Consumer, Consumer, One),
];

/// All runs of these, in which so many records are put and taken at once.
fn killed_in_traffic<W: Way>(cases: &[Case<'_>], batch: usize, crowd: u64) -> Steps {
    let mut steps = Steps::default();
    for &(orders, victim, others, start) in cases {
        let plan = Plan {
            victim,
            others,
            start,
            batch,
            crowd,
        };
        steps.add(killed_in_each_run(orders, |others| {
            Traffic::<W>::new(plan, others)
        }));
    }
    steps
}

/// Where one dies who puts or takes.
const ALWAYS: &[&str] = &[
    "lock: taken",
    "lock: about to sleep",
    "lock: awake",
    "lock: taken after a wait",
    "ring: about to sleep",
    "ring: awake",
    "unlock: begun",
    "unlock: thread cleared",
    "unlock: freed, nobody woken yet",
    "unlock: turn moved, no watcher woken yet",
];
const PUTS: &[&str] = &["ring: record reserved", "ring: published"];
/// Where one dies who puts one alone.
const PUTS_ONE: &[&str] = &["ring: copy taken back", "ring: copied"];
const TAKES: &[&str] = &["ring: about to consume", "ring: consumed"];
/// Where one dies who also comes to an end of a channel, and leaves it.
const COMES_AND_GOES: &[&str] = &[
    "tally: row made known",
    "tally: row has its owner",
    "channel: entered",
];

/// Fault 13.
pub fn a_kill_at_any_step_of_putting_puts_the_record_or_not() {
    killed_in_traffic::<Records>(PUTTING, 1, 1).expect(&[ALWAYS, PUTS, PUTS_ONE].concat());
}

/// Fault 13.
pub fn a_kill_at_any_step_of_putting_many_puts_all_that_there_is_room_for_or_none() {
    killed_in_traffic::<Records>(PUTTING, 2, 1).expect(&[ALWAYS, PUTS].concat());
}

/// Fault 14.
pub fn a_kill_at_any_step_of_getting_takes_the_record_along_or_leaves_it_to_another() {
    killed_in_traffic::<Records>(TAKING, 1, 1).expect(&[ALWAYS, TAKES].concat());
}

/// Fault 14.
pub fn a_kill_at_any_step_of_getting_many_takes_all_of_them_along_or_leaves_them_to_others() {
    killed_in_traffic::<Records>(TAKING, 2, 1).expect(&[ALWAYS, TAKES].concat());
}

/// Fault 13.
pub fn a_kill_at_any_step_of_sending_many_sends_all_that_there_is_room_for_or_none() {
    let steps = killed_in_traffic::<Channel>(PUTTING, 2, 1);
    steps.expect(&[ALWAYS, PUTS, COMES_AND_GOES, &["channel: left"]].concat());
}

/// Fault 14.
pub fn a_kill_at_any_step_of_receiving_takes_the_record_along_or_leaves_it_to_another() {
    let steps = killed_in_traffic::<Channel>(TAKING, 1, 1);
    steps.expect(&[ALWAYS, TAKES, COMES_AND_GOES].concat());
}

/// Fault 13. Fault 14.
pub fn a_kill_at_any_step_among_three_producers_and_three_consumers() {
    let cases: &[Case<'_>] = &[
        (&[First], Producer, Consumer, Empty),
        (&[First], Consumer, Producer, Full),
    ];
    killed_in_traffic::<Records>(cases, 2, 3).expect(&[PUTS, TAKES].concat());
}

/// One after the other puts, or takes, and some are killed over it.
struct Recovery {
    queue: Records,
    party: Party,
    taken: Log,
}

impl Recovery {
    fn new(party: Party) -> Recovery {
        let queue = Records::new();
        let room = (0..).take_while(|&which| queue.try_put(record(THERE_BEFORE, which)).is_ok());
        if party == Consumer {
            room.for_each(drop);
        }
        Recovery {
            queue,
            party,
            taken: Log::new(),
        }
    }
}

impl Scenario for Recovery {
    type Told = ();

    fn work(&self, middle: impl FnOnce()) {
        match self.party {
            Producer => in_the_middle("ring: record reserved", middle, || {
                let whose = std::process::id();
                self.queue.put(record(whose.into(), 0)).unwrap();
            }),
            Consumer => in_the_middle("ring: about to consume", middle, || {
                self.taken.add(number(self.queue.get().unwrap()));
            }),
        }
    }

    fn check(&self, end: &End<()>) {
        let mut all = self.taken.read();
        all.extend(self.queue.try_iter().map(number));
        expect_in_order(&all);
        let all = each_once(&all);
        match self.party {
            Producer => {
                // The first has died before it had published.
                let most = end.done + end.dead.len() as u64 - 1;
                assert!((end.done..=most).contains(&(all.len() as u64)), "{end:?}");
                let first = record(end.dead[0].into(), 0)[0];
                assert!(!all.contains(&first), "published too early");
            }
            Consumer => {
                let there = all_of(THERE_BEFORE, 1 + all.iter().max().unwrap() % (1 << 32));
                let gone = there.filter(|one| !all.contains(one)).count();
                assert!(gone < end.dead.len(), "{gone} are gone: {end:?}");
            }
        }
    }
}

/// Fault 3. Fault 13. Fault 14.
pub fn a_killed_recovery_of_a_ring() {
    for (party, of_the_party) in [(Producer, PUTS), (Consumer, TAKES)] {
        let recovered = ["lock: owner found dead", "lock: taken after a wait"];
        killed_while_recovering(
            || Recovery::new(party),
            &[&recovered, of_the_party].concat(),
        );
    }
}

/// All wait for room, or for a record, until the queue is closed.
struct Closing {
    queue: Records,
    full: bool,
}

impl Scenario for Closing {
    type Told = ();

    fn work(&self, _: impl FnOnce()) {
        self.queue.close().unwrap();
    }

    fn other(&self, index: usize) {
        if self.full {
            let put = self.queue.put(record(OTHERS + index as u64, 0));
            assert!(put.unwrap_err().is_disconnected());
        } else {
            assert!(self.queue.get().unwrap_err().is_disconnected());
        }
    }

    fn relieve(&self, _: bool) -> Vec<Child<()>> {
        self.work(|| ());
        Vec::new()
    }

    fn check(&self, _: &End<()>) {
        assert!(self.queue.is_closed());
        assert!(
            self.queue
                .try_put(record(0, 0))
                .unwrap_err()
                .is_disconnected()
        );
        let left = self.queue.len();
        assert_eq!(left, self.queue.try_iter().map(number).count());
        assert_eq!(left > 0, self.full);
    }
}

/// Fault 13. Fault 14.
pub fn a_kill_at_any_step_of_closing_leaves_nobody_asleep() {
    for full in [false, true] {
        killed_everywhere(
            &[Last],
            |_| {
                let queue = Records::new();
                while full && queue.try_put(record(THERE_BEFORE, 0)).is_ok() {}
                Closing { queue, full }
            },
            &[
                "ring: closed",
                "unlock: freed, nobody woken yet",
                "unlock: turn moved, no watcher woken yet",
            ],
        );
    }
}
