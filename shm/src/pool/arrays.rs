//! Maps over the ranges of a shared array, which is not copied.

use std::ops::Range;

use multiproc_core::Element;

use super::{
    Pool,
    code::Code,
    error::MapError,
    executor::{Executor, Payload, Values},
    options::MapOptions,
};
use crate::Array;

impl Pool {
    /// Runs the task for each chunk of an array, which it claims for reading: it is given the index of the first element
    /// and the elements. Gives what it returned, in the order of the chunks.
    ///
    /// Four chunks for each worker, unless [`MapOptions::chunk_size`] says how many elements make one.
    ///
    /// The caller must hold no claim for writing on the array: the tasks would wait for it, and the caller for the tasks,
    /// without end unless the pool has a [deadline](crate::PoolBuilder::task_deadline).
    ///
    /// ```
    /// # multiproc::init();
    /// use multiproc::{Array, MapOptions, Pool};
    ///
    /// let numbers = Array::from_slice(&[1.0, 2.0, 3.0, 4.0])?;
    /// let pool = Pool::new(2)?;
    /// let sums = pool.map_array(MapOptions::new(), &numbers, |_, chunk: &[f64]| chunk.iter().sum::<f64>())?;
    /// assert_eq!(sums.iter().sum::<f64>(), 10.0);
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`MapError`] with the first chunk that failed, once all have ended: also when it could not be claimed, because it is
    /// poisoned.
    pub fn map_array<T: Element, R: Payload>(
        &self,
        options: MapOptions<'_>,
        array: &Array<T>,
        task: fn(usize, &[T]) -> R,
    ) -> Result<Vec<R>, MapError> {
        let items = self.chunks(&options, array);
        let mut values = Values::of(&items.iter());
        let code = Code::of_reader(task);
        self.run(options.chunk_size(1), code, items, |outcome| {
            values.push(outcome)
        })?;
        values.all()
    }

    /// Runs the task for each chunk of an array, which it claims for writing: it is given the index of the first element
    /// and the elements, to be changed in place.
    ///
    /// Four chunks for each worker, unless [`MapOptions::chunk_size`] says how many elements make one.
    ///
    /// The caller must hold no claim on the array, for reading or writing: the tasks would wait for it, and the caller for
    /// the tasks, without end unless the pool has a [deadline](crate::PoolBuilder::task_deadline).
    ///
    /// ```
    /// # multiproc::init();
    /// use multiproc::{Array, MapOptions, Pool};
    ///
    /// let numbers = Array::from_slice(&[1.0, 2.0, 3.0, 4.0])?;
    /// let pool = Pool::new(2)?;
    /// pool.for_each_chunk(MapOptions::new(), &numbers, |first, chunk: &mut [f64]| {
    ///     for (i, x) in (first..).zip(chunk) {
    ///         *x *= i as f64;
    ///     }
    /// })?;
    /// assert_eq!(numbers.to_vec()?, [0.0, 2.0, 6.0, 12.0]);
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`map_array`](Self::map_array). Chunks whose task died or panicked are poisoned.
    pub fn for_each_chunk<T: Element>(
        &self,
        options: MapOptions<'_>,
        array: &Array<T>,
        task: fn(usize, &mut [T]),
    ) -> Result<(), MapError> {
        let items = self.chunks(&options, array);
        let mut values = Values::<()>::of(&items.iter());
        let code = Code::of_writer(task);
        self.run(options.chunk_size(1), code, items, |outcome| {
            values.push(outcome)
        })?;
        values.all().map(drop)
    }

    /// The chunks of an array, as arguments.
    fn chunks<T: Element>(
        &self,
        options: &MapOptions<'_>,
        array: &Array<T>,
    ) -> Vec<(Array<T>, Range<usize>)> {
        let len = array.len();
        let size = options
            .chunk_size
            .unwrap_or_else(|| len.div_ceil(self.workers() * 4).max(1));
        let starts = (0..len).step_by(size);
        let chunk = |start| (array.clone(), start..len.min(start + size));
        starts.map(chunk).collect()
    }
}
