//! A channel, between any number of handles or between two, whose locks, positions, tables and data hold any bytes, and
//! change while it is used.
//!
//! As any ring; and whatever the tables say, whoever waits is told by his deadline. Places in the ring of a channel between
//! two lie inside it. Once everybody is buried, nobody is at either end.

use std::cell::RefCell;

use multiproc_core::{
    Channel, End, Entered, FOREVER, Hold, LayoutError, Locked, NOW, Region, RingError, Sole,
};

use super::{
    hostile::{Hostile, World, show},
    memory::{self, Ground, ORIGIN},
    passing::{ACTIONS, CAPACITY, GRACE, Passing, Placed, Show, Take, in_fresh},
    view::{self, View},
};

/// The longest layout, in bytes.
const ROOM: usize = 4096 + CAPACITY;

/// A channel, and the handles that the process under test has entered.
struct Ends<'w, H: Hold + 'static> {
    channel: Channel<'static, u8, Hostile<'w>, H>,
    world: &'w World<'w>,
    handles: RefCell<Vec<Entered>>,
}

/// Runs one input.
///
/// # Panics
///
/// When a promise is broken.
pub fn body(input: &[u8]) {
    match input.split_first() {
        None => {}
        Some((kind, rest)) if kind.is_multiple_of(2) => play::<Locked>(rest),
        Some((_, rest)) => play::<Sole>(rest),
    }
}

/// What only a channel with this hold can do.
trait Places: Hold + 'static {
    /// Uses a place in the ring for a record, or the record in its place.
    fn in_place<'w>(ends: &Placed<Ends<'w, Self>>, world: &'w World<'w>);
}

impl Places for Locked {
    fn in_place<'w>(_: &Placed<Ends<'w, Locked>>, _: &'w World<'w>) {}
}

impl Places for Sole {
    // No peer writes to the data while there is a reference into it.
    fn in_place<'w>(ends: &Placed<Ends<'w, Sole>>, world: &'w World<'w>) {
        let channel = &ends.ring.channel;
        let until = world.soon();
        let in_transit = || ends.ring.in_transit();
        if world.byte().is_multiple_of(2) {
            let len = usize::from(world.byte());
            // SAFETY: this is the only one who puts anything.
            let slot = world.call_until(until, GRACE, || unsafe {
                channel.reserve(len, until, in_transit)
            });
            if let Ok(mut slot) = slot {
                assert_eq!(slot.len(), len);
                memory::check_inside(ends.region, &slot);
                slot.fill(7);
                show(&slot);
                match len % 3 {
                    0 => world.call(|| slot.send()),
                    1 => world.inherited(|| slot.send()),
                    _ => world.call(|| drop(slot)),
                }
            }
        } else {
            // SAFETY: this is the only one who takes anything.
            let slot =
                world.call_until(until, GRACE, || unsafe { channel.next(until, in_transit) });
            if let Ok(slot) = slot {
                memory::check_inside(ends.region, &slot);
                show((&slot, ends.copy(&slot)));
                match slot.len() % 3 {
                    0 => world.call(|| slot.put_back()),
                    1 => world.inherited(|| drop(slot)),
                    _ => world.call(|| drop(slot)),
                }
            }
        }
    }
}

fn play<H: Places>(input: &[u8]) {
    thread_local!(static GROUND: Ground = Ground::new(ROOM));
    let required_len = Channel::<u8, Hostile<'_>, H>::required_len;
    GROUND.with(|ground| {
        in_fresh(
            ground,
            input,
            4,
            required_len,
            ROOM,
            |region, world, capacity| {
                let os = Hostile(world);
                // SAFETY: memory in which no other layout is in use.
                unsafe { Channel::<u8, _, H>::place(region, os, ORIGIN, capacity) }
                    .expect("room for it");
                view::play::<Placed<Ends<'_, H>>>(region, world);
            },
        );
    });
}

impl<'w, H: Hold> Ends<'w, H> {
    /// Whether a handle is on its way, as the input says.
    fn in_transit(&self) -> bool {
        self.world.byte().is_multiple_of(4)
    }
}

impl<'w, H: Places> View<'w> for Placed<Ends<'w, H>> {
    fn attach(region: Region<'static>, os: Hostile<'w>) -> Result<Self, LayoutError> {
        let ring = Ends {
            channel: Channel::attach(region, os, ORIGIN)?,
            world: os.0,
            handles: RefCell::default(),
        };
        Ok(Placed { ring, region })
    }

    unsafe fn bury(region: Region<'static>, os: Hostile<'w>) -> Result<(), LayoutError> {
        // SAFETY: promised by the caller.
        unsafe { Channel::<u8, _, H>::bury(region, os, ORIGIN) }
    }

    fn use_it(&self, world: &'w World<'w>) -> bool {
        let Ends {
            channel, handles, ..
        } = &self.ring;
        let in_transit = || self.ring.in_transit();
        let next = || handles.borrow_mut().pop();
        while let Some(action) = world.next() {
            let end = match world.byte() % 2 {
                0 => End::Sender,
                _ => End::Receiver,
            };
            match action % 26 {
                action @ 0..ACTIONS => self.act(action, world),
                14 | 15 => {
                    let until = world.soon();
                    let entered = world.call_until(until, GRACE, || channel.enter(end, until));
                    handles.borrow_mut().extend(entered.ok());
                }
                16 => {
                    let another = handles.borrow().last().map(|it| channel.enter_another(it));
                    handles.borrow_mut().extend(another);
                }
                17 | 18 => {
                    if let Some(handle) = next() {
                        assert!(channel.is_mine(&handle) || world.is_nobody());
                        world.call(|| channel.leave(handle, in_transit));
                    }
                }
                19 => {
                    if let Some(handle) = next() {
                        world.inherited(|| channel.leave(handle, || false));
                    }
                }
                20 => show((channel.hand_over(end), channel.take_over(end))),
                21 => show(world.call_until(NOW, GRACE, || channel.is_abandoned(end, in_transit))),
                22 => {
                    let until = world.soon();
                    let some = world.call_until(until, GRACE, || {
                        let stop = || world.byte().is_multiple_of(8);
                        channel.wait_until_some(until, in_transit, stop)
                    });
                    show(some);
                }
                23 => H::in_place(self, world),
                24 => {
                    world.call(|| channel.wake_receivers());
                    show((channel, channel.handles(end), channel.is_full_for(8)));
                }
                _ => return true,
            }
        }
        false
    }

    fn check_buried(&self, world: &'w World<'w>) {
        let channel = &self.ring.channel;
        self.ring.handles.borrow_mut().clear();
        for end in [End::Sender, End::Receiver] {
            assert_eq!(channel.handles(end), 0, "everybody is buried");
            show(
                world
                    .call(|| channel.enter(end, FOREVER))
                    .expect("there are rows"),
            );
        }
        self.check_passing(world);
    }
}

impl<H: Hold> Passing for Ends<'_, H> {
    fn capacity(&self) -> usize {
        self.channel.capacity()
    }

    fn max_len(&self) -> usize {
        self.channel.max_len()
    }

    fn len(&self) -> usize {
        self.channel.len()
    }

    fn put(&self, record: &[u8], until: u64) -> Result<(), RingError> {
        // SAFETY: nobody else puts anything: there is one thread.
        unsafe { self.channel.put_alone(record, until, || self.in_transit()) }
    }

    fn put_many(&self, records: &[Vec<u8>], until: u64) -> (usize, Result<(), RingError>) {
        // SAFETY: as above.
        unsafe {
            self.channel
                .put_many_alone(records, until, || self.in_transit())
        }
    }

    fn get(&self, until: u64, take: Take<'_>) -> Result<Vec<u8>, RingError> {
        // SAFETY: nobody else takes anything: there is one thread.
        unsafe { self.channel.get_alone(until, || self.in_transit(), take) }
    }

    fn get_many(&self, until: u64, most: usize, show: Show<'_>) -> Result<usize, RingError> {
        // SAFETY: as above.
        unsafe {
            self.channel
                .get_many_alone(until, most, || self.in_transit(), show)
        }
    }

    fn close(&self, _: u64) -> Result<(), RingError> {
        // A channel is closed by who leaves it.
        Ok(())
    }
}
