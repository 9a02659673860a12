//! A ring whose locks, positions and data hold any bytes, and change while it is used.
//!
//! Any call ends, those with a deadline about then; none panics; records lie inside the ring, are no longer than half of
//! it, and never more at once than it has units. Once everybody is buried, what can be taken is taken, and what is put
//! after that comes out as it went in, unless the ring is damaged and says so.

use std::sync::atomic::{AtomicU64, Ordering};

use multiproc_core::{ByteRing, HEADER_LEN, NOW, Region, RingError};

use super::{
    hostile::{Hostile, World, show},
    memory::{self, Ground, ORIGIN},
};

/// The most bytes that a ring here has.
const CAPACITY: usize = 512;
/// The longest layout, in bytes.
const ROOM: usize = 8 * HEADER_LEN;
/// How many milliseconds after its deadline a call may end: it waits for a lock a few times, 10 at most each time.
const GRACE: u64 = 100;

type Records<'w> = ByteRing<'static, u8, Hostile<'w>>;

/// Runs one input.
///
/// # Panics
///
/// When a promise is broken.
pub fn body(input: &[u8]) {
    thread_local!(static GROUND: Ground = Ground::new(ROOM));
    let Some((size, rest)) = input.split_first() else {
        return;
    };
    let capacity = CAPACITY >> (size % 4);
    GROUND.with(|ground| play(ground, capacity, rest));
}

fn play(ground: &Ground, capacity: usize, input: &[u8]) {
    let len = Records::required_len(capacity).expect("a small ring");
    let region = ground.region(len, &[]);
    let words = memory::words_of(region, HEADER_LEN, region.len());
    let world = World::new(input, words);
    let os = Hostile(&world);
    // SAFETY: memory in which no other layout is in use.
    unsafe { Records::place(region, os, ORIGIN, capacity) }.expect("room for the ring");
    while let Some(writes) = world.next() {
        if writes / 16 == 15 {
            world.be_nobody();
        }
        for _ in 0..writes % 16 {
            world.poke();
        }
        let ring = Records::attach(region, os, ORIGIN).expect("its header is sound");
        assert_eq!(ring.capacity(), capacity);
        if !use_it(&ring, region, words, &world) {
            break;
        }
        world.come_back();
        world.at_peace(|| {
            // SAFETY: nobody has it open: no record outlives its call.
            let buried = world.call(|| unsafe { Records::bury(region, os, ORIGIN) });
            buried.expect("its header is sound");
            check_buried(&ring, region, &world);
        });
    }
    ground.check(region);
}

/// Calls until the input says to stop; whether it says to bury everybody then.
fn use_it(
    ring: &Records<'_>,
    region: Region<'static>,
    words: &[AtomicU64],
    world: &World<'_>,
) -> bool {
    while let Some(action) = world.next() {
        match action % 16 {
            0 | 1 => world.poke(),
            2 | 3 => move_on(words, world),
            4 => world.lie_in_wait(),
            5 => show(put(ring, world, NOW)),
            6 => show(put(ring, world, world.soon())),
            7 => show(put_many(ring, world, NOW)),
            8 => show(put_many(ring, world, world.soon())),
            9 => show(get(ring, region, world, NOW)),
            10 => show(get(ring, region, world, world.soon())),
            11 => show(get_many(ring, region, world, NOW)),
            12 => show(get_many(ring, region, world, world.soon())),
            13 => {
                if world.byte().is_multiple_of(4) {
                    let until = world.soon();
                    show(world.call_until(until, GRACE, || ring.close(until)));
                }
            }
            14 => show((ring, ring.len(), ring.is_empty(), ring.is_closed())),
            _ => return true,
        }
    }
    false
}

/// A peer moves a position on, or back, by a number of units and of records that is most often small.
fn move_on(words: &[AtomicU64], world: &World<'_>) {
    let at = usize::from(world.byte()) % words.len();
    let [units, records] = [world.byte() as i8, world.byte() as i8].map(i64::from);
    let by = (units << 32).wrapping_add(records << 2);
    words[at].fetch_add(by as u64, Ordering::SeqCst);
}

/// A record of any length, most often one that fits.
fn record(ring: &Records<'_>, world: &World<'_>) -> Vec<u8> {
    let len = usize::from(world.byte()) % (ring.max_len() + 10);
    vec![world.byte(); len]
}

fn put(ring: &Records<'_>, world: &World<'_>, until: u64) -> Result<(), RingError> {
    let record = record(ring, world);
    let result = world.call_until(until, GRACE, || ring.put(&record, until));
    check_time(result.err(), world, until);
    result
}

fn put_many(ring: &Records<'_>, world: &World<'_>, until: u64) -> (usize, Result<(), RingError>) {
    let records: Vec<Vec<u8>> = (0..world.byte() % 8).map(|_| record(ring, world)).collect();
    let (put, result) = world.call_until(until, GRACE, || ring.put_many(&records, until));
    assert!(put <= records.len());
    assert!(put == records.len() || result.is_err(), "why not all?");
    check_time(result.err(), world, until);
    (put, result)
}

fn get(
    ring: &Records<'_>,
    region: Region<'static>,
    world: &World<'_>,
    until: u64,
) -> Result<Vec<u8>, RingError> {
    let result = world.call_until(until, GRACE, || {
        ring.get(until, |record| copy(ring, region, record))
    });
    check_time(result.as_ref().err().copied(), world, until);
    result
}

fn get_many(
    ring: &Records<'_>,
    region: Region<'static>,
    world: &World<'_>,
    until: u64,
) -> Result<usize, RingError> {
    let most = usize::try_from(world.number()).unwrap_or(usize::MAX);
    let mut seen = 0;
    let result = world.call_until(until, GRACE, || {
        ring.get_many(until, most, |record| {
            copy(ring, region, record);
            seen += 1;
            assert!(seen <= ring.capacity() / 8, "more than there can be");
        })
    });
    assert!(seen <= most);
    assert_eq!(result.unwrap_or(0), seen, "not as many as it says");
    check_time(result.err(), world, until);
    result
}

/// Copies a record that was given.
fn copy(ring: &Records<'_>, region: Region<'static>, record: &[u8]) -> Vec<u8> {
    assert!(record.len() <= ring.max_len(), "no record is so long");
    // A short one may be a copy, in private memory.
    if record.len() > 40 {
        memory::check_inside(region, record);
    }
    record.to_vec()
}

/// Checks that who was to wait has waited, and who was not has not.
fn check_time(why: Option<RingError>, world: &World<'_>, until: u64) {
    match why {
        Some(RingError::WouldBlock) => assert_eq!(until, NOW, "it was to wait"),
        Some(RingError::TimedOut) => assert!(until != NOW && world.now() >= until, "too soon"),
        _ => {}
    }
}

/// Takes what can be taken after everybody was buried; what is put then comes out.
fn check_buried(ring: &Records<'_>, region: Region<'static>, world: &World<'_>) {
    let before = ring.len();
    let mut taken = 0;
    let why = loop {
        match get(ring, region, world, NOW) {
            Ok(_) => taken += 1,
            Err(why) => break why,
        }
        // All up to where those who take looked last, and all that was put after that.
        assert!(taken <= ring.capacity() / 4, "more than there can be");
    };
    match why {
        RingError::WouldBlock => {}
        RingError::Closed | RingError::Damaged => return show((why, before)),
        why => panic!("everybody is buried, and yet: {why}"),
    }
    let records = [vec![1; 5], vec![], vec![2; 8]];
    let (put, result) = world.call(|| ring.put_many(&records, NOW));
    // Where those who put looked last is not what those who take have found.
    if result == Err(RingError::Damaged) {
        return;
    }
    assert_eq!((put, result), (3, Ok(())), "it is empty");
    for record in records {
        let result = get(ring, region, world, NOW);
        // Nor did they look when it was empty.
        if result == Err(RingError::Damaged) {
            return;
        }
        assert_eq!(result, Ok(record));
    }
}
