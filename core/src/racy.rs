//! Copies of elements that others may change at the same time: word by word through atomics of one fixed width.

use core::{
    ptr::NonNull,
    sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering},
};

use crate::element::Element;

/// The element at `from`, whoever changes it meanwhile: copied in pieces that are each whole, of the largest power of two
/// up to 8 bytes that divides both size and alignment of `T`.
///
/// # Safety
///
/// `from` is mapped, initialised and aligned for a `T`. While this runs, nobody in Rust, in any process, writes there
/// by other means than [`store_racy`] of the same `T`.
#[inline]
#[must_use]
pub unsafe fn load_racy<T: Element>(from: NonNull<T>) -> T {
    let mut copy = T::zeroed();
    // SAFETY: `from` is the place of a `T` that is written by these calls only (the caller's promise); `copy` is private.
    unsafe { copy_pieces(from.as_ptr(), &raw mut copy, Shared::Source) };
    copy
}

/// Stores `value` at `to`, whoever reads or changes it meanwhile, in pieces as [`load_racy`] has it.
///
/// # Safety
///
/// `to` is mapped for writing, initialised and aligned for a `T`. While this runs, nobody in Rust, in any process, reads or
/// writes there by other means than these two calls for the same `T`.
#[inline]
pub unsafe fn store_racy<T: Element>(to: NonNull<T>, value: T) {
    // SAFETY: `to` is the place of a `T` that is reached by these calls only (the caller's promise); `value` is private.
    unsafe { copy_pieces(&raw const value, to.as_ptr(), Shared::Target) };
}

/// Which side of a copy others can reach.
#[derive(Clone, Copy)]
enum Shared {
    Source,
    Target,
}

/// The width of the pieces of a `T` in bytes: every piece of every element is whole and aligned.
const fn width<T>() -> usize {
    let width = 1 << (size_of::<T>() | align_of::<T>() | 8).trailing_zeros();
    assert!(size_of::<T>().is_multiple_of(width) && align_of::<T>().is_multiple_of(width));
    width
}

/// Copies a `T`, relaxed, its pieces in order.
///
/// # Safety
///
/// Both are places of a `T`; whoever else reaches the shared one does so by this function only, and nobody else
/// reaches the private one.
#[inline]
unsafe fn copy_pieces<T>(from: *const T, to: *mut T, shared: Shared) {
    /// Copies all pieces of one width.
    macro_rules! pieces {
        ($atomic:ty, $piece:ty) => {
            for i in 0..size_of::<T>() / size_of::<$piece>() {
                // SAFETY: piece `i` lies within the `T` at `from`.
                let from = unsafe { from.cast::<$piece>().add(i) };
                // SAFETY: piece `i` lies within the `T` at `to`.
                let to = unsafe { to.cast::<$piece>().add(i) };
                match shared {
                    Shared::Source => {
                        // SAFETY: mapped, aligned (`width`), and reached by others through atomics of this width only.
                        let piece = unsafe { <$atomic>::from_ptr(from.cast_mut()) };
                        let piece = piece.load(Ordering::Relaxed);
                        // SAFETY: the target is private.
                        unsafe { to.write(piece) };
                    }
                    Shared::Target => {
                        // SAFETY: the source is private.
                        let value = unsafe { from.read() };
                        // SAFETY: mapped, aligned (`width`), and reached by others through atomics of this width only.
                        let piece = unsafe { <$atomic>::from_ptr(to) };
                        piece.store(value, Ordering::Relaxed);
                    }
                }
            }
        };
    }
    match const { width::<T>() } {
        8 => pieces!(AtomicU64, u64),
        4 => pieces!(AtomicU32, u32),
        2 => pieces!(AtomicU16, u16),
        _ => pieces!(AtomicU8, u8),
    }
}
