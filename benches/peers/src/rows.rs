//! What is measured, by theme.

mod array;
mod attached;
mod barrier;
mod condvar;
mod counter;
mod event;
mod lock;
mod memory;
mod once;
mod pipe;
mod pool;
mod queue;
mod records;
mod reentrant;
mod round_trip;
mod rwlock;
mod segment;
mod semaphore;
mod spinning;
mod start;
mod value;

use std::error::Error;

use crate::report::Report;

/// Rows or a curve are measured and reported, or cannot be measured.
pub type Outcome = Result<(), Box<dyn Error>>;

pub type Measure = fn(&mut Report) -> Outcome;

/// Rows that are shown in one table.
pub struct Theme {
    /// The heading, by which the template of the document asks for them.
    pub title: &'static str,
    pub rows: &'static [Measure],
}

/// Every row.
pub const THEMES: &[Theme] = &[
    Theme {
        title: "Locks",
        rows: &[
            lock::uncontended,
            lock::contended,
            reentrant::uncontended,
            reentrant::nested,
            rwlock::read,
            rwlock::write,
            semaphore::uncontended,
            event::set,
            event::is_set,
            condvar::notify,
            once::get,
        ],
    },
    Theme {
        title: "Waiting for each other",
        rows: &[
            rwlock::round_trip,
            semaphore::round_trip,
            event::round_trip,
            condvar::round_trip,
            value::round_trip,
            barrier::round_trip,
        ],
    },
    Theme {
        title: "Values and arrays",
        rows: &[
            value::get,
            value::update,
            value::get_beside_a_busy_writer,
            counter::counter,
            counter::sharded,
            array::claim,
            array::double,
            attached::lock,
            attached::update,
            attached::claim,
            attached::queue,
        ],
    },
    Theme {
        title: "Queues and pipes",
        rows: &[
            queue::words,
            queue::batches,
            spinning::round_trip,
            round_trip::queue,
            records::one_mebibyte,
            pipe::round_trip,
        ],
    },
    Theme {
        title: "Memory",
        rows: &[
            segment::anonymous,
            memory::value,
            memory::value_descriptors,
            memory::array,
            memory::queue,
        ],
    },
    Theme {
        title: "Processes and pools",
        rows: &[
            start::fork,
            start::forkserver,
            start::spawn,
            pool::made,
            pool::submit,
            pool::map_one_by_one,
            pool::map,
        ],
    },
];
