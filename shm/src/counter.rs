//! `Counter` and `ShardedCounter` in a segment.

use std::fmt;

use multiproc_core::{self as core_, LayoutError, Origin, Region};

use crate::{
    error::Error,
    mapped::{Mapped, View, shared_object},
    read_only::ReadOnly,
    segment::{Access, Create, Open},
    sys,
};

/// A `u64` that any number of processes add to; every call is one atomic instruction.
///
/// ```
/// # multiproc::init();
/// let done = multiproc::Counter::new(0)?;
/// done.add(3);
/// assert_eq!(done.get(), 3);
/// # Ok::<(), multiproc::Error>(())
/// ```
pub struct Counter(Mapped<core_::Counter<'static>>);

impl View for core_::Counter<'static> {
    fn attach(region: Region<'static>, _: Origin) -> Result<Self, LayoutError> {
        core_::Counter::attach(region)
    }

    fn bury(region: Region<'_>, _: Origin) -> Result<(), LayoutError> {
        // Nobody owns anything in a counter; it need only be one.
        core_::Counter::attach(region).map(drop)
    }
}

shared_object!(Counter);

impl Counter {
    /// A counter that starts at `start`, in an anonymous segment.
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn new(start: u64) -> Result<Counter, Error> {
        Counter::create(Create::anonymous(), start)
    }

    /// A counter that starts at `start`, where `create` says.
    ///
    /// A name goes with its maker, unless [`Create::persist`] says that it stays.
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn create(create: impl Into<Create>, start: u64) -> Result<Counter, Error> {
        let len = core_::Counter::required_len();
        Mapped::create(create.into(), len, |region, origin| {
            // SAFETY: a new segment, which nobody else sees yet.
            unsafe { core_::Counter::place(region, origin, start) }.map(drop)
        })
        .map(Counter)
    }

    /// The counter that somebody made there.
    ///
    /// # Errors
    ///
    /// [`Error`] when there is none.
    pub fn open(open: impl Into<Open>) -> Result<Counter, Error> {
        Mapped::open(open.into(), Access::ReadWrite).map(Counter)
    }

    /// The counter that somebody made there, for reading only.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_read_only(open: impl Into<Open>) -> Result<ReadOnly<Counter>, Error> {
        let mapped = Mapped::open(open.into(), Access::ReadOnly)?;
        Ok(ReadOnly::new(Counter(mapped)))
    }

    /// A handle to the same memory that cannot change it, mapped anew.
    ///
    /// # Errors
    ///
    /// [`Error`] when it cannot be mapped.
    pub fn read_only(&self) -> Result<ReadOnly<Counter>, Error> {
        Ok(ReadOnly::new(Counter(self.0.read_only()?)))
    }

    /// Adds `n`, wrapping around, and returns the value before.
    #[inline]
    pub fn add(&self, n: u64) -> u64 {
        self.0.view().add(n)
    }

    /// Subtracts `n`, wrapping around, and returns the value before.
    #[inline]
    pub fn sub(&self, n: u64) -> u64 {
        self.0.view().sub(n)
    }

    /// The value at this moment.
    #[inline]
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.view().get()
    }

    /// Makes `value` the value and returns the one before.
    #[inline]
    pub fn replace(&self, value: u64) -> u64 {
        self.0.view().replace(value)
    }
}

impl ReadOnly<Counter> {
    /// The value at this moment.
    #[inline]
    #[must_use]
    pub fn get(&self) -> u64 {
        self.object().get()
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counter")
            .field("value", &self.get())
            .field("segment", self.segment())
            .finish()
    }
}

/// A `u64` spread over a shard for each processor, so that processes add to it without disturbing each other.
///
/// Adding costs half of what a [`Counter`] costs when two processes do nothing else; reading costs a load for each
/// shard, and the memory is 128 bytes for each.
pub struct ShardedCounter(Mapped<core_::ShardedCounter<'static>>);

impl View for core_::ShardedCounter<'static> {
    fn attach(region: Region<'static>, _: Origin) -> Result<Self, LayoutError> {
        core_::ShardedCounter::attach(region)
    }

    fn bury(region: Region<'_>, _: Origin) -> Result<(), LayoutError> {
        // Nobody owns anything in a counter; it need only be one.
        core_::ShardedCounter::attach(region).map(drop)
    }
}

shared_object!(ShardedCounter);

impl ShardedCounter {
    /// A counter at 0 with a shard for each processor, in an anonymous segment.
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn new() -> Result<ShardedCounter, Error> {
        ShardedCounter::create(Create::anonymous())
    }

    /// A counter at 0 with a shard for each processor, where `create` says.
    ///
    /// A name goes with its maker, unless [`Create::persist`] says that it stays.
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn create(create: impl Into<Create>) -> Result<ShardedCounter, Error> {
        // Of the whole machine: whoever adds may run elsewhere than whoever made the counter.
        let shards = sys::processors().next_power_of_two().min(core_::MAX_SHARDS);
        let len = core_::ShardedCounter::required_len(shards)?;
        Mapped::create(create.into(), len, |region, origin| {
            // SAFETY: a new segment, which nobody else sees yet.
            unsafe { core_::ShardedCounter::place(region, origin, shards) }.map(drop)
        })
        .map(ShardedCounter)
    }

    /// The counter that somebody made there.
    ///
    /// # Errors
    ///
    /// [`Error`] when there is none.
    pub fn open(open: impl Into<Open>) -> Result<ShardedCounter, Error> {
        Mapped::open(open.into(), Access::ReadWrite).map(ShardedCounter)
    }

    /// The counter that somebody made there, for reading only.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_read_only(open: impl Into<Open>) -> Result<ReadOnly<ShardedCounter>, Error> {
        let mapped = Mapped::open(open.into(), Access::ReadOnly)?;
        Ok(ReadOnly::new(ShardedCounter(mapped)))
    }

    /// A handle to the same memory that cannot change it, mapped anew.
    ///
    /// # Errors
    ///
    /// [`Error`] when it cannot be mapped.
    pub fn read_only(&self) -> Result<ReadOnly<ShardedCounter>, Error> {
        Ok(ReadOnly::new(ShardedCounter(self.0.read_only()?)))
    }

    /// Adds `n`, wrapping around, to the shard of the processor that the caller runs on.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.view().add(sys::processor(), n);
    }

    /// The sum of all shards. Taken while others add, it lies between the values before and after those additions.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.view().get()
    }

    /// Takes what has been counted so far out of the counter and returns it; no addition is lost or taken twice.
    pub fn take(&self) -> u64 {
        self.0.view().take()
    }
}

impl ReadOnly<ShardedCounter> {
    /// The sum of all shards.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.object().get()
    }
}

impl fmt::Debug for ShardedCounter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardedCounter")
            .field("sum", &self.get())
            .field("shards", &self.0.view().shards())
            .field("segment", self.segment())
            .finish()
    }
}
