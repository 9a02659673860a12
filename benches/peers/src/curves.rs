//! What is measured over the size of the work, or the number who do it.

mod array;
mod counter;
mod lock;
mod payload;
mod pool;
mod segment;

use crate::{measure::is_quick, rows::Measure};

/// Every curve.
pub const ALL: &[Measure] = &[
    lock::contended,
    counter::add,
    array::writers,
    array::claims,
    pool::map,
    payload::throughput,
    segment::made,
    segment::opened,
    segment::forked,
];

/// Curves over processes end here: more than most machines have processors.
const MOST_PROCESSES: usize = 8;

/// How many processes there are at each place of such a curve; a smoke run has a few of them.
fn processes() -> impl Iterator<Item = usize> {
    (1..=MOST_PROCESSES).step_by(if is_quick() { 7 } else { 1 })
}
