//! The threads of pools, and which pool one belongs to: what it waits for would wait for it.

use std::{
    cell::{Cell, RefCell},
    io,
    marker::PhantomData,
    sync::atomic::{AtomicU64, Ordering},
    thread::{self, JoinHandle},
};

use crate::sys::signal;

/// A pool of this process, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PoolId(u64);

thread_local! {
    /// The number of the pool whose thread this is, or 0.
    static OF: Cell<u64> = const { Cell::new(0) };
    /// The pools that this thread hands the items of maps to, the innermost last.
    static MAPS: RefCell<Vec<PoolId>> = const { RefCell::new(Vec::new()) };
}

impl PoolId {
    pub(super) fn new() -> PoolId {
        static LAST: AtomicU64 = AtomicU64::new(0);
        // Relaxed: only a number of its own.
        PoolId(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// Whether the calling thread is one of this pool.
pub(super) fn is_of(pool: PoolId) -> bool {
    OF.get() == pool.0
}

/// Whether the calling thread is in the middle of a map of this pool.
pub(super) fn is_mapping(pool: PoolId) -> bool {
    MAPS.with_borrow(|maps| maps.contains(&pool))
}

/// While there is one, the thread that made it is in the middle of a map.
pub(super) struct InMap(PhantomData<*const ()>);

impl InMap {
    pub(super) fn of(pool: PoolId) -> InMap {
        MAPS.with_borrow_mut(|maps| maps.push(pool));
        InMap(PhantomData)
    }
}

impl Drop for InMap {
    fn drop(&mut self) {
        MAPS.with_borrow_mut(Vec::pop);
    }
}

/// Starts a thread of a pool.
pub(super) fn start(
    pool: PoolId,
    name: String,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    // The signals of this process are for its own threads to handle.
    let _blocked = signal::Blocked::new();
    thread::Builder::new().name(name).spawn(move || {
        OF.set(pool.0);
        body();
    })
}
