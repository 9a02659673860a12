//! A pool of worker processes: maps, tasks, and what happens when one goes wrong.
//!
//! ```text
//! cargo run --release --example pool
//! ```

use std::{iter::successors, process, sync::OnceLock, time::Duration};

use indicatif::ProgressBar;
use multiproc::{Array, Executor, MapOptions, Pool};

static LIMIT: OnceLock<u32> = OnceLock::new();

/// Called once in each worker.
fn set_limit(limit: u32) {
    LIMIT.get_or_init(|| limit);
}

/// How many steps of the Collatz sequence lead from `n` to 1, if they are not too many.
fn steps(n: u64) -> Option<u32> {
    let half = |n: u64| n.is_multiple_of(2).then_some(n / 2);
    let next = |n: &u64| half(*n).or(Some(3 * n + 1));
    let sequence = successors(Some(n), next).take_while(|n| *n != 1);
    let steps = sequence.count() as u32;
    (steps <= *LIMIT.get()?).then_some(steps)
}

fn main() -> Result<(), multiproc::Error> {
    multiproc::init();
    let pool = Pool::builder().initializer(set_limit, 400).build()?;

    println!("map: {:?}", pool.map(steps, [1, 7, 27])?);
    println!("starmap: {:?}", pool.starmap(u32::pow, [(2, 5), (3, 2)])?);
    let first = pool.imap(steps, 1..).map_while(Result::ok); // lazy: the numbers have no end
    println!("imap: {:?}", first.flatten().find(|steps| *steps > 100));
    let mut task = pool.submit(steps, 97)?;
    println!("submit: {:?}", task.get_timeout(Duration::from_secs(5))?);

    let bar = ProgressBar::new(300_000);
    let shown = MapOptions::new().progress(|progress| bar.set_position(progress.done));
    let all = pool.map_with(shown, steps, 1..=300_000)?;
    bar.finish();
    println!("within the limit: {}", all.iter().flatten().count());

    let numbers = Array::from_slice(&[0.0; 8])?; // changed in place, by all workers
    let mark = |first, chunk: &mut [f64]| chunk[0] = first as f64;
    pool.for_each_chunk(MapOptions::new().chunk_size(3), &numbers, mark)?;
    println!("array: {:?}", numbers.to_vec()?);

    let risky = |n: i32| if n == 2 { process::exit(n) } else { n };
    for outcome in pool.try_map(risky, 1..=3)? {
        println!("one of three exits: {outcome:?}"); // which costs that task, and no other
    }
    pool.join()?;
    println!("{}", pool.stats()); // failed are those, too, that the imap had ahead
    Ok(())
}
