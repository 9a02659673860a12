//! Where a ring lies in memory: header, the words of the ring, what else its kind needs, data.
//!
//! ```text
//!    0  header                 512 bytes; its shape is the number of units of 8 bytes, its dtype what records are made of
//!  512  words of the ring      512 bytes
//! 1024  words of the kind      none, or up to 3072 bytes; those of a task ring more
//!       data                   units of 8 bytes
//! ```

use core::mem::size_of;

use crate::{
    atomic::AtomicU64,
    element::Element,
    error::{LayoutError, Shape},
    header::{HEADER_LEN, Header, Kind, Spec},
    origin::Origin,
    region::Region,
    ring_words::{MAX_UNITS, RingWords},
};

const WORDS_AT: usize = HEADER_LEN;
const KIND_WORDS_AT: usize = WORDS_AT + size_of::<RingWords>();

/// The words that a kind of ring has beside those of the ring.
///
/// # Safety
///
/// The type is `#[repr(C)]` and consists of atomics alone, or of nothing: any bytes are valid for it.
pub(crate) unsafe trait KindWords: Sized {
    const KIND: Kind;

    /// How many bytes they take at most: with those before them, a page.
    const ROOM: usize = 4096 - KIND_WORDS_AT;

    /// Makes them those of a new ring, in memory that nobody else sees yet.
    fn reset(&self);

    /// Deals with what owners had when all of them are known to be dead, and nobody else has the memory open.
    fn bury(&self);
}

/// Where the parts of a ring are.
pub(crate) struct RingPlace<'m, W> {
    pub words: &'m RingWords,
    pub kind: &'m W,
    pub data: &'m [AtomicU64],
}

impl<'m, W: KindWords> RingPlace<'m, W> {
    const DATA_AT: usize = {
        let at = (KIND_WORDS_AT + size_of::<W>()).next_multiple_of(128);
        assert!(cfg!(loom) || size_of::<W>() <= W::ROOM);
        at
    };

    /// The layout of a ring for at least `capacity` bytes: records take 8 more than their own, rounded up to 8.
    pub fn spec<T: Element>(capacity: usize) -> Result<Spec, LayoutError> {
        let too_large = LayoutError::RingTooLarge {
            bytes: capacity as u64,
            limit: u64::from(MAX_UNITS) * size_of::<AtomicU64>() as u64,
        };
        let units = capacity
            .div_ceil(8)
            .max(8)
            .checked_next_power_of_two()
            .filter(|units| *units <= MAX_UNITS as usize)
            .ok_or(too_large)?;
        Ok(Spec::new::<T>(
            W::KIND,
            Shape::new(&[units])?,
            Self::DATA_AT,
            units * size_of::<AtomicU64>(),
        ))
    }

    /// Writes the layout of an empty ring.
    ///
    /// # Safety
    ///
    /// No process uses a layout that overlaps `region`.
    pub unsafe fn place<T: Element>(
        region: &Region<'m>,
        origin: Origin,
        capacity: usize,
    ) -> Result<Self, LayoutError> {
        let spec = Self::spec::<T>(capacity)?;
        let header = Header::write(region, &spec, origin)?;
        let place = Self::view(region, &spec)?;
        place.words.reset();
        place.kind.reset();
        header.publish();
        Ok(place)
    }

    /// Finds the ring that somebody has placed in `region`.
    pub fn attach<T: Element>(region: &Region<'m>, origin: Origin) -> Result<Self, LayoutError> {
        let (_, spec) = Self::check::<T>(region, Some(origin))?;
        Self::view(region, &spec)
    }

    /// Declares every process that ever had it open dead: its locks are free, its records stay.
    ///
    /// # Safety
    ///
    /// Nobody else has the memory open.
    pub unsafe fn bury<T: Element>(region: &Region<'m>, origin: Origin) -> Result<(), LayoutError> {
        let (header, spec) = Self::check::<T>(region, None)?;
        let place = Self::view(region, &spec)?;
        place.words.producers.lock.reset();
        place.words.consumers.lock.reset();
        place.kind.bury();
        header.adopt(origin);
        Ok(())
    }

    fn check<T: Element>(
        region: &Region<'m>,
        origin: Option<Origin>,
    ) -> Result<(&'m Header, Spec), LayoutError> {
        let expect = |shape: Shape| {
            let units = shape.elements().unwrap_or(u64::MAX);
            let bytes = usize::try_from(units)
                .unwrap_or(usize::MAX)
                .saturating_mul(8);
            Self::spec::<T>(bytes)
        };
        Header::check::<T>(region, W::KIND, origin, expect)
    }

    fn view(region: &Region<'m>, spec: &Spec) -> Result<Self, LayoutError> {
        let too_short = LayoutError::TooShort {
            expected: spec.total() as u64,
            found: region.len() as u64,
        };
        // SAFETY: `RingWords` are atomics alone.
        let words = unsafe { region.words(WORDS_AT) }.ok_or(too_short)?;
        // SAFETY: so are those of each kind.
        let kind = unsafe { region.words(KIND_WORDS_AT) }.ok_or(too_short)?;
        let units = spec.data_len / size_of::<AtomicU64>();
        // SAFETY: the data are reached as atomics, and by the copies of `records`, whom the protocol keeps apart.
        let data = unsafe { region.word_slice(Self::DATA_AT, units) }.ok_or(too_short)?;
        Ok(RingPlace { words, kind, data })
    }
}
