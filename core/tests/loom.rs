//! Every interleaving of the protocols, as far as loom can see: `scripts/loom` runs these.
//!
//! A model's futex is a condition variable. Time does not pass; instead a sleep ends with [`Wait::TimedOut`] once
//! somebody has died, which is what the slices are for. A lost wake-up without a death is a deadlock that loom reports.
//!
//! [`Wait::TimedOut`]: multiproc_core::Wait::TimedOut
#![cfg(loom)]

#[path = "loom_models/barrier.rs"]
mod barrier;
#[path = "loom_models/channel.rs"]
mod channel;
#[path = "loom_models/claims.rs"]
mod claims;
#[path = "loom_models/condvar.rs"]
mod condvar;
#[path = "loom_models/event.rs"]
mod event;
#[path = "loom_models/joinable.rs"]
mod joinable;
#[path = "loom_models/lock.rs"]
mod lock;
#[path = "loom_models/once.rs"]
mod once;
#[path = "loom_models/permits.rs"]
mod permits;
#[path = "loom_models/records.rs"]
mod records;
#[path = "loom_models/reentrant.rs"]
mod reentrant;
#[path = "loom_models/ring.rs"]
mod ring;
#[path = "loom_models/rwlock.rs"]
mod rwlock;
#[path = "loom_models/spsc.rs"]
mod spsc;
#[path = "loom_models/tasks.rs"]
mod tasks;
#[path = "loom_models/value.rs"]
mod value;
#[path = "loom_models/watch.rs"]
mod watch;
#[path = "loom_models/world.rs"]
mod world;
