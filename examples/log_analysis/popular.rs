//! Which paths come first when there are too many to keep all.

use std::{collections::HashMap, fs::File, hash::BuildHasher, io};

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};

use crate::{line::Request, lines, paths};

/// How many places of a file are looked at, and how many bytes at each.
const PLACES: u64 = 64;
const EACH: u64 = 64 << 10;
/// How many paths are taken for popular at most.
const MOST: usize = 512;

/// The paths that were found often in a sample of the file, by their hashes, which are sorted.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Popular(Vec<u64>);

impl Popular {
    /// Takes the sample, from the same places each time.
    pub fn of(file: &File, len: u64) -> io::Result<Popular> {
        let mut times: HashMap<u64, u64> = HashMap::new();
        let each = EACH.min(len / PLACES + 1);
        for place in 0..PLACES {
            let start = (u128::from(len) * u128::from(place) / u128::from(PLACES)) as u64;
            lines::for_each(file, start..len.min(start + each), |line| {
                if let Some(request) = line.and_then(Request::parse) {
                    *times.entry(hash(paths::cut(request.path))).or_default() += 1;
                }
            })?;
        }
        let mut times: Vec<_> = times.into_iter().filter(|(_, times)| *times > 1).collect();
        times.sort_unstable_by_key(|(hash, times)| (u64::MAX - times, *hash));
        let mut hashes: Vec<_> = times.into_iter().map(|(hash, _)| hash).take(MOST).collect();
        hashes.sort_unstable();
        Ok(Popular(hashes))
    }

    /// The lower, the more it is to be kept: the popular ones first, the others by chance. It depends on the path alone, and
    /// not on what else was seen; so all processes agree about it.
    pub fn rank(&self, path: &[u8]) -> u64 {
        let hash = hash(path);
        let unpopular = self.0.binary_search(&hash).is_err();
        u64::from(unpopular) << 63 | hash >> 1
    }
}

/// The same in all processes.
fn hash(path: &[u8]) -> u64 {
    FixedState::default().hash_one(path)
}
