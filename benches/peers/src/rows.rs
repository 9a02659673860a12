//! What is measured.

mod array;
mod counter;
mod lock;
mod segment;
mod start;
mod value;

use std::error::Error;

use crate::report::Report;

type Measure = fn(&mut Report) -> Result<(), Box<dyn Error>>;

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
    segment::anonymous,
    start::fork,
    start::spawn,
];
