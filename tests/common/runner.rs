//! A test harness for programs that fork: one thread, one test after the other.
//!
//! Knows as much of libtest's command line as `cargo test` and `cargo nextest` use: a filter, `--exact`, `--list`.

use std::{env, panic, process};

/// A name and what it promises; a failure is a panic.
pub type Test = (&'static str, fn());

/// Runs the tests that the command line asks for and ends the process unless all passed.
pub fn run(tests: &[Test]) {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let given = |name: &str| arguments.iter().any(|argument| argument == name);
    let filters: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |name: &str| {
        let fits = |filter: &&String| if given("--exact") { name == *filter } else { name.contains(*filter) };
        filters.is_empty() || filters.iter().any(fits)
    };
    // None is ever ignored.
    let chosen = tests.iter().filter(|(name, _)| wanted(name) && !given("--ignored"));
    if given("--list") {
        chosen.for_each(|(name, _)| println!("{name}: test"));
        return;
    }
    let mut failed = Vec::new();
    for (name, test) in chosen {
        let passed = panic::catch_unwind(test).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        if !passed {
            failed.push(*name);
        }
    }
    if !failed.is_empty() {
        println!("failed: {}", failed.join(", "));
        process::exit(1);
    }
}
