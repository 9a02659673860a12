//! An item of a joinable queue, until it is done.

use std::{
    fmt,
    mem::ManuallyDrop,
    ops::{Deref, DerefMut},
    thread,
};

use multiproc_core::InHand;

use super::joinable::JoinableQueue;
use crate::message::{Format, Serde};

/// An item that was taken from a [`JoinableQueue`]. Dropping it says that it is done.
///
/// An item whose process is killed, or that is dropped by a panic, is not done but lost, and whoever joins the queue is told.
/// It belongs to the process that took it: a copy in a fork child says nothing.
#[must_use = "dropping it says that the item is done"]
pub struct Item<'a, T, F: Format<T> = Serde> {
    item: ManuallyDrop<T>,
    in_hand: ManuallyDrop<InHand>,
    queue: &'a JoinableQueue<T, F>,
    /// Whether the thread was unwinding when it took the item.
    panicking: bool,
}

impl<'a, T, F: Format<T>> Item<'a, T, F> {
    pub(super) fn new(item: T, in_hand: InHand, queue: &'a JoinableQueue<T, F>) -> Self {
        Item {
            item: ManuallyDrop::new(item),
            in_hand: ManuallyDrop::new(in_hand),
            queue,
            panicking: thread::panicking(),
        }
    }

    /// Says that it is done; as dropping it.
    pub fn done(self) {
        drop(self);
    }

    /// Says that it is done, and gives it out of the guard.
    #[must_use]
    pub fn into_inner(self) -> T {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: taken once: `this` is never dropped.
        let item = unsafe { ManuallyDrop::take(&mut this.item) };
        // SAFETY: likewise.
        let in_hand = unsafe { ManuallyDrop::take(&mut this.in_hand) };
        this.queue.view().done(in_hand);
        item
    }

    /// Says that it will never be done: it counts as lost.
    pub fn give_up(self) {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: taken once: `this` is never dropped.
        let in_hand = unsafe { ManuallyDrop::take(&mut this.in_hand) };
        this.queue.view().give_up(in_hand);
        // SAFETY: dropped once, likewise.
        unsafe { ManuallyDrop::drop(&mut this.item) };
    }
}

impl<T, F: Format<T>> Drop for Item<'_, T, F> {
    fn drop(&mut self) {
        // SAFETY: taken once, here.
        let in_hand = unsafe { ManuallyDrop::take(&mut self.in_hand) };
        // A panic of the item's own drop gives it up.
        let taken = Taken::new(in_hand, self.queue);
        // SAFETY: dropped once, here.
        unsafe { ManuallyDrop::drop(&mut self.item) };
        if !thread::panicking() || self.panicking {
            self.queue.view().done(taken.keep());
        }
    }
}

/// A record in hand, which is given up unless it is kept.
pub(super) struct Taken<'a, T, F: Format<T>>(Option<InHand>, &'a JoinableQueue<T, F>);

impl<'a, T, F: Format<T>> Taken<'a, T, F> {
    pub fn new(in_hand: InHand, queue: &'a JoinableQueue<T, F>) -> Self {
        Taken(Some(in_hand), queue)
    }

    pub fn keep(mut self) -> InHand {
        let Some(in_hand) = self.0.take() else {
            unreachable!("kept once")
        };
        in_hand
    }
}

impl<T, F: Format<T>> Drop for Taken<'_, T, F> {
    fn drop(&mut self) {
        if let Some(in_hand) = self.0.take() {
            self.1.view().give_up(in_hand);
        }
    }
}

impl<T, F: Format<T>> Deref for Item<'_, T, F> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.item
    }
}

impl<T, F: Format<T>> DerefMut for Item<'_, T, F> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.item
    }
}

impl<T: fmt::Debug, F: Format<T>> fmt::Debug for Item<'_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Item").field(&*self.item).finish()
    }
}

impl<T: fmt::Display, F: Format<T>> fmt::Display for Item<'_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.item.fmt(f)
    }
}
