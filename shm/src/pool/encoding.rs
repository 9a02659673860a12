//! Values as bytes in the records of a pool, which only processes that run the same file read.

use std::mem;

use postcard::ser_flavors::Flavor;

use super::{executor::Payload, number};
use crate::packet::codec;

/// Why something was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unwritten {
    /// There was no room.
    Full,
    /// It cannot be encoded as it is: shared objects may be in it.
    Unfit,
}

/// How values lie side by side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Form {
    /// Each behind a head that says how long it is.
    #[default]
    Framed,
    /// Numbers, each a word.
    Words,
}

impl Form {
    /// That of values of this type.
    #[inline]
    pub(super) fn of<T: Payload>() -> Form {
        if number::is_number::<T>() {
            Form::Words
        } else {
            Form::Framed
        }
    }
}

/// The length of the head of a framed value.
pub(super) const HEAD: usize = 4;
/// The length of a word.
pub(super) const WORD: usize = size_of::<u64>();

/// Writes a value to the beginning of `room` as it lies among others of its type, behind its head unless it is a word: how
/// long both are.
#[inline]
pub(super) fn write<T: Payload>(
    room: &mut [u8],
    value: &T,
    head: impl FnOnce(usize) -> [u8; HEAD],
) -> Result<usize, Unwritten> {
    if let Some(word) = number::to_word(value) {
        let place = room.first_chunk_mut().ok_or(Unwritten::Full)?;
        *place = word.to_le_bytes();
        return Ok(WORD);
    }
    let (place, rest) = room.split_first_chunk_mut().ok_or(Unwritten::Full)?;
    let most = rest.len();
    let mut cursor = Cursor::new(rest);
    cursor.encode(value)?;
    let len = most - cursor.room();
    *place = head(len);
    Ok(HEAD + len)
}

/// Appends the encoding of a value with no shared objects in it. If it fails, nothing is appended.
pub(super) fn append<T: Payload>(value: &T, bytes: &mut Vec<u8>) -> postcard::Result<()> {
    match number::to_word(value) {
        Some(word) => bytes.extend_from_slice(&word.to_le_bytes()),
        None => codec::append_plain(value, bytes)?,
    }
    Ok(())
}

/// The value of these bytes, with no shared objects in it. No other message is just being read.
#[inline]
pub(super) fn decode<T: Payload>(bytes: &[u8]) -> Result<T, String> {
    if let Ok(word) = bytes.try_into()
        && let Some(number) = number::of_word(u64::from_le_bytes(word))
    {
        return Ok(number);
    }
    codec::decode_alone(bytes)
}

/// The room that is left.
pub(super) struct Cursor<'a>(&'a mut [u8]);

impl<'a> Cursor<'a> {
    #[inline]
    pub(super) fn new(room: &'a mut [u8]) -> Cursor<'a> {
        Cursor(room)
    }

    /// How many bytes there is room for.
    #[inline]
    pub(super) fn room(&self) -> usize {
        self.0.len()
    }

    #[inline]
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Unwritten> {
        let room = mem::take(&mut self.0);
        match room.split_at_mut_checked(bytes.len()) {
            Some((place, rest)) => {
                copy(place, bytes);
                self.0 = rest;
                Ok(())
            }
            None => Err(Unwritten::Full),
        }
    }

    /// Writes the encoding of a value, which is no part of any other message. If it fails, something was written.
    #[inline]
    pub(super) fn encode<T: Payload>(&mut self, value: &T) -> Result<(), Unwritten> {
        let encoded = postcard::serialize_with_flavor(value, Encoding(self));
        encoded.map_err(|error| match error {
            postcard::Error::SerializeBufferFull => Unwritten::Full,
            _ => Unwritten::Unfit,
        })
    }
}

/// Copies bytes to a place of the same length. What is encoded is mostly a few bytes, for which a call takes longer than the
/// copy: two fixed moves, which may overlap, do for any length between one and two times theirs.
#[inline]
fn copy(to: &mut [u8], from: &[u8]) {
    match from.len() {
        8..=16 => both_ends::<8>(to, from),
        4..=7 => both_ends::<4>(to, from),
        2..=3 => both_ends::<2>(to, from),
        1 => both_ends::<1>(to, from),
        _ => to.copy_from_slice(from),
    }
}

#[inline]
fn both_ends<const N: usize>(to: &mut [u8], from: &[u8]) {
    if let (Some(to), Some(from)) = (to.first_chunk_mut::<N>(), from.first_chunk::<N>()) {
        *to = *from;
    }
    if let (Some(to), Some(from)) = (to.last_chunk_mut::<N>(), from.last_chunk::<N>()) {
        *to = *from;
    }
}

struct Encoding<'c, 'a>(&'c mut Cursor<'a>);

impl Flavor for Encoding<'_, '_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.try_extend(&[byte])
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        let written = self.0.write(bytes);
        written.map_err(|_| postcard::Error::SerializeBufferFull)
    }

    #[inline]
    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_length_is_written_whole_or_not_at_all() {
        let all: Vec<u8> = (1..=40).collect();
        for len in 0..=all.len() {
            let mut bytes = [0; 40];
            let mut cursor = Cursor::new(&mut bytes);
            assert_eq!(cursor.write(&all[..len]), Ok(()));
            assert_eq!(cursor.room(), 40 - len);
            assert_eq!(cursor.write(&all[len..]), Ok(()));
            assert_eq!(cursor.write(&[1]), Err(Unwritten::Full));
            assert_eq!(bytes[..], all[..]);
        }
    }

    #[test]
    fn a_head_says_how_long_what_follows_is() {
        let head = |len: usize| (len as u32).to_le_bytes();
        let mut bytes = [9; 8];
        assert_eq!(write(&mut bytes, &300u16, head), Ok(6));
        assert_eq!(bytes, [2, 0, 0, 0, 0xac, 2, 9, 9]);
        assert_eq!(write(&mut bytes[..4], &(), head), Ok(4));
        assert_eq!(bytes[..4], [0; 4]);
        assert_eq!(write(&mut bytes[..3], &(), head), Err(Unwritten::Full));
        assert_eq!(write(&mut bytes[..5], &300u16, head), Err(Unwritten::Full));
    }

    #[test]
    fn a_number_has_no_head() {
        let head = |_| panic!("a head");
        let mut bytes = [9; 9];
        assert_eq!(write(&mut bytes, &-2i64, head), Ok(8));
        assert_eq!(bytes, [0xfe, 255, 255, 255, 255, 255, 255, 255, 9]);
        assert_eq!(write(&mut bytes[..7], &1u64, head), Err(Unwritten::Full));
    }

    #[test]
    fn what_has_no_room_is_told_from_what_cannot_be_encoded() {
        let mut bytes = [0; 4];
        let mut cursor = Cursor::new(&mut bytes);
        assert_eq!(cursor.encode(&"long text".to_owned()), Err(Unwritten::Full));
        // A serializer of postcard wants to know lengths before.
        #[derive(serde::Deserialize)]
        struct Endless;
        impl serde::Serialize for Endless {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq([1u8].iter().filter(|_| true))
            }
        }
        let mut cursor = Cursor::new(&mut bytes);
        assert_eq!(cursor.encode(&Endless), Err(Unwritten::Unfit));
    }
}
