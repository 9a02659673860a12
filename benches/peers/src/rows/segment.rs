//! A page of anonymous shared memory: made, touched and given back.

use std::error::Error;

use shared_memory::ShmemConf;

use crate::{
    report::{Report, per_call},
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
        .target("memfd and mmap (limit)", 1.3, || {
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
