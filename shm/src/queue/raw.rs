//! Queues of elements as the bytes that they are.

use std::time::Duration;

use multiproc_core::{Element, FOREVER, NOW};

use super::bounded::Queue;
use crate::{
    deadline,
    error::Error,
    mapped::Mapped,
    message::{self, Raw, RecvError, SendError},
    segment::{Access, Create, Open},
};

impl<T: Element> Queue<T, Raw> {
    /// A queue of at least `capacity` bytes, in an anonymous segment, that passes elements as they are.
    ///
    /// ```
    /// # multiproc::init();
    /// use multiproc::{Queue, capacity_for};
    ///
    /// let samples = Queue::raw(capacity_for::<[f32; 2]>(1000))?;
    /// samples.put([0.5f32, 1.5])?;
    /// assert_eq!(samples.get()?, [0.5, 1.5]);
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn raw(capacity: usize) -> Result<Queue<T, Raw>, Error> {
        Queue::create_raw(Create::anonymous(), capacity)
    }

    /// As [`raw`](Self::raw), where `create` says.
    ///
    /// # Errors
    ///
    /// [`Error`] when the segment cannot be made.
    pub fn create_raw(create: impl Into<Create>, capacity: usize) -> Result<Queue<T, Raw>, Error> {
        Queue::place(create.into(), capacity)
    }

    /// The queue of such elements that somebody made there.
    ///
    /// # Errors
    ///
    /// [`Error`] when there is none, or one of something else.
    pub fn open_raw(open: impl Into<Open>) -> Result<Queue<T, Raw>, Error> {
        Mapped::open(open.into(), Access::ReadWrite).map(Queue)
    }

    /// Puts several elements as one item, which whoever gets it gets as a [slice](Self::get_slice).
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put).
    #[inline]
    pub fn put_slice(&self, elements: &[T]) -> Result<(), SendError<()>> {
        self.put_slice_until(elements, FOREVER)
    }

    /// Puts several elements as one item if there is room now.
    ///
    /// # Errors
    ///
    /// As [`try_put`](Self::try_put).
    #[inline]
    pub fn try_put_slice(&self, elements: &[T]) -> Result<(), SendError<()>> {
        self.put_slice_until(elements, NOW)
    }

    /// Puts several elements as one item, waiting for room no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`put_timeout`](Self::put_timeout).
    pub fn put_slice_timeout(
        &self,
        elements: &[T],
        timeout: Duration,
    ) -> Result<(), SendError<()>> {
        self.put_slice_until(elements, deadline::after(timeout))
    }

    #[inline]
    fn put_slice_until(&self, elements: &[T], until: u64) -> Result<(), SendError<()>> {
        message::put_slice(self.0.view(), elements, until)
    }

    /// Takes the next item, of however many elements, and appends them to `elements`; how many there were.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    #[inline]
    pub fn get_slice(&self, elements: &mut Vec<T>) -> Result<usize, RecvError> {
        message::get_slice(self.0.view(), elements, FOREVER)
    }

    /// As [`get_slice`](Self::get_slice), if there is an item now.
    ///
    /// # Errors
    ///
    /// As [`try_get`](Self::try_get).
    #[inline]
    pub fn try_get_slice(&self, elements: &mut Vec<T>) -> Result<usize, RecvError> {
        message::get_slice(self.0.view(), elements, NOW)
    }

    /// As [`get_slice`](Self::get_slice), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`get_timeout`](Self::get_timeout).
    pub fn get_slice_timeout(
        &self,
        elements: &mut Vec<T>,
        timeout: Duration,
    ) -> Result<usize, RecvError> {
        message::get_slice(self.0.view(), elements, deadline::after(timeout))
    }
}
