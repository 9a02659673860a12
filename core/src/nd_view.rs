//! Claimed ranges as arrays of the crate `ndarray`, with the dimensions of the shared array that they are part of.

use core::{fmt, ops::Range};

use ndarray::{ArrayView, ArrayViewMut, Dimension, IxDyn, ShapeError};

use crate::{
    element::Element,
    error::Shape,
    header::MAX_DIMS,
    os::Os,
    range_guard::{ReadGuard, WriteGuard},
};

/// Why a claimed range cannot be seen with the dimensions that were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(
    missing_docs,
    reason = "each variant's fields are said by its sentence"
)]
pub enum ViewError {
    /// The elements from `start` up to `end` were claimed, which begin or end within a row of `row` elements.
    PartOfRow {
        start: usize,
        end: usize,
        row: usize,
    },
    /// A view of `expected` dimensions was asked for, of an array of this shape.
    Dimensions { expected: usize, found: Shape },
}

impl fmt::Display for ViewError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ViewError::PartOfRow { start, end, row } => write!(
                f,
                "elements {start}..{end} are not whole rows, which are {row} elements each"
            ),
            ViewError::Dimensions { expected, found } => write!(
                f,
                "{expected} dimensions were asked for, the array's shape is {found:?}"
            ),
        }
    }
}

impl core::error::Error for ViewError {}

/// The dimensions of a claimed range.
struct Dims {
    dims: [usize; MAX_DIMS],
    ndim: usize,
    shape: Shape,
}

impl Dims {
    /// Those of the array, the first of which counts the rows that were claimed.
    fn of(shape: Shape, range: Range<usize>) -> Result<Dims, ViewError> {
        let ndim = shape.dims().len();
        let mut dims = [0; MAX_DIMS];
        for (to, from) in dims.iter_mut().zip(shape.dims()) {
            // It fits, as all elements of a mapped array do.
            *to = *from as usize;
        }
        let row: usize = dims.iter().take(ndim).skip(1).product();
        let is_all = shape.elements() == Some(range.len() as u64);
        if !is_all {
            if ndim == 0 || !range.start.is_multiple_of(row) || !range.end.is_multiple_of(row) {
                let Range { start, end } = range;
                return Err(ViewError::PartOfRow { start, end, row });
            }
            dims[0] = range.len() / row;
        }
        Ok(Dims { dims, ndim, shape })
    }

    fn as_dimension(&self) -> IxDyn {
        IxDyn(&self.dims[..self.ndim])
    }

    /// The error of having asked for as many dimensions as `D` has.
    fn mismatch<D: Dimension>(&self, _: ShapeError) -> ViewError {
        ViewError::Dimensions {
            // Where it is not fixed, any number will do.
            expected: D::NDIM.unwrap_or(self.ndim),
            found: self.shape,
        }
    }
}

impl<T: Element, O: Os> ReadGuard<'_, T, O> {
    /// The claimed elements in rows and columns: with the dimensions of the array, the first of which counts the claimed
    /// [rows](crate::Array::rows). `D` says how many there are, or, as `IxDyn`, that it may be any number.
    ///
    /// # Errors
    ///
    /// [`ViewError::PartOfRow`] unless whole rows are claimed, [`ViewError::Dimensions`] unless `D` has as many as the
    /// array.
    pub fn view<D: Dimension>(&self) -> Result<ArrayView<'_, T, D>, ViewError> {
        view(self.array_shape(), self.range(), self)
    }
}

impl<T: Element, O: Os> WriteGuard<'_, T, O> {
    /// As [`ReadGuard::view`].
    ///
    /// # Errors
    ///
    /// As [`ReadGuard::view`].
    pub fn view<D: Dimension>(&self) -> Result<ArrayView<'_, T, D>, ViewError> {
        view(self.array_shape(), self.range(), self)
    }

    /// As [`ReadGuard::view`], to change the elements.
    ///
    /// # Errors
    ///
    /// As [`ReadGuard::view`].
    pub fn view_mut<D: Dimension>(&mut self) -> Result<ArrayViewMut<'_, T, D>, ViewError> {
        let dims = Dims::of(self.array_shape(), self.range())?;
        ArrayViewMut::from_shape(dims.as_dimension(), self)
            .and_then(ArrayViewMut::into_dimensionality)
            .map_err(|error| dims.mismatch::<D>(error))
    }
}

fn view<T, D: Dimension>(
    shape: Shape,
    range: Range<usize>,
    elements: &[T],
) -> Result<ArrayView<'_, T, D>, ViewError> {
    let dims = Dims::of(shape, range)?;
    ArrayView::from_shape(dims.as_dimension(), elements)
        .and_then(ArrayView::into_dimensionality)
        .map_err(|error| dims.mismatch::<D>(error))
}
