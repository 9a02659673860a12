//! A storm over pools: tasks of every kind, while a random worker is killed again and again. In the end each task has ended
//! once, with what it returns or because its worker was killed, which each kill does to one item at most; and nothing is left.
//!
//! ```text
//! cargo test --release --test pool_storm -- --tasks 100000 --kill-every-ms 20
//! ```
//!
//! `--seed` chooses who is killed when. What is promised of kills at each single step is in `kill_steps`; this is about
//! what only shows in the long run.

mod common;

#[path = "pool_storm/crew.rs"]
mod crew;
#[path = "storm/random.rs"]
mod random;
#[path = "pool_storm/storm.rs"]
mod storm;

use std::{process::ExitCode, sync::OnceLock, time::Duration};

use multiproc::StartMethod;
use storm::Storm;

static STORM: OnceLock<Storm> = OnceLock::new();

fn storm() -> &'static Storm {
    STORM.get().expect("set below")
}

/// Fault 21.
fn each_task_of_a_pool_by_fork_ends_once_whoever_is_killed() {
    storm().rage(StartMethod::Fork);
}

/// Fault 21.
fn each_task_of_a_pool_by_forkserver_ends_once_whoever_is_killed() {
    storm().rage(StartMethod::ForkServer);
}

/// Fault 21.
fn each_task_of_a_pool_by_spawn_ends_once_whoever_is_killed() {
    storm().rage(StartMethod::Spawn);
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
    let mut number = |name| option(&mut arguments, name);
    let storm = Storm {
        tasks: number("--tasks").unwrap_or(6_000),
        between_kills: Duration::from_millis(number("--kill-every-ms").unwrap_or(20)),
        workers: number("--workers").unwrap_or(4) as usize,
        seed: number("--seed").unwrap_or_else(|| std::process::id().into()),
    };
    STORM.get_or_init(|| storm);
    common::run_given(
        &arguments,
        &[
            (
                "each_task_of_a_pool_by_fork_ends_once_whoever_is_killed",
                each_task_of_a_pool_by_fork_ends_once_whoever_is_killed,
            ),
            (
                "each_task_of_a_pool_by_forkserver_ends_once_whoever_is_killed",
                each_task_of_a_pool_by_forkserver_ends_once_whoever_is_killed,
            ),
            (
                "each_task_of_a_pool_by_spawn_ends_once_whoever_is_killed",
                each_task_of_a_pool_by_spawn_ends_once_whoever_is_killed,
            ),
        ],
    )
}
