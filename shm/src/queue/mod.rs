//! Queues: messages from any number of processes to any number of processes.

mod bounded;
mod item;
mod iter;
mod joinable;
mod raw;
mod ring;

pub use bounded::Queue;
pub use item::Item;
pub(crate) use iter::Gets;
pub use iter::Iter;
pub use joinable::{JoinQueueError, JoinableQueue};
