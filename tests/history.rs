//! A long history: three producers and three consumers at one queue, or channel, of which a random one is killed and
//! replaced again and again. In the end each message has arrived exactly once, but for those that the killed had just taken.
//!
//! ```text
//! cargo test --release --test history -- --messages 10000000 --kill-every-ms 50
//! ```
//!
//! `--over queue` and `--over channel` choose one of the two, `--seed` who is killed when. What is promised of kills at
//! each single step is in `kill_steps`; this is about what only shows in the long run.

mod common;

#[path = "history/ledger.rs"]
mod ledger;
#[path = "history/line.rs"]
mod line;
#[path = "history/overseer.rs"]
mod overseer;
#[path = "storm/random.rs"]
mod random;
#[path = "history/workers.rs"]
mod workers;

use std::{process::ExitCode, sync::OnceLock, time::Duration};

use line::{OfChannel, OfQueue};
use overseer::History;

static HISTORY: OnceLock<History> = OnceLock::new();

fn history() -> &'static History {
    HISTORY.get().expect("set below")
}

/// Fault 13. Fault 14.
fn each_message_put_into_a_queue_arrives_once_whoever_is_killed() {
    history().of::<OfQueue>();
}

/// Fault 13. Fault 14.
fn each_message_sent_through_a_channel_arrives_once_whoever_is_killed() {
    history().of::<OfChannel>();
}

/// The value of an option, which is taken out of the arguments.
fn option(arguments: &mut Vec<String>, name: &str) -> Option<String> {
    let at = arguments.iter().position(|argument| argument == name)?;
    arguments.remove(at);
    assert!(at < arguments.len(), "{name} wants a value");
    Some(arguments.remove(at))
}

fn main() -> ExitCode {
    multiproc::init();
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut number = |name| {
        let value = option(&mut arguments, name);
        value.map(|value| value.parse().expect("a number"))
    };
    let history = History {
        messages: number("--messages").unwrap_or(300_000),
        between_kills: Duration::from_millis(number("--kill-every-ms").unwrap_or(20)),
        seed: number("--seed").unwrap_or_else(|| std::process::id().into()),
    };
    HISTORY.get_or_init(|| history);
    if let Some(over) = option(&mut arguments, "--over") {
        arguments.push(over);
    }
    common::run_given(
        &arguments,
        &[
            (
                "each_message_put_into_a_queue_arrives_once_whoever_is_killed",
                each_message_put_into_a_queue_arrives_once_whoever_is_killed,
            ),
            (
                "each_message_sent_through_a_channel_arrives_once_whoever_is_killed",
                each_message_sent_through_a_channel_arrives_once_whoever_is_killed,
            ),
        ],
    )
}
