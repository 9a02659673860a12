//! The `no_std` half of [multiproc](https://docs.rs/multiproc): typed layouts in memory that somebody else mapped,
//! shared with other processes, and the protocols that keep them whole when a process dies at any instruction.
//!
//! No allocation, no system calls, no knowledge of what a process is: what the protocols need from the system they
//! ask through one trait, [`Os`]. To embed them: implement it, map memory, and
//!
//! * `place` a layout in fresh bytes,
//! * `attach` to one that another process placed,
//! * `bury` its owners when it is proved that nobody has it open any more.
//!
//! `examples/no_std_embedder.rs` does so in a hundred lines.
//!
//! | for | use |
//! |---|---|
//! | a value, read without waiting, never half-written | [`Value`] |
//! | data changed in place under a lock | [`Mutex`] |
//! | waiting for that data to change | [`Condvar`] |
//! | the same, locked again by whoever holds it | [`ReentrantMutex`] |
//! | data read by many at once, changed in place by one | [`RwLock`] |
//! | a value made, or something done, by the first who asks for it | [`OnceValue`], [`Once`] |
//! | something that happens, and waiting for it | [`Event`] |
//! | an array, changed in place by many, each in its own range | [`Array`] |
//! | an array of atomics | [`AtomicArray`] |
//! | waiting until all have come | [`Barrier`] |
//! | a limit on how many are at work at once | [`Semaphore`], [`BoundedSemaphore`] |
//! | passing records of bytes on, first in, first out | [`ByteRing`] |
//! | the same, between ends that know whether anybody is at the other | [`Channel`] |
//! | the same, waiting until all that was passed on is done | [`JoinableRing`] |
//! | tasks for workers, and which of them one had in hand when it died | [`TaskRing`] |
//! | counting | [`Counter`], [`ShardedCounter`] |
//! | one's own structs as elements | [`record!`], [`Element`] |
//!
//! With the feature `ndarray`, which needs an allocator, claimed ranges of an [`Array`] are arrays of the crate of that
//! name, too.
//!
//! Each is a header of 512 bytes and a body; [`Region`] says where. The building blocks are public too: the
//! [`Lock`] word and how it is [`Watched`], the [`Holders`] table of who holds or waits for what, and the [`Slots`] of
//! a value.
#![no_std]

#[cfg(feature = "ndarray")]
pub use ndarray;

mod array;
pub mod atomic;
mod atomic_array;
mod barrier;
mod byte_ring;
mod channel;
mod channel_ends;
mod claim_error;
mod claims;
mod condvar;
mod condvar_word;
mod consumer;
mod counter;
mod element;
mod error;
mod event;
mod event_word;
mod header;
mod hold;
mod holders;
mod init_error;
mod joinable_ring;
mod lock;
mod mutex;
#[cfg(feature = "ndarray")]
mod nd_view;
mod once_value;
mod once_words;
mod origin;
mod os;
mod owner;
mod permits;
mod placed;
mod poison;
mod poison_ranges;
mod producer;
mod racy;
mod range_guard;
mod reentrant_lock;
mod reentrant_mutex;
mod refusal;
mod region;
mod rendezvous;
mod ring;
mod ring_bytes;
mod ring_copy;
mod ring_error;
mod ring_hold;
mod ring_layout;
mod ring_pace;
mod ring_slot;
mod ring_wait;
mod ring_words;
mod rwlock;
mod rwlock_guard;
mod semaphore;
mod set_error;
mod slots;
mod tally;
mod task_ring;
mod text;
mod value;
mod value_guard;
mod wait_graph;
mod wait_timeout;
mod waiter;
mod watch;

pub use array::{ARRAY_DATA_AT, Array};
pub use atomic_array::{AtomicArray, AtomicElement, AtomicF32, AtomicF64};
pub use barrier::{Barrier, BarrierWaitResult};
pub use byte_ring::ByteRing;
pub use channel::Channel;
pub use channel_ends::{End, Ends, Entered, MAX_PROCESSES_AT_END};
pub use claim_error::{ClaimError, PoisonedClaim};
pub use condvar::Condvar;
pub use condvar_word::CondvarWord;
pub use consumer::Consumer;
pub use counter::{Counter, MAX_SHARDS, ShardedCounter};
#[doc(hidden)]
pub use element::__private;
pub use element::Element;
pub use error::{LayoutError, Shape};
pub use event::Event;
pub use event_word::EventWord;
pub use header::{HEADER_LEN, Kind, LAYOUT_VERSION, MAGIC, MAX_DIMS};
pub use holders::{Claim, Held, Holders, ROWS, Rule};
pub use init_error::InitError;
pub use joinable_ring::{InHand, JoinableRing, Joined, MAX_TAKERS, Unfinished};
pub use lock::{FOREVER, Lock, NOW, Refused, Taken};
pub use mutex::{Mutex, MutexGuard};
#[cfg(feature = "ndarray")]
pub use nd_view::ViewError;
pub use once_value::{Once, OnceValue};
pub use once_words::OnceWords;
pub use origin::Origin;
pub use os::{Liveness, Os, Wait};
pub use owner::Owner;
pub use permits::{HeldPermits, Permits, TooManyPermits};
pub use poison::Cause;
pub use poison_ranges::{MAX_POISONED, PoisonedRange, PoisonedRanges};
pub use producer::Producer;
pub use racy::{load_racy, store_racy};
pub use range_guard::{ReadGuard, WriteGuard};
pub use reentrant_lock::ReentrantLock;
pub use reentrant_mutex::{ReentrantMutex, ReentrantMutexGuard};
pub use refusal::{LockError, Poisoned};
pub use region::{ALIGN, Region};
pub use rendezvous::{BarrierError, BreakCause, Rendezvous, RendezvousWords};
pub use ring::{Records, Ring, capacity_for};
pub use ring_copy::Shown;
pub use ring_error::RingError;
pub use ring_hold::{Hold, Locked, Sole};
pub use ring_slot::{RecvSlot, SendSlot};
pub use ring_words::RingWords;
pub use rwlock::RwLock;
pub use rwlock_guard::{RwLockReadGuard, RwLockWriteGuard};
pub use semaphore::{BoundedSemaphore, Permit, Semaphore};
pub use set_error::SetError;
pub use slots::Slots;
pub use task_ring::{Hands, Lost, MAX_WORKERS, Progress, TaskRing};
pub use text::{Excerpt, TEXT_ROOM, Text};
pub use value::Value;
pub use value_guard::ValueGuard;
pub use wait_timeout::WaitTimeoutResult;
pub use watch::Watched;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
