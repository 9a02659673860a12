//! Arguments and results, and those that cannot be encoded or decoded.

use multiproc::{Executor, MapOptions, TaskError};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use crate::pools::{
    double, expect_all_but, outcome, quietly, value, with_executors, with_pools, workers,
};

/// The longest that lies in the ring.
const LONGEST: usize = 16 * 1024;

/// About where they no longer lie in the ring, and where they fill more than a pipe.
const LENGTHS: [usize; 10] = [
    0,
    1,
    100,
    LONGEST - 40,
    LONGEST - 20,
    LONGEST,
    LONGEST + 1,
    70 * 1024,
    1 << 20,
    5 << 20,
];

/// A text of so many bytes, in which each place shows.
fn text(len: usize) -> String {
    let mut text = "The quick brown fox jumps over the lazy dog. ".repeat(len / 45 + 1);
    text.truncate(len);
    text
}

fn reversed(text: String) -> String {
    text.bytes().rev().map(char::from).collect()
}

pub fn arguments_and_results_of_any_length_arrive_as_they_were() {
    fn test(pool: &impl Executor) {
        for len in LENGTHS {
            let task = pool.submit(|text: String| text.len(), text(len));
            assert_eq!(value(task.unwrap()), len, "as arguments");
            let task = pool.submit(text, len).unwrap();
            assert!(value(task) == text(len), "{len} as a result");
        }
        for around in (LONGEST - 64)..(LONGEST + 16) {
            let task = pool.submit(|text: String| text, text(around)).unwrap();
            assert!(value(task) == text(around), "{around}");
        }
        // Among others, which go on as they were.
        let lengths = &LENGTHS[..LENGTHS.len() - 2];
        for size in [1, 4, 100] {
            let options = || MapOptions::new().chunk_size(size);
            let items = lengths.iter().copied();
            let outcomes = pool.try_map_with(options(), text, items).unwrap();
            expect_all_but(&outcomes, |index| text(lengths[index]), &[]);
            let items = lengths.iter().map(|len| text(*len));
            let outcomes = pool.try_map_with(options(), reversed, items).unwrap();
            expect_all_but(&outcomes, |index| reversed(text(lengths[index])), &[]);
        }
        // More in a chunk than what is kept of it holds.
        let options = MapOptions::new().chunk_size(100);
        let outcomes = pool.try_map_with(options, text, vec![5000; 100]).unwrap();
        expect_all_but(&outcomes, |_| text(5000), &[]);
        let units = pool.map(|()| (), vec![(); 5000]).unwrap();
        assert_eq!(units.len(), 5000);
    }
    with_executors!(test);
}

/// A number that travels as long as it ends in 0 to 5.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Picky(u64);

impl Serialize for Picky {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 % 10 {
            6 => Err(ser::Error::custom("it ends in six")),
            7 => panic!("it ends in seven"),
            _ => serializer.serialize_u64(self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Picky {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Picky, D::Error> {
        let number = u64::deserialize(deserializer)?;
        match number % 10 {
            8 => Err(de::Error::custom("it ends in eight")),
            9 => panic!("it ends in nine"),
            _ => Ok(Picky(number)),
        }
    }
}

fn good(numbers: impl Iterator<Item = u64>, digits: &[u64]) -> Vec<u64> {
    numbers.filter(|x| !digits.contains(&(x % 10))).collect()
}

/// Fault 22.
pub fn a_result_that_cannot_be_encoded_fails_alone() {
    with_pools(|pool| {
        let before = workers(pool);
        let error = outcome(pool.submit(Picky, 6).unwrap()).unwrap_err();
        assert!(matches!(error, TaskError::NotEncoded { .. }), "{error}");
        let error = outcome(pool.submit(Picky, 7).unwrap()).unwrap_err();
        assert!(error.to_string().contains("it ends in seven"), "{error}");
        for size in [1, 3, 30] {
            let options = MapOptions::new().chunk_size(size);
            let items = good(0..40, &[8, 9]);
            let outcomes = pool.try_map_with(options, Picky, items.clone()).unwrap();
            let failed: Vec<usize> = (0..items.len())
                .filter(|index| items[*index] % 10 > 5)
                .collect();
            expect_all_but(&outcomes, |index| Picky(items[index]), &failed);
        }
        assert_eq!(workers(pool), before);
    });
}

/// Defect 7 of Python: that task and all later ones hang.
pub fn a_result_that_cannot_be_decoded_fails_alone() {
    with_pools(|pool| {
        quietly(|| {
            for (last, why) in [(8, "eight"), (9, "panicked")] {
                let error = outcome(pool.submit(Picky, last).unwrap()).unwrap_err();
                assert!(matches!(error, TaskError::NotDecoded { .. }), "{error}");
                let said = error.to_string();
                assert!(why == "eight" || said.contains(why), "{said}");
            }
            let both = |x: u64| (Picky(x), vec![0u8; 20_000]);
            let error = outcome(pool.submit(both, 9).unwrap()).unwrap_err();
            assert!(matches!(error, TaskError::NotDecoded { .. }), "{error}");
            for size in [1, 3, 30] {
                let options = MapOptions::new().chunk_size(size);
                let items = good(0..40, &[6, 7]);
                let outcomes = pool.try_map_with(options, Picky, items.clone()).unwrap();
                let failed: Vec<usize> = (0..items.len())
                    .filter(|index| items[*index] % 10 > 5)
                    .collect();
                expect_all_but(&outcomes, |index| Picky(items[index]), &failed);
            }
            assert_eq!(value(pool.submit(double, 4).unwrap()), 8);
        });
    });
}

pub fn arguments_that_cannot_be_decoded_fail_alone() {
    with_pools(|pool| {
        let before = workers(pool);
        let open = |picky: Picky| picky.0;
        let error = outcome(pool.submit(open, Picky(8)).unwrap()).unwrap_err();
        assert!(matches!(error, TaskError::NotBegun { .. }), "{error}");
        let error = outcome(pool.submit(open, Picky(9)).unwrap()).unwrap_err();
        assert!(error.to_string().contains("it ends in nine"), "{error}");
        let long = |(picky, _): (Picky, Vec<u8>)| picky.0;
        let task = pool.submit(long, (Picky(8), vec![0; 20_000])).unwrap();
        assert!(matches!(outcome(task), Err(TaskError::NotBegun { .. })));
        for size in [1, 3, 30] {
            let options = MapOptions::new().chunk_size(size);
            let items = good(0..40, &[6, 7]);
            let picky = items.clone().into_iter().map(Picky);
            let outcomes = pool.try_map_with(options, open, picky).unwrap();
            let failed: Vec<usize> = (0..items.len())
                .filter(|index| items[*index] % 10 > 5)
                .collect();
            expect_all_but(&outcomes, |index| items[index], &failed);
        }
        assert_eq!(workers(pool), before);
    });
}

pub fn arguments_that_cannot_be_encoded_come_back() {
    with_pools(|pool| {
        let refused = pool.submit(|picky: Picky| picky.0, Picky(6)).unwrap_err();
        assert_eq!(refused.arguments, Picky(6));
        assert!(refused.why.to_string().contains("could not be encoded"));
        assert_eq!(pool.stats().done, 0);
    });
}
