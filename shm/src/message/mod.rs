//! Messages as they lie in queues and channels: encoded, or as the very bytes of elements.

mod capacity;
mod error;
mod format;
mod passing;
mod scratch;
mod slices;

pub use capacity::capacity_for;
pub(crate) use error::SendErrorKind;
pub use error::{RecvError, Rest, SendError, SendManyError};
pub use format::{Format, Raw, Serde};
pub(crate) use passing::{
    GetRecords, PutRecords, Side, get, get_many, put, put_many, recv_error, send_error,
};
pub(crate) use slices::{get_slice, not_whole, put_slice};
