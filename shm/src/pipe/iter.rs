//! All that comes through a pipe, one item after the other.

use std::iter::FusedIterator;

use serde::de::DeserializeOwned;

use super::{Pipe, PipeError};

/// The items that come through a pipe, until the end of file; by [`Pipe::iter`].
///
/// After an error of one message the next one follows; an error of the system is the last.
#[derive(Debug)]
#[must_use = "it receives when it is asked for items"]
pub struct PipeIter<'a, Tx, Rx> {
    pipe: &'a Pipe<Tx, Rx>,
    ended: bool,
}

/// As [`PipeIter`], with the end of the pipe inside.
///
/// ```
/// let (sender, receiver) = multiproc::one_way::<u64>()?;
/// sender.send(7)?;
/// drop(sender);
/// let all = receiver.into_iter().collect::<Result<Vec<_>, _>>()?;
/// assert_eq!(all, [7]);
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "it receives when it is asked for items"]
pub struct PipeIntoIter<Tx, Rx> {
    pipe: Pipe<Tx, Rx>,
    ended: bool,
}

impl<Tx, Rx: DeserializeOwned> Pipe<Tx, Rx> {
    /// Waits for one item after the other, until the end of file.
    ///
    /// ```
    /// let (sender, receiver) = multiproc::one_way::<u64>()?;
    /// sender.send(7)?;
    /// drop(sender);
    /// for number in &receiver {
    ///     assert_eq!(number?, 7);
    /// }
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn iter(&self) -> PipeIter<'_, Tx, Rx> {
        PipeIter {
            pipe: self,
            ended: false,
        }
    }

    fn next_item(&self, ended: &mut bool) -> Option<Result<Rx, PipeError>> {
        if *ended {
            return None;
        }
        let item = self.recv().transpose();
        *ended = matches!(item, None | Some(Err(PipeError::Io { .. })));
        item
    }
}

impl<Tx, Rx: DeserializeOwned> Iterator for PipeIter<'_, Tx, Rx> {
    type Item = Result<Rx, PipeError>;

    fn next(&mut self) -> Option<Result<Rx, PipeError>> {
        self.pipe.next_item(&mut self.ended)
    }
}

impl<Tx, Rx: DeserializeOwned> Iterator for PipeIntoIter<Tx, Rx> {
    type Item = Result<Rx, PipeError>;

    fn next(&mut self) -> Option<Result<Rx, PipeError>> {
        self.pipe.next_item(&mut self.ended)
    }
}

impl<Tx, Rx: DeserializeOwned> FusedIterator for PipeIter<'_, Tx, Rx> {}
impl<Tx, Rx: DeserializeOwned> FusedIterator for PipeIntoIter<Tx, Rx> {}

impl<'a, Tx, Rx: DeserializeOwned> IntoIterator for &'a Pipe<Tx, Rx> {
    type Item = Result<Rx, PipeError>;
    type IntoIter = PipeIter<'a, Tx, Rx>;

    fn into_iter(self) -> PipeIter<'a, Tx, Rx> {
        self.iter()
    }
}

impl<Tx, Rx: DeserializeOwned> IntoIterator for Pipe<Tx, Rx> {
    type Item = Result<Rx, PipeError>;
    type IntoIter = PipeIntoIter<Tx, Rx>;

    fn into_iter(self) -> PipeIntoIter<Tx, Rx> {
        PipeIntoIter {
            pipe: self,
            ended: false,
        }
    }
}
