//! The two forms of a message: any serde type, encoded, or an element, as it is.

use multiproc_core::Element;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    passing::{GetRecords, PutRecords},
    scratch::Scratch,
};
use crate::{handle, packet::codec};

/// How messages of type `T` lie in a queue: as [`Serde`] or as [`Raw`].
pub trait Format<T>: rules::Format<T> {}

/// Encoded, by [postcard](https://docs.rs/postcard): any type that serde knows.
#[derive(Debug)]
pub enum Serde {}

/// As the bytes of the elements themselves: no encoding. The element's type is part of the queue: whoever opens it as a
/// queue of others is refused.
#[derive(Debug)]
pub enum Raw {}

impl<T: Serialize + DeserializeOwned> Format<T> for Serde {}
impl<T: Element> Format<T> for Raw {}

pub(crate) mod rules {
    use multiproc_core::RingError;

    use super::*;

    /// What the forms differ in.
    pub trait Format<T>: Sized {
        /// What records are made of, for the header.
        type Record: Element;

        /// What was copied out of a record, before it is made a `T`.
        type Copied;

        /// Lends the bytes of a message.
        fn with_bytes<R>(item: &T, put: impl FnOnce(&[u8]) -> R) -> Result<R, String>;

        /// Puts as many of these messages as `until` allows; how many, and why not all.
        fn put_all(items: &[T], ring: &impl PutRecords, until: u64) -> (usize, Result<(), WhyNot>);

        /// Copies a record, while others wait.
        fn copy(record: &[u8]) -> Self::Copied;

        /// What a copied record means, or why it means nothing.
        fn item(copied: Self::Copied) -> Result<T, Unfit>;

        /// Takes up to `most` messages; how many.
        fn get_all(
            items: &mut Vec<T>,
            ring: &impl GetRecords,
            until: u64,
            most: usize,
        ) -> Result<usize, WhyNone>;
    }

    /// Why messages were not put.
    pub enum WhyNot {
        Ring(RingError),
        Encode(String),
    }

    /// Why none was taken, or one of them means nothing.
    pub enum WhyNone {
        Ring(RingError),
        Unfit(Unfit),
    }

    /// A record that makes no item.
    pub struct Unfit {
        pub len: usize,
        pub why: String,
    }
}
use rules::{Unfit, WhyNone, WhyNot};

impl<T: Serialize + DeserializeOwned> rules::Format<T> for Serde {
    type Record = u8;
    type Copied = Scratch;

    #[inline]
    fn with_bytes<R>(item: &T, put: impl FnOnce(&[u8]) -> R) -> Result<R, String> {
        let mut scratch = Scratch::take();
        encode(item, &mut scratch)?;
        Ok(put(scratch.bytes()))
    }

    fn put_all(items: &[T], ring: &impl PutRecords, until: u64) -> (usize, Result<(), WhyNot>) {
        let mut scratch = Scratch::take();
        let mut ends = Vec::with_capacity(items.len());
        let mut unfit = Ok(());
        for item in items {
            let before = scratch.bytes().len();
            match encode(item, &mut scratch) {
                Ok(()) => ends.push(before..scratch.bytes().len()),
                Err(why) => {
                    unfit = Err(WhyNot::Encode(why));
                    break;
                }
            }
        }
        let bytes = &*scratch.bytes();
        let records = ends.into_iter().map(|range| &bytes[range]);
        match ring.put_many(records, until) {
            (put, Ok(())) => (put, unfit),
            (put, Err(why)) => (put, Err(WhyNot::Ring(why))),
        }
    }

    #[inline]
    fn copy(record: &[u8]) -> Scratch {
        let mut scratch = Scratch::take();
        scratch.bytes().extend_from_slice(record);
        scratch
    }

    #[inline]
    fn item(mut copied: Scratch) -> Result<T, Unfit> {
        decode(copied.bytes())
    }

    fn get_all(
        items: &mut Vec<T>,
        ring: &impl GetRecords,
        until: u64,
        most: usize,
    ) -> Result<usize, WhyNone> {
        let mut scratch = Scratch::take();
        let bytes = scratch.bytes();
        let mut ends = Vec::new();
        let taken = ring.get_many(until, most, |record| {
            bytes.extend_from_slice(record);
            ends.push(bytes.len());
        });
        let taken = taken.map_err(WhyNone::Ring)?;
        let (mut start, mut unfit) = (0, None);
        for end in ends {
            match decode(&bytes[start..end]) {
                Ok(item) => items.push(item),
                Err(why) => unfit = Some(why),
            }
            start = end;
        }
        match unfit {
            None => Ok(taken),
            Some(why) => Err(WhyNone::Unfit(why)),
        }
    }
}

/// Appends the encoding of an item.
#[inline]
fn encode<T: Serialize>(item: &T, scratch: &mut Scratch) -> Result<(), String> {
    codec::append_plain(item, scratch.bytes()).map_err(|error| why_not(item, &error))
}

/// Encodings drop the text of an error. That a shared object was the reason is found out by trying again.
#[cold]
fn why_not<T: Serialize>(item: &T, error: &postcard::Error) -> String {
    let again = handle::sending(|| postcard::to_allocvec(item));
    if again.result.is_ok() && !again.descriptors.is_empty() {
        return "shared objects and descriptors travel in arguments, return values and pipes, not in queues".into();
    }
    error.to_string()
}

#[inline]
fn decode<T: DeserializeOwned>(record: &[u8]) -> Result<T, Unfit> {
    codec::decode_plain(record).map_err(|why| Unfit {
        len: record.len(),
        why,
    })
}

impl<T: Element> rules::Format<T> for Raw {
    type Record = T;
    type Copied = Result<T, usize>;

    #[inline]
    fn with_bytes<R>(item: &T, put: impl FnOnce(&[u8]) -> R) -> Result<R, String> {
        Ok(put(bytemuck::bytes_of(item)))
    }

    #[inline]
    fn put_all(items: &[T], ring: &impl PutRecords, until: u64) -> (usize, Result<(), WhyNot>) {
        let records = items.iter().map(bytemuck::bytes_of);
        let (put, result) = ring.put_many(records, until);
        (put, result.map_err(WhyNot::Ring))
    }

    #[inline]
    fn copy(record: &[u8]) -> Result<T, usize> {
        bytemuck::try_pod_read_unaligned(record).map_err(|_| record.len())
    }

    #[inline]
    fn item(copied: Result<T, usize>) -> Result<T, Unfit> {
        copied.map_err(not_one::<T>)
    }

    #[inline]
    fn get_all(
        items: &mut Vec<T>,
        ring: &impl GetRecords,
        until: u64,
        most: usize,
    ) -> Result<usize, WhyNone> {
        let mut unfit = None;
        items.reserve(most.min(ring.len()));
        let taken = ring.get_many(until, most, |record| match <Raw as rules::Format<T>>::copy(
            record,
        ) {
            Ok(item) => items.push(item),
            Err(len) => unfit = Some(len),
        });
        let taken = taken.map_err(WhyNone::Ring)?;
        match unfit {
            None => Ok(taken),
            Some(len) => Err(WhyNone::Unfit(not_one::<T>(len))),
        }
    }
}

#[cold]
fn not_one<T>(len: usize) -> Unfit {
    Unfit {
        len,
        why: format!("one element has {} bytes", size_of::<T>()),
    }
}
