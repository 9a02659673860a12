//! What can be given as the shape of an array.

use multiproc_core::Shape;

/// A number of elements, or up to eight dimensions, slowest first.
pub trait Dimensions {
    /// The dimensions, in elements.
    fn dims(&self) -> &[usize];
}

impl Dimensions for usize {
    fn dims(&self) -> &[usize] {
        std::slice::from_ref(self)
    }
}

impl<const N: usize> Dimensions for [usize; N] {
    fn dims(&self) -> &[usize] {
        self
    }
}

impl Dimensions for [usize] {
    fn dims(&self) -> &[usize] {
        self
    }
}

impl Dimensions for Vec<usize> {
    fn dims(&self) -> &[usize] {
        self
    }
}

impl<D: Dimensions + ?Sized> Dimensions for &D {
    fn dims(&self) -> &[usize] {
        (**self).dims()
    }
}

/// The dimensions of a shape that lies in mapped memory; each fits `usize`, as all of its elements do.
pub(crate) fn to_vec(shape: &Shape) -> Vec<usize> {
    shape.dims().iter().map(|&dim| dim as usize).collect()
}
