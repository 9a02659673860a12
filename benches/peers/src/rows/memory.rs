//! What shared objects take, in bytes and descriptors.

use std::{error::Error, io};

use multiproc::{Array, JoinableQueue, Queue, Raw, Value};
use shared_memory::ShmemConf;

use crate::{
    footprint::{descriptors, mapped},
    measure::Measured,
    report::{Report, unit::Unit},
    rows::Outcome,
    sys::Place,
};

const PAGE: f64 = 4096.0;
const CAPACITY: usize = 1 << 16;
const ELEMENTS: usize = 1 << 20;

/// Of a value, in bytes.
pub fn value(report: &mut Report) -> Outcome {
    let Some(bench) = report.bench("memory of a `Value<f64>`", Place::First) else {
        return Ok(());
    };
    bench
        .in_unit(Unit::Bytes)
        .ours(|| mapped(|| Value::new(0.0)))
        .at_most("one page", PAGE)
        .peer("shared_memory", || mapped(eight_bytes))
        .few()
        .run(report)
}

/// Of a value, in descriptors.
pub fn value_descriptors(report: &mut Report) -> Outcome {
    let name = "descriptors of a `Value<f64>`";
    let Some(bench) = report.bench(name, Place::First) else {
        return Ok(());
    };
    bench
        .in_unit(Unit::Count)
        .ours(|| descriptors(|| Value::new(0.0)))
        .at_most("one", 1.0)
        .peer("shared_memory", || descriptors(eight_bytes))
        .few()
        .run(report)
}

fn eight_bytes() -> Result<shared_memory::Shmem, shared_memory::ShmemError> {
    ShmemConf::new().size(8).create()
}

/// Of an array, besides its elements.
pub fn array(report: &mut Report) -> Outcome {
    let name = "memory of an `Array`, besides its data";
    let Some(bench) = report.bench(name, Place::First) else {
        return Ok(());
    };
    bench
        .in_unit(Unit::Bytes)
        .ours(|| {
            let bytes = mapped(|| Array::<f64>::zeroed(ELEMENTS))?;
            Ok(bytes - (ELEMENTS * size_of::<f64>()) as f64)
        })
        .at_most("8 KiB", 2.0 * PAGE)
        .few()
        .run(report)
}

/// Of all kinds of queues, besides their capacity.
pub fn queue(report: &mut Report) -> Outcome {
    type Kind = (&'static str, fn() -> Measured);
    let kinds: [Kind; 4] = [
        ("a `Queue`", || beside(|| Queue::<u64, Raw>::raw(CAPACITY))),
        ("a `JoinableQueue`", || {
            beside(|| JoinableQueue::<u64, Raw>::raw(CAPACITY))
        }),
        ("a `channel`", || {
            beside(|| multiproc::channel_raw::<u64>(CAPACITY))
        }),
        ("an `spsc`", || {
            beside(|| multiproc::spsc_raw::<u64>(CAPACITY))
        }),
    ];
    for (kind, measure) in kinds {
        let name = format!("memory of {kind}, besides its capacity");
        let Some(bench) = report.bench(name, Place::First) else {
            continue;
        };
        bench
            .in_unit(Unit::Bytes)
            .ours(measure)
            .at_most("4 KiB", PAGE)
            .few()
            .run(report)?;
    }
    Ok(())
}

fn beside<T, E: Error + 'static>(make: impl FnOnce() -> Result<T, E>) -> Measured {
    let bytes = mapped(make)? - CAPACITY as f64;
    if bytes < 0.0 {
        return Err(io::Error::other("a queue has less memory than asked for").into());
    }
    Ok(bytes)
}
