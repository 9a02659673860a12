//! The ring of a queue: how it is found in a segment, and how items are put into it and taken from it.

use multiproc_core::{ByteRing, Element, FOREVER, LayoutError, Origin, Region, RingError};

use crate::{
    mapped::{Mapped, View},
    message::{GetRecords, PutRecords, Side},
    readiness::Source,
    sys::Linux,
};

/// A ring in a segment.
pub type Inner<R> = ByteRing<'static, R, Linux>;

impl<R: Element> View for Inner<R> {
    fn attach(region: Region<'static>, origin: Origin) -> Result<Self, LayoutError> {
        ByteRing::attach(region, Linux, origin)
    }

    fn bury(region: Region<'_>, origin: Origin) -> Result<(), LayoutError> {
        // SAFETY: `View::bury` is called while nobody else has the segment.
        unsafe { ByteRing::<R, Linux>::bury(region, Linux, origin) }
    }
}

impl<R: Element> PutRecords for Inner<R> {
    const SIDE: Side = Side::Queue;

    #[inline]
    fn put(&self, record: &[u8], until: u64) -> Result<(), RingError> {
        self.put(record, until)
    }

    #[inline]
    fn put_many<'a>(
        &self,
        records: impl Iterator<Item = &'a [u8]>,
        until: u64,
    ) -> (usize, Result<(), RingError>) {
        self.put_many(records, until)
    }

    fn max_len(&self) -> usize {
        self.max_len()
    }
}

impl<R: Element> GetRecords for Inner<R> {
    const SIDE: Side = Side::Queue;

    #[inline]
    fn get<V>(&self, until: u64, take: impl FnMut(&[u8]) -> V) -> Result<V, RingError> {
        self.get(until, take)
    }

    #[inline]
    fn get_many(
        &self,
        until: u64,
        most: usize,
        take: impl FnMut(&[u8]),
    ) -> Result<usize, RingError> {
        self.get_many(until, most, take)
    }

    fn len(&self) -> usize {
        self.len()
    }
}

impl<R: Element> Source for Mapped<Inner<R>> {
    fn wait_until_some(&self, stop: &dyn Fn() -> bool) -> bool {
        let ring = self.view().ring();
        ring.wait_until_some(&Linux, FOREVER, |_| stop()).is_ok()
    }

    fn has_some(&self) -> bool {
        !self.view().is_empty() || self.view().is_closed()
    }

    fn wake(&self) {
        self.view().ring().wake_consumers(&Linux);
    }
}
