//! A storm: eight processes at work on everything that is shared, of which a random one is killed every 10 ms, at a random
//! instant or a random step, and replaced. In the end nobody is stuck, and nothing is lost, torn, doubled or untold.
//!
//! ```text
//! cargo test --test storm -- --seconds 60 --seed 7
//! ```
//!
//! It lasts 5 seconds unless told otherwise. The seed is printed; it determines what each worker does and who is killed
//! when, but not how the processes come to run beside each other.

mod common;

#[path = "storm/board.rs"]
mod board;
#[path = "storm/overseer.rs"]
mod overseer;
#[path = "storm/random.rs"]
mod random;
#[path = "storm/work.rs"]
mod work;

use std::{process::ExitCode, sync::OnceLock, time::Duration};

use overseer::Storm;

static STORM: OnceLock<Storm> = OnceLock::new();

/// Fault 1. Fault 11. Fault 12. Fault 13. Fault 14. Fault 17. Fault 18. Fault 19. Fault 20.
fn nobody_is_stuck_and_nothing_is_lost_in_a_storm() {
    STORM.get().expect("set below").rage();
}

/// The value of an option, which is taken out of the arguments.
fn option(arguments: &mut Vec<String>, name: &str) -> Option<u64> {
    let at = arguments.iter().position(|argument| argument == name)?;
    arguments.remove(at);
    assert!(at < arguments.len(), "{name} wants a number");
    let value = arguments.remove(at);
    Some(value.parse().expect("a number"))
}

fn main() -> ExitCode {
    multiproc::init();
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let seconds = option(&mut arguments, "--seconds").unwrap_or(5);
    let storm = Storm {
        length: Duration::from_secs(seconds),
        seed: option(&mut arguments, "--seed").unwrap_or_else(|| std::process::id().into()),
    };
    STORM.get_or_init(|| storm);
    common::run_given(
        &arguments,
        &[(
            "nobody_is_stuck_and_nothing_is_lost_in_a_storm",
            nobody_is_stuck_and_nothing_is_lost_in_a_storm,
        )],
    )
}
