//! Records that are put into a ring of some kind and taken from it in a hostile world, and what must hold of any kind.

use std::sync::atomic::{AtomicU64, Ordering};

use multiproc_core::{HEADER_LEN, LayoutError, NOW, Region, RingError};

use super::{
    hostile::{World, show},
    memory::{self, Ground},
};

/// How many milliseconds after its deadline a call may end: it waits for a lock a few times, 10 at most each time.
pub const GRACE: u64 = 100;

/// What copies a record that is taken.
pub type Take<'a> = &'a mut dyn FnMut(&[u8]) -> Vec<u8>;
/// What a record is shown to that is taken.
pub type Show<'a> = &'a mut dyn FnMut(&[u8]);

/// The most bytes that a ring here has.
pub const CAPACITY: usize = 512;

/// Lets `play` be in a region for a ring of some capacity, one of so many `sizes`, as the first byte says; in a world that the
/// rest makes, whose peers write to the words of the ring up to `head` bytes, and to its data.
///
/// # Panics
///
/// When a promise is broken.
pub fn in_fresh(
    ground: &Ground,
    input: &[u8],
    sizes: u8,
    required_len: impl FnOnce(usize) -> Result<usize, LayoutError>,
    head: usize,
    play: impl for<'w> FnOnce(Region<'static>, &'w World<'w>, usize),
) {
    let Some((size, rest)) = input.split_first() else {
        return;
    };
    let capacity = CAPACITY >> (size % sizes);
    let len = required_len(capacity).expect("a small ring");
    let region = ground.region(len, &[]);
    let data_at = len - capacity;
    let head = memory::words_of(region, HEADER_LEN, head.min(data_at));
    let data = memory::words_of(region, data_at, len);
    let world = World::new(rest, head).and(data);
    play(region, &world, capacity);
    ground.check(region);
}

/// A ring of some kind.
pub trait Passing {
    /// How many bytes of records and their lengths it holds.
    fn capacity(&self) -> usize;

    /// How many bytes the longest record may have.
    fn max_len(&self) -> usize;

    /// How many records are in it.
    fn len(&self) -> usize;

    /// Puts a record.
    ///
    /// # Errors
    ///
    /// When it was not put.
    fn put(&self, record: &[u8], until: u64) -> Result<(), RingError>;

    /// Puts records; how many, and why not all.
    fn put_many(&self, records: &[Vec<u8>], until: u64) -> (usize, Result<(), RingError>);

    /// Takes a record.
    ///
    /// # Errors
    ///
    /// When none was taken.
    fn get(&self, until: u64, take: Take<'_>) -> Result<Vec<u8>, RingError>;

    /// Takes records, up to `most`; how many. A kind that cannot take several at once takes one, and shows it as an empty
    /// one.
    ///
    /// # Errors
    ///
    /// When none was taken.
    fn get_many(&self, until: u64, most: usize, show: Show<'_>) -> Result<usize, RingError> {
        if most == 0 {
            return Ok(0);
        }
        self.get(until, &mut <[u8]>::to_vec).map(|_| {
            show(&[]);
            1
        })
    }

    /// Lets nothing more be put.
    ///
    /// # Errors
    ///
    /// When its locks cannot be had.
    fn close(&self, until: u64) -> Result<(), RingError>;
}

/// A ring in its region.
#[derive(Debug)]
pub struct Placed<R> {
    /// The ring.
    pub ring: R,
    /// Where it lies.
    pub region: Region<'static>,
}

/// How many different calls [`Placed::act`] knows.
pub const ACTIONS: u8 = 14;

impl<R: Passing> Placed<R> {
    /// A peer writes something, or one call is made.
    ///
    /// # Panics
    ///
    /// When a promise is broken.
    pub fn act(&self, action: u8, world: &World<'_>) {
        match action {
            0 | 1 => world.poke(),
            2 | 3 => self.move_on(world),
            4 => world.lie_in_wait(),
            5 => show(self.put(world, NOW)),
            6 => show(self.put(world, world.soon())),
            7 => show(self.put_many(world, NOW)),
            8 => show(self.put_many(world, world.soon())),
            9 => show(self.get(world, NOW)),
            10 => show(self.get(world, world.soon())),
            11 => show(self.get_many(world, NOW)),
            12 => show(self.get_many(world, world.soon())),
            _ => {
                if world.byte().is_multiple_of(4) {
                    let until = world.soon();
                    show(world.call_until(until, GRACE, || self.ring.close(until)));
                }
            }
        }
    }

    /// A peer moves a position on, or back, by a number of units and of records that is most often small.
    fn move_on(&self, world: &World<'_>) {
        let words = memory::words_of(self.region, HEADER_LEN, self.region.len());
        let at = usize::from(world.byte()) % words.len();
        let [units, records] = [world.byte() as i8, world.byte() as i8].map(i64::from);
        let by = (units << 32).wrapping_add(records << 2);
        let word: &AtomicU64 = &words[at];
        word.fetch_add(by as u64, Ordering::SeqCst);
    }

    /// A record of any length, most often one that fits.
    fn record(&self, world: &World<'_>) -> Vec<u8> {
        let len = usize::from(world.byte()) % (self.ring.max_len() + 10);
        vec![world.byte(); len]
    }

    fn put(&self, world: &World<'_>, until: u64) -> Result<(), RingError> {
        let record = self.record(world);
        let result = world.call_until(until, GRACE, || self.ring.put(&record, until));
        check_time(result.err(), world, until);
        result
    }

    fn put_many(&self, world: &World<'_>, until: u64) -> (usize, Result<(), RingError>) {
        let records: Vec<Vec<u8>> = (0..world.byte() % 8).map(|_| self.record(world)).collect();
        let (put, result) = world.call_until(until, GRACE, || self.ring.put_many(&records, until));
        assert!(put <= records.len());
        assert!(put == records.len() || result.is_err(), "why not all?");
        check_time(result.err(), world, until);
        (put, result)
    }

    fn get(&self, world: &World<'_>, until: u64) -> Result<Vec<u8>, RingError> {
        let mut take = |record: &[u8]| self.copy(record);
        let result = world.call_until(until, GRACE, || self.ring.get(until, &mut take));
        check_time(result.as_ref().err().copied(), world, until);
        result
    }

    fn get_many(&self, world: &World<'_>, until: u64) -> Result<usize, RingError> {
        let most = usize::try_from(world.number()).unwrap_or(usize::MAX);
        let mut seen = 0;
        let mut take = |record: &[u8]| {
            self.copy(record);
            seen += 1;
            assert!(seen <= self.ring.capacity() / 8, "more than there can be");
        };
        let result = world.call_until(until, GRACE, || self.ring.get_many(until, most, &mut take));
        assert!(seen <= most);
        assert_eq!(result.unwrap_or(0), seen, "not as many as it says");
        check_time(result.err(), world, until);
        result
    }

    /// Copies a record that was given.
    ///
    /// # Panics
    ///
    /// When it does not lie in the ring.
    pub fn copy(&self, record: &[u8]) -> Vec<u8> {
        assert!(record.len() <= self.ring.max_len(), "no record is so long");
        // A short one may be a copy, in private memory.
        if record.len() > 40 {
            memory::check_inside(self.region, record);
        }
        record.to_vec()
    }

    /// Takes what can be taken after everybody was buried; what is put then comes out.
    ///
    /// # Panics
    ///
    /// When that is not so.
    pub fn check_passing(&self, world: &World<'_>) {
        let before = self.ring.len();
        let mut taken = 0;
        let why = loop {
            match self.get(world, NOW) {
                Ok(_) => taken += 1,
                Err(why) => break why,
            }
            // All up to where those who take looked last, and all that was put after that.
            assert!(taken <= self.ring.capacity() / 4, "more than there can be");
        };
        match why {
            RingError::WouldBlock => {}
            RingError::Closed | RingError::Damaged => return show((why, before)),
            why => panic!("everybody is buried, and yet: {why}"),
        }
        let records = [vec![1; 5], vec![], vec![2; 8]];
        let (put, result) = world.call(|| self.ring.put_many(&records, NOW));
        // Where those who put looked last is not what those who take have found.
        if result == Err(RingError::Damaged) {
            return;
        }
        assert_eq!((put, result), (3, Ok(())), "it is empty");
        for record in records {
            let result = self.get(world, NOW);
            // Nor did they look when it was empty.
            if result == Err(RingError::Damaged) {
                return;
            }
            assert_eq!(result, Ok(record));
        }
    }
}

/// Checks that who was to wait has waited, and who was not has not.
fn check_time(why: Option<RingError>, world: &World<'_>, until: u64) {
    match why {
        Some(RingError::WouldBlock) => assert_eq!(until, NOW, "it was to wait"),
        Some(RingError::TimedOut) => assert!(until != NOW && world.now() >= until, "too soon"),
        _ => {}
    }
}
