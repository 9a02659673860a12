//! What wants to know how items ended: a task that was submitted, or a map.

use std::{ops::Range, os::fd::OwnedFd, sync::Arc};

use super::{
    encoding::Form,
    error::TaskError,
    outcome::{Kind, Outcomes},
    quiet,
};

/// Where the outcomes of items go. Each item ends once.
pub(super) trait Job: Send + Sync {
    /// These items have ended by themselves.
    fn ended(&self, runs: &mut dyn Iterator<Item = Run<'_>>);

    /// An item has ended in another way.
    fn ended_apart(&self, index: u64, how: Apart);
}

/// Items that ended one after the other, from the item `first` on, so many.
pub(super) struct Run<'a> {
    pub(super) first: u64,
    pub(super) items: u64,
    /// One of each.
    pub(super) outcomes: Outcomes<'a>,
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

/// What is to be told to jobs, once no lock is held any more: what they do then is their own affair.
#[derive(Default)]
pub(super) struct Batch {
    /// The bytes that the runs are about.
    pub(super) bytes: Vec<u8>,
    runs: Vec<(Arc<dyn Job>, Told)>,
    apart: Vec<(Arc<dyn Job>, u64, Apart)>,
    /// Whether the ledger knows that these are still to be told.
    pub(super) is_owed: bool,
}

/// A run, by the place of its bytes in a batch.
struct Told {
    first: u64,
    items: u64,
    form: Form,
    outcomes: Range<usize>,
}

impl Batch {
    #[inline]
    pub(super) fn ended(
        &mut self,
        job: Arc<dyn Job>,
        first: u64,
        items: u64,
        form: Form,
        outcomes: Range<usize>,
    ) {
        let told = Told {
            first,
            items,
            form,
            outcomes,
        };
        self.runs.push((job, told));
    }

    pub(super) fn ended_apart(&mut self, job: Arc<dyn Job>, index: u64, how: Apart) {
        self.apart.push((job, index, how));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.apart.is_empty()
    }

    /// Tells all jobs, each of its runs in a row at once.
    pub(super) fn deliver(&mut self) {
        let Batch {
            bytes, runs, apart, ..
        } = self;
        for of_one in runs.chunk_by(|(one, _), (other, _)| Arc::ptr_eq(one, other)) {
            let Some((job, _)) = of_one.first() else {
                continue;
            };
            let mut runs = of_one.iter().map(|(_, told)| Run {
                first: told.first,
                items: told.items,
                outcomes: Outcomes {
                    form: told.form,
                    bytes: &bytes[told.outcomes.clone()],
                },
            });
            quiet::run(|| job.ended(&mut runs));
        }
        for (job, _) in runs.drain(..) {
            // The last one drops the outcome that nobody has asked for.
            quiet::drop(job);
        }
        bytes.clear();
        for (job, index, how) in apart.drain(..) {
            quiet::run(|| {
                let job = job;
                job.ended_apart(index, how);
            });
        }
    }
}
