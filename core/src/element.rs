//! What may live in shared memory, and how NumPy calls it.

use bytemuck::Pod;

use crate::text::Text;

/// A type whose every bit pattern is a value, that holds no pointer and no padding, and that has a NumPy dtype.
///
/// Implemented for the integers, the floats and arrays of elements; [`record!`](crate::record) makes structs of
/// elements; `bool`, `char` and strings are none. The dtype is the identity that a header carries: it depends on the fields, not on the name or the
/// module of the Rust type, so that two programs share data when their types agree.
///
/// # Safety
///
/// [`DTYPE`](Element::DTYPE) describes exactly the bytes of the type: `numpy.dtype(ast.literal_eval(DTYPE))` has the
/// size of the type, the same fields at the same offsets, and the byte order of this machine. The size is not 0, `()` apart.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot live in shared memory",
    note = "make a struct an element with `record!`; for a bool use u8, for text [u8; N]"
)]
pub unsafe trait Element: Pod + Send + Sync {
    /// The dtype in the notation that NumPy's `.npy` headers use, such as `'<f8'` or `[('x', '<f8'), ('n', '<u4')]`.
    const DTYPE: Text;
}

/// Implements [`Element`] for a primitive type.
macro_rules! primitive {
    ($($type:ty => $dtype:literal),* $(,)?) => {$(
        // SAFETY: the descriptor is NumPy's name for this very type on a little-endian machine.
        unsafe impl Element for $type {
            const DTYPE: Text = Text::new().with($dtype);
        }
    )*};
}

primitive! {
    u8 => "'|u1'", u16 => "'<u2'", u32 => "'<u4'", u64 => "'<u8'",
    i8 => "'|i1'", i16 => "'<i2'", i32 => "'<i4'", i64 => "'<i8'",
    f32 => "'<f4'", f64 => "'<f8'",
    // NumPy has no integers of 16 bytes; it passes them on as raw bytes.
    u128 => "'|V16'", i128 => "'|V16'",
}

#[cfg(target_pointer_width = "64")]
primitive! { usize => "'<u8'", isize => "'<i8'" }

primitive! {
    // Nothing: for locks that guard something outside shared memory. Arrays of it are refused.
    () => "'|V0'",
}

#[cfg(target_endian = "big")]
compile_error!(
    "multiproc's layouts are little-endian; a big-endian machine needs the dtypes of core/src/element.rs"
);

// SAFETY: NumPy's sub-array dtype is N elements of T one behind the other, which is what [T; N] is.
unsafe impl<T: Element, const N: usize> Element for [T; N] {
    const DTYPE: Text = {
        assert!(
            N > 0 && size_of::<T>() > 0,
            "an element of no bytes cannot be shared"
        );
        Text::new()
            .with("(")
            .with_text(&T::DTYPE)
            .with(", (")
            .with_number(N)
            .with(",))")
    };
}

/// Makes structs whose fields are [elements](Element) elements themselves, so that they can be shared.
///
/// The struct gets `#[repr(C)]`, `Clone` and `Copy`. Padding is a compile error: order the fields from large to
/// small, or add a field that fills the gap.
///
/// ```
/// multiproc_core::record! {
///     /// Where and how often.
///     #[derive(Debug, PartialEq)]
///     pub struct Sample {
///         pub x: f64,
///         pub n: u32,
///         pub flags: [u16; 2],
///     }
/// }
/// use multiproc_core::Element;
/// assert_eq!(Sample::DTYPE.as_str(), "[('x', '<f8'), ('n', '<u4'), ('flags', ('<u2', (2,)))]");
/// ```
///
/// Padding does not compile, nor does a field that is not always there:
///
/// ```compile_fail
/// multiproc_core::record! { struct Gap { a: u8, b: u32 } }
/// ```
///
/// ```compile_fail
/// multiproc_core::record! { struct Ghost { a: u64, #[cfg(any())] gone: [u8; 4], b: u32 } }
/// ```
#[macro_export]
macro_rules! record {
    ($(
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $( $(#[$field_meta:meta])* $field_vis:vis $field:ident : $type:ty ),+ $(,)?
        }
    )+) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy)]
        #[repr(C)]
        $vis struct $name {
            $( $(#[$field_meta])* $field_vis $field: $type, )+
        }

        const _: () = {
            let end = 0;
            $(
                ::core::assert!(
                    ::core::mem::offset_of!($name, $field) == end,
                    "the fields of a record leave padding: order them from large to small or fill the gap"
                );
                let end = end + ::core::mem::size_of::<$type>();
            )+
            ::core::assert!(
                ::core::mem::size_of::<$name>() == end,
                "the fields of a record leave padding at its end: fill the gap"
            );
        };

        // SAFETY: every field is an `Element`, hence valid when zeroed.
        unsafe impl $crate::__private::Zeroable for $name {}

        // SAFETY: repr(C), every field is an `Element` and hence `Pod`, and the assertion above leaves no padding.
        unsafe impl $crate::__private::Pod for $name {}

        // SAFETY: repr(C) without padding puts the fields where a packed NumPy struct of the same fields has them.
        unsafe impl $crate::Element for $name {
            const DTYPE: $crate::Text = {
                let text = $crate::Text::new();
                $( let text = $crate::__private::field(text, stringify!($field), &<$type as $crate::Element>::DTYPE); )+
                text.with("]")
            };
        }
    )+};
}

/// What the expansion of [`record!`](crate::record) needs to reach. Not for users.
#[doc(hidden)]
pub mod __private {
    pub use bytemuck::{Pod, Zeroable};

    use crate::text::Text;

    /// The text of a struct dtype so far, with one more field.
    #[must_use]
    pub const fn field(text: Text, name: &str, dtype: &Text) -> Text {
        let text = if text.is_empty() {
            text.with("[('")
        } else {
            text.with(", ('")
        };
        // A raw identifier `r#type` is called `type` everywhere else.
        let name = match name.as_bytes() {
            [b'r', b'#', ..] => name.split_at(2).1,
            _ => name,
        };
        text.with(name).with("', ").with_text(dtype).with(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::record! {
        struct Inner { a: i16, r#type: u16 }
        struct Outer { at: f64, grid: [[f32; 3]; 2], inner: Inner, last: u32 }
    }

    #[test]
    fn a_dtype_is_what_numpy_writes_for_the_same_bytes() {
        assert_eq!(f64::DTYPE.as_str(), "'<f8'");
        assert_eq!(<[i32; 12]>::DTYPE.as_str(), "('<i4', (12,))");
        assert_eq!(
            Outer::DTYPE.as_str(),
            "[('at', '<f8'), ('grid', (('<f4', (3,)), (2,))), \
             ('inner', [('a', '<i2'), ('type', '<u2')]), ('last', '<u4')]"
        );
    }

    #[test]
    fn records_are_plain_data() {
        let outer = Outer {
            at: 1.5,
            grid: [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]],
            inner: Inner { a: -1, r#type: 2 },
            last: 7,
        };
        let bytes = bytemuck::bytes_of(&outer);
        let again: Outer = bytemuck::pod_read_unaligned(bytes);
        assert_eq!(
            (again.at, again.grid[1][2], again.inner.a, again.last),
            (1.5, 6.0, -1, 7)
        );
    }
}
