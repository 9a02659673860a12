//! The first 512 bytes of every layout: what it is, where its data lies, and whether it is ready.
//!
//! ```text
//!   0  magic           u64   "MPROCSHM"
//!   8  version         u32   LAYOUT_VERSION
//!  12  kind            u32   Kind
//!  16  element size    u32   bytes
//!  20  element align   u32   bytes
//!  24  dimensions      u32   0..=8
//!  28  dtype length    u32   bytes
//!  32  shape           8×u64 elements, slowest first, 0 beyond the dimensions
//!  96  data offset     u64   bytes from the magic; a multiple of 64
//! 104  data length     u64   bytes
//! 112  total length    u64   bytes, header included
//! 120  checksum        u64   FNV-1a, a word at a time, over bytes 0..120 and 192..512
//! 128  ready           u64   READY; stored last
//! 136  boot            u64   ┐ where its owners mean something;
//! 144  PID namespace   u64   │ each in its low 48 bits,
//! 152  time namespace  u64   ┘ times 0x9e3779b97f4a7c15, >> 48, in its high 16
//! 160  (zero)
//! 192  dtype           320 bytes of ASCII, zeros behind it
//! ```
//!
//! All numbers are little-endian. Whoever reads the memory from another language needs bytes 96..112 for the data and
//! 192.. for its type. Invariants:
//!
//! 1. Nothing before byte 128 and behind byte 160 changes once `ready` is stored.
//! 2. What is checked is a copy, and the copy is what is used; no field is loaded again after its check.
//! 3. The offsets a layout uses are computed from the type and the checked shape. Those in the header are compared
//!    with them, never followed.

use core::fmt;
#[cfg(not(loom))]
use core::mem::offset_of;

use crate::{
    atomic::{AtomicU64, Ordering, fence},
    element::Element,
    error::{LayoutError, Shape},
    origin::Origin,
    region::Region,
    text::{Excerpt, TEXT_ROOM, Text},
};

/// The most dimensions an array can have.
pub const MAX_DIMS: usize = 8;
/// The version of every layout in this crate; another one is refused.
pub const LAYOUT_VERSION: u32 = 1;
/// The length of a header in bytes.
pub const HEADER_LEN: usize = 512;

/// The first eight bytes of every layout, as a little-endian number.
pub const MAGIC: u64 = u64::from_le_bytes(*b"MPROCSHM");
const READY: u64 = u64::from_le_bytes(*b"READY\0\0\0");

/// What a layout holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[non_exhaustive]
pub enum Kind {
    /// A [`Value`](crate::Value).
    Value = 1,
    /// An [`Array`](crate::Array).
    Array = 2,
    /// An [`AtomicArray`](crate::AtomicArray).
    AtomicArray = 3,
    /// A [`Counter`](crate::Counter).
    Counter = 4,
    /// A [`ShardedCounter`](crate::ShardedCounter).
    ShardedCounter = 5,
    /// A [`Mutex`](crate::Mutex).
    Mutex = 6,
    /// A [`ReentrantMutex`](crate::ReentrantMutex).
    ReentrantMutex = 7,
    /// A [`RwLock`](crate::RwLock).
    RwLock = 8,
    /// A [`Semaphore`](crate::Semaphore).
    Semaphore = 9,
    /// A [`Condvar`](crate::Condvar).
    Condvar = 10,
    /// An [`Event`](crate::Event).
    Event = 11,
    /// A [`Barrier`](crate::Barrier).
    Barrier = 12,
    /// A [`OnceValue`](crate::OnceValue).
    OnceValue = 13,
    /// A [`BoundedSemaphore`](crate::BoundedSemaphore).
    BoundedSemaphore = 14,
    /// A [`ByteRing`](crate::ByteRing).
    ByteRing = 15,
    /// A [`Once`](crate::Once).
    Once = 16,
    /// A [`Channel`](crate::Channel).
    Channel = 17,
    /// A [`Channel`](crate::Channel) with one handle at each end.
    SpscChannel = 18,
    /// A [`JoinableRing`](crate::JoinableRing).
    JoinableRing = 19,
    /// A [`TaskRing`](crate::TaskRing).
    TaskRing = 20,
}

impl Kind {
    const NAMES: [&'static str; 21] = [
        "nothing known",
        "a value",
        "an array",
        "an atomic array",
        "a counter",
        "a sharded counter",
        "a mutex",
        "a reentrant mutex",
        "a reader-writer lock",
        "a semaphore",
        "a condition variable",
        "an event",
        "a barrier",
        "a value initialised once",
        "a bounded semaphore",
        "a ring of records",
        "something done once",
        "a channel",
        "a channel from one to one",
        "a queue that is joined",
        "a queue of tasks",
    ];

    /// What the number of a kind means, whoever wrote it.
    pub(crate) fn name_of(number: u32) -> &'static str {
        Kind::NAMES
            .get(number as usize)
            .copied()
            .unwrap_or(Kind::NAMES[0])
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Kind::name_of(*self as u32))
    }
}

/// What a layout is made of, before it has a place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec {
    pub kind: Kind,
    pub dtype: Text,
    pub element_size: usize,
    pub element_align: usize,
    pub shape: Shape,
    /// From the start of the header, in bytes.
    pub data_offset: usize,
    pub data_len: usize,
}

impl Spec {
    /// A layout of `shape` elements of `T` whose data starts at `data_offset` and takes `data_len` bytes.
    pub fn new<T: Element>(kind: Kind, shape: Shape, data_offset: usize, data_len: usize) -> Spec {
        const { assert!(align_of::<T>() <= 128) };
        Spec {
            kind,
            dtype: T::DTYPE,
            element_size: size_of::<T>(),
            element_align: align_of::<T>(),
            shape,
            data_offset,
            data_len,
        }
    }

    /// How many bytes the whole layout takes, header included.
    pub fn total(&self) -> usize {
        // Both are lengths of one memory, checked when the spec was made.
        self.data_offset + self.data_len
    }

    fn words(&self) -> [u64; 15] {
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        let mut words = [0; 15];
        words[0] = MAGIC;
        words[1] = pair(LAYOUT_VERSION, self.kind as u32);
        words[2] = pair(self.element_size as u32, self.element_align as u32);
        words[3] = pair(
            self.shape.dims().len() as u32,
            self.dtype.as_str().len() as u32,
        );
        words[4..4 + self.shape.dims().len()].copy_from_slice(self.shape.dims());
        words[12] = self.data_offset as u64;
        words[13] = self.data_len as u64;
        words[14] = self.total() as u64;
        words
    }
}

/// The header as it lies in memory.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct Header {
    /// Bytes 0..120.
    fixed: [AtomicU64; 15],
    checksum: AtomicU64,
    ready: AtomicU64,
    origin: [AtomicU64; 3],
    reserved: [AtomicU64; 4],
    dtype: [AtomicU64; TEXT_ROOM / 8],
}

#[cfg(not(loom))]
const _: () = {
    assert!(size_of::<Header>() == HEADER_LEN);
    assert!(offset_of!(Header, checksum) == 120);
    assert!(offset_of!(Header, ready) == 128);
    assert!(offset_of!(Header, origin) == 136);
    assert!(offset_of!(Header, dtype) == 192);
};

/// A copy of the immutable part of a header whose checksum is right.
#[derive(Clone, Copy, Debug)]
struct Checked {
    fixed: [u64; 15],
    dtype: [u8; TEXT_ROOM],
}

impl Header {
    /// The header at the start of `region`.
    fn of<'m>(region: &Region<'m>) -> Result<&'m Header, LayoutError> {
        // SAFETY: `Header` is atomics alone.
        unsafe { region.words::<Header>(0) }.ok_or(LayoutError::TooShort {
            expected: HEADER_LEN as u64,
            found: region.len() as u64,
        })
    }

    /// Writes a header for `spec`, everything but the ready word.
    ///
    /// Fresh memory only: whoever still has an old layout there open keeps using it.
    pub fn write<'m>(
        region: &Region<'m>,
        spec: &Spec,
        origin: Origin,
    ) -> Result<&'m Header, LayoutError> {
        if region.len() < spec.total() {
            return Err(LayoutError::TooShort {
                expected: spec.total() as u64,
                found: region.len() as u64,
            });
        }
        let header = Header::of(region)?;
        // Relaxed throughout: `publish` orders all of it.
        header.ready.store(0, Ordering::Relaxed);
        let fixed = spec.words();
        store_all(&header.fixed, &fixed);
        store_all(&header.origin, &origin.words());
        store_all(&header.reserved, &[0; 4]);
        for (word, bytes) in header
            .dtype
            .iter()
            .zip(spec.dtype.bytes().as_chunks().0.iter())
        {
            word.store(u64::from_le_bytes(*bytes), Ordering::Relaxed);
        }
        header
            .checksum
            .store(checksum(&fixed, spec.dtype.bytes()), Ordering::Relaxed);
        Ok(header)
    }

    /// Makes the layout visible: the last store of placing it.
    pub fn publish(&self) {
        // Release: pairs with the Acquire load in `check`.
        self.ready.store(READY, Ordering::Release);
    }

    /// Checks that `region` holds what `expect` makes of the shape found there, and returns the two.
    ///
    /// `expect` gives the layout that this program would have written for a shape; the bytes must say just that.
    pub fn check<'m, T: Element>(
        region: &Region<'m>,
        kind: Kind,
        origin: Option<Origin>,
        expect: impl FnOnce(Shape) -> Result<Spec, LayoutError>,
    ) -> Result<(&'m Header, Spec), LayoutError> {
        let header = Header::of(region)?;
        let found = header.load()?;
        found.compare_type::<T>(kind)?;
        let spec = expect(found.shape()?)?;
        found.compare_extent(&spec)?;
        if (region.len() as u64) < spec.total() as u64 {
            return Err(LayoutError::TooShort {
                expected: spec.total() as u64,
                found: region.len() as u64,
            });
        }
        if let Some(origin) = origin {
            Origin::from_words(load_all(&header.origin))?.must_be(origin)?;
        }
        Ok((header, spec))
    }

    /// Loads what never changes, each word once.
    fn load(&self) -> Result<Checked, LayoutError> {
        let magic = self.fixed[0].load(Ordering::Relaxed);
        if magic != 0 && magic != MAGIC {
            return Err(if magic == MAGIC.swap_bytes() {
                LayoutError::ForeignEndian
            } else {
                LayoutError::NotALayout { found: magic }
            });
        }
        let ready = self.ready.load(Ordering::Relaxed);
        // Acquire: pairs with the Release store in `publish`; the layout behind the header is whole, too. A fence, since
        // Rust promises of atomics in memory that may only be read no more than Relaxed loads.
        fence(Ordering::Acquire);
        match ready {
            READY => {}
            0 => return Err(LayoutError::NotReady),
            found => {
                return Err(LayoutError::Impossible {
                    what: "ready word",
                    found,
                });
            }
        }
        let fixed = load_all(&self.fixed);
        if fixed[0] != MAGIC {
            return Err(LayoutError::NotALayout { found: fixed[0] });
        }
        // The version decides what the other bytes mean, the checksum among them.
        let version = fixed[1] as u32;
        if version != LAYOUT_VERSION {
            return Err(LayoutError::Version {
                expected: LAYOUT_VERSION,
                found: version,
            });
        }
        let mut dtype = [0; TEXT_ROOM];
        for (bytes, word) in dtype.as_chunks_mut().0.iter_mut().zip(&self.dtype) {
            *bytes = word.load(Ordering::Relaxed).to_le_bytes();
        }
        let (expected, found) = (
            self.checksum.load(Ordering::Relaxed),
            checksum(&fixed, &dtype),
        );
        if expected != found {
            return Err(LayoutError::Damaged { expected, found });
        }
        if let Some(found) = load_all(&self.reserved).into_iter().find(|word| *word != 0) {
            return Err(LayoutError::Impossible {
                what: "reserved word",
                found,
            });
        }
        Ok(Checked { fixed, dtype })
    }

    /// Says that the layout's owners now mean processes of `origin`. Only while nobody else has it open, and after
    /// everything that owners of the old origin held was dealt with.
    pub fn adopt(&self, origin: Origin) {
        let [boot, pid_ns, time_ns] = origin.words();
        // The boot word last: until it is stored the layout counts as another boot's, and adopting is done again.
        self.origin[1].store(pid_ns, Ordering::Relaxed);
        self.origin[2].store(time_ns, Ordering::Relaxed);
        // Release: keeps the stores above before it. Its readers come after the caller's exclusive hold ended.
        self.origin[0].store(boot, Ordering::Release);
    }
}

impl Checked {
    fn half(&self, word: usize, high: bool) -> u32 {
        (self.fixed[word] >> if high { 32 } else { 0 }) as u32
    }

    fn shape(&self) -> Result<Shape, LayoutError> {
        let ndim = self.half(3, false);
        let impossible = LayoutError::Impossible {
            what: "number of dimensions",
            found: ndim.into(),
        };
        let mut dims = [0; MAX_DIMS];
        for (dim, word) in dims.iter_mut().zip(&self.fixed[4..12]) {
            *dim = usize::try_from(*word).map_err(|_| LayoutError::Impossible {
                what: "dimension",
                found: *word,
            })?;
        }
        let dims = dims.get(..ndim as usize).ok_or(impossible)?;
        Shape::new(dims)
    }

    /// That the kind and the elements are those asked for.
    fn compare_type<T: Element>(&self, expected: Kind) -> Result<(), LayoutError> {
        let found = self.half(1, true);
        if found != expected as u32 {
            return Err(LayoutError::Kind { expected, found });
        }
        let len = self.half(3, true);
        let found = Text::from_bytes(&self.dtype, len as usize).ok_or(LayoutError::Impossible {
            what: "dtype length",
            found: len.into(),
        })?;
        if found != T::DTYPE {
            return Err(LayoutError::Type {
                expected: Excerpt::of(&T::DTYPE),
                found: Excerpt::of(&found),
            });
        }
        let expected = (size_of::<T>() as u32, align_of::<T>() as u32);
        let found = (self.half(2, false), self.half(2, true));
        if found != expected {
            return Err(LayoutError::ElementSize { expected, found });
        }
        Ok(())
    }

    /// That shape, offsets, lengths and all that is left are those this program would have written.
    fn compare_extent(&self, spec: &Spec) -> Result<(), LayoutError> {
        const NAMES: [(usize, &str); 3] = [
            (12, "data offset"),
            (13, "data length"),
            (14, "total length"),
        ];
        let (expected, found) = (spec.shape, self.shape()?);
        if found != expected {
            return Err(LayoutError::Shape { expected, found });
        }
        let expected = spec.words();
        let beyond = (4..12).map(|word| (word, "dimension beyond the last"));
        for (word, what) in beyond.chain(NAMES) {
            let found = self.fixed[word];
            if found != expected[word] {
                return Err(LayoutError::Impossible { what, found });
            }
        }
        let behind = self.dtype.iter().skip(spec.dtype.as_str().len());
        match behind.copied().find(|byte| *byte != 0) {
            None => Ok(()),
            Some(found) => Err(LayoutError::Impossible {
                what: "byte behind the dtype",
                found: found.into(),
            }),
        }
    }
}

fn store_all<const N: usize>(words: &[AtomicU64; N], values: &[u64; N]) {
    for (word, value) in words.iter().zip(values) {
        word.store(*value, Ordering::Relaxed);
    }
}

fn load_all<const N: usize>(words: &[AtomicU64; N]) -> [u64; N] {
    core::array::from_fn(|i| words[i].load(Ordering::Relaxed))
}

/// FNV-1a (Fowler, Noll, Vo), a word at a time. It finds damage, not forgery: what foreign bytes say is compared
/// field by field all the same.
fn fnv1a(words: impl IntoIterator<Item = u64>) -> u64 {
    words.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, word| {
        (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn checksum(fixed: &[u64; 15], dtype: &[u8; TEXT_ROOM]) -> u64 {
    let dtype = dtype.as_chunks().0.iter().copied().map(u64::from_le_bytes);
    fnv1a(fixed.iter().copied().chain(dtype))
}
