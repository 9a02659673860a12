//! Python's `multiprocessing` for Rust: typed data in shared memory, guarded by locks that survive the death of any
//! process, and the child processes that work on it.
//!
//! ```
//! use multiproc::{Array, Process};
//! use std::ops::Range;
//!
//! fn square((numbers, range): (Array<f64>, Range<usize>)) {
//!     for x in numbers.write(range).unwrap().iter_mut() {
//!         *x *= *x;
//!     }
//! }
//!
//! fn main() -> Result<(), multiproc::Error> {
//!     multiproc::init();
//!     let numbers = Array::from_slice(&[1.0, 2.0, 3.0, 4.0])?;
//!     let children = numbers
//!         .split(2)
//!         .map(|range| Process::spawn(square, (numbers.clone(), range)))
//!         .collect::<Result<Vec<_>, _>>()?;
//!     for child in children {
//!         child.join()?;
//!     }
//!     assert_eq!(numbers.to_vec()?, [1.0, 4.0, 9.0, 16.0]);
//!     Ok(())
//! }
//! ```
//!
//! Items are sent from process to process through queues, channels and pipes:
//!
//! ```
//! # multiproc::init();
//! use multiproc::{Process, Sender, channel};
//!
//! fn measure(results: Sender<(String, f64)>) {
//!     results.send(("speed".to_owned(), 0.5)).unwrap();
//! }
//!
//! let (sender, results) = channel(4096)?;
//! let child = Process::spawn(measure, sender)?;
//! for (name, value) in results {
//!     println!("{name}: {value}"); // until the child has dropped its sender, or is dead
//! }
//! child.join()?;
//! # Ok::<(), multiproc::Error>(())
//! ```
//!
//! # Which type
//!
//! | to share | use | when its holder is killed |
//! |---|---|---|
//! | an array, changed in place by many at once | [`Array`] | the ranges that it had claimed are poisoned, no others |
//! | a value, read often, changed as a whole | [`Value`] | the old value stays, whole |
//! | data changed in place under a lock | [`Mutex`] | poisoned: the next to lock it is told |
//! | waiting for such data to change | [`Condvar`] | nothing: other waiters are woken as well |
//! | the same, locked again by whoever holds it | [`ReentrantMutex`] | poisoned: the next to lock it is told |
//! | data read by many at once, changed in place by one | [`RwLock`] | poisoned if it wrote; readers leave nothing behind |
//! | what the first who asks makes, or does, for all | [`OnceValue`], [`Once`] | the next who asks begins anew |
//! | something that happens, and waiting for it | [`Event`] | nothing to recover |
//! | a place where all wait for one another | [`Barrier`] | broken: all who wait are told |
//! | a limit on how many are at work at once | [`Semaphore`], [`BoundedSemaphore`] | its permits come back |
//! | a count | [`Counter`], [`ShardedCounter`] | nothing to recover |
//! | many counts, flags, sums | [`AtomicArray`] | nothing to recover |
//! | what Python's `SharedMemory` made, or another program | [`RawArray`] | nobody is told: it says nothing of itself |
//! | structs of your own, in any of these | [`record!`], [`Element`] | |
//!
//! | to send | use | when a process is killed over it |
//! |---|---|---|
//! | items of any serde type, among any number of processes | [`Queue`] | it had put one wholly or not at all; one it was taking is another's, or gone with it |
//! | the same, and to know when all are done | [`JoinableQueue`] | [`join`](JoinableQueue::join) says how many were lost with it |
//! | the same, and to know when nobody is at the other end | [`Sender`], [`Receiver`], by [`channel`](channel()) | the last one gone: disconnected, after the rest was received |
//! | the same from one to one, without locks; by [`spsc_raw`] in place | [`Producer`], [`Consumer`], by [`spsc`](spsc()) | likewise |
//! | elements, as the bytes that they are, in any of these | [`Raw`], by their `raw` forms | |
//! | items of any serde type, shared objects among them | [`Pipe`], by [`pipe`](pipe()) | what it had sent arrives, then the end of file |
//! | the same, in one direction | [`PipeSender`], [`PipeReceiver`], by [`one_way`] | likewise; sending is an error |
//! | open files, sockets: in a pipe, an argument or a return value | [`Descriptor`] | |
//!
//! [`wait`](wait()) tells which of several pipes, children and other descriptors are ready; [`Readiness`] is the descriptor
//! of a queue or a channel.
//!
//! Each shared object is made anonymous (`new`, `zeroed`, …), or named or in a file (`create` with [`Create`], `open`
//! with [`Open`]); channels and pipes are anonymous only. Handles are cheap to clone and travel to child processes inside the arguments and the return value of
//! a task, and through pipes.
//!
//! # Processes
//!
//! [`Process::spawn`] starts this very program anew and calls a function in it; [`Process::fork`] copies this process,
//! which is faster and refused where it would not be safe; by [`StartMethod::ForkServer`] a small clean process is copied,
//! which is faster than to start it anew, and always safe. [`init`] must be the first line of `main`. What a [`Child`]
//! returns, or why it did not, comes out of [`Child::join`]. A [`scope`](scope()) joins all that it started. [`current`]
//! and [`parent`] tell a process who it is and who started it, [`active_children`] whom it has started.
//!
//! # Pools
//!
//! A [`Pool`] keeps worker processes, which run the tasks handed to them through the methods of [`Executor`]: [`map`],
//! [`imap`], [`submit`] and so on. A task ends once, with its value or with the [`TaskError`] that says why there is none; a
//! worker that dies costs the one task that it had in hand. A [`ThreadPool`] does the same by threads.
//!
//! [`map`]: Executor::map
//! [`imap`]: Executor::imap
//! [`submit`]: Executor::submit
//!
//! # Features
//!
//! None is on by default.
//!
//! | feature | brings |
//! |---|---|
//! | `ndarray` | `view` and `view_mut` of the guards of an [`Array`]: the claimed rows as arrays of the crate `ndarray` (0.17), with the dimensions of the shared array |
//! | `shared_memory` | `AdoptedShmem`: shared objects inside mappings of the crate `shared_memory`, beside what a program has there already |
//!
//! # What is promised
//!
//! Processes may be killed at any instruction. Locks are then taken over by the next who asks, values are never torn,
//! nobody waits for the dead for longer than a fifth of a second. A process is taken for dead only when that is
//! proved. Other processes of the same user are trusted to keep the claims; the bytes of segments and descriptors are
//! not trusted: they are checked, or harmless.

mod array;
mod atomic_array;
mod channel;
mod counter;
mod deadline;
mod descriptor;
mod dimensions;
mod error;
mod handle;
mod mapped;
mod message;
mod packet;
mod pipe;
mod pool;
mod process;
mod queue;
mod raw_array;
mod read_only;
mod readiness;
mod segment;
mod sync;
mod sys;
mod value;
mod wait;

pub use array::{Array, ReadGuard, WriteGuard};
pub use atomic_array::AtomicArray;
pub use channel::{
    Consumer, Producer, Receiver, RecvSlot, SendSlot, Sender, channel, channel_raw, spsc, spsc_raw,
};
pub use counter::{Counter, ShardedCounter};
pub use descriptor::Descriptor;
pub use dimensions::Dimensions;
pub use error::Error;
pub use message::{Format, Raw, RecvError, Rest, SendError, SendManyError, Serde, capacity_for};
pub use multiproc_core::{
    AtomicElement, AtomicF32, AtomicF64, BarrierError, BarrierWaitResult, BreakCause, Cause,
    ClaimError, Element, Excerpt, InitError, Kind, LayoutError, LockError, Poisoned, PoisonedClaim,
    PoisonedRange, PoisonedRanges, Refused, RingError, SetError, Shape, TooManyPermits,
    WaitTimeoutResult, record,
};
#[cfg(feature = "ndarray")]
pub use multiproc_core::{ViewError, ndarray};
pub use pipe::{
    Pipe, PipeError, PipeIntoIter, PipeIter, PipeReceiver, PipeSendError, PipeSender, one_way, pipe,
};
pub use pool::{
    Executor, Imap, ImapUnordered, MapError, MapOptions, OnWorkerDeath, Payload, Pool, PoolBuilder,
    PoolError, Progress, StarTask, Stats, SubmitError, Task, TaskError, ThreadPool, WorkerStats,
};
pub use process::{
    ActiveChild, Child, CurrentProcess, ForkServer, JoinError, MemoryUse, OnDrop, ParentProcess,
    ParseStartMethodError, Process, ProcessBuilder, Scope, ScopedChild, StartError, StartMethod,
    TaskPanic, active_children, current, init, parent, scope,
};
pub use queue::{Item, Iter, JoinQueueError, JoinableQueue, Queue};
pub use raw_array::RawArray;
pub use read_only::ReadOnly;
pub use readiness::Readiness;
#[cfg(feature = "shared_memory")]
pub use segment::AdoptedShmem;
pub use segment::{Access, Create, Open, Segment};
pub use sync::{
    Barrier, BoundedSemaphore, Condvar, Event, Mutex, MutexGuard, Once, OnceValue, Permit,
    ReentrantMutex, ReentrantMutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, Semaphore,
};
pub use value::{Value, ValueGuard};
pub use wait::wait;

#[doc(hidden)]
pub use process::__init_before_main;

#[cfg(feature = "__fuzz")]
#[doc(hidden)]
pub mod __fuzz {
    pub use crate::{
        pool::{Desk, Values, reread_task, reread_told},
        process::{
            address, connection, hear, place, read_entry, receive_packet, reread_answer,
            reread_frame, send_packet,
        },
        sys::stat::parse_stat,
    };
}

#[cfg(feature = "__step")]
#[doc(hidden)]
pub use sys::set_step_hook as __set_step_hook;

#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../README.md")]
    struct Readme;
    #[doc = include_str!("../../docs/from-python.md")]
    struct FromPython;
}

// Handles go to any thread, and are used by many at once.
const _: () = {
    const fn is_shared_by_threads<T: Send + Sync>() {}
    is_shared_by_threads::<Array<u64>>();
    is_shared_by_threads::<AtomicArray<u64>>();
    is_shared_by_threads::<Barrier>();
    is_shared_by_threads::<BoundedSemaphore>();
    is_shared_by_threads::<Condvar>();
    is_shared_by_threads::<Consumer<u64>>();
    is_shared_by_threads::<Consumer<u64, Raw>>();
    is_shared_by_threads::<Counter>();
    is_shared_by_threads::<Descriptor>();
    is_shared_by_threads::<Event>();
    is_shared_by_threads::<JoinableQueue<u64>>();
    is_shared_by_threads::<JoinableQueue<u64, Raw>>();
    is_shared_by_threads::<Mutex<u64>>();
    is_shared_by_threads::<Once>();
    is_shared_by_threads::<OnceValue<u64>>();
    is_shared_by_threads::<Pipe<u64, String>>();
    is_shared_by_threads::<Producer<u64>>();
    is_shared_by_threads::<Producer<u64, Raw>>();
    is_shared_by_threads::<Queue<u64>>();
    is_shared_by_threads::<Queue<u64, Raw>>();
    is_shared_by_threads::<RawArray<u64>>();
    is_shared_by_threads::<ReadOnly<Value<u64>>>();
    is_shared_by_threads::<Readiness>();
    is_shared_by_threads::<Receiver<u64>>();
    is_shared_by_threads::<Receiver<u64, Raw>>();
    is_shared_by_threads::<ReentrantMutex<u64>>();
    is_shared_by_threads::<RwLock<u64>>();
    is_shared_by_threads::<Segment>();
    is_shared_by_threads::<Semaphore>();
    is_shared_by_threads::<Sender<u64>>();
    is_shared_by_threads::<Sender<u64, Raw>>();
    is_shared_by_threads::<ShardedCounter>();
    is_shared_by_threads::<Value<u64>>();
};
