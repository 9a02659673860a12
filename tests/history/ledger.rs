//! What all write down, in plain words beside the queue: which messages were put, and which have arrived.

use std::{ops::Range, sync::atomic::Ordering::SeqCst};

use multiproc::AtomicArray;
use serde::{Deserialize, Serialize};

/// How many producers there are at a time, and how many consumers.
pub const EACH: u64 = 3;

/// Which producer, and the how many-eth of all that were put in its place.
pub type Message = [u64; 2];

// What a producer has put, and up to where it is putting: in between is what nobody knows once it is dead.
const PUT: usize = 0;
const PUTTING: usize = EACH as usize;
/// How many messages a consumer asks for and has not written down.
const IN_HAND: usize = 2 * EACH as usize;
const ARRIVED: usize = 3 * EACH as usize;
const TWICE: usize = ARRIVED + 1;
const OUT_OF_ORDER: usize = ARRIVED + 2;
const WORDS: usize = ARRIVED + 3;

#[derive(Clone, Serialize, Deserialize)]
pub struct Ledger {
    /// How many messages each producer puts.
    pub each: u64,
    words: AtomicArray<u64>,
    /// A bit for each message.
    arrivals: AtomicArray<u64>,
}

impl Ledger {
    pub fn new(each: u64) -> Ledger {
        let bits = (EACH * each).div_ceil(64).max(1);
        Ledger {
            each,
            words: AtomicArray::zeroed(WORDS).unwrap(),
            arrivals: AtomicArray::zeroed(bits as usize).unwrap(),
        }
    }

    fn word(&self, at: usize) -> u64 {
        self.words[at].load(SeqCst)
    }

    /// How many messages were put, or may have been, in the place of a producer.
    pub fn put(&self, producer: u64) -> u64 {
        self.word(PUT + producer as usize)
    }

    /// Notes that a producer puts its messages up to this one, while it does `put`.
    pub fn putting(&self, producer: u64, end: u64, put: impl FnOnce()) {
        self.words[PUTTING + producer as usize].store(end, SeqCst);
        put();
        self.words[PUT + producer as usize].store(end, SeqCst);
    }

    /// The producer is dead: what nobody knows whether it was put. Its successor goes on behind that.
    pub fn bury_producer(&self, producer: u64) -> Range<u64> {
        let (put, putting) = (self.put(producer), self.word(PUTTING + producer as usize));
        let end = put.max(putting);
        self.words[PUT + producer as usize].store(end, SeqCst);
        put..end
    }

    /// Notes that a consumer has up to so many messages in hand, while it takes them and notes that they arrived.
    pub fn having(&self, consumer: u64, most: u64, take: impl FnOnce()) {
        let word = &self.words[IN_HAND + consumer as usize];
        word.store(most, SeqCst);
        take();
        word.store(0, SeqCst);
    }

    /// The consumer is dead: how many messages it can have taken along.
    pub fn bury_consumer(&self, consumer: u64) -> u64 {
        self.words[IN_HAND + consumer as usize].swap(0, SeqCst)
    }

    fn bit(&self, [producer, which]: Message) -> (usize, u64) {
        let number = producer * self.each + which;
        ((number / 64) as usize, 1 << (number % 64))
    }

    /// A message has arrived; `earlier` is the one of the same producer that arrived here before it.
    pub fn arrived(&self, message: Message, earlier: Option<u64>) {
        let [producer, which] = message;
        assert!(
            producer < EACH && which < self.each,
            "nobody put {message:?}"
        );
        let (at, bit) = self.bit(message);
        let before = self.arrivals[at].fetch_or(bit, SeqCst);
        let count = if before & bit == 0 { ARRIVED } else { TWICE };
        self.words[count].fetch_add(1, SeqCst);
        if earlier >= Some(which) {
            self.words[OUT_OF_ORDER].fetch_add(1, SeqCst);
        }
    }

    pub fn has_arrived(&self, message: Message) -> bool {
        let (at, bit) = self.bit(message);
        self.arrivals[at].load(SeqCst) & bit != 0
    }

    /// How many messages have arrived.
    pub fn count(&self) -> u64 {
        self.arrivals
            .iter()
            .map(|word| u64::from(word.load(SeqCst).count_ones()))
            .sum()
    }

    /// About how many have arrived: for who looks on.
    pub fn progress(&self) -> u64 {
        self.word(ARRIVED)
    }

    pub fn twice(&self) -> u64 {
        self.word(TWICE)
    }

    pub fn out_of_order(&self) -> u64 {
        self.word(OUT_OF_ORDER)
    }
}
