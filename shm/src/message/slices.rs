//! Several elements as one message.

use multiproc_core::Element;

use super::{
    error::{RecvError, SendError},
    passing::{GetRecords, PutRecords, recv_error, send_error},
};

#[inline]
pub(crate) fn put_slice<T: Element, R: PutRecords>(
    ring: &R,
    elements: &[T],
    until: u64,
) -> Result<(), SendError<()>> {
    const { assert!(size_of::<T>() > 0, "a slice of nothing cannot be sent") };
    let record = bytemuck::cast_slice(elements);
    ring.put(record, until)
        .map_err(|why| send_error(why, R::SIDE, record.len(), ring.max_len()).around(()))
}

/// Appends the elements of the next message to `elements`; how many there were.
#[inline]
pub(crate) fn get_slice<T: Element, R: GetRecords>(
    ring: &R,
    elements: &mut Vec<T>,
    until: u64,
) -> Result<usize, RecvError> {
    match ring.get(until, |record| append(elements, record)) {
        Ok(appended) => appended,
        Err(why) => Err(recv_error(why, R::SIDE)),
    }
}

fn append<T: Element>(elements: &mut Vec<T>, record: &[u8]) -> Result<usize, RecvError> {
    const { assert!(size_of::<T>() > 0, "a slice of nothing cannot be received") };
    if !record.len().is_multiple_of(size_of::<T>()) {
        return Err(not_whole::<T>(record.len()));
    }
    match bytemuck::try_cast_slice(record) {
        Ok(slice) => elements.extend_from_slice(slice),
        // Elements that need more than the eight bytes at which records begin.
        Err(_) => elements.extend(
            record
                .chunks_exact(size_of::<T>())
                .map(bytemuck::pod_read_unaligned::<T>),
        ),
    }
    Ok(record.len() / size_of::<T>())
}

#[cold]
pub(crate) fn not_whole<T>(len: usize) -> RecvError {
    RecvError::Decode {
        len,
        why: format!("they are no whole elements of {} bytes", size_of::<T>()),
    }
}
