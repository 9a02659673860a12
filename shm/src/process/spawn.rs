//! Starting a child as the same executable anew: it inherits nothing but what is handed to it.

use std::{
    ffi::{CString, OsString},
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStringExt,
    },
};

use super::{
    boot,
    builder::Start,
    child::Started,
    error::StartError,
    frame::{Boot, Kind},
    task::Places,
    wire::Message,
};
use crate::{
    packet::WireError,
    packet::{Role, Socket},
    sys::{
        clone::{self, Program},
        socket,
    },
};

/// What a child finds in its socket when it begins, and both ends of that.
pub(crate) struct Errand {
    pub(crate) ours: Socket,
    pub(crate) theirs: OwnedFd,
}

impl Errand {
    /// All is in the socket before the child exists, so nobody waits for anybody.
    pub(crate) fn new(start: &Start<'_>, message: &Message) -> Result<Errand, StartError> {
        let (ours, theirs) =
            socket::pair().map_err(|error| start.io("making a pair of sockets", error))?;
        let ours = Socket::new(ours, Role::Child);
        message.send(ours.as_fd()).map_err(|error| match error {
            WireError::Io { what, why } => start.io(what, why),
            error => start.not_encoded(error),
        })?;
        Ok(Errand { ours, theirs })
    }

    /// One to run the task in these places.
    pub(crate) fn task(
        start: &Start<'_>,
        places: Places,
        arguments: &[u8],
        descriptors: Vec<OwnedFd>,
    ) -> Result<Errand, StartError> {
        let boot = Boot {
            name: start.name,
            daemon: start.daemon,
            method: start.method,
            parent_name: start.parent_name,
            trampoline: places.call,
            task: places.task,
            arguments,
        };
        let message = Message {
            kind: Kind::Boot,
            payload: postcard::to_allocvec(&boot).map_err(|error| start.not_encoded(error))?,
            descriptors,
        };
        Errand::new(start, &message)
    }
}

/// Starts this executable anew, with that errand.
pub(crate) fn execute(start: &Start<'_>, errand: Errand) -> Result<Started<Socket>, StartError> {
    if clone::would_have_foreign_rights() {
        return Err(StartError::ForeignRights);
    }
    let arguments = [
        std::env::args_os().next().unwrap_or_default(),
        "multiproc-child".into(),
        start.name.into(),
    ];
    let (pid, process) = clone::program(Program {
        path: c"/proc/self/exe",
        arguments: &strings(arguments),
        environment: &strings(boot::environment().map(|(mut key, value)| {
            key.push("=");
            key.push(value);
            key
        })),
        own_entry: &mut boot::entry(start.parent),
        handed: errand.theirs.as_fd(),
    })
    .map_err(|error| start.io("executing /proc/self/exe", error))?;
    Ok(Started {
        pid,
        process,
        line: errand.ours,
        begun: false,
    })
}

/// C strings; what holds a zero byte cannot have come from an environment or a command line.
fn strings(strings: impl IntoIterator<Item = OsString>) -> Vec<CString> {
    strings
        .into_iter()
        .filter_map(|string| CString::new(string.into_vec()).ok())
        .collect()
}
