//! The fuzz targets without a fuzzer: everything that was ever found, and a few thousand changes of it.

#[path = "../fuzz/src/lib.rs"]
#[allow(dead_code, reason = "the map is that of a crate of its own")]
mod targets;

use std::{fs, path::Path};

/// How many changed inputs each target gets beside those that are stored.
const CHANGED: usize = 3000;
/// The longest input that is made here, in bytes; longer ones only repeat what shorter ones do.
const LONGEST: usize = 2048;

/// Runs what is stored for a target, and changes of it that are the same in every run.
fn replay(target: &str, body: fn(&[u8])) {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut inputs = Vec::new();
    for kind in ["corpus", "regressions"] {
        // No folder: nothing was found yet.
        let Ok(folder) = fs::read_dir(fuzz.join(kind).join(target)) else {
            continue;
        };
        inputs.extend(folder.map(|file| {
            let path = file.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            (path.display().to_string(), bytes)
        }));
    }
    assert!(!inputs.is_empty(), "the corpus of {target} is gone");
    inputs.sort();
    for (name, input) in &inputs {
        let _name = Named(name, input);
        body(input);
    }
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..CHANGED {
        let (name, input) = &inputs[random.below(inputs.len())];
        let (_, other) = &inputs[random.below(inputs.len())];
        let changed = changed(input, other, &mut random);
        let _name = Named(name, &changed);
        body(&changed);
    }
}

/// One input with a few bytes changed, taken out, put in, or taken from another input.
fn changed(input: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..1 + random.below(4) {
        let at = random.below(bytes.len() + 1);
        let len = random.below(9).min(bytes.len() - at);
        match random.below(5) {
            0 => bytes[at..at + len].fill_with(|| random.next() as u8),
            1 => drop(bytes.drain(at..at + len)),
            2 => {
                let new: Vec<u8> = (0..8).map(|_| random.next() as u8).collect();
                bytes.splice(at..at, new);
            }
            3 => {
                let from = random.below(other.len() + 1);
                bytes.splice(at.., other[from..].iter().copied());
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
    bytes.truncate(LONGEST);
    bytes
}

/// Tells the input when a body panics, so that it can be stored.
struct Named<'a>(&'a str, &'a [u8]);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let hex: String = self.1.iter().map(|byte| format!("{byte:02x}")).collect();
            eprintln!("the input was {hex}, made from {}", self.0);
        }
    }
}

/// Numbers that are the same in every run (Marsaglia, "Xorshift RNGs", 2003).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 8) as usize % end
    }
}

/// Fault 27.
#[test]
fn a_segment_of_any_bytes_is_refused_or_harmless() {
    replay("header", targets::header::body);
}

/// Fault 27.
#[test]
fn a_value_of_any_bytes_never_holds_up_its_callers() {
    replay("attach_value", targets::attach_value::body);
}

/// Fault 27.
#[test]
fn an_array_of_any_bytes_gives_nothing_beyond_itself() {
    replay("attach_array", targets::attach_array::body);
}

/// Fault 27.
#[test]
fn a_lock_of_any_bytes_never_holds_up_its_callers() {
    replay("attach_sync", targets::attach_sync::body);
}

/// Fault 27.
#[test]
fn a_ring_of_any_bytes_gives_nothing_beyond_itself_and_holds_up_nobody() {
    replay("attach_ring", targets::attach_ring::body);
}

/// Fault 27.
#[test]
fn a_channel_of_any_bytes_gives_nothing_beyond_itself_and_holds_up_nobody() {
    replay("attach_channel", targets::attach_channel::body);
}

/// Fault 27.
#[test]
fn a_joinable_ring_of_any_bytes_gives_nothing_beyond_itself_and_holds_up_nobody() {
    replay("attach_joinable", targets::attach_joinable::body);
}

/// Fault 27.
#[test]
fn a_ring_of_tasks_of_any_bytes_gives_nothing_beyond_itself_and_holds_up_nobody() {
    replay("attach_tasks", targets::attach_tasks::body);
}

#[test]
fn a_channel_is_closed_when_the_model_says() {
    replay("channel_model", targets::channel_model::body);
}

#[test]
fn what_is_done_and_what_is_lost_is_as_the_model_says() {
    replay("joinable_model", targets::joinable_model::body);
}

#[test]
fn tasks_end_once_as_the_model_says() {
    replay("tasks_model", targets::tasks_model::body);
}

#[test]
fn a_packet_of_any_bytes_and_descriptors_is_refused_or_received() {
    replay("pipe_message", targets::pipe_message::body);
}

#[test]
fn packets_between_parent_and_child_are_refused_or_heard() {
    replay("child_message", targets::child_message::body);
}

#[test]
fn a_record_of_a_pool_is_refused_or_understood() {
    replay("pool_record", targets::pool_record::body);
}

#[test]
fn each_item_of_a_pool_ends_once_whatever_workers_tell() {
    replay("pool_told", targets::pool_told::body);
}

#[test]
fn words_that_start_a_process_are_refused_or_understood() {
    replay("start_words", targets::start_words::body);
}

#[test]
fn claims_poison_and_deaths_are_as_the_model_says() {
    replay("claims_model", targets::claims_model::body);
}

#[test]
fn permits_are_as_many_as_the_model_says() {
    replay("permits_model", targets::permits_model::body);
}

#[test]
fn records_come_out_of_a_ring_as_the_model_says() {
    replay("ring_model", targets::ring_model::body);
}

#[test]
fn a_message_of_any_bytes_is_refused_or_understood() {
    replay("boot_frame", targets::boot_frame::body);
}
