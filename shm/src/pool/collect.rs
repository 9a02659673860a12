//! The outcomes of all items of a map, kept until all have ended.

use std::{
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::de::DeserializeOwned;

use super::{
    error::TaskError,
    job::{Apart, Job, Run},
    task::{apart, each_value},
};

/// Outcomes in the order in which they came.
pub(super) struct Collect {
    kept: Mutex<Kept>,
    more: Condvar,
}

#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    /// Which item the outcomes from here on in the bytes begin with.
    runs: Vec<(u64, usize)>,
    /// The item behind the last one of these.
    next: Option<u64>,
    apart: Vec<(u64, Apart)>,
    /// How many items have ended.
    ended: u64,
    /// How many there are, once that is known.
    all: Option<u64>,
    /// Whether somebody wants to know each time.
    is_watched: bool,
}

/// How often somebody who wants to know is told, if so much happens.
const MOMENT: Duration = Duration::from_millis(20);

impl Collect {
    pub(super) fn new(is_watched: bool) -> Arc<Collect> {
        Arc::new(Collect {
            kept: Mutex::new(Kept {
                is_watched,
                ..Kept::default()
            }),
            more: Condvar::new(),
        })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There are so many items. Waits until all have ended; tells `progress` how many have, now and then.
    pub(super) fn wait(&self, all: u64, mut progress: impl FnMut(u64)) {
        let mut kept = self.kept();
        kept.all = Some(all);
        let mut seen = 0;
        while kept.ended < all {
            let woken = self.more.wait(kept);
            kept = woken.unwrap_or_else(PoisonError::into_inner);
            if kept.is_watched && kept.ended != seen {
                seen = kept.ended;
                drop(kept);
                progress(seen);
                if seen < all {
                    std::thread::sleep(MOMENT);
                }
                kept = self.kept();
            }
        }
        let ended = kept.ended;
        drop(kept);
        if ended != seen {
            progress(ended);
        }
    }

    /// Gives all outcomes to `take`, in the order of the items. Nothing more comes.
    pub(super) fn take<R: DeserializeOwned>(&self, mut take: impl FnMut(Result<R, TaskError>)) {
        let Kept {
            bytes,
            runs,
            mut apart,
            ..
        } = mem::take(&mut *self.kept());
        apart.sort_by_key(|(index, _)| *index);
        let mut others = apart.into_iter().peekable();
        let ends = runs.iter().skip(1).map(|(_, at)| *at).chain([bytes.len()]);
        let mut runs: Vec<(u64, &[u8])> = runs
            .iter()
            .zip(ends)
            .map(|((first, at), end)| (*first, &bytes[*at..end]))
            .collect();
        // Almost in order already.
        runs.sort_by_key(|(first, _)| *first);
        for (first, outcomes) in runs {
            while let Some((_, how)) = others.next_if(|(before, _)| *before < first) {
                take(self::apart(how));
            }
            each_value(outcomes, &mut take);
        }
        for (_, how) in others {
            take(self::apart(how));
        }
    }

    fn note(&self, kept: &mut Kept, count: u64) -> bool {
        kept.ended += count;
        kept.is_watched || kept.all == Some(kept.ended)
    }
}

impl Job for Collect {
    fn ended(&self, runs: &mut dyn Iterator<Item = Run<'_>>) {
        let mut kept = self.kept();
        let mut count = 0;
        for run in runs {
            let at = kept.bytes.len();
            kept.bytes.extend_from_slice(run.outcomes);
            // Of those that follow each other nobody has to know where each begins.
            if kept.next != Some(run.first) {
                kept.runs.push((run.first, at));
            }
            kept.next = Some(run.first + run.items);
            count += run.items;
        }
        let wake = self.note(&mut kept, count);
        drop(kept);
        if wake {
            self.more.notify_all();
        }
    }

    fn ended_apart(&self, index: u64, how: Apart) {
        let mut kept = self.kept();
        kept.apart.push((index, how));
        let wake = self.note(&mut kept, 1);
        drop(kept);
        if wake {
            self.more.notify_all();
        }
    }
}
