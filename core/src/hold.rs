//! A claim for as long as a guard lives: what the guards over a table of holders are made of.

use core::marker::PhantomData;

use crate::{
    holders::{Claim, Held, Holders, Rule},
    lock::Refused,
    os::Os,
};

/// What is held together: a table, and the system to wait with.
pub(crate) trait Table {
    type Os: Os;

    fn holders(&self) -> &Holders;

    fn os(&self) -> &Self::Os;
}

/// A claim of this thread; dropping it gives the claim back, except in a fork child, which holds nothing.
pub(crate) struct Hold<'a, C: Table> {
    table: &'a C,
    held: Option<Held>,
    /// Whether the thread was unwinding when it made the claim.
    panicking: bool,
    _one_thread: PhantomData<*mut ()>,
}

impl<'a, C: Table> Hold<'a, C> {
    /// Claims `want`, waiting until `until`.
    #[inline]
    pub fn acquire(
        table: &'a C,
        want: Claim,
        rule: &impl Rule,
        until: u64,
    ) -> Result<Hold<'a, C>, Refused> {
        let held = table.holders().acquire(table.os(), want, rule, until)?;
        table.os().guard_made();
        Ok(Hold {
            held: Some(held),
            ..Hold::nothing(table)
        })
    }

    /// A claim of nothing, which is always to be had.
    #[inline]
    pub fn nothing(table: &'a C) -> Hold<'a, C> {
        Hold {
            table,
            held: None,
            panicking: table.os().panicking(),
            _one_thread: PhantomData,
        }
    }

    #[inline]
    pub fn table(&self) -> &'a C {
        self.table
    }

    /// Whether this process holds it; not so for nothing, nor in a fork child of the holder.
    pub fn is_mine(&self) -> bool {
        self.held
            .is_some_and(|held| self.table.os().is_me(held.owner()))
    }

    /// Whether the thread began to unwind since it made the claim.
    #[inline]
    pub fn is_unwinding(&self) -> bool {
        self.table.os().panicking() && !self.panicking
    }

    /// Makes it a shared claim, and lets in whoever waits for one.
    pub fn downgrade(&self) {
        if let Some(held) = self.held {
            // Refused only where foreign bytes have got into the table: then it stays exclusive, which is more than was
            // asked for, and is given back all the same.
            let _ = self.table.holders().downgrade(self.table.os(), held);
        }
    }

    /// Never gives it back: it stays claimed until this process ends.
    pub fn keep(&mut self) {
        self.held = None;
    }
}

impl<C: Table> Drop for Hold<'_, C> {
    #[inline]
    fn drop(&mut self) {
        if let Some(held) = self.held
            && self.table.holders().release(self.table.os(), held)
        {
            self.table.os().guard_dropped();
        }
    }
}
