//! Taking items one after the other.

use std::{fmt, iter::FusedIterator};

use crate::message::RecvError;

/// What items can be taken from: a queue or an end of a channel, or a reference to one.
pub trait Gets {
    type Item;

    /// The next item; waits for one if `wait`.
    fn next(&mut self, wait: bool) -> Result<Self::Item, RecvError>;
}

/// The items of a queue or a channel, made by its `iter`, `try_iter` and `into_iter`: `Q` is a reference to it, or the thing
/// itself.
///
/// It ends when there will be no more; one that does not wait ends when there are none now. An item that cannot be decoded
/// ends it, too: see [`error`](Self::error).
///
/// ```
/// # multiproc::init();
/// let (sender, receiver) = multiproc::channel::<u64>(1024)?;
/// sender.send_many(1..=3)?;
/// drop(sender);
/// let mut numbers = receiver.into_iter();
/// assert_eq!(numbers.by_ref().sum::<u64>(), 6);
/// assert_eq!(numbers.error(), None);
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// One that has an end of a channel drops it when there will be no more, and keeps it after an error: then the other end is
/// not told that nobody is here any more.
#[must_use = "it takes items when it is asked for them"]
pub struct Iter<Q> {
    from: Option<Q>,
    wait: bool,
    error: Option<RecvError>,
}

impl<Q: Gets> Iter<Q> {
    pub(crate) fn waiting(from: Q) -> Iter<Q> {
        Iter {
            from: Some(from),
            wait: true,
            error: None,
        }
    }

    pub(crate) fn not_waiting(from: Q) -> Iter<Q> {
        Iter {
            wait: false,
            ..Iter::waiting(from)
        }
    }
}

impl<Q> Iter<Q> {
    /// What ended it, unless that was the end of the items.
    #[must_use]
    pub fn error(&self) -> Option<&RecvError> {
        self.error.as_ref()
    }
}

impl<Q: Gets> Iterator for Iter<Q> {
    type Item = Q::Item;

    fn next(&mut self) -> Option<Q::Item> {
        if self.error.is_some() {
            return None;
        }
        match self.from.as_mut()?.next(self.wait) {
            Ok(item) => return Some(item),
            Err(why) if why.is_disconnected() || why.is_empty() => self.from = None,
            Err(why) => self.error = Some(why),
        }
        None
    }
}

impl<Q: Gets> FusedIterator for Iter<Q> {}

impl<Q> fmt::Debug for Iter<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter")
            .field("wait", &self.wait)
            .field("ended", &(self.from.is_none() || self.error.is_some()))
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}
