#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| multiproc_fuzz::child_message::body(data));
