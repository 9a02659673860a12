//! A slate: memory that a process shares with its forked children, each of which leaves on a slot of it what came of its task.
//!
//! A socket for each child would do likewise, and does where the answer may be long or hold shared objects, where there are
//! other threads, or where no slot is left. But to make a pair of sockets, to use and to close it takes a fifth of the time
//! of a fork. The slate is made once.
//!
//! ```text
//!  0        4096   1 MiB         2 MiB
//! ┌────────┬──────┬─────────────┬─────────────┬─────┐
//! │ slots  │      │ text 0      │ text 1      │ ... │
//! └────────┴──────┴─────────────┴─────────────┴─────┘
//! ```
//!
//! It is a file in memory, the slots of which are mapped. What is too long for a slot, why a task failed, is put to its place
//! behind them, where there is memory only until it was read.
//!
//! 1. A slot that is taken is used by one child and the process that took it, and is not taken again before the child is dead.
//!    A copy that a child's task makes by itself does not come here.
//! 2. The child says what it has told after all of that is written.

use std::{
    any::TypeId,
    fs::File,
    io,
    os::{fd::AsFd, unix::fs::FileExt},
    ptr,
    sync::atomic::{AtomicPtr, AtomicU64, Ordering},
};

use memmap2::MmapRaw;
use multiproc_core::{Os, Owner};
use serde::Serialize;

use super::{frame::Kind, wire::Message};
use crate::{
    packet::WireError,
    sys::{Linux, clone, memory},
};

/// How many children can have a slot at a time.
const SLOTS: usize = PAGE / size_of::<Words>();
const PAGE: usize = 4096;
/// How many bytes a child can leave behind.
pub(super) const LONGEST: usize = 1 << 20;
/// How many of them have room in the slot.
const SHORT: usize = 32;

/// A slot as it lies in the memory.
#[repr(C, align(64))]
struct Words {
    /// Whether it is taken. Only the process whose slate it is looks at it.
    taken: AtomicU64,
    /// Whether the child may begin: one of [`NOT_YET`], [`SLEEPS`] and [`GO`].
    go: AtomicU64,
    /// What the child has told: a [`Kind`], or 0.
    told: AtomicU64,
    /// How many bytes belong to it.
    len: AtomicU64,
    /// These, if they are short.
    bytes: [AtomicU64; SHORT / 8],
}

const _: () = assert!(size_of::<Words>() == 64 && SLOTS * size_of::<Words>() == PAGE);

impl Words {
    #[inline]
    fn put(&self, bytes: [u8; SHORT]) {
        let whole: [[u8; 8]; SHORT / 8] = bytemuck::cast(bytes);
        for (word, bytes) in self.bytes.iter().zip(whole) {
            word.store(u64::from_le_bytes(bytes), Ordering::Relaxed);
        }
    }

    /// All of it is written.
    #[inline]
    fn tell(&self, kind: Kind, len: usize) {
        self.len.store(len as u64, Ordering::Relaxed);
        // Release: pairs with the Acquire of `read` (invariant 2).
        self.told.store(kind as u64, Ordering::Release);
    }
}

const NOT_YET: u64 = 0;
/// The child sleeps until it may.
const SLEEPS: u64 = 1;
const GO: u64 = 2;

/// For so long a child sleeps before it looks whether its parent is alive, in nanoseconds.
const SLICE: u64 = 50_000_000;

struct Slate {
    /// Whose it is. A copy of that process has its slot on it, and makes a slate for its own children.
    owner: Owner,
    file: File,
    slots: MmapRaw,
}

impl Slate {
    fn new(owner: Owner) -> io::Result<Slate> {
        let len = ((SLOTS + 1) * LONGEST) as u64;
        if len > memory::file_size_limit() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let file = memory::anonymous()?;
        memory::reserve(&file, PAGE as u64)?;
        file.set_len(len)?;
        // Nobody who has it can take away what is mapped.
        memory::seal_length(file.as_fd())?;
        Ok(Slate {
            owner,
            slots: memory::map(&file, PAGE, true)?,
            file,
        })
    }

    /// That of this process, which is `owner`.
    fn of(owner: Owner) -> Option<&'static Slate> {
        static SLATE: AtomicPtr<Slate> = AtomicPtr::new(ptr::null_mut());
        // Acquire: pairs with the Release below.
        let found = SLATE.load(Ordering::Acquire);
        // SAFETY: what is there was leaked.
        let slate = unsafe { found.as_ref() };
        if slate.is_some_and(|slate| slate.owner == owner) {
            return slate;
        }
        let made = Box::into_raw(Box::new(Slate::new(owner).ok()?));
        // Release: the slate is made. Acquire: so is the one that another thread made meanwhile.
        match SLATE.compare_exchange(found, made, Ordering::Release, Ordering::Acquire) {
            // SAFETY: never freed from here on.
            Ok(_) => unsafe { made.as_ref() },
            Err(others) => {
                // SAFETY: of the box above; nobody else has seen it.
                drop(unsafe { Box::from_raw(made) });
                // SAFETY: as above.
                unsafe { others.as_ref() }
            }
        }
    }

    #[inline]
    fn words(&self, index: usize) -> &Words {
        debug_assert!(index < SLOTS);
        // SAFETY: so many slots are mapped.
        let words = unsafe { self.slots.as_ptr().cast::<Words>().add(index) };
        // SAFETY: for as long as `self` lives, and any bytes are such words.
        unsafe { &*words }
    }
}

/// A slot, as the process that took it and the child that it is for have it.
pub(crate) struct Slot {
    slate: &'static Slate,
    index: usize,
}

impl Slot {
    /// Takes a slot of the calling process, which is `owner`; `None` when there is none.
    pub(crate) fn take(owner: Owner) -> Option<Slot> {
        Slot::on(Slate::of(owner)?)
    }

    fn on(slate: &'static Slate) -> Option<Slot> {
        let index = (0..SLOTS).find(|index| {
            // Acquire: pairs with the Release of the drop: all that was said about the last child is before this.
            let taken = &slate.words(*index).taken;
            taken.load(Ordering::Relaxed) == 0 && taken.swap(1, Ordering::Acquire) == 0
        })?;
        let slot = Slot { slate, index };
        let words = slot.words();
        // Relaxed: before the child is made.
        words.go.store(NOT_YET, Ordering::Relaxed);
        words.told.store(0, Ordering::Relaxed);
        words.len.store(0, Ordering::Relaxed);
        Some(slot)
    }

    #[inline]
    fn words(&self) -> &Words {
        self.slate.words(self.index)
    }

    /// Gives back the memory of what is long, if there is any.
    fn give_back(&self) {
        if self.words().len.swap(0, Ordering::Relaxed) > SHORT as u64 {
            memory::punch(&self.slate.file, self.place(), LONGEST as u64);
        }
    }

    /// Where what is long lies in the file.
    fn place(&self) -> u64 {
        ((self.index + 1) * LONGEST) as u64
    }

    /// Lets the child begin.
    pub(crate) fn go(&self) {
        let go = &self.words().go;
        // Release: pairs with the Acquire of the child.
        if go.swap(GO, Ordering::Release) == SLEEPS {
            Linux.wake(go, 1);
        }
    }

    /// In the child: waits until it may begin; `false` when its parent is dead.
    #[inline]
    pub(crate) fn wait_for_go(&self) -> bool {
        // Acquire: pairs with the Release of `go`.
        self.words().go.load(Ordering::Acquire) == GO || self.sleep_until_go()
    }

    #[cold]
    fn sleep_until_go(&self) -> bool {
        let go = &self.words().go;
        // Acquire: as above.
        while go.load(Ordering::Acquire) != GO {
            // Relaxed: whoever finds it wakes this process, which then looks again.
            let _ = go.compare_exchange(NOT_YET, SLEEPS, Ordering::Relaxed, Ordering::Relaxed);
            Linux.wait(go, SLEEPS, Linux.now() + SLICE);
            // Whose parent is dead has another; whose parent is in another namespace has none that it could know.
            let parent = clone::parent();
            let is_orphan = parent != self.slate.owner.pid() && parent != 0;
            if is_orphan && go.load(Ordering::Relaxed) != GO {
                return false;
            }
        }
        true
    }

    /// In the child: leaves behind that its task returned this value, if that is short and holds no shared objects; whether it
    /// is.
    #[inline]
    pub(crate) fn write_short<R: Serialize>(&self, value: &R) -> bool {
        let mut bytes = [0; SHORT];
        // With no message open, so that shared objects in it are refused.
        let Ok(encoded) = postcard::to_slice(value, &mut bytes) else {
            return false;
        };
        let len = encoded.len();
        let words = self.words();
        words.put(bytes);
        words.tell(Kind::Returned, len);
        true
    }

    /// In the child: leaves this behind.
    pub(crate) fn write(&self, message: &Message) -> Result<(), WireError> {
        let refused = |why: String| WireError::io("leaving it")(io::Error::other(why));
        if !message.descriptors.is_empty() {
            return Err(refused("it came with descriptors".to_owned()));
        }
        let mut payload = &message.payload[..];
        if payload.len() > LONGEST {
            let len = payload.len();
            return Err(refused(format!("it has {len} bytes, more than {LONGEST}")));
        }
        let words = self.words();
        if payload.len() > SHORT {
            // Before there is any memory: whoever drops the slot gives that back.
            words.len.store(payload.len() as u64, Ordering::Relaxed);
            match (
                memory::fill(&self.slate.file, self.place(), payload),
                message.kind,
            ) {
                (Ok(()), _) => {}
                // The beginning of a text is better than nothing.
                (Err(_), Kind::NotEncoded | Kind::NotBegun) => payload = &payload[..SHORT],
                (Err(why), _) => return Err(WireError::io("leaving it")(why)),
            }
        }
        if payload.len() <= SHORT {
            let mut bytes = [0; SHORT];
            bytes[..payload.len()].copy_from_slice(payload);
            words.put(bytes);
        }
        words.tell(message.kind, payload.len());
        Ok(())
    }

    /// What the child, which is dead, has left behind, if anything; once.
    pub(crate) fn read(&self) -> Result<Option<Message>, WireError> {
        let words = self.words();
        // Acquire: pairs with the Release of `write`.
        let kind = match words.told.swap(0, Ordering::Acquire) {
            0 => return Ok(None),
            told => Kind::from_byte(u8::try_from(told).unwrap_or(u8::MAX))?,
        };
        // Whatever foreign bytes say.
        let len = words.len.load(Ordering::Relaxed).min(LONGEST as u64) as usize;
        let mut payload = vec![0; len];
        if len > SHORT {
            let read = self.slate.file.read_exact_at(&mut payload, self.place());
            read.map_err(WireError::io("reading what it left behind"))?;
            self.give_back();
        } else {
            for (bytes, word) in payload.chunks_mut(8).zip(&words.bytes) {
                let whole = word.load(Ordering::Relaxed).to_le_bytes();
                bytes.copy_from_slice(&whole[..bytes.len()]);
            }
        }
        Ok(Some(Message {
            kind,
            payload,
            descriptors: Vec::new(),
        }))
    }
}

/// Whether a value of this type has room in a slot, whatever it is.
pub(super) fn is_short<R>() -> bool {
    fn of<T>() -> TypeId {
        typeid::of::<T>()
    }
    let short = [
        of::<()>(),
        of::<bool>(),
        of::<char>(),
        of::<u8>(),
        of::<u16>(),
        of::<u32>(),
        of::<u64>(),
        of::<u128>(),
        of::<usize>(),
        of::<i8>(),
        of::<i16>(),
        of::<i32>(),
        of::<i64>(),
        of::<i128>(),
        of::<isize>(),
        of::<f32>(),
        of::<f64>(),
    ];
    short.contains(&of::<R>())
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Slot").field(&self.index).finish()
    }
}

impl Drop for Slot {
    /// The child is dead, or was never made.
    fn drop(&mut self) {
        // In a copy of the process that took it, it is not this one's to give back.
        if self.slate.owner != crate::sys::identity::me() {
            return;
        }
        self.give_back();
        // Release: pairs with the Acquire of `take`.
        self.words().taken.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::sys::identity;

    fn returned(len: usize) -> Message {
        Message {
            kind: Kind::Returned,
            payload: (0..len).map(|byte| byte as u8).collect(),
            descriptors: Vec::new(),
        }
    }

    #[test]
    fn slots_run_out_and_come_back() {
        // A slate of its own: other tests have slots of that of the process.
        let slate: &Slate = Box::leak(Box::new(Slate::new(identity::me()).unwrap()));
        let all: Vec<Slot> = std::iter::from_fn(|| Slot::on(slate)).collect();
        assert_eq!(all.len(), SLOTS);
        drop(all);
        assert!(Slot::on(slate).is_some());
    }

    #[test]
    fn a_message_is_read_once_and_its_memory_given_back() {
        let slate: &Slate = Box::leak(Box::new(Slate::new(identity::me()).unwrap()));
        let blocks = || slate.file.metadata().unwrap().blocks();
        let before = blocks();
        for len in [0, 1, 31, 32, 33, 4096, LONGEST] {
            let slot = Slot::on(slate).unwrap();
            assert!(slot.read().unwrap().is_none());
            slot.write(&returned(len)).unwrap();
            let read = slot.read().unwrap().unwrap();
            assert_eq!(read.payload, returned(len).payload);
            assert!(slot.read().unwrap().is_none());
            drop(slot);
            assert_eq!(blocks(), before, "after {len} bytes");
        }
    }

    #[test]
    fn what_a_child_must_not_leave_is_refused() {
        let slot = Slot::take(identity::me()).unwrap();
        assert!(slot.write(&returned(LONGEST + 1)).is_err());
        let descriptors = vec![slot.slate.file.try_clone().unwrap().into()];
        let mut message = returned(1);
        message.descriptors = descriptors;
        assert!(slot.write(&message).is_err());
        assert!(slot.read().unwrap().is_none());
    }

    /// Fault 27.
    #[test]
    fn foreign_bytes_in_a_slot_are_refused_or_read() {
        let slot = Slot::take(identity::me()).unwrap();
        let words = slot.words();
        for told in [0, 1, 3, 200, u64::MAX] {
            for len in [0, 32, 33, u64::MAX] {
                words.told.store(told, Ordering::Relaxed);
                words.len.store(len, Ordering::Relaxed);
                match slot.read() {
                    Ok(None) => assert_eq!(told, 0),
                    Ok(Some(message)) => assert!(message.payload.len() <= LONGEST),
                    Err(error) => assert!(matches!(error, WireError::Frame(_)), "{error}"),
                }
            }
        }
    }
}
