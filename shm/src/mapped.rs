//! A typed view together with the segment that keeps its memory mapped: what every shared object is made of.

use std::sync::Arc;

use multiproc_core::{LayoutError, Origin, Region};

use crate::{
    error::Error,
    segment::{Access, Create, Open, Segment},
    sys,
};

/// A layout of the core that can be found in a segment.
pub(crate) trait View: Sized {
    fn attach(region: Region<'static>, origin: Origin) -> Result<Self, LayoutError>;

    /// Declares all owners dead; called while nobody else has the segment.
    fn bury(region: Region<'_>, origin: Origin) -> Result<(), LayoutError>;
}

/// Makes a layout of the core a [`View`]: `view!(Mutex<T: Element>)`, `view!(Channel<T: Element>, Locked)`.
macro_rules! view {
    ($layout:ident $(< $t:ident : $bound:path >)? $(, $more:ty)?) => {
        impl $(<$t: $bound>)? $crate::mapped::View
            for multiproc_core::$layout<'static, $($t,)? $crate::sys::Linux $(, $more)?>
        {
            fn attach(
                region: multiproc_core::Region<'static>,
                origin: multiproc_core::Origin,
            ) -> Result<Self, multiproc_core::LayoutError> {
                multiproc_core::$layout::attach(region, $crate::sys::Linux, origin)
            }

            fn bury(
                region: multiproc_core::Region<'_>,
                origin: multiproc_core::Origin,
            ) -> Result<(), multiproc_core::LayoutError> {
                use $crate::sys::Linux;
                // SAFETY: `View::bury` is called while nobody else has the segment.
                unsafe {
                    multiproc_core::$layout::<$($t,)? Linux $(, $more)?>::bury(region, Linux, origin)
                }
            }
        }
    };
}
pub(crate) use view;

/// The view of a layout in a segment.
///
/// Invariant: the view says `'static` but lives on memory of `segment`. It never leaves this type except behind a
/// borrow of it, and the core's views give nothing away that outlives the borrow.
pub(crate) struct Mapped<V>(Arc<Inner<V>>);

struct Inner<V> {
    view: V,
    segment: Segment,
}

impl<V: View> Mapped<V> {
    /// Makes a segment of `len` bytes and lets `place` put the layout into it before anybody can see it.
    pub fn create(
        create: Create,
        len: usize,
        place: impl FnOnce(Region<'_>, Origin) -> Result<(), LayoutError>,
    ) -> Result<Mapped<V>, Error> {
        let origin = sys::origin()?;
        let segment = Segment::create(create, len, |region| place(region, origin))?;
        Mapped::attach(segment, origin)
    }

    pub fn open(open: Open, access: Access) -> Result<Mapped<V>, Error> {
        let origin = sys::origin()?;
        let segment = Segment::open(open, access, |region| V::bury(region, origin))?;
        Mapped::attach(segment, origin)
    }

    /// The layout in a segment that came from another process.
    pub fn received(segment: Segment) -> Result<Mapped<V>, Error> {
        Mapped::attach(segment, sys::origin()?)
    }

    /// The same layout, mapped anew for reading only.
    pub fn read_only(&self) -> Result<Mapped<V>, Error> {
        Mapped::received(self.segment().read_only()?)
    }

    fn attach(segment: Segment, origin: Origin) -> Result<Mapped<V>, Error> {
        let region = segment.region();
        // SAFETY: the same memory, which `segment` keeps mapped wherever it is moved; the view made of it stays
        // beside `segment` (the invariant of this type).
        let region = unsafe { Region::new(region.as_ptr(), region.len()) }?;
        let view = V::attach(region, origin).map_err(|source| segment.unfit(source))?;
        Ok(Mapped(Arc::new(Inner { view, segment })))
    }
}

/// A shared object that is made of a segment which came from another process.
pub trait FromSegment: Sized {
    /// The object in a segment. Its methods write, whatever the segment allows: one that can only be read belongs
    /// inside [`ReadOnly`](crate::ReadOnly).
    fn from_segment(segment: Segment) -> Result<Self, Error>;
}

/// The segment itself, for what keeps it by other means than [`Mapped`].
impl FromSegment for Segment {
    fn from_segment(segment: Segment) -> Result<Segment, Error> {
        Ok(segment)
    }
}

impl<V> Mapped<V> {
    #[inline]
    pub fn view(&self) -> &V {
        &self.0.view
    }

    pub fn segment(&self) -> &Segment {
        &self.0.segment
    }
}

impl<V> Clone for Mapped<V> {
    fn clone(&self) -> Mapped<V> {
        Mapped(Arc::clone(&self.0))
    }
}

/// What every shared object does alike: cloned cheaply, sent to other processes as a handle, asked for its segment.
///
/// A macro because the traits are std's and serde's, and the types are many.
macro_rules! shared_object {
    ($type:ident $(< $($t:ident $(: $bound:path)?),+ >)?) => {
        impl $(<$($t $(: $bound)?),+>)? $type $(<$($t),+>)? {
            /// The segment that it lives in.
            #[must_use]
            #[allow(dead_code, reason = "of what only this crate has, nobody asks")]
            pub fn segment(&self) -> &$crate::segment::Segment {
                self.0.segment()
            }
        }

        impl $(<$($t $(: $bound)?),+>)? Clone for $type $(<$($t),+>)? {
            /// Another handle to the same memory.
            fn clone(&self) -> Self {
                $type(self.0.clone())
            }
        }

        impl $(<$($t $(: $bound)?),+>)? serde::Serialize for $type $(<$($t),+>)? {
            /// As a handle: only within the arguments and the return value of a process, and in messages of pipes.
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $crate::handle::serialize(self.0.segment(), serializer)
            }
        }

        impl $(<$($t $(: $bound)?),+>)? $crate::mapped::FromSegment for $type $(<$($t),+>)? {
            fn from_segment(segment: $crate::segment::Segment) -> Result<Self, $crate::Error> {
                $crate::mapped::Mapped::received(segment).map($type)
            }
        }

        impl<'de $(, $($t $(: $bound)?),+)?> serde::Deserialize<'de> for $type $(<$($t),+>)? {
            /// From a handle: only within the arguments and the return value of a process, and in messages of pipes.
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::handle::deserialize(deserializer, $crate::segment::Access::ReadWrite)
            }
        }
    };
}
pub(crate) use shared_object;
