//! Copies of elements that others may change at the same time: word by word through atomics of one fixed width.

use core::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

/// Which side of a copy others can reach.
#[derive(Clone, Copy)]
pub(crate) enum Shared {
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
pub(crate) unsafe fn copy<T>(from: *const T, to: *mut T, shared: Shared) {
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
