//! The `no_std` half of multiproc.
#![no_std]

mod array;
pub mod atomic;
mod atomic_array;
mod claim_error;
mod counter;
mod element;
mod error;
mod header;
mod holders;
mod lock;
mod mutex;
mod os;
mod owner;
mod poison;
mod poison_ranges;
mod racy;
mod refusal;
mod region;
mod text;
mod value;
mod wait_graph;

pub use array::{ARRAY_DATA_AT, Array, ReadGuard, WriteGuard};
pub use atomic_array::{AtomicArray, AtomicElement, AtomicF32, AtomicF64};
pub use claim_error::{ClaimError, PoisonedClaim};
pub use counter::{Counter, MAX_SHARDS, ShardedCounter};
#[doc(hidden)]
pub use element::__private;
pub use element::Element;
pub use error::{LayoutError, Shape};
pub use header::{Kind, Origin};
pub use holders::{Claim, Held, Holders, ROWS, Rule};
pub use lock::{FOREVER, Lock, NOW, Refused, Taken};
pub use mutex::{Mutex, MutexGuard};
pub use os::{Liveness, Os, Wait};
pub use owner::Owner;
pub use poison::Cause;
pub use poison_ranges::{MAX_POISONED, PoisonedRange, PoisonedRanges};
pub use refusal::{LockError, Poisoned};
pub use region::{ALIGN, Region};
pub use text::{Excerpt, Text};
pub use value::{Slots, Value, ValueGuard};
