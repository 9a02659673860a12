//! Eight processes share three connections. The first takes one, hangs, and is killed: the connection comes back.
//!
//! ```text
//! cargo run --release --example semaphore
//! ```

use std::{thread, time::Duration, time::SystemTime};

use multiproc::{Event, Process, Semaphore};

const CONNECTIONS: u32 = 3;
const JOBS: usize = 4;

fn millis_since(start: SystemTime) -> u64 {
    start.elapsed().map_or(0, |time| time.as_millis() as u64)
}

/// Returns from when to when each job had a connection.
fn work((connections, start): (Semaphore, SystemTime)) -> Vec<(u64, u64)> {
    let job = |_| {
        let _connection = connections.acquire().unwrap();
        let from = millis_since(start);
        thread::sleep(Duration::from_millis(10));
        (from, millis_since(start))
    };
    (0..JOBS).map(job).collect()
}

fn hang((connections, taken): (Semaphore, Event)) {
    let _connection = connections.acquire().unwrap();
    taken.set();
    thread::sleep(Duration::MAX);
}

fn main() -> Result<(), multiproc::Error> {
    multiproc::init();
    let (connections, taken) = (Semaphore::new(CONNECTIONS)?, Event::new()?);
    let hanging = Process::spawn(hang, (connections.clone(), taken.clone()))?;
    taken.wait();
    let start = SystemTime::now();
    let crew = (1..8).map(|_| Process::spawn(work, (connections.clone(), start)));
    let crew = crew.collect::<Result<Vec<_>, _>>()?;
    thread::sleep(Duration::from_millis(60));
    hanging.kill()?;
    let mut rows = vec![vec![(0, millis_since(start))]];
    for worker in crew {
        rows.push(worker.join()?);
    }
    let in_use = |row: &[(u64, u64)], at| row.iter().any(|&(from, to)| from <= at && at < to);
    for row in &rows {
        let sign = |column: u64| if in_use(row, 2 * column) { '#' } else { '.' };
        println!("{}", (0..75).map(sign).collect::<String>());
    }
    let at_once = |at| rows.iter().filter(|row| in_use(row, at)).count();
    let most = (0..1000).map(at_once).max().unwrap_or(0);
    let free = connections.value()?;
    println!("at most {most} in use at once, {free} free in the end");
    Ok(())
}
