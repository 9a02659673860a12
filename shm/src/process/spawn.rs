//! Starting a child as the same executable anew: it inherits nothing but what is handed to it.

use std::{
    ffi::{CString, OsString},
    os::{fd::AsFd, unix::ffi::OsStringExt},
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

/// Starts a child that runs the task in these places.
pub(crate) fn start(
    start: &Start<'_>,
    places: Places,
    arguments: &[u8],
    descriptors: Vec<std::os::fd::OwnedFd>,
) -> Result<Started, StartError> {
    if clone::would_have_foreign_rights() {
        return Err(StartError::ForeignRights);
    }
    let boot = Boot {
        name: start.name,
        die_with_parent: start.die_with_parent,
        trampoline: places.call,
        task: places.task,
        arguments,
    };
    let message = Message {
        kind: Kind::Boot,
        payload: postcard::to_allocvec(&boot).map_err(|error| start.not_encoded(error))?,
        descriptors,
    };
    let (ours, theirs) =
        socket::pair().map_err(|error| start.io("making a pair of sockets", error))?;
    // All is in the socket before the child exists, so nobody waits for anybody.
    message.send(ours.as_fd()).map_err(|error| match error {
        WireError::Io { what, source } => start.io(what, source),
        error => start.not_encoded(error),
    })?;
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
        handed: theirs.as_fd(),
    })
    .map_err(|error| start.io("executing /proc/self/exe", error))?;
    Ok(Started {
        pid,
        process,
        socket: Socket::new(ours, Role::Child),
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
