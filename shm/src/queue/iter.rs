//! Taking items one after the other.

use std::{fmt, iter::FusedIterator};

use crate::message::RecvError;

/// What items can be taken from.
pub trait Gets<'a> {
    type Item;

    /// The next item; waits for one if `wait`.
    fn next(&'a self, wait: bool) -> Result<Self::Item, RecvError>;
}

/// The items of a queue or a channel; made by its `iter` and `try_iter`.
///
/// It ends when there will be no more, and at an [error](Self::error); one that does not wait ends when there are none now.
pub struct Iter<'a, Q> {
    from: &'a Q,
    wait: bool,
    end: Option<RecvError>,
}

impl<'a, Q: Gets<'a>> Iter<'a, Q> {
    pub(crate) fn waiting(from: &'a Q) -> Iter<'a, Q> {
        Iter {
            from,
            wait: true,
            end: None,
        }
    }

    pub(crate) fn not_waiting(from: &'a Q) -> Iter<'a, Q> {
        Iter {
            wait: false,
            ..Iter::waiting(from)
        }
    }

    /// What ended it, unless that was the end of the items.
    #[must_use]
    pub fn error(&self) -> Option<&RecvError> {
        self.end
            .as_ref()
            .filter(|why| !why.is_disconnected() && !why.is_empty())
    }
}

impl<'a, Q: Gets<'a>> Iterator for Iter<'a, Q> {
    type Item = Q::Item;

    fn next(&mut self) -> Option<Q::Item> {
        if self.end.is_some() {
            return None;
        }
        self.from
            .next(self.wait)
            .map_err(|why| self.end = Some(why))
            .ok()
    }
}

impl<'a, Q: Gets<'a>> FusedIterator for Iter<'a, Q> {}

impl<Q> fmt::Debug for Iter<'_, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter")
            .field("wait", &self.wait)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}
