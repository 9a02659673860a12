//! The model: a queue of records, and how many units they take.

use std::collections::VecDeque;

pub(super) struct Book {
    /// How many units the ring has: a power of two.
    units: u32,
    /// The records in the ring, each with the position behind it.
    records: VecDeque<(Vec<u8>, u32)>,
    /// How many units were ever taken, and put, modulo 2^32.
    head: u32,
    tail: u32,
    pub(super) closed: bool,
    /// Somebody may have closed it without having told those who put.
    pub(super) half_closed: bool,
}

impl Book {
    /// An empty ring, in which so many units were put and taken before.
    pub(super) fn new(units: u32, start: u32) -> Book {
        Book {
            units,
            records: VecDeque::new(),
            head: start,
            tail: start,
            closed: false,
            half_closed: false,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// How many bytes the longest record may have.
    pub(super) fn max_len(&self) -> usize {
        self.units as usize * 4 - 8
    }

    /// How many units a record of `len` bytes takes now, with those that stay empty because it lies in one piece.
    fn need(&self, len: usize) -> u32 {
        let whole = 1 + len.div_ceil(8) as u32;
        let to_end = self.units - self.tail % self.units;
        if whole > to_end {
            whole + to_end
        } else {
            whole
        }
    }

    /// Whether there is room for a record of `len` bytes.
    pub(super) fn has_room(&self, len: usize) -> bool {
        let used = self.tail.wrapping_sub(self.head);
        let fits = used + self.need(len) <= self.units;
        assert!(used != 0 || fits, "in an empty ring there is room");
        fits
    }

    pub(super) fn put(&mut self, record: Vec<u8>) {
        assert!(!self.closed, "put after the ring was closed");
        assert!(record.len() <= self.max_len(), "a record that is too long");
        assert!(self.has_room(record.len()), "where there is no room");
        self.tail = self.tail.wrapping_add(self.need(record.len()));
        self.records.push_back((record, self.tail));
    }

    /// The record that is next, which is in the ring no longer.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        let (record, end) = self.records.pop_front()?;
        self.head = end;
        Some(record)
    }
}
