//! Records in their place in a ring: written there before they are put, read there before they are taken.
//!
//! Only where there is one at each side: elsewhere whoever is slow would hold up all others. Each is a guard: it stays with
//! its thread, a process that has one is not forked, and a copy in a fork child does nothing.

use core::{
    fmt,
    marker::PhantomData,
    ops::{Deref, DerefMut},
    slice,
};

use crate::{
    consumer::Consumer, os::Os, owner::Owner, producer::Producer, ring::Ring, ring_bytes::read,
    ring_error::RingError, ring_hold::Sole, ring_wait::Sleeper,
};

/// Who has a place in a ring; counted as a guard until this is dropped.
struct Tenant<'a, O: Os> {
    os: &'a O,
    me: Owner,
    _one_thread: PhantomData<*mut ()>,
}

impl<'a, O: Os> Tenant<'a, O> {
    fn new(os: &'a O) -> Tenant<'a, O> {
        os.guard_made();
        Tenant {
            os,
            me: os.me(),
            _one_thread: PhantomData,
        }
    }

    /// Whether the calling process is it, which is not so in a fork child.
    fn is_me(&self) -> bool {
        self.os.is_me(self.me)
    }
}

impl<O: Os> Drop for Tenant<'_, O> {
    fn drop(&mut self) {
        if self.is_me() {
            self.os.guard_dropped();
        }
    }
}

/// Room in a ring for a record that is not put yet. Dropped, it puts nothing.
#[must_use = "a record is put by `send`"]
pub struct SendSlot<'a, 'm, O: Os> {
    producer: Producer<'a, 'm, O, Sole>,
    tenant: Tenant<'a, O>,
    ring: &'a Ring<'m, Sole>,
    at: usize,
    len: usize,
}

impl<'a, 'm, O: Os> SendSlot<'a, 'm, O> {
    pub(crate) fn reserve(
        ring: &'a Ring<'m, Sole>,
        os: &'a O,
        len: usize,
        until: u64,
        mut look: impl FnMut(),
    ) -> Result<Self, RingError> {
        let mut wait = Sleeper::for_room(ring, os);
        loop {
            let mut producer = ring.producer(os, until)?;
            if let Some(at) = producer.reserve(len)? {
                return Ok(SendSlot {
                    producer,
                    tenant: Tenant::new(os),
                    ring,
                    at,
                    len,
                });
            }
            if wait.sleep(producer.seen(), until)? {
                look();
            }
        }
    }

    /// Puts the record, as its bytes are now. In another process (a fork child) it does nothing.
    #[inline]
    pub fn send(self) {
        if self.tenant.is_me() {
            self.producer.publish();
        }
    }
}

impl<O: Os> Deref for SendSlot<'_, '_, O> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        read(self.ring.data, self.at, self.len)
    }
}

impl<O: Os> DerefMut for SendSlot<'_, '_, O> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        let Some(room) = self.ring.data.get(self.at..self.at + self.len.div_ceil(8)) else {
            return &mut [];
        };
        let start = room.as_ptr().cast::<u8>().cast_mut();
        // SAFETY: so many bytes there are, and nobody else reaches them before the tail has passed them (invariant 1 of
        // the ring; that this is the only slot was promised to `Channel::reserve`).
        unsafe { slice::from_raw_parts_mut(start, self.len) }
    }
}

impl<O: Os> fmt::Debug for SendSlot<'_, '_, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendSlot").field("len", &self.len).finish()
    }
}

/// A record that is still in its place in a ring; dropping this takes it, unless in another process (a fork child).
#[must_use = "dropping it takes the record"]
pub struct RecvSlot<'a, 'm, O: Os> {
    /// `None` once it has consumed.
    consumer: Option<Consumer<'a, 'm, O, Sole>>,
    tenant: Tenant<'a, O>,
    ring: &'a Ring<'m, Sole>,
    at: usize,
    len: usize,
}

impl<'a, 'm, O: Os> RecvSlot<'a, 'm, O> {
    pub(crate) fn next(
        ring: &'a Ring<'m, Sole>,
        os: &'a O,
        until: u64,
        mut look: impl FnMut(),
    ) -> Result<Self, RingError> {
        let mut wait = Sleeper::for_records(ring, os);
        loop {
            let mut consumer = ring.consumer(os, until)?;
            if let Some((at, len)) = consumer.next_record()? {
                return Ok(RecvSlot {
                    consumer: Some(consumer),
                    tenant: Tenant::new(os),
                    ring,
                    at,
                    len,
                });
            }
            if wait.sleep(consumer.seen(), until)? {
                look();
            }
        }
    }

    /// Leaves the record where it is: it is the next one again.
    pub fn put_back(mut self) {
        self.consumer = None;
    }
}

impl<O: Os> Deref for RecvSlot<'_, '_, O> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        read(self.ring.data, self.at, self.len)
    }
}

impl<O: Os> Drop for RecvSlot<'_, '_, O> {
    #[inline]
    fn drop(&mut self) {
        if let Some(consumer) = self.consumer.take()
            && self.tenant.is_me()
        {
            consumer.consume();
        }
    }
}

impl<O: Os> fmt::Debug for RecvSlot<'_, '_, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvSlot").field("len", &self.len).finish()
    }
}
