//! Numbers as one word, whatever their type.
//!
//! Many maps go over numbers. Encoded as postcard does it, byte by byte, they take two thirds of the time of such a map; as
//! words they take next to none. The types are asked for one by one because serde has no way to tell them; which one it is
//! is known when the code is generated, and nothing of the question is left.

use std::any::Any;

/// Whether the values of a type are such numbers.
#[inline]
pub(super) fn is_number<T: Any>() -> bool {
    of_word::<T>(0).is_some()
}

/// The word of a number; `None` for anything else.
#[inline]
pub(super) fn to_word<T: Any>(value: &T) -> Option<u64> {
    let value: &dyn Any = value;
    if let Some(number) = value.downcast_ref::<u64>() {
        Some(*number)
    } else if let Some(number) = value.downcast_ref::<usize>() {
        Some(*number as u64)
    } else if let Some(number) = value.downcast_ref::<u32>() {
        Some(u64::from(*number))
    } else if let Some(number) = value.downcast_ref::<i64>() {
        Some(*number as u64)
    } else if let Some(number) = value.downcast_ref::<isize>() {
        Some(*number as u64)
    } else if let Some(number) = value.downcast_ref::<i32>() {
        Some(*number as u64)
    } else if let Some(number) = value.downcast_ref::<f64>() {
        Some(number.to_bits())
    } else {
        let number = value.downcast_ref::<f32>();
        number.map(|number| u64::from(number.to_bits()))
    }
}

/// The number of a word; `None` where `T` is anything else. A word that is no such number loses its upper half.
#[inline]
pub(super) fn of_word<T: Any>(word: u64) -> Option<T> {
    made(word)
        .or_else(|| made(word as usize))
        .or_else(|| made(word as u32))
        .or_else(|| made(word as i64))
        .or_else(|| made(word as isize))
        .or_else(|| made(word as i32))
        .or_else(|| made(f64::from_bits(word)))
        .or_else(|| made(f32::from_bits(word as u32)))
}

/// `number`, if that is a `T`.
#[inline]
fn made<T: Any, N: Any>(number: N) -> Option<T> {
    let mut made = None::<T>;
    let place: &mut dyn Any = &mut made;
    if let Some(place) = place.downcast_mut::<Option<N>>() {
        *place = Some(number);
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comes_back<T: Any + Copy + PartialEq + std::fmt::Debug>(numbers: &[T]) {
        assert!(is_number::<T>());
        for number in numbers {
            assert_eq!(to_word(number).and_then(of_word), Some(*number));
        }
    }

    #[test]
    fn numbers_come_back_as_they_were() {
        comes_back(&[0, 1, u64::MAX]);
        comes_back(&[0, 1, usize::MAX]);
        comes_back(&[0, 1, u32::MAX]);
        comes_back(&[0, i64::MIN, i64::MAX, -1]);
        comes_back(&[0, isize::MIN, isize::MAX, -1]);
        comes_back(&[0, i32::MIN, i32::MAX, -1]);
        comes_back(&[0.0, f64::MIN, f64::MAX, f64::INFINITY, -1.5]);
        comes_back(&[0.0, f32::MIN, f32::MAX, f32::INFINITY, -1.5]);
    }

    #[test]
    fn numbers_that_are_none_keep_their_bits() {
        for bits in [0x7ff8_0000_0000_0001, 0xfff8_dead_beef_0000, 1 << 63] {
            assert_eq!(to_word(&f64::from_bits(bits)), Some(bits));
            assert_eq!(of_word(bits).map(f64::to_bits), Some(bits));
        }
    }

    #[test]
    fn nothing_else_is_a_word() {
        assert_eq!(to_word(&1u8), None);
        assert_eq!(to_word(&(1u64,)), None);
        assert_eq!(to_word(&Some(1u64)), None);
        assert_eq!(of_word::<u8>(1), None);
        assert_eq!(of_word::<Option<u64>>(1), None);
    }
}
