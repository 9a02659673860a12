//! A layout that is the words of a protocol and, behind them, one element: how most layouts get to their place.

use core::{marker::PhantomData, ptr::NonNull};

use crate::{
    element::Element,
    error::{LayoutError, Shape},
    header::{HEADER_LEN, Header, Kind, Spec},
    origin::Origin,
    region::Region,
};

/// The words of a protocol, as they lie in shared memory.
///
/// # Safety
///
/// The type is `#[repr(C)]` and consists of atomics alone: any bytes are valid for it.
pub(crate) unsafe trait Words: Sized {
    const KIND: Kind;

    /// Deals with what owners held when all of them are known to be dead, and nobody else has the memory open.
    fn bury(&self);
}

/// Where the words and the element of a layout are: behind the header, the words first, so that both share a cache
/// line when they are small.
pub(crate) struct Placed<'m, W, T> {
    pub words: &'m W,
    pub data: NonNull<T>,
    _mapping: PhantomData<&'m ()>,
}

impl<'m, W: Words, T: Element> Placed<'m, W, T> {
    const WORDS_AT: usize = {
        assert!(align_of::<W>() <= HEADER_LEN);
        HEADER_LEN
    };
    const DATA_AT: usize = (Self::WORDS_AT + size_of::<W>()).next_multiple_of(align_of::<T>());

    fn spec() -> Spec {
        Spec::new::<T>(W::KIND, Shape::default(), Self::DATA_AT, size_of::<T>())
    }

    /// How many bytes the layout takes, header included.
    pub fn required_len() -> usize {
        Self::spec().total()
    }

    /// Writes the layout: `init` sets every word.
    ///
    /// # Safety
    ///
    /// No process uses a layout that overlaps `region`.
    pub unsafe fn place(
        region: &Region<'m>,
        origin: Origin,
        value: T,
        init: impl FnOnce(&W),
    ) -> Result<Self, LayoutError> {
        let header = Header::write(region, &Self::spec(), origin)?;
        let placed = Placed::view(region)?;
        init(placed.words);
        // SAFETY: in the region and aligned (checked by `view`); nobody else looks before `publish`.
        unsafe { placed.data.write(value) };
        header.publish();
        Ok(placed)
    }

    /// Finds the layout that somebody has placed in `region`.
    pub fn attach(region: &Region<'m>, origin: Origin) -> Result<Self, LayoutError> {
        Header::check::<T>(region, W::KIND, Some(origin), |_| Ok(Self::spec()))?;
        Placed::view(region)
    }

    /// Declares every process that ever had it open dead.
    ///
    /// # Safety
    ///
    /// Nobody else has the memory open.
    pub unsafe fn bury(region: &Region<'m>, origin: Origin) -> Result<(), LayoutError> {
        let (header, _) = Header::check::<T>(region, W::KIND, None, |_| Ok(Self::spec()))?;
        Self::view(region)?.words.bury();
        header.adopt(origin);
        Ok(())
    }

    fn view(region: &Region<'m>) -> Result<Self, LayoutError> {
        let too_short = LayoutError::TooShort {
            expected: Self::required_len() as u64,
            found: region.len() as u64,
        };
        // SAFETY: `Words` are atomics alone.
        let words = unsafe { region.words(Self::WORDS_AT) }.ok_or(too_short)?;
        let data = region.at(Self::DATA_AT, size_of::<T>()).ok_or(too_short)?;
        Ok(Placed {
            words,
            data,
            _mapping: PhantomData,
        })
    }
}
