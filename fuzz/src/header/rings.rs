//! Rings of records, and what is built on them.

use std::{fmt::Debug, num::NonZeroU64};

use multiproc_core::{
    ByteRing, Channel, Hold, JoinableRing, LayoutError, Locked, NOW, Region, RingError, Sole,
    TaskRing,
};

use super::{
    super::{
        hostile::{Hostile, show},
        memory::ORIGIN,
    },
    attached,
};

/// Attaches to the segment as each of them, uses what that gives, and buries it.
pub(super) fn attach(region: Region<'static>, os: Hostile<'_>) {
    as_ring(region, os);
    as_joinable(region, os);
    as_channel::<Locked>(region, os);
    as_channel::<Sole>(region, os);
    as_tasks(region, os);
}

/// Attaches to a ring, puts a record and takes one, and buries it.
fn used<R: Debug>(
    os: Hostile<'_>,
    ring: Option<R>,
    put: impl FnOnce(&R) -> Result<(), RingError>,
    get: impl FnOnce(&R) -> Result<(), RingError>,
    bury: impl FnOnce() -> Result<(), LayoutError>,
) {
    if let Some(ring) = ring {
        show(os.0.call(|| put(&ring)));
        show(os.0.call(|| get(&ring)));
        show(ring);
    }
    show(os.0.call(bury));
}

fn show_record(record: &[u8]) {
    show(record);
}

fn as_ring(region: Region<'static>, os: Hostile<'_>) {
    type Ring<'w> = ByteRing<'static, u8, Hostile<'w>>;
    let ring = attached(region, Ring::attach(region, os, ORIGIN), |ring, fresh| {
        // SAFETY: fresh memory, in which no layout is in use.
        unsafe { Ring::place(fresh, os, ORIGIN, ring.capacity()) }.map(drop)
    });
    used(
        os,
        ring,
        |ring| ring.put(b"record", NOW),
        |ring| ring.get(NOW, show_record),
        // SAFETY: nobody else has it open.
        || unsafe { Ring::bury(region, os, ORIGIN) },
    );
}

fn as_joinable(region: Region<'static>, os: Hostile<'_>) {
    type Ring<'w> = JoinableRing<'static, u8, Hostile<'w>>;
    let ring = attached(region, Ring::attach(region, os, ORIGIN), |ring, fresh| {
        // SAFETY: fresh memory, in which no layout is in use.
        unsafe { Ring::place(fresh, os, ORIGIN, ring.ring().capacity()) }.map(drop)
    });
    used(
        os,
        ring,
        |ring| ring.put(b"record", NOW),
        |ring| {
            let (_, in_hand) = ring.get(NOW, show_record)?;
            ring.done(in_hand);
            show(ring.join(NOW));
            Ok(())
        },
        // SAFETY: nobody else has it open.
        || unsafe { Ring::bury(region, os, ORIGIN) },
    );
}

fn as_channel<H: Hold>(region: Region<'static>, os: Hostile<'_>) {
    let view = Channel::<u8, _, H>::attach(region, os, ORIGIN);
    let channel = attached(region, view, |channel, fresh| {
        // SAFETY: fresh memory, in which no layout is in use.
        unsafe { Channel::<u8, _, H>::place(fresh, os, ORIGIN, channel.capacity()) }.map(drop)
    });
    used(
        os,
        channel,
        // SAFETY: nobody else puts anything.
        |channel| unsafe { channel.put_alone(b"record", NOW, || false) },
        // SAFETY: nobody else takes anything.
        |channel| unsafe { channel.get_alone(NOW, || false, show_record) },
        // SAFETY: nobody else has it open.
        || unsafe { Channel::<u8, _, H>::bury(region, os, ORIGIN) },
    );
}

fn as_tasks(region: Region<'static>, os: Hostile<'_>) {
    type Ring<'w> = TaskRing<'static, Hostile<'w>>;
    let ring = attached(region, Ring::attach(region, os, ORIGIN), |ring, fresh| {
        // SAFETY: fresh memory, in which no layout is in use.
        unsafe { Ring::place(fresh, os, ORIGIN, ring.ring().capacity()) }.map(drop)
    });
    used(
        os,
        ring,
        |ring| ring.put(NonZeroU64::MIN, b"body", NOW),
        |ring| {
            ring.take(0, NOW, |task, body| show((task, body)))?;
            ring.done(0);
            ring.lost(0, NOW).map(show)
        },
        // SAFETY: nobody else has it open.
        || unsafe { Ring::bury(region, os, ORIGIN) },
    );
}
