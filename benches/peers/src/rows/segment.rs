//! A page of anonymous shared memory: made, touched and given back.

use std::error::Error;

use shared_memory::ShmemConf;

use crate::{
    measure::per_call,
    report::{Report, beside::limit},
    sys::{Mapping, Place},
};

/// 4096 bytes.
pub fn anonymous(report: &mut Report) -> Result<(), Box<dyn Error>> {
    let Some(bench) = report.bench("segment made, touched, dropped", Place::First) else {
        return Ok(());
    };
    const TIMES: u32 = 300;
    bench
        .ours(|| per_call(TIMES, || drop(multiproc::Value::new(1u64).unwrap())))
        .target(limit("memfd and mmap"), 1.3, || {
            per_call(TIMES, || Mapping::of_memfd(4096).unwrap().touch())
        })
        .peer("shared_memory", || {
            per_call(TIMES, || {
                let memory = ShmemConf::new().size(4096).create().unwrap();
                // SAFETY: the first byte of a new mapping that nobody else knows of.
                unsafe { memory.as_ptr().write_volatile(1) };
            })
        })
        .python("Python SharedMemory", "segment")
        .run(report)
}
