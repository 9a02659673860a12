//! How a child is to be started: its name, the method, what happens when either side goes first.

use std::{
    fmt,
    io::{self, Write},
    str::FromStr,
    sync::atomic::{AtomicU64, Ordering},
};

use multiproc_core::Owner;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

use super::{
    boot,
    child::{self, Child},
    current,
    error::StartError,
    fork::{self, Company},
    forkserver, registry,
    server::{Failure, Server},
    spawn::{self, Errand},
    task::Places,
};
use crate::{
    error::debug_as_display,
    packet::{
        Socket,
        codec::{self, Encoded},
    },
    sys,
};

/// How a child process comes to be.
///
/// How long each takes here is printed by `cargo run --release --example start_methods`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum StartMethod {
    /// The same executable anew (`spawn`): works everywhere, takes about a millisecond.
    #[default]
    Spawn,
    /// A copy of this process (`fork`): several times faster, refused while other threads run.
    Fork,
    /// A copy of a small clean process (`forkserver`), the [`ForkServer`](crate::ForkServer): between the two in time, and
    /// never in the way of threads.
    ForkServer,
}

impl StartMethod {
    /// All of them.
    pub const ALL: [StartMethod; 3] = [
        StartMethod::Spawn,
        StartMethod::Fork,
        StartMethod::ForkServer,
    ];
}

impl fmt::Display for StartMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            StartMethod::Spawn => "spawn",
            StartMethod::Fork => "fork",
            StartMethod::ForkServer => "forkserver",
        })
    }
}

/// A text that names no [`StartMethod`].
#[derive(Clone, PartialEq, Eq, Error)]
#[error("there is no start method {0:?}; there are \"spawn\", \"fork\" and \"forkserver\"")]
pub struct ParseStartMethodError(String);

debug_as_display!(ParseStartMethodError);

impl FromStr for StartMethod {
    type Err = ParseStartMethodError;

    fn from_str(text: &str) -> Result<StartMethod, ParseStartMethodError> {
        match text {
            "spawn" => Ok(StartMethod::Spawn),
            "fork" => Ok(StartMethod::Fork),
            "forkserver" => Ok(StartMethod::ForkServer),
            _ => Err(ParseStartMethodError(text.to_owned())),
        }
    }
}

/// What happens to a child whose [`Child`] is dropped without having been joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnDrop {
    /// It is killed, and the drop waits for its end.
    #[default]
    Kill,
    /// The drop waits for its end.
    Join,
    /// It goes on by itself.
    Detach,
}

/// Options for a child process; made by [`Process::builder`](crate::Process::builder).
///
/// ```standalone_crate
/// use multiproc::{OnDrop, Process, StartMethod};
///
/// fn main() {
///     multiproc::init();
///     let child = Process::builder()
///         .name("adder")
///         .method(StartMethod::Fork)
///         .on_drop(OnDrop::Join)
///         .start(|(a, b): (u8, u8)| a + b, (1, 2))
///         .unwrap();
///     assert_eq!(child.name(), "adder");
///     assert_eq!(child.join().unwrap(), 3);
/// }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder starts nothing by itself"]
pub struct ProcessBuilder {
    name: Option<String>,
    method: StartMethod,
    daemon: bool,
    on_drop: OnDrop,
}

/// What a start needs to know, whatever the method.
pub(crate) struct Start<'a> {
    pub(crate) name: &'a str,
    pub(crate) daemon: bool,
    pub(crate) method: StartMethod,
    /// The calling process.
    pub(crate) parent: Owner,
    pub(crate) parent_name: &'static str,
}

impl<'a> Start<'a> {
    /// That of a server, which goes by the name of the method that it is for.
    pub(crate) fn server(name: &'a str, method: StartMethod, parent: Owner) -> Start<'a> {
        Start {
            name,
            daemon: false,
            method,
            parent,
            parent_name: current::name(),
        }
    }

    pub(crate) fn io(&self, what: &'static str, why: io::Error) -> StartError {
        StartError::Io {
            name: self.name.to_owned(),
            what,
            why,
        }
    }

    pub(crate) fn not_encoded(&self, message: impl ToString) -> StartError {
        StartError::NotEncoded {
            name: self.name.to_owned(),
            message: message.to_string(),
        }
    }
}

impl ProcessBuilder {
    /// What the child is called in errors, and by `ps` (15 bytes of it) unless it was forked. By default `process-1`,
    /// `process-2` and so on.
    pub fn name(mut self, name: impl Into<String>) -> ProcessBuilder {
        self.name = Some(name.into());
        self
    }

    /// How the child comes to be; by default [`StartMethod::Spawn`].
    pub fn method(mut self, method: StartMethod) -> ProcessBuilder {
        self.method = method;
        self
    }

    /// Whether the child dies with this process, also when this process is killed; by default it goes on.
    ///
    /// It is this process that counts, not the thread that starts the child: that may end before. A daemon may start
    /// children itself.
    pub fn daemon(mut self, daemon: bool) -> ProcessBuilder {
        self.daemon = daemon;
        self
    }

    /// What happens when the [`Child`] is dropped without having been joined; by default [`OnDrop::Kill`].
    pub fn on_drop(mut self, policy: OnDrop) -> ProcessBuilder {
        self.on_drop = policy;
        self
    }

    /// Starts a child that runs `task(arguments)`.
    ///
    /// `task` is a function, or a closure that captures nothing, of one argument: a tuple for several, `()` for none. Its
    /// argument and its return value are owned serde types (`String` and not `&str`; for errors `Result<T, String>`);
    /// shared objects among them are shared.
    ///
    /// # Errors
    ///
    /// See [`StartError`]. With [`StartMethod::Fork`] also when other threads run or guards are held.
    pub fn start<A, R>(&self, task: fn(A) -> R, arguments: A) -> Result<Child<R>, StartError>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        self.begin(|start| match self.method {
            StartMethod::Spawn => on_errand(start, task, &arguments, spawn::execute),
            StartMethod::ForkServer => on_errand(start, task, &arguments, forkserver::start),
            StartMethod::Fork => {
                fork::refuse_company(start)?;
                let (on_their_way, moves) =
                    fork::ends_in(&arguments).map_err(|why| start.not_encoded(why))?;
                // SAFETY: there are no other threads.
                let started = unsafe {
                    fork::start(start, Company::None, move || {
                        fork::adopt_ends(&arguments, on_their_way)?;
                        Ok(task(arguments))
                    })
                }?;
                moves.are_made();
                Ok(started)
            }
        })
    }

    /// Starts a child as a copy of this process, whatever the method, that runs `task`.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    ///
    /// # Safety
    ///
    /// Nothing is checked that [`start`](ProcessBuilder::start) checks. In the child only the calling thread exists: `task`
    /// must not wait for another one, nor for what another one may hold at this moment, be it a lock of the program,
    /// of std (standard output), or of a C library; the allocator of libc is safe. Of shared objects the child owns
    /// nothing: `task` must not use a guard, nor a reference out of a guard, that was made before.
    ///
    /// Beside other threads the library does without what they may hold: a panic of `task` then comes back without its
    /// place and its backtrace, and what it printed without ending the line is lost unless it flushes standard output.
    pub unsafe fn start_closure<F, R>(&self, task: F) -> Result<Child<R>, StartError>
    where
        F: FnOnce() -> R,
        R: Serialize + DeserializeOwned,
    {
        self.begin(|start| {
            let company = Company::find();
            // SAFETY: promised by the caller.
            unsafe { fork::start(start, company, move || Ok(task())) }
        })
    }

    /// Starts a child that runs the task in these places, which returns an `R`, with these arguments: from `server`, if there
    /// is one, and otherwise by a method that makes no copy of this process.
    pub(crate) fn start_encoded<R: DeserializeOwned>(
        &self,
        places: Places,
        arguments: Encoded,
        server: Option<&Server>,
    ) -> Result<Child<R>, StartError> {
        self.begin(|start| match (server, self.method) {
            (Some(server), _) => send_off(start, places, arguments, |start, errand| {
                match server.start(start, &errand) {
                    Ok(child) => Ok(child.go(errand)),
                    Err(Failure::Refused(error)) => Err(error),
                    Err(Failure::Ended(message)) => Err(StartError::ServerEnded { message }),
                }
            }),
            (None, StartMethod::ForkServer) => {
                send_off(start, places, arguments, forkserver::start)
            }
            (None, StartMethod::Spawn | StartMethod::Fork) => {
                send_off(start, places, arguments, spawn::execute)
            }
        })
    }

    fn begin<R: DeserializeOwned>(
        &self,
        start: impl FnOnce(&Start<'_>) -> Result<child::Started, StartError>,
    ) -> Result<Child<R>, StartError> {
        let parent = caller()?;
        let number;
        let name = match &self.name {
            Some(name) => name,
            None => {
                number = Numbered::next();
                number.as_str()
            }
        };
        if name.contains('\0') {
            let name = name.to_owned();
            return Err(StartError::InvalidName { name });
        }
        registry::reap_detached();
        let started = start(&Start {
            name,
            daemon: self.daemon,
            method: self.method,
            parent,
            parent_name: current::name(),
        })?;
        Ok(Child::new(name.to_owned(), parent, self.on_drop, started))
    }
}

/// The calling process, if it may start others.
pub(super) fn caller() -> Result<Owner, StartError> {
    if !boot::is_initialised() {
        return Err(StartError::NotInitialised);
    }
    sys::identity::try_me().map_err(|why| StartError::IdentityUnknown { why })
}

/// Packs what a child of another process than a copy of this one is to do, and has it started.
fn on_errand<A, R>(
    start: &Start<'_>,
    task: fn(A) -> R,
    arguments: &A,
    begin: impl FnOnce(&Start<'_>, Errand) -> Result<child::Started<Socket>, StartError>,
) -> Result<child::Started, StartError>
where
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    let places = Places::of(task).ok_or(StartError::NotInExecutable)?;
    let encoded = codec::encode(arguments).map_err(|why| start.not_encoded(why))?;
    send_off(start, places, encoded, begin)
}

/// Has a child started that runs the task in these places with these arguments.
fn send_off(
    start: &Start<'_>,
    places: Places,
    encoded: Encoded,
    begin: impl FnOnce(&Start<'_>, Errand) -> Result<child::Started<Socket>, StartError>,
) -> Result<child::Started, StartError> {
    let errand = Errand::task(start, places, &encoded.bytes, encoded.descriptors)?;
    let started = begin(start, errand)?;
    encoded.moves.are_made();
    Ok(started.any())
}

/// A name with a number, where it stands: what is allocated before a fork is copied by it.
struct Numbered {
    text: [u8; 28],
    len: usize,
}

impl Numbered {
    fn next() -> Numbered {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut text = [0; 28];
        let mut room = &mut text[..];
        // There is room for the largest number.
        let _ = write!(room, "process-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let unused = room.len();
        Numbered {
            text,
            len: text.len() - unused,
        }
    }

    fn as_str(&self) -> &str {
        str::from_utf8(&self.text[..self.len]).unwrap_or("process")
    }
}
