#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| multiproc_fuzz::channel_model::body(data));
