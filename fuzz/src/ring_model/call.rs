//! A call that is under way, and that may never return.

use std::collections::VecDeque;

use super::{Party, book::Book};

/// How many steps a call may make without a sleep: far more than any makes that ends.
const STEPS: u32 = 5000;

/// The steps that are made by one who holds no lock.
const FREE: [&str; 8] = [
    "",
    LOOKS_AGAIN,
    "lock: owner found dead",
    "lock: about to sleep",
    "lock: awake",
    "unlock: freed, nobody woken yet",
    "unlock: turn moved, no watcher woken yet",
    ABOUT_TO_SLEEP,
];

/// The step before a sleep that ends when the other side has done something.
const ABOUT_TO_SLEEP: &str = "ring: about to sleep";
/// What is called a step here, between giving back the lock and saying that one wants to be woken.
pub(super) const LOOKS_AGAIN: &str = "looks again";

/// What somebody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Put,
    Get,
    Close,
}

pub(super) struct Call {
    pub(super) process: u32,
    pub(super) deed: Deed,
    pub(super) until: u64,
    /// What is to be put and is not in the ring yet.
    pub(super) records: VecDeque<Vec<u8>>,
    /// How many of these have been written.
    pub(super) written: usize,
    /// What was seen of the ring and is still in it.
    pub(super) shown: Vec<Vec<u8>>,
    /// How many records it has put or taken.
    pub(super) done: usize,
    /// The last step that it made.
    pub(super) at: &'static str,
    /// It makes no further step for now, and does not sleep.
    pub(super) stopped: bool,
    /// It may be refused: since it began, or slept last, there was a moment at which nothing could be done.
    pub(super) refusable: bool,
    /// It has slept after its deadline.
    late: bool,
    /// How many steps it has made since it began, or slept last.
    steps: u32,
}

impl Call {
    pub(super) fn new(party: Party<'_>, deed: Deed, until: u64) -> Call {
        Call {
            process: party.process,
            deed,
            until,
            records: VecDeque::new(),
            written: 0,
            shown: Vec::new(),
            done: 0,
            at: "",
            stopped: false,
            refusable: false,
            late: false,
            steps: 0,
        }
    }

    /// It makes a step.
    pub(super) fn comes_to(&mut self, at: &'static str) {
        self.at = at;
        self.steps += 1;
        assert!(self.steps < STEPS, "{:?} never ends", self.deed);
    }

    /// It falls asleep. It may do so once after its deadline, when it was stopped between looking at the clock and this.
    pub(super) fn falls_asleep(&mut self, now: u64) {
        if self.waits_for_others() && now >= self.until {
            assert!(!self.late, "{:?} waits on after its deadline", self.deed);
            self.late = true;
        }
    }

    /// It has slept.
    pub(super) fn wakes_up(&mut self) {
        self.steps = 0;
        self.refusable = false;
    }

    /// Whether it sleeps, or is about to, until the other side does something.
    pub(super) fn waits_for_others(&self) -> bool {
        self.at == ABOUT_TO_SLEEP
    }

    /// Whether there is nothing that it waits for: it can go on, or learns that it never can.
    pub(super) fn could_end(&self, book: &Book) -> bool {
        let is_ready = match self.deed {
            Deed::Put => self
                .records
                .front()
                .is_none_or(|record| record.len() > book.max_len() || book.has_room(record.len())),
            Deed::Get => book.len() != 0,
            Deed::Close => true,
        };
        is_ready || book.closed
    }

    /// Whether it may hold a lock that `other` needs.
    pub(super) fn may_hold_up(&self, other: &Call) -> bool {
        let shares = self.deed == other.deed || [self.deed, other.deed].contains(&Deed::Close);
        self.stopped && shares && !FREE.contains(&self.at)
    }

    /// Enters into the book what this call has done, as the ring shows it.
    pub(super) fn enter(&mut self, book: &mut Book, len: usize, closed: bool) {
        let before = book.len();
        match self.deed {
            Deed::Put if len > before => {
                let put = len - before;
                assert!(put <= self.written, "published before it was written");
                for record in self.records.drain(..put) {
                    book.put(record);
                }
                self.written -= put;
                self.done += put;
            }
            Deed::Get if len < before => {
                assert_eq!(before - len, self.shown.len(), "took what it did not see");
                for record in self.shown.drain(..) {
                    assert_eq!(Some(&record), book.take().as_ref(), "not what was put");
                    self.done += 1;
                }
            }
            Deed::Close => book.closed |= closed,
            _ => {}
        }
        assert_eq!((len, closed), (book.len(), book.closed), "{:?}", self.deed);
    }
}
