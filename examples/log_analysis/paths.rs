//! The traffic by path, in bounded memory however many paths there are.
//!
//! The [`MOST`] paths with the lowest ranks are kept, the others are added up. A rank is a matter of the path alone. So a
//! path that is kept in the end was among the lowest in every part of the log in which it occurs, and none of its requests
//! was ever given up: the result is the same however the log is cut, and in whatever order the parts are merged. (With
//! ranks by chance this is a "bottom-k sketch": Cohen and Kaplan, 2007.)

use std::collections::HashMap;

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};

use crate::{line::Request, popular::Popular, summary::Traffic};

/// How many are kept in the end, ...
pub const MOST: usize = 4096;
/// ... and at any time: so it is seldom that some are given up.
const ROOM: usize = MOST + MOST / 4;
/// In bytes. Of longer paths only the beginning counts.
const LONGEST: usize = 200;

/// The part of a path that counts.
pub fn cut(path: &[u8]) -> &[u8] {
    &path[..path.len().min(LONGEST)]
}

#[derive(Serialize, Deserialize)]
pub struct Paths {
    kept: HashMap<Box<[u8]>, Kept, FixedState>,
    /// Ranks above this are not kept any more.
    highest: u64,
    other: Traffic,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    rank: u64,
    traffic: Traffic,
}

impl Default for Paths {
    fn default() -> Paths {
        Paths {
            kept: HashMap::default(),
            highest: u64::MAX,
            other: Traffic::default(),
        }
    }
}

impl Paths {
    #[inline]
    pub fn add(&mut self, request: &Request<'_>, popular: &Popular) {
        let path = cut(request.path);
        let traffic = match self.kept.get_mut(path) {
            Some(kept) => &mut kept.traffic,
            None => self.enter(path, popular),
        };
        traffic.add(request);
    }

    #[cold]
    fn enter(&mut self, path: &[u8], popular: &Popular) -> &mut Traffic {
        let rank = popular.rank(path);
        if self.is_full_for(rank) {
            return &mut self.other;
        }
        let traffic = Traffic::default();
        let kept = self.kept.entry(path.into());
        &mut kept.or_insert(Kept { rank, traffic }).traffic
    }

    pub fn merge(&mut self, other: Paths) {
        self.other.merge(&other.other);
        for (path, kept) in other.kept {
            if let Some(here) = self.kept.get_mut(&path) {
                here.traffic.merge(&kept.traffic);
            } else if self.is_full_for(kept.rank) {
                self.other.merge(&kept.traffic);
            } else {
                self.kept.insert(path, kept);
            }
        }
    }

    /// Whether a path of this rank is not to be kept; if it is, makes room for it.
    fn is_full_for(&mut self, rank: u64) -> bool {
        if self.kept.len() == ROOM {
            self.settle();
        }
        rank > self.highest
    }

    /// Gives up those that are not to be kept in the end.
    pub fn settle(&mut self) {
        if self.kept.len() <= MOST {
            return;
        }
        let ranks = self.kept.iter().map(|(path, kept)| (kept.rank, path));
        let mut ranks: Vec<_> = ranks.collect();
        let (_, (rank, path), _) = ranks.select_nth_unstable(MOST - 1);
        let (rank, path) = (*rank, path.clone());
        self.highest = rank;
        let kept = &mut self.kept;
        for (_, kept) in kept.extract_if(|other, kept| (kept.rank, other) > (rank, &path)) {
            self.other.merge(&kept.traffic);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Traffic)> {
        let kept = self.kept.iter();
        kept.map(|(path, kept)| (&**path, &kept.traffic))
    }

    /// Of all paths that are not kept.
    pub fn other(&self) -> &Traffic {
        &self.other
    }
}
