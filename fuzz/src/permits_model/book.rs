//! The model: how many permits there are, and who has how many.

use std::collections::{HashMap, HashSet};

use super::Deed;

/// How many processes can hold permits at once.
const HOLDERS: usize = 256;

pub(super) struct Book {
    /// How many there are, held or free.
    pub(super) total: u32,
    /// How many there can be.
    pub(super) most: u32,
    /// What each living process has, if it has any.
    held: HashMap<u32, u32>,
    /// What they have together.
    all: u32,
    dead: HashSet<u32>,
}

impl Book {
    pub(super) fn new(total: u32, most: u32) -> Book {
        Book {
            total,
            most,
            held: HashMap::new(),
            all: 0,
            dead: HashSet::new(),
        }
    }

    pub(super) fn is_dead(&self, process: u32) -> bool {
        self.dead.contains(&process)
    }

    pub(super) fn anybody_died(&self) -> bool {
        !self.dead.is_empty()
    }

    /// How many the living hold.
    pub(super) fn held(&self) -> u32 {
        self.all
    }

    pub(super) fn free(&self) -> u32 {
        let held = self.held();
        self.total
            .checked_sub(held)
            .expect("more are held than there are")
    }

    /// Whether so many are free for this process, and a row to note them in.
    pub(super) fn could_take(&self, process: u32, count: u32) -> bool {
        let has_row = self.held.contains_key(&process) || self.held.len() < HOLDERS;
        count == 0 || count <= self.free() && has_row
    }

    pub(super) fn took(&mut self, process: u32, count: u32) {
        assert!(
            self.could_take(process, count),
            "{count} of {}",
            self.free()
        );
        if count != 0 {
            *self.held.entry(process).or_default() += count;
            self.all += count;
        }
    }

    /// Of `count` that came back, `forgotten` are no more.
    pub(super) fn gave_back(&mut self, process: u32, count: u32, forgotten: u32) {
        if let Some(held) = self.held.get_mut(&process) {
            *held -= count;
            self.all -= count;
            if *held == 0 {
                self.held.remove(&process);
            }
        }
        self.total -= forgotten;
    }

    pub(super) fn released(&mut self, count: u32) {
        self.total += count;
        assert!(self.total <= self.most);
    }

    /// Somebody is about to die in a `deed`, which has happened or not, as the `total` that was found says.
    pub(super) fn adopt(&mut self, total: u32, deed: Option<Deed>) {
        let after = match deed {
            Some(Deed::Release(count)) => self.total.saturating_add(count),
            Some(Deed::Forget(count)) => self.total - count,
            _ => self.total,
        };
        assert!([self.total, after].contains(&total), "{deed:?}: {total}");
        self.total = total;
    }

    pub(super) fn died(&mut self, process: u32) {
        self.all -= self.held.remove(&process).unwrap_or(0);
        self.dead.insert(process);
    }
}
