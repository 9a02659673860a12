//! Messages put into a ring and taken from it, whatever kind of ring that is.

use multiproc_core::{MAX_PROCESSES_AT_END, MAX_TAKERS, Refused, RingError, capacity_for};

use super::{
    error::{RecvError, SendError, SendErrorKind, SendManyError},
    format::rules::{Format, Unfit, WhyNone, WhyNot},
};

/// A ring that records are put into, as messages need it.
pub trait PutRecords {
    /// What is said of a ring that is closed.
    const SIDE: Side;

    fn put(&self, record: &[u8], until: u64) -> Result<(), RingError>;

    fn put_many<'a>(
        &self,
        records: impl Iterator<Item = &'a [u8]>,
        until: u64,
    ) -> (usize, Result<(), RingError>);

    /// How many bytes the longest record may have.
    fn max_len(&self) -> usize;
}

/// A ring that records are taken from, as messages need it.
pub trait GetRecords {
    /// What is said of a ring that is closed.
    const SIDE: Side;

    fn get<R>(&self, until: u64, take: impl FnMut(&[u8]) -> R) -> Result<R, RingError>;

    fn get_many(
        &self,
        until: u64,
        most: usize,
        take: impl FnMut(&[u8]),
    ) -> Result<usize, RingError>;

    /// How many records there are at this moment.
    fn len(&self) -> usize;
}

/// What a closed ring means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Somebody closed it.
    Queue,
    /// Nobody is at the other end.
    Channel,
}

/// Most messages, and most bytes of them, that are put under one hold of the lock.
const CHUNK: usize = 64;
const CHUNK_BYTES: usize = 64 * 1024;

#[inline]
pub(crate) fn put<T, F: Format<T>, R: PutRecords>(
    ring: &R,
    item: T,
    until: u64,
) -> Result<(), SendError<T>> {
    let mut len = 0;
    let put = F::with_bytes(&item, |record| {
        len = record.len();
        ring.put(record, until)
    });
    match put {
        Ok(Ok(())) => Ok(()),
        Ok(Err(why)) => Err(send_error(why, R::SIDE, len, ring.max_len()).around(item)),
        Err(why) => Err(SendError::Encode { item, why }),
    }
}

#[cold]
pub(crate) fn send_error(why: RingError, side: Side, len: usize, most: usize) -> SendErrorKind {
    let refused = |why| SendErrorKind::Refused { why };
    match why {
        RingError::WouldBlock => SendErrorKind::Full,
        RingError::TimedOut => SendErrorKind::Timeout,
        RingError::Closed => match side {
            Side::Queue => SendErrorKind::Closed,
            Side::Channel => SendErrorKind::Disconnected,
        },
        RingError::TooLarge => SendErrorKind::TooLarge {
            len,
            most,
            capacity: capacity_for(len),
        },
        RingError::Damaged => SendErrorKind::Damaged,
        // Only who enters an end is refused so: who puts something has nothing in hand.
        RingError::TooManyProcesses => SendErrorKind::TooManyProcesses {
            limit: MAX_PROCESSES_AT_END,
        },
        RingError::NoIdentity => refused(Refused::NoIdentity),
        RingError::WouldDeadlock => refused(Refused::WouldDeadlock),
        // There are no others; the core may say more one day.
        _ => SendErrorKind::Damaged,
    }
}

#[inline]
pub(crate) fn put_many<T, F: Format<T>, I: Iterator<Item = T>, R: PutRecords>(
    ring: &R,
    mut items: I,
    until: u64,
) -> Result<usize, SendManyError<T, I>> {
    let most = (CHUNK_BYTES / size_of::<T>().max(1)).clamp(1, CHUNK);
    let mut sent = 0;
    let mut chunk: Vec<T> = Vec::with_capacity(most.min(items.size_hint().0.max(1)));
    loop {
        chunk.extend(items.by_ref().take(most));
        if chunk.is_empty() {
            return Ok(sent);
        }
        let (put, result) = F::put_all(&chunk, ring, until);
        sent += put;
        let why = match result {
            Ok(()) => {
                chunk.clear();
                continue;
            }
            Err(WhyNot::Encode(why)) => SendErrorKind::Encode { why },
            Err(WhyNot::Ring(why)) => {
                let len = F::with_bytes(&chunk[put], <[u8]>::len).unwrap_or(0);
                send_error(why, R::SIDE, len, ring.max_len())
            }
        };
        chunk.drain(..put);
        return Err(SendManyError {
            sent,
            why: why.around(()),
            rest: chunk.into_iter().chain(items),
        });
    }
}

#[inline]
pub(crate) fn get<T, F: Format<T>, R: GetRecords>(ring: &R, until: u64) -> Result<T, RecvError> {
    match ring.get(until, F::copy) {
        Ok(copied) => F::item(copied).map_err(RecvError::from),
        Err(why) => Err(recv_error(why, R::SIDE)),
    }
}

#[inline]
pub(crate) fn get_many<T, F: Format<T>, R: GetRecords>(
    ring: &R,
    items: &mut Vec<T>,
    until: u64,
    most: usize,
) -> Result<usize, RecvError> {
    F::get_all(items, ring, until, most).map_err(|why| match why {
        WhyNone::Ring(why) => recv_error(why, R::SIDE),
        WhyNone::Unfit(why) => why.into(),
    })
}

impl From<Unfit> for RecvError {
    #[cold]
    fn from(Unfit { len, why }: Unfit) -> RecvError {
        RecvError::Decode { len, why }
    }
}

#[cold]
pub(crate) fn recv_error(why: RingError, side: Side) -> RecvError {
    match why {
        RingError::WouldBlock => RecvError::Empty,
        RingError::TimedOut => RecvError::Timeout,
        RingError::Closed => match side {
            Side::Queue => RecvError::Closed,
            Side::Channel => RecvError::Disconnected,
        },
        RingError::TooManyProcesses => match side {
            Side::Queue => RecvError::TooManyTakers { limit: MAX_TAKERS },
            Side::Channel => RecvError::TooManyProcesses {
                limit: MAX_PROCESSES_AT_END,
            },
        },
        RingError::NoIdentity => RecvError::Refused(Refused::NoIdentity),
        RingError::WouldDeadlock => RecvError::Refused(Refused::WouldDeadlock),
        // What is taken is never too long.
        RingError::Damaged | RingError::TooLarge => RecvError::Damaged,
        // There are no others; the core may say more one day.
        _ => RecvError::Damaged,
    }
}
