//! What a pool and its workers share: two rings, a table of outboxes, a socket for descriptors.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use multiproc_core::{ByteRing, TaskRing};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::outbox::Outboxes;
use crate::{
    Error, handle,
    mapped::{Mapped, shared_object, view},
    packet::{Role, Socket},
    segment::Create,
    sys::{
        Linux,
        poll::{self, For},
        socket,
    },
};

/// The longest body of a task, and what is told of one, that lies in a ring, in bytes. A ring for `n` workers has room for
/// eight times `n` of them.
pub(super) const LONGEST: usize = 16 * 1024;

/// How long who wants the side of those who take tasks waits for it, at most, in nanoseconds: it takes longer only while a
/// worker is stopped that has it.
pub(super) const SOON: u64 = 100_000_000;

/// How much a ring holds that so many workers share, in bytes.
fn capacity(workers: usize) -> usize {
    (1 << 20).max(workers * 8 * LONGEST)
}

view!(TaskRing);

/// The tasks on their way to the workers.
pub(super) struct Tasks(Mapped<TaskRing<'static, Linux>>);
shared_object!(Tasks);

impl Tasks {
    fn new(workers: usize) -> Result<Tasks, Error> {
        let capacity = capacity(workers);
        let len = TaskRing::<Linux>::required_len(capacity)?;
        Mapped::create(Create::anonymous(), len, |region, origin| {
            // SAFETY: a new segment, which nobody else sees yet.
            unsafe { TaskRing::place(region, Linux, origin, capacity) }.map(drop)
        })
        .map(Tasks)
    }

    #[inline]
    pub(super) fn ring(&self) -> &TaskRing<'static, Linux> {
        self.0.view()
    }
}

/// What the workers tell.
pub(super) struct Told(Mapped<ByteRing<'static, u8, Linux>>);
shared_object!(Told);

impl Told {
    fn new(workers: usize) -> Result<Told, Error> {
        let capacity = capacity(workers);
        let len = ByteRing::<u8, Linux>::required_len(capacity)?;
        Mapped::create(Create::anonymous(), len, |region, origin| {
            // SAFETY: a new segment, which nobody else sees yet.
            unsafe { ByteRing::<u8, Linux>::place(region, Linux, origin, capacity) }.map(drop)
        })
        .map(Told)
    }

    #[inline]
    pub(super) fn ring(&self) -> &ByteRing<'static, u8, Linux> {
        self.0.view()
    }
}

/// One end of the socket through which descriptors come to workers, or from them. All workers have the same end.
pub(super) struct Carrier(Socket);

impl Serialize for Carrier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        handle::lend(self.0.as_fd(), serializer)
    }
}

impl<'de> Deserialize<'de> for Carrier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Carrier, D::Error> {
        handle::take(deserializer).map(|end| Carrier(Socket::new(end, Role::Child)))
    }
}

/// Descriptors in the carrier, and what they belong to.
pub(super) struct Parcel {
    /// The name of the task, and the number of the item; 0 where it is for all.
    pub(super) name: [u64; 2],
    descriptors: Vec<OwnedFd>,
    /// Whether all came.
    is_whole: bool,
}

impl Parcel {
    /// All descriptors; or why some are missing.
    pub(super) fn whole(self) -> Result<Vec<OwnedFd>, String> {
        if self.is_whole {
            Ok(self.descriptors)
        } else {
            Err("the limit on descriptors cut off some that were handed over".to_owned())
        }
    }
}

/// How long to wait before trying again where nobody tells when that would help.
const NAP: Duration = Duration::from_millis(1);

impl Carrier {
    fn pair() -> io::Result<(Carrier, Carrier)> {
        let (one, other) = socket::pair()?;
        let carrier = |end| Carrier(Socket::new(end, Role::Child));
        Ok((carrier(one), carrier(other)))
    }

    /// Sends descriptors; `false` when there is no room now.
    pub(super) fn send(&self, name: [u64; 2], descriptors: &[OwnedFd]) -> io::Result<bool> {
        if descriptors.len() > socket::BATCH {
            return Err(io::Error::other(format!(
                "more than {} shared objects or descriptors",
                socket::BATCH
            )));
        }
        let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
        let [task, item] = name.map(u64::to_le_bytes);
        match socket::send(self.0.as_fd(), [&task, &item], &borrowed) {
            Ok(()) => Ok(true),
            Err(error) if socket::had_no_room(&error) || socket::has_too_many_in_flight(&error) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// As [`send`](Self::send), waiting until there is room.
    pub(super) fn send_waiting(&self, name: [u64; 2], descriptors: &[OwnedFd]) -> io::Result<()> {
        while !self.send(name, descriptors)? {
            // It may be writable and yet too many descriptors may be on their way: of that nobody tells.
            let until = Instant::now() + NAP;
            if poll::one(self.0.as_fd(), For::Writing, Some(until))? {
                std::thread::sleep(NAP);
            }
        }
        Ok(())
    }

    /// What comes next, which stays; `None` when there is nothing.
    pub(super) fn peek(&self) -> io::Result<Option<Parcel>> {
        let mut bytes = Vec::with_capacity(16);
        let packet = socket::peek(self.0.as_fd(), &mut bytes);
        parcel(packet.map(|packet| (packet, bytes)))
    }

    /// What the next descriptors belong to, which stay, and of which none are received; `None` when there are none.
    pub(super) fn peek_name(&self) -> io::Result<Option<[u64; 2]>> {
        let mut bytes = [0; 16];
        match socket::peek_bytes(self.0.as_fd(), &mut bytes) {
            Ok(len) => Ok(name(bytes.get(..len).unwrap_or_default())),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Throws away the next descriptors. None of them is received, so that this works at any limit.
    pub(super) fn discard(&self) -> io::Result<()> {
        socket::discard(self.0.as_fd())
    }

    /// Takes what comes next; `None` when there is nothing.
    pub(super) fn receive(&self) -> io::Result<Option<Parcel>> {
        let mut bytes = Vec::with_capacity(16);
        let packet = socket::receive(self.0.as_fd(), &mut bytes);
        parcel(packet.map(|packet| (packet, bytes)))
    }
}

/// What a packet brought; `None` for none.
fn parcel(received: io::Result<(socket::Packet, Vec<u8>)>) -> io::Result<Option<Parcel>> {
    let (packet, bytes) = match received {
        Ok(received) => received,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(name(&bytes).map(|name| Parcel {
        name,
        is_whole: !packet.descriptors_lost,
        descriptors: packet.descriptors,
    }))
}

fn name(bytes: &[u8]) -> Option<[u64; 2]> {
    let (task, item) = bytes.split_first_chunk::<8>()?;
    let item = item.first_chunk::<8>()?;
    Some([task, item].map(|number| u64::from_le_bytes(*number)))
}

/// What a worker has of its pool.
#[derive(Serialize, Deserialize)]
pub(super) struct Shared {
    pub(super) tasks: Tasks,
    pub(super) told: Told,
    pub(super) outboxes: Outboxes,
    /// The end of the workers.
    pub(super) carrier: Carrier,
}

impl Shared {
    /// For so many workers; and the pool's end of the socket.
    pub(super) fn new(workers: usize) -> Result<(Shared, Carrier), Error> {
        let (ours, theirs) = Carrier::pair()
            .map_err(|why| Error::io("make", "a pair of sockets".to_owned(), why))?;
        let shared = Shared {
            tasks: Tasks::new(workers)?,
            told: Told::new(workers)?,
            outboxes: Outboxes::new(workers)?,
            carrier: theirs,
        };
        Ok((shared, ours))
    }
}
