//! Packets as a peer sends them that does what it likes: real messages, damaged or not, and any bytes with any descriptors.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{fs::FileExt, net::UnixStream},
    },
};

use multiproc::{__fuzz, Pipe, one_way};
use serde::Serialize;

use super::{hostile::World, items};

/// Where in a packet the kind lies, whether there is a parcel, the length of the payload, and the number of descriptors.
const KIND: usize = 6;
const PARCEL: usize = 7;
const PAYLOAD: usize = 8;
const DESCRIPTORS: usize = 16;
/// Where the payload begins.
pub const HEADER: usize = 24;

/// A packet that is yet to be sent.
#[derive(Debug)]
pub struct Packet {
    bytes: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

impl Packet {
    /// The packet that the input describes.
    #[must_use]
    pub fn of(world: &World<'_>) -> Packet {
        let mut packet = match world.byte() % 8 {
            0 => Packet {
                bytes: (0..world.byte()).map(|_| world.byte()).collect(),
                descriptors: Vec::new(),
            },
            1 => sent(|pipe: &Pipe<(), _>| {
                drop(pipe.send_bytes(&vec![7; usize::from(world.byte()) * 300]))
            }),
            _ => message(&items::some(world)),
        };
        for _ in 0..world.byte() % 8 {
            packet.damage(world);
        }
        packet
    }

    /// Writes a kind into the header, if there is one.
    #[must_use]
    pub fn of_kind(mut self, kind: u8) -> Packet {
        if let Some(byte) = self.bytes.get_mut(KIND) {
            *byte = kind;
        }
        self
    }

    /// How long it says that its payload is, in bytes.
    #[must_use]
    pub fn payload(&self) -> u64 {
        let len = self.bytes.get(PAYLOAD..DESCRIPTORS);
        len.map_or(0, |len| {
            u64::from_le_bytes(len.try_into().expect("eight bytes"))
        })
    }

    fn damage(&mut self, world: &World<'_>) {
        match world.byte() % 12 {
            0 => self.put(usize::from(world.byte()), &[world.byte()]),
            1 => self.put(HEADER + usize::from(world.byte() % 64), &[world.byte()]),
            2 => self.put(KIND, &[world.byte()]),
            3 => self.put(PARCEL, &[world.byte() % 3]),
            4 => self.put(PAYLOAD, &world.number().to_le_bytes()),
            5 => self.put(DESCRIPTORS, &(world.number() as u32).to_le_bytes()),
            6 => {
                let len = usize::from(world.byte()) * 4;
                self.bytes.resize(len, world.byte());
            }
            // As long as it says, and with as many descriptors.
            7 => {
                let len = self.bytes.len().saturating_sub(HEADER) as u64;
                self.put(PAYLOAD, &len.to_le_bytes());
                let parcel = self.bytes.get(PARCEL) == Some(&1);
                let count = self.descriptors.len().saturating_sub(parcel.into()) as u32;
                self.put(DESCRIPTORS, &count.to_le_bytes());
            }
            8 => {
                let at = usize::from(world.byte()) % (self.descriptors.len() + 1);
                self.descriptors.splice(at..at, descriptor(world));
            }
            9 => drop(self.descriptors.pop()),
            10 => {
                let at = usize::from(world.byte()) % self.descriptors.len().max(1);
                if let Some(shared) = self.descriptors.get(at) {
                    let _ = write_into(shared, world);
                }
            }
            _ => {
                let other = usize::from(world.byte());
                if let (Some(last), count @ 2..) = (self.descriptors.pop(), self.descriptors.len())
                {
                    self.descriptors.insert(other % count, last);
                }
            }
        }
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(room) = self.bytes.get_mut(at..at + bytes.len()) {
            room.copy_from_slice(bytes);
        }
    }

    /// Sends it, with a witness among its descriptors if there are any; that tells whether the reader has let go of them.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn send(mut self, socket: BorrowedFd<'_>, world: &World<'_>) -> io::Result<Witness> {
        let (ours, theirs) = UnixStream::pair()?;
        if !self.descriptors.is_empty() {
            let at = usize::from(world.byte()) % self.descriptors.len();
            self.descriptors[at] = theirs.into();
        }
        let descriptors: Vec<_> = self.descriptors.iter().map(AsFd::as_fd).collect();
        __fuzz::send_packet(socket, &self.bytes, &descriptors)?;
        Ok(Witness(ours))
    }
}

/// What tells whether a descriptor is still open anywhere.
#[derive(Debug)]
pub struct Witness(UnixStream);

impl Witness {
    /// Checks that nobody has the descriptor any more.
    ///
    /// # Panics
    ///
    /// When somebody has.
    pub fn check(mut self) {
        self.0.set_nonblocking(true).expect("a socket");
        let end = self.0.read(&mut [0]);
        assert!(
            end.as_ref().is_ok_and(|count| *count == 0),
            "a descriptor was leaked: {end:?}"
        );
    }
}

/// The packet that a pipe makes of this.
fn message<T: Serialize>(item: &T) -> Packet {
    sent(|pipe: &Pipe<&T, _>| drop(pipe.send(item)))
}

/// The packet that a pipe sends, or an empty one.
fn sent<T>(send: impl FnOnce(&Pipe<T, std::convert::Infallible>)) -> Packet {
    let (sender, receiver) = one_way().expect("a pair of sockets");
    send(&sender);
    let (bytes, descriptors) = __fuzz::receive_packet(receiver.as_fd()).unwrap_or_default();
    Packet { bytes, descriptors }
}

/// A descriptor of some kind.
fn descriptor(world: &World<'_>) -> io::Result<OwnedFd> {
    Ok(match world.byte() % 6 {
        0 => File::open("/dev/null")?.into(),
        1 => __fuzz::connection()?.0,
        2 => io::pipe()?.1.into(),
        3 => File::open("/")?.into(),
        4 => {
            let hole = anonymous()?;
            hole.set_len(1 << (world.byte() % 48))?;
            hole.into()
        }
        _ => {
            let mut file = anonymous()?;
            let bytes: Vec<u8> = (0..world.byte()).map(|_| world.byte()).collect();
            file.write_all(&bytes)?;
            file.into()
        }
    })
}

/// A file in memory, without a name.
fn anonymous() -> io::Result<File> {
    // SAFETY: a name that ends with a zero.
    let number = unsafe { libc::memfd_create(c"fuzz".as_ptr(), libc::MFD_CLOEXEC) };
    if number < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { std::os::fd::FromRawFd::from_raw_fd(number) })
}

/// Writes a number into a file, mostly into the header of a layout or not far behind it.
fn write_into(file: &OwnedFd, world: &World<'_>) -> io::Result<()> {
    let at = u64::from(world.byte()) * 8 + u64::from(world.byte() % 8) * 1024;
    let value = world.number().to_le_bytes();
    let width = 1 << (world.byte() % 4);
    let file = File::from(file.try_clone()?);
    let len = file.metadata()?.len();
    if file.metadata()?.is_file() && at + 8 <= len {
        file.write_all_at(&value[..width], at)?;
    }
    Ok(())
}
