//! What is measured.

mod array;
mod barrier;
mod condvar;
mod counter;
mod event;
mod lock;
mod once;
mod pipe;
mod pool;
mod queue;
mod records;
mod reentrant;
mod rwlock;
mod segment;
mod semaphore;
mod start;
mod value;

use std::error::Error;

use crate::report::Report;

/// Rows are measured and reported, or cannot be measured.
pub type Outcome = Result<(), Box<dyn Error>>;

type Measure = fn(&mut Report) -> Outcome;

/// Every row, in the order of the table of targets.
pub const ALL: &[Measure] = &[
    lock::uncontended,
    lock::contended,
    counter::counter,
    counter::sharded,
    value::get,
    value::update,
    value::get_beside_a_busy_writer,
    array::claim,
    array::double,
    reentrant::uncontended,
    reentrant::nested,
    once::get,
    rwlock::read,
    rwlock::write,
    rwlock::round_trip,
    semaphore::uncontended,
    semaphore::round_trip,
    event::set,
    event::is_set,
    event::round_trip,
    condvar::notify,
    condvar::round_trip,
    value::round_trip,
    barrier::round_trip,
    queue::words,
    queue::batches,
    queue::spinning,
    queue::round_trip,
    records::one_mebibyte,
    pipe::round_trip,
    segment::anonymous,
    start::fork,
    start::forkserver,
    start::spawn,
    pool::made,
    pool::submit,
    pool::map_one_by_one,
    pool::map,
];
