//! What wants to know how items ended: a task that was submitted, or a map.

use std::{ops::Range, os::fd::OwnedFd, sync::Arc};

use super::{error::TaskError, outcome::Kind};

/// Where the outcomes of items go. Each item ends once.
pub(super) trait Job: Send + Sync {
    /// These items have ended, in this order from the item `first` on, as the [outcomes](super::outcome) tell.
    fn ended(&self, first: u64, outcomes: &[u8]);

    /// An item has ended in another way.
    fn ended_apart(&self, index: u64, how: Apart);
}

/// How an item ended that is not told among others.
pub(super) enum Apart {
    /// With one outcome, and the descriptors of the shared objects in it.
    Carried {
        kind: Kind,
        told: Vec<u8>,
        descriptors: Vec<OwnedFd>,
    },
    /// With an error.
    Failed(TaskError),
}

/// What is to be told to a job, once no lock is held any more: what it does then is its own affair.
pub(super) enum Delivery {
    Ended {
        job: Arc<dyn Job>,
        first: u64,
        /// Which bytes of the batch.
        outcomes: Range<usize>,
    },
    Apart {
        job: Arc<dyn Job>,
        index: u64,
        how: Apart,
    },
}

/// Deliveries, and the bytes that they are about.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) deliveries: Vec<Delivery>,
}

impl Batch {
    /// Tells all jobs.
    pub(super) fn deliver(&mut self) {
        for delivery in self.deliveries.drain(..) {
            match delivery {
                Delivery::Ended {
                    job,
                    first,
                    outcomes,
                } => job.ended(first, &self.bytes[outcomes]),
                Delivery::Apart { job, index, how } => job.ended_apart(index, how),
            }
        }
        self.bytes.clear();
    }
}
