//! The fork server of this process: the clean one that children by [`StartMethod::ForkServer`](super::StartMethod) come
//! from.
//!
//! A copy of this process finds what it inherits to be another's, and makes a place of its own: it never waits for a lock
//! that a thread of its parent held, nor talks to its parent's server.

use std::{
    iter, ptr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicPtr, Ordering},
    },
};

use multiproc_core::Owner;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    builder::{Start, caller},
    child::Started,
    error::StartError,
    frame::Preload,
    server::{Failure, NAME, Server},
    spawn::Errand,
    task::Places,
};
use crate::packet::{Socket, codec};

/// The small process that children by [`StartMethod::ForkServer`](crate::StartMethod::ForkServer) are forked from.
///
/// It is this executable anew, with one thread and nothing else in it, so that forking from it is fast and safe whatever
/// the calling process has grown to. It is started with the first such child, and ends with the calling process, however
/// that ends. If it was killed, the next start brings a new one; children that came from it are children of the calling
/// process and go on.
///
/// Its children have the environment, the working directory and the standard streams that it was started with.
///
/// ```standalone_crate
/// use std::sync::OnceLock;
/// use multiproc::{ForkServer, Process, StartMethod};
///
/// static TABLE: OnceLock<Vec<u64>> = OnceLock::new();
///
/// fn load() {
///     TABLE.get_or_init(|| (0..1000).map(|x| x * x).collect());
/// }
///
/// fn look_up(x: usize) -> u64 {
///     TABLE.get().map_or(0, |table| table[x])
/// }
///
/// fn main() {
///     multiproc::init();
///     ForkServer::preload(load).unwrap();
///     let builder = Process::builder().method(StartMethod::ForkServer);
///     let child = builder.start(look_up, 30).unwrap();
///     assert_eq!(child.join().unwrap(), 900);
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct ForkServer;

impl ForkServer {
    /// Has every fork server of this process call `load` once, when it starts: what it leaves in statics is found ready by
    /// all children. It must leave no thread running, and hold no guard of a shared object.
    ///
    /// Starting a child waits for it, however long it takes. It is for good: if it panics, every later start fails by the
    /// same panic, unless the preloads are [cleared](ForkServer::clear_preloads).
    ///
    /// # Errors
    ///
    /// [`StartError::ServerRunning`] when there is a server already, which would lack it;
    /// [`StartError::NotInExecutable`].
    pub fn preload(load: fn()) -> Result<(), StartError> {
        let places = Places::of_plain(load).ok_or(StartError::NotInExecutable)?;
        register(places, Vec::new())
    }

    /// As [`preload`](ForkServer::preload), for a function of one argument: a tuple for several.
    ///
    /// The argument is an owned serde type without shared objects, channels, pipes and descriptors in it.
    ///
    /// ```standalone_crate
    /// use std::sync::OnceLock;
    /// use multiproc::{ForkServer, Process, StartMethod};
    ///
    /// static WORDS: OnceLock<Vec<String>> = OnceLock::new();
    ///
    /// fn load((text, separator): (String, char)) {
    ///     WORDS.get_or_init(|| text.split(separator).map(str::to_owned).collect());
    /// }
    ///
    /// fn main() {
    ///     multiproc::init();
    ///     ForkServer::preload_with(load, ("to:be".to_owned(), ':')).unwrap();
    ///     let builder = Process::builder().method(StartMethod::ForkServer);
    ///     let child = builder.start(|()| WORDS.get().map(Vec::len), ()).unwrap();
    ///     assert_eq!(child.join().unwrap(), Some(2));
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`preload`](ForkServer::preload), and [`StartError::NotEncoded`].
    pub fn preload_with<A>(load: fn(A), argument: A) -> Result<(), StartError>
    where
        A: Serialize + DeserializeOwned,
    {
        let places = Places::of(load).ok_or(StartError::NotInExecutable)?;
        let encoded = codec::encode(&argument).and_then(|encoded| {
            // They would have to be kept open, for each server anew.
            match encoded.descriptors.len() {
                0 => Ok(encoded.bytes),
                _ => {
                    Err("what is preloaded cannot have shared objects or descriptors in it".into())
                }
            }
        });
        let argument = encoded.map_err(|message| StartError::NotEncoded {
            name: NAME.to_owned(),
            message,
        })?;
        register(places, argument)
    }

    /// Forgets all that was to be preloaded: the next server loads nothing. One that runs goes on with what it has loaded.
    pub fn clear_preloads() {
        if let Ok(me) = caller() {
            // Held, so that nobody adds to them meanwhile.
            let _server = slot(me);
            // Relaxed: there is nothing behind it.
            PRELOADS.store(ptr::null_mut(), Ordering::Relaxed);
        }
    }

    /// Makes sure that the server runs and has loaded what it is to preload, so that the first child need not wait for that.
    ///
    /// # Errors
    ///
    /// [`StartError::PreloadPanicked`], [`StartError::ServerEnded`], and whatever is in the way of spawning a process.
    pub fn start() -> Result<(), StartError> {
        let me = caller()?;
        let mut server = slot(me);
        if server.as_ref().is_none_or(|server| !server.is_alive()) {
            *server = None;
            *server = Some(Server::spawned(me, preloads())?);
        }
        Ok(())
    }

    /// The process id of the server; `None` when there is none.
    #[must_use]
    pub fn pid() -> Option<u32> {
        let server = slot(caller().ok()?);
        let alive = server.as_ref().filter(|server| server.is_alive());
        alive.map(Server::pid)
    }

    /// Ends the server, if there is one. Its children go on; the next start brings a new server.
    pub fn stop() {
        if let Ok(me) = caller() {
            *slot(me) = None;
        }
    }
}

/// How many servers in a row may end over one child.
const TRIES: usize = 3;

/// Starts a child from the server of this process.
pub(super) fn start(start: &Start<'_>, errand: Errand) -> Result<Started<Socket>, StartError> {
    let mut current = slot(start.parent);
    let mut how = String::new();
    for _ in 0..TRIES {
        let server = match &mut *current {
            Some(server) => server,
            none => none.insert(Server::spawned(start.parent, preloads())?),
        };
        match server.start(start, &errand) {
            Ok(child) => return Ok(child.go(errand)),
            Err(Failure::Refused(error)) => return Err(error),
            Err(Failure::Ended(message)) => {
                how = message;
                *current = None;
            }
        }
    }
    Err(StartError::ServerEnded { message: how })
}

/// The place for the server of one process.
struct Slot {
    owner: Owner,
    server: Mutex<Option<Server>>,
}

/// That of the process that was here last; null before the first. It lives for ever.
static SLOT: AtomicPtr<Slot> = AtomicPtr::new(ptr::null_mut());

/// The server of the calling process, locked.
fn slot(me: Owner) -> MutexGuard<'static, Option<Server>> {
    loop {
        // Acquire: pairs with the Release below.
        let found = SLOT.load(Ordering::Acquire);
        // SAFETY: null, or a slot that is never freed.
        if let Some(slot) = unsafe { found.as_ref() }
            && slot.owner == me
        {
            return slot.server.lock().unwrap_or_else(PoisonError::into_inner);
        }
        let new = Box::into_raw(Box::new(Slot {
            owner: me,
            server: Mutex::new(None),
        }));
        // Release: whoever finds the pointer finds the slot. Relaxed: whoever lost looks again.
        let placed = SLOT.compare_exchange(found, new, Ordering::Release, Ordering::Relaxed);
        if placed.is_err() {
            // SAFETY: made above, and nobody else has seen it.
            drop(unsafe { Box::from_raw(new) });
        }
    }
}

/// A function to preload. Nodes live for ever, and are changed by nobody: a copy of this process has them whole.
struct Node {
    preload: Preload<'static>,
    next: *const Node,
}

/// The newest of them.
static PRELOADS: AtomicPtr<Node> = AtomicPtr::new(ptr::null_mut());

/// Adds a function to preload, unless there is a server.
fn register(places: Places, argument: Vec<u8>) -> Result<(), StartError> {
    // Held, so that nobody else changes them.
    let server = slot(caller()?);
    if let Some(server) = server.as_ref().filter(|server| server.is_alive()) {
        return Err(StartError::ServerRunning { pid: server.pid() });
    }
    let preload = Preload {
        places,
        argument: argument.leak(),
    };
    let next = PRELOADS.load(Ordering::Relaxed);
    let node = Box::leak(Box::new(Node { preload, next }));
    // Release: pairs with the Acquire in `preloads`.
    PRELOADS.store(node, Ordering::Release);
    Ok(())
}

/// The functions to preload, in the order in which they were registered.
fn preloads() -> Vec<Preload<'static>> {
    // Acquire: pairs with the Release in `register`.
    let mut next = PRELOADS.load(Ordering::Acquire).cast_const();
    let mut preloads: Vec<Preload<'static>> = iter::from_fn(|| {
        // SAFETY: null, or a node that is never freed.
        let node = unsafe { next.as_ref() }?;
        next = node.next;
        Some(node.preload)
    })
    .collect();
    preloads.reverse();
    preloads
}
