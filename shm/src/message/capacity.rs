//! How much room so many elements take.

use multiproc_core::Element;

/// The capacity in bytes at which a [raw](crate::Raw) queue or channel holds `items` elements, each an item of its own.
///
/// ```
/// # multiproc::init();
/// use multiproc::{Queue, capacity_for};
///
/// let samples = Queue::raw(capacity_for::<[f32; 3]>(1000))?;
/// assert_eq!(samples.try_put_many((0..1000).map(|i| [i as f32; 3]))?, 1000);
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// Each takes its own bytes and 8 more, rounded up to 8, and lies in one piece; all is rounded up to a power of two. More
/// than 4 GiB, or than a number can say, is refused when the queue is made. Encoded items take as much as postcard makes of
/// them, which is not known before.
#[must_use]
pub const fn capacity_for<T: Element>(items: usize) -> usize {
    let units = 1 + size_of::<T>().div_ceil(8);
    // What may be left over before the end of the memory, if they do not fill it up.
    let skipped = if units.is_power_of_two() {
        0
    } else {
        units - 1
    };
    let all = units.saturating_mul(items).saturating_add(skipped);
    // One may take half at most.
    let all = if all < 2 * units { 2 * units } else { all };
    match all.saturating_mul(8).checked_next_power_of_two() {
        Some(bytes) if bytes >= 64 => bytes,
        Some(_) => 64,
        None => usize::MAX,
    }
}
