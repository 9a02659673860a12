//! Arrays that a real Python and this library have in common, without copying.
//!
//! The interpreter is `MULTIPROC_PYTHON`, which `scripts/python` makes, else `python3`. Where that has no NumPy all tests
//! are ignored.

#[path = "numpy/arrays.rs"]
mod arrays;
#[path = "numpy/blocks.rs"]
mod blocks;
#[path = "numpy/python.rs"]
mod python;

use std::{
    process::{self, ExitCode},
    sync::atomic::{AtomicU32, Ordering},
};

use libtest_mimic::{Arguments, Trial};

multiproc::record! {
    struct Tick { at: f64, size: u32, side: [u16; 2] }
}

/// A name for a segment that no other test has.
fn new_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("multiproc-test-numpy-{}-{number}", process::id())
}

macro_rules! tests {
    ($($module:ident: $($name:ident),*;)*) => {
        [$($((stringify!($name), $module::$name as fn()),)*)*]
    };
}

fn main() -> ExitCode {
    multiproc::init();
    let missing = python::missing();
    if let Some(why) = &missing {
        eprintln!("there is no Python with NumPy, which scripts/python makes: {why}");
    }
    let tests = tests! {
        arrays:
            an_array_is_read_with_its_dtype_and_shape,
            a_struct_is_read_field_by_field,
            elements_that_are_arrays_are_further_dimensions,
            all_dimensions_are_read_and_none,
            each_element_type_is_numpys_own,
            each_side_sees_what_the_other_writes,
            fields_of_structs_are_written_in_place,
            arrays_of_atomics_and_arrays_in_files_are_arrays_too,
            an_array_may_lie_behind_something_else,
            who_opens_for_reading_cannot_write,
            a_segment_is_held_while_numpy_has_it_and_its_name_stays,
            a_name_made_anew_while_numpy_opens_it_is_the_new_array,
            what_is_no_array_is_refused_with_a_reason;
        blocks:
            a_block_is_an_array_and_each_side_sees_what_the_other_writes,
            a_block_of_structs_is_an_array_of_records,
            a_block_is_as_long_as_python_was_told,
            who_opens_a_block_for_reading_sees_python_write,
            a_block_that_is_not_there_yet_is_waited_for,
            python_opens_what_was_made_here,
            a_name_is_one_for_both_languages,
            what_python_left_behind_is_unlinked_here;
    };
    let trial = |(name, body): (&str, fn())| {
        let test = Trial::test(name, move || {
            body();
            Ok(())
        });
        test.with_ignored_flag(missing.is_some())
    };
    let trials = tests.into_iter().map(trial).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
