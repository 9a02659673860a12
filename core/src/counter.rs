//! `Counter` and `ShardedCounter`: numbers that many processes add to, wait-free, with nothing to recover.

use core::fmt;

use crate::{
    atomic::{AtomicU64, Ordering},
    error::{LayoutError, Shape},
    header::{HEADER_LEN, Header, Kind, Spec},
    origin::Origin,
    region::Region,
};

/// A `u64` that any number of processes add to.
///
/// Every call is one atomic instruction on one word, so a process may be killed at any moment: its last addition has
/// happened or it has not. Additions wrap around. The word orders no other memory.
#[derive(Clone, Copy)]
pub struct Counter<'m> {
    word: &'m AtomicU64,
}

impl<'m> Counter<'m> {
    fn spec() -> Spec {
        Spec::new::<u64>(Kind::Counter, Shape::default(), HEADER_LEN, 8)
    }

    /// How many bytes it takes.
    #[must_use]
    pub fn required_len() -> usize {
        Self::spec().total()
    }

    /// Places a counter in fresh memory.
    ///
    /// # Errors
    ///
    /// [`LayoutError::TooShort`] when the memory is shorter than [`required_len`](Self::required_len).
    ///
    /// # Safety
    ///
    /// No process uses a layout that overlaps `region`.
    pub unsafe fn place(
        region: Region<'m>,
        origin: Origin,
        start: u64,
    ) -> Result<Self, LayoutError> {
        let header = Header::write(&region, &Self::spec(), origin)?;
        let counter = Counter::view(&region)?;
        counter.word.store(start, Ordering::Relaxed);
        header.publish();
        Ok(counter)
    }

    /// The counter that somebody placed in `region`. Nobody owns anything in it, so its origin does not matter.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] when the bytes do not hold a counter.
    pub fn attach(region: Region<'m>) -> Result<Self, LayoutError> {
        Header::check::<u64>(&region, Kind::Counter, None, |_| Ok(Self::spec()))?;
        Counter::view(&region)
    }

    fn view(region: &Region<'m>) -> Result<Self, LayoutError> {
        // SAFETY: the word is only ever reached as an atomic.
        match unsafe { region.words(HEADER_LEN) } {
            Some(word) => Ok(Counter { word }),
            None => Err(LayoutError::TooShort {
                expected: Self::required_len() as u64,
                found: region.len() as u64,
            }),
        }
    }

    // Relaxed throughout: one word, and no other memory is read on the strength of it.

    /// Adds `n` and returns the value before.
    #[inline]
    pub fn add(&self, n: u64) -> u64 {
        self.word.fetch_add(n, Ordering::Relaxed)
    }

    /// Subtracts `n` and returns the value before.
    #[inline]
    pub fn sub(&self, n: u64) -> u64 {
        self.word.fetch_sub(n, Ordering::Relaxed)
    }

    /// The value at this moment.
    #[inline]
    #[must_use]
    pub fn get(&self) -> u64 {
        self.word.load(Ordering::Relaxed)
    }

    /// Makes `value` the value and returns the one before.
    #[inline]
    pub fn replace(&self, value: u64) -> u64 {
        self.word.swap(value, Ordering::Relaxed)
    }
}

impl fmt::Debug for Counter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Counter").field(&self.get()).finish()
    }
}

/// The distance between shards in bytes: each is alone on its pair of cache lines.
const SHARD_LEN: usize = 128;

/// The most shards a counter can have.
pub const MAX_SHARDS: usize = 4096;

/// A `u64` spread over several cache lines, so that processes on different processors add to it without disturbing
/// each other. Reading it adds the shards up.
///
/// A sum taken while others add lies between the values before and after those additions.
#[derive(Clone, Copy)]
pub struct ShardedCounter<'m> {
    shards: &'m [AtomicU64],
    /// One less than the number of shards, which is a power of two.
    mask: usize,
}

impl<'m> ShardedCounter<'m> {
    fn spec(shape: Shape) -> Result<Spec, LayoutError> {
        let impossible = |found| LayoutError::Impossible {
            what: "number of shards",
            found,
        };
        let &[shards] = shape.dims() else {
            return Err(impossible(shape.elements().unwrap_or(u64::MAX)));
        };
        if !shards.is_power_of_two() || shards > MAX_SHARDS as u64 {
            return Err(impossible(shards));
        }
        let len = shards as usize * SHARD_LEN;
        Ok(Spec::new::<u64>(
            Kind::ShardedCounter,
            shape,
            HEADER_LEN,
            len,
        ))
    }

    /// How many bytes a counter of this many shards takes.
    ///
    /// # Errors
    ///
    /// [`LayoutError::Impossible`] unless `shards` is a power of two up to [`MAX_SHARDS`].
    pub fn required_len(shards: usize) -> Result<usize, LayoutError> {
        Ok(Self::spec(Shape::new(&[shards])?)?.total())
    }

    /// Places a counter of this many shards, all 0, in fresh memory.
    ///
    /// # Errors
    ///
    /// As [`required_len`](Self::required_len), and [`LayoutError::TooShort`].
    ///
    /// # Safety
    ///
    /// No process uses a layout that overlaps `region`.
    pub unsafe fn place(
        region: Region<'m>,
        origin: Origin,
        shards: usize,
    ) -> Result<Self, LayoutError> {
        let spec = Self::spec(Shape::new(&[shards])?)?;
        let header = Header::write(&region, &spec, origin)?;
        let counter = Self::view(&region, &spec)?;
        for word in counter.words() {
            word.store(0, Ordering::Relaxed);
        }
        header.publish();
        Ok(counter)
    }

    /// The counter that somebody placed in `region`. Nobody owns anything in it, so its origin does not matter.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] when the bytes do not hold a sharded counter.
    pub fn attach(region: Region<'m>) -> Result<Self, LayoutError> {
        let (_, spec) = Header::check::<u64>(&region, Kind::ShardedCounter, None, Self::spec)?;
        Self::view(&region, &spec)
    }

    fn view(region: &Region<'m>, spec: &Spec) -> Result<Self, LayoutError> {
        // SAFETY: the shards are only ever reached as atomics.
        let shards = unsafe { region.word_slice(HEADER_LEN, spec.data_len / 8) }.ok_or(
            LayoutError::TooShort {
                expected: spec.total() as u64,
                found: region.len() as u64,
            },
        )?;
        Ok(ShardedCounter {
            shards,
            mask: spec.data_len / SHARD_LEN - 1,
        })
    }

    fn words(&self) -> impl Iterator<Item = &AtomicU64> {
        self.shards.iter().step_by(SHARD_LEN / 8)
    }

    /// How many shards there are.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.mask + 1
    }

    /// Adds `n` to the shard that `slot` falls on; the number of the processor the caller runs on is a good slot.
    #[inline]
    pub fn add(&self, slot: usize, n: u64) {
        // Relaxed, as in `Counter`.
        let shard = (slot & self.mask) * (SHARD_LEN / 8);
        self.shards[shard].fetch_add(n, Ordering::Relaxed);
    }

    /// The sum of all shards.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.words()
            .map(|word| word.load(Ordering::Relaxed))
            .fold(0, u64::wrapping_add)
    }

    /// Takes what has been counted so far out of the counter and returns it. Every addition is in the result or
    /// stays in the counter, never both.
    pub fn take(&self) -> u64 {
        self.words()
            .map(|word| word.swap(0, Ordering::Relaxed))
            .fold(0, u64::wrapping_add)
    }
}

impl fmt::Debug for ShardedCounter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardedCounter")
            .field("sum", &self.get())
            .field("shards", &self.shards())
            .finish()
    }
}
