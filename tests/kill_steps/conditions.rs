//! Condition variables, events and values that are watched: whoever dies while waiting or waking, the others are woken, or
//! find out when their slice ends.

use multiproc::{Child, Condvar, Event, Mutex, MutexGuard, Value};

use crate::{
    common::forked,
    engine::{
        End,
        Order::{First, Last},
        Scenario, killed_everywhere,
    },
};

fn lock<T: multiproc::Element>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().or_else(|error| error.into_guard()).unwrap()
}

/// Waits as long as `condition` holds, whatever dies meanwhile.
fn wait_while<'a, T: multiproc::Element>(
    condvar: &Condvar,
    mut guard: MutexGuard<'a, T>,
    condition: impl Fn(&T) -> bool,
) -> MutexGuard<'a, T> {
    while condition(&guard) {
        guard = condvar
            .wait(guard)
            .or_else(|error| error.into_guard())
            .unwrap();
    }
    guard
}

/// How many were put in, and how many were taken out.
type Stock = [u64; 2];

#[derive(Clone, Copy, Debug)]
enum Party {
    Producer,
    Consumer,
}

/// A buffer that has room for one item. Producers and consumers are at work until so many items have gone through it;
/// the victim is a party for two of them.
struct Buffer {
    stock: Mutex<Stock>,
    filled: Condvar,
    emptied: Condvar,
    items: u64,
    victim: Party,
}

impl Buffer {
    fn new(victim: Party, others: usize) -> Buffer {
        Buffer {
            stock: Mutex::new([0; 2]).unwrap(),
            filled: Condvar::new().unwrap(),
            emptied: Condvar::new().unwrap(),
            items: others as u64 + 2,
            victim,
        }
    }

    /// Handles one item; whether there was one left.
    fn handle(&self, party: Party) -> bool {
        let (own, partners, count) = match party {
            Party::Producer => (&self.emptied, &self.filled, 0),
            Party::Consumer => (&self.filled, &self.emptied, 1),
        };
        let must_wait = |[put, taken]: &Stock| match party {
            Party::Producer => put > taken,
            Party::Consumer => put == taken,
        };
        let is_done = |stock: &Stock| stock[count] == self.items;
        let mut stock = wait_while(own, lock(&self.stock), |stock| {
            must_wait(stock) && !is_done(stock)
        });
        if is_done(&stock) {
            return false;
        }
        stock[count] += 1;
        let done = is_done(&stock);
        drop(stock);
        partners.notify_one();
        if done {
            own.notify_all();
        }
        true
    }

    fn handle_all(&self, party: Party) -> u64 {
        (0..).take_while(|_| self.handle(party)).count() as u64
    }
}

impl Scenario for Buffer {
    /// How many items it took.
    type Told = u64;

    fn work(&self, _: impl FnOnce()) -> u64 {
        self.handle_all(Party::Consumer)
    }

    fn victim(&self, _: impl FnOnce()) {
        self.handle(self.victim);
        self.handle(self.victim);
    }

    fn let_go(&self) -> Vec<Child<u64>> {
        let produce = || {
            self.handle_all(Party::Producer);
            0
        };
        vec![forked(produce), forked(|| self.work(|| ()))]
    }

    fn check(&self, end: &End<u64>) {
        assert_eq!(*lock(&self.stock), [self.items; 2]);
        let taken: u64 = end.told.iter().sum();
        let by_victim = match self.victim {
            Party::Producer => 0..=0,
            Party::Consumer => 0..=2,
        };
        assert!(by_victim.contains(&(self.items - taken)), "{end:?}");
    }
}

/// Fault 19.
pub fn a_kill_at_any_step_of_a_consumer_loses_no_item_but_its_own() {
    killed_everywhere(
        &[First],
        |others| Buffer::new(Party::Consumer, others),
        &[
            "condvar: marked",
            "condvar: unlocked",
            "condvar: about to sleep",
            "condvar: awake",
            "lock: taken",
            "unlock: begun",
        ],
    );
}

/// Fault 19.
pub fn a_kill_at_any_step_of_a_producer_loses_no_item() {
    killed_everywhere(
        &[First],
        |others| Buffer::new(Party::Producer, others),
        &[
            "condvar: marked",
            "condvar: unlocked",
            "condvar: about to sleep",
            "condvar: awake",
            "lock: taken",
            "unlock: begun",
        ],
    );
}

/// All wait for a number to be there.
struct Start {
    number: Mutex<u64>,
    changed: Condvar,
    notify: fn(&Condvar),
}

impl Scenario for Start {
    type Told = ();

    const NOTED: &str = "unlock: begun";

    fn work(&self, middle: impl FnOnce()) {
        let mut guard = lock(&self.number);
        *guard = 1;
        middle();
        drop(guard);
        (self.notify)(&self.changed);
    }

    fn other(&self, _: usize) {
        drop(wait_while(&self.changed, lock(&self.number), |number| {
            *number == 0
        }));
    }

    fn relieve(&self, _: bool) -> Vec<Child<()>> {
        let mut number = lock(&self.number);
        if *number == 0 {
            *number = 1;
            drop(number);
            self.changed.notify_all();
        }
        Vec::new()
    }

    fn check(&self, _: &End<()>) {
        assert_eq!(*lock(&self.number), 1);
    }
}

/// Fault 19.
pub fn a_kill_at_any_step_of_notifying_leaves_nobody_asleep() {
    const ALL: &str = "notify: all counted, nobody woken yet";
    const SOME: &str = "notify: counted, nobody woken yet";
    const FEWER: &str = "notify: nobody is left, the mark is";
    type Way = (fn(&Condvar), &'static [&'static str]);
    let ways: [Way; 3] = [
        (Condvar::notify_all, &[ALL]),
        (|changed| changed.notify_n(2), &[SOME, FEWER, ALL]),
        (
            |changed| {
                changed.notify_one();
                changed.notify_one();
            },
            &[SOME],
        ),
    ];
    for (notify, must_pass) in ways {
        killed_everywhere(
            &[Last],
            |_| Start {
                number: Mutex::new(0).unwrap(),
                changed: Condvar::new().unwrap(),
                notify,
            },
            must_pass,
        );
    }
}

/// All wait for an event.
struct Signal {
    event: Event,
    /// How the victim gives it.
    give: fn(&Event),
}

impl Scenario for Signal {
    type Told = ();

    const NOTED: &str = "event: set, nobody woken yet";

    fn work(&self, _: impl FnOnce()) {
        (self.give)(&self.event);
    }

    fn other(&self, _: usize) {
        self.event.wait();
    }

    fn relieve(&self, given: bool) -> Vec<Child<()>> {
        if !given {
            self.event.set();
        }
        Vec::new()
    }

    fn check(&self, _: &End<()>) {
        self.event.set();
        assert!(self.event.clear() && !self.event.is_set());
    }
}

/// Fault 19.
pub fn a_kill_at_any_step_of_setting_an_event_leaves_nobody_asleep() {
    let ways: [fn(&Event); 2] = [Event::set, |event| {
        event.set();
        event.clear();
    }];
    for give in ways {
        killed_everywhere(
            &[Last],
            |_| Signal {
                event: Event::new().unwrap(),
                give,
            },
            &[Signal::NOTED],
        );
    }
}

/// All wait for an event, the victim among them.
struct Awaited(Event);

impl Scenario for Awaited {
    type Told = ();

    fn work(&self, _: impl FnOnce()) {
        self.0.wait();
    }

    fn let_go(&self) -> Vec<Child<()>> {
        self.0.set();
        self.0.clear();
        Vec::new()
    }

    fn check(&self, _: &End<()>) {
        assert!(!self.0.is_set());
    }
}

/// Fault 19.
pub fn a_kill_at_any_step_of_waiting_for_an_event_keeps_nobody_from_it() {
    killed_everywhere(
        &[First],
        |_| Awaited(Event::new().unwrap()),
        &["event: about to sleep", "event: awake"],
    );
}

/// All wait for a value to change.
struct Change {
    value: Value<[u64; 3]>,
    /// Whether the victim waits, too.
    victim_waits: bool,
}

impl Change {
    fn new(victim_waits: bool) -> Change {
        let value = Value::new([0; 3]).unwrap();
        Change {
            value,
            victim_waits,
        }
    }

    fn change(&self) {
        self.value.set([1; 3]).unwrap();
    }
}

impl Scenario for Change {
    type Told = [u64; 3];

    fn work(&self, _: impl FnOnce()) -> [u64; 3] {
        self.value.wait_while(|value| value[2] == 0).unwrap()
    }

    fn victim(&self, middle: impl FnOnce()) {
        if self.victim_waits {
            self.work(middle);
        } else {
            self.change();
        }
    }

    fn let_go(&self) -> Vec<Child<[u64; 3]>> {
        if self.victim_waits {
            self.change();
        }
        Vec::new()
    }

    fn relieve(&self, _: bool) -> Vec<Child<[u64; 3]>> {
        if self.value.get() == [0; 3] {
            self.change();
        }
        Vec::new()
    }

    fn check(&self, end: &End<[u64; 3]>) {
        assert!(end.told.iter().all(|told| *told == [1; 3]), "torn: {end:?}");
        assert_eq!(self.value.get(), [1; 3]);
    }
}

/// Fault 11.
pub fn a_kill_at_any_step_of_changing_a_value_leaves_no_watcher_asleep() {
    killed_everywhere(
        &[Last],
        |_| Change::new(false),
        &[
            "value: a word of the hidden slot written",
            "value: published",
            "unlock: freed, nobody woken yet",
            "unlock: turn moved, no watcher woken yet",
        ],
    );
}

/// Fault 19.
pub fn a_kill_at_any_step_of_watching_a_value_keeps_nobody_from_it() {
    killed_everywhere(
        &[First],
        |_| Change::new(true),
        &[
            "watch: lock marked",
            "watch: about to sleep",
            "watch: awake",
        ],
    );
}
