//! The `no_std` half of multiproc.
#![no_std]

pub mod atomic;
mod element;
mod error;
mod header;
mod lock;
mod mutex;
mod os;
mod owner;
mod poison;
mod refusal;
mod region;
mod text;
mod value;

#[doc(hidden)]
pub use element::__private;
pub use element::Element;
pub use error::{LayoutError, Shape};
pub use header::{Kind, Origin};
pub use lock::{FOREVER, Lock, NOW, Refused, Taken};
pub use mutex::{Mutex, MutexGuard};
pub use os::{Liveness, Os, Wait};
pub use owner::Owner;
pub use poison::Cause;
pub use refusal::{LockError, Poisoned};
pub use region::{ALIGN, Region};
pub use text::Text;
pub use value::{Slots, Value, ValueGuard};
