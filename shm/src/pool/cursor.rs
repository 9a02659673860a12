//! A place in some bytes where encodings are written, as long as there is room.

use postcard::ser_flavors::Flavor;
use serde::Serialize;

/// Why something was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unwritten {
    /// There was no room.
    Full,
    /// It cannot be encoded as it is: shared objects may be in it.
    Unfit,
}

pub(super) struct Cursor<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    #[inline]
    pub(super) fn new(bytes: &'a mut [u8], at: usize) -> Cursor<'a> {
        Cursor { bytes, at }
    }

    /// Where it is.
    #[inline]
    pub(super) fn at(&self) -> usize {
        self.at
    }

    #[inline]
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Unwritten> {
        let rest = self.bytes.get_mut(self.at..).ok_or(Unwritten::Full)?;
        let room = rest.get_mut(..bytes.len()).ok_or(Unwritten::Full)?;
        copy(room, bytes);
        self.at += bytes.len();
        Ok(())
    }

    /// Writes the encoding of a value, which is no part of any other message. If it fails, the cursor is somewhere.
    #[inline]
    pub(super) fn encode<T: Serialize>(&mut self, value: &T) -> Result<(), Unwritten> {
        let encoded = postcard::serialize_with_flavor(value, Encoding(self));
        encoded.map_err(|error| match error {
            postcard::Error::SerializeBufferFull => Unwritten::Full,
            _ => Unwritten::Unfit,
        })?;
        // What is encoded as nothing was not written anywhere.
        if self.at > self.bytes.len() {
            return Err(Unwritten::Full);
        }
        Ok(())
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
            let mut cursor = Cursor::new(&mut bytes, 0);
            assert_eq!(cursor.write(&all[..len]), Ok(()));
            assert_eq!(cursor.at(), len);
            assert_eq!(cursor.write(&all[len..]), Ok(()));
            assert_eq!(cursor.write(&[1]), Err(Unwritten::Full));
            assert_eq!(bytes[..], all[..]);
        }
    }

    #[test]
    fn behind_the_end_there_is_no_room_for_nothing_either() {
        let mut bytes = [0; 4];
        assert_eq!(Cursor::new(&mut bytes, 4).write(&[]), Ok(()));
        assert_eq!(Cursor::new(&mut bytes, 4).encode(&()), Ok(()));
        assert_eq!(Cursor::new(&mut bytes, 5).write(&[]), Err(Unwritten::Full));
        assert_eq!(Cursor::new(&mut bytes, 5).encode(&()), Err(Unwritten::Full));
    }

    #[test]
    fn what_has_no_room_is_told_from_what_cannot_be_encoded() {
        let mut bytes = [0; 4];
        let mut cursor = Cursor::new(&mut bytes, 0);
        assert_eq!(cursor.encode(&"long text"), Err(Unwritten::Full));
        // A serializer of postcard wants to know lengths before.
        struct Endless;
        impl Serialize for Endless {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq([1u8].iter().filter(|_| true))
            }
        }
        let mut cursor = Cursor::new(&mut bytes, 0);
        assert_eq!(cursor.encode(&Endless), Err(Unwritten::Unfit));
    }
}
