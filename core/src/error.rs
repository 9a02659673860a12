//! What can be wrong with bytes that are said to hold a layout.

use core::fmt;

use crate::{header::Kind, text::Excerpt};

/// Why memory does not hold the layout that was asked for, or cannot hold it.
///
/// Every variant names what was expected and what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(
    missing_docs,
    reason = "each variant's fields are said by its sentence"
)]
pub enum LayoutError {
    /// The memory does not start at a multiple of `expected` bytes.
    Misaligned { expected: usize },
    /// The memory is `found` bytes long, the layout needs `expected`.
    TooShort { expected: u64, found: u64 },
    /// Someone is still placing the layout, or died doing so.
    NotReady,
    /// The first bytes are not those of a multiproc layout.
    NotALayout { found: u64 },
    /// The layout was written by a machine of the other byte order.
    ForeignEndian,
    /// The layout has another version.
    Version { expected: u32, found: u32 },
    /// The header does not match its own checksum.
    Damaged { expected: u64, found: u64 },
    /// It holds another kind of thing.
    Kind { expected: Kind, found: u32 },
    /// It holds elements of another type.
    Type { expected: Excerpt, found: Excerpt },
    /// It holds elements of another size or alignment, in bytes.
    ElementSize {
        expected: (u32, u32),
        found: (u32, u32),
    },
    /// It has another shape than was asked for.
    Shape { expected: Shape, found: Shape },
    /// A number in the header that no layout could have written.
    Impossible { what: &'static str, found: u64 },
    /// More dimensions than a header can hold.
    TooManyDimensions { limit: usize, found: usize },
    /// The elements asked for are more bytes than there are addresses.
    TooLarge { elements: u64, element_size: usize },
    /// A ring of so many bytes was asked for, at most `limit` can be.
    RingTooLarge { bytes: u64, limit: u64 },
    /// It was made in another PID namespace, where process ids mean other processes.
    ForeignPidNamespace { expected: u32, found: u32 },
    /// It was made in another time namespace, where times of birth are shifted.
    ForeignTimeNamespace { expected: u32, found: u32 },
    /// It was left behind by an earlier boot of the machine and somebody else has it open.
    ForeignBoot,
}

/// Up to eight dimensions, in elements, slowest first.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Shape {
    dims: [u64; crate::header::MAX_DIMS],
    ndim: usize,
}

impl Shape {
    /// The shape with these dimensions.
    ///
    /// # Errors
    ///
    /// [`LayoutError::TooManyDimensions`] when there are more than eight.
    pub fn new(dims: &[usize]) -> Result<Shape, LayoutError> {
        let mut shape = Shape {
            dims: [0; crate::header::MAX_DIMS],
            ndim: dims.len(),
        };
        let slots = shape
            .dims
            .get_mut(..dims.len())
            .ok_or(LayoutError::TooManyDimensions {
                limit: crate::header::MAX_DIMS,
                found: dims.len(),
            })?;
        for (slot, dim) in slots.iter_mut().zip(dims) {
            *slot = *dim as u64;
        }
        Ok(shape)
    }

    /// The dimensions.
    #[must_use]
    pub fn dims(&self) -> &[u64] {
        &self.dims[..self.ndim]
    }

    /// How many elements there are in all; `None` when that is no `u64`.
    #[must_use]
    pub fn elements(&self) -> Option<u64> {
        // A dimension of 0 must not hide an overflow of the others, so they are multiplied as if it were 1.
        let product = self
            .dims()
            .iter()
            .try_fold(1u64, |all, &dim| all.checked_mul(dim.max(1)))?;
        Some(if self.dims().contains(&0) { 0 } else { product })
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.dims()).finish()
    }
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use LayoutError as E;
        match self {
            E::Misaligned { expected } => {
                write!(
                    f,
                    "the memory does not start at a multiple of {expected} bytes"
                )
            }
            E::TooShort { expected, found } => {
                write!(
                    f,
                    "too short: {expected} bytes are needed, there are {found}"
                )
            }
            E::NotReady => write!(f, "the layout is not ready: its creator has not finished"),
            E::NotALayout { found } => {
                write!(f, "not a multiproc layout: it starts with {found:#018x}")
            }
            E::ForeignEndian => write!(f, "written by a machine of the other byte order"),
            E::Version { expected, found } => {
                write!(
                    f,
                    "layout version {found}, this program knows version {expected}"
                )
            }
            E::Damaged { expected, found } => write!(
                f,
                "the header is damaged: its checksum says {expected:#018x}, its bytes give {found:#018x}"
            ),
            E::Kind { expected, found } => {
                write!(f, "expected {expected}, found {}", Kind::name_of(*found))
            }
            E::Type { expected, found } => {
                write!(f, "expected elements of type {expected}, found {found}")
            }
            E::ElementSize { expected, found } => write!(
                f,
                "expected elements of {} bytes aligned to {}, found {} aligned to {}",
                expected.0, expected.1, found.0, found.1
            ),
            E::Shape { expected, found } => {
                write!(f, "expected shape {expected:?}, found {found:?}")
            }
            E::Impossible { what, found } => write!(f, "the header's {what} cannot be {found}"),
            E::TooManyDimensions { limit, found } => {
                write!(f, "{found} dimensions; a header holds at most {limit}")
            }
            E::TooLarge {
                elements,
                element_size,
            } => write!(
                f,
                "{elements} elements of {element_size} bytes do not fit in memory"
            ),
            E::RingTooLarge { bytes, limit } => write!(
                f,
                "a queue of {bytes} bytes was asked for, at most {limit} can be"
            ),
            E::ForeignPidNamespace { expected, found } => write!(
                f,
                "made in PID namespace {found}, this process is in {expected}: process ids mean other processes there"
            ),
            E::ForeignTimeNamespace { expected, found } => write!(
                f,
                "made in time namespace {found}, this process is in {expected}: times of birth are shifted there"
            ),
            E::ForeignBoot => write!(
                f,
                "left behind by an earlier boot of the machine while somebody else has it open"
            ),
        }
    }
}

impl core::error::Error for LayoutError {}
