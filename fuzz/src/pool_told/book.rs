//! What is known of how items ended, whatever anybody tells of other tasks.

use std::collections::{BTreeMap, BTreeSet};

use multiproc::{__fuzz::Desk, TaskError};

/// How an item ended, of which a worker has told that does as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Returned,
    Failed,
}

#[derive(Default)]
pub(super) struct Book {
    /// By the argument of each item: in which task it has ended, and how.
    ended: BTreeMap<u64, (u64, End)>,
    /// Tasks that somebody has meddled with who does not do as he should.
    meddled: BTreeSet<u64>,
    /// How many workers have died with a task in hand.
    pub(super) deaths: usize,
}

impl Book {
    /// Nothing is known of what becomes of this task.
    pub(super) fn meddle(&mut self, task: u64) {
        self.meddled.insert(task);
    }

    /// An item has ended so in this task, and the pool can know it.
    ///
    /// # Panics
    ///
    /// When it has ended before.
    pub(super) fn note(&mut self, argument: u64, task: u64, end: End) {
        if let Some((before, _)) = self.ended.insert(argument, (task, end)) {
            assert!(self.meddled.contains(&before), "begun after it had ended");
        }
    }

    /// Looks at the outcome of each item.
    ///
    /// # Panics
    ///
    /// When it is not how the item ended, or a death has cost more than one.
    pub(super) fn check(&self, outcomes: &[(u64, Result<u64, TaskError>)]) {
        for (argument, outcome) in outcomes {
            self.check_one(*argument, outcome);
        }
        let is_lost = |outcome: &Result<_, _>| matches!(outcome, Err(TaskError::WorkerDied { .. }));
        let lost = outcomes.iter().filter(|(_, it)| is_lost(it)).count();
        let deaths = self.deaths;
        assert!(
            lost <= deaths || !self.meddled.is_empty(),
            "{deaths} deaths cost {lost} items"
        );
    }

    fn check_one(&self, argument: u64, outcome: &Result<u64, TaskError>) {
        let value = outcome.as_ref().ok().copied();
        match self.ended.get(&argument) {
            Some((task, _)) if self.meddled.contains(task) => {}
            None if !self.meddled.is_empty() => {}
            Some((_, End::Returned)) => {
                let right = Desk::returned(argument);
                assert_eq!(value, Some(right), "not what it returned: {outcome:?}");
            }
            Some((_, End::Failed)) | None => assert_eq!(value, None, "it has not returned"),
        }
    }
}
