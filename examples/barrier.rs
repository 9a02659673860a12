//! Heat spreads over a plate, computed by processes that keep in step: each has its rows, and nobody begins a step before all
//! have ended the one before.
//!
//! ```text
//! cargo run --release --example barrier
//! ```

use std::{mem, ops::Range};

use multiproc::{Array, Barrier, Process};

const SIDE: usize = 48;
const LAST: usize = SIDE - 1;
const STEPS: usize = 4_000;
const WORKERS: usize = 4;

/// The plate as it is, the plate as it will be, and where all wait for one another.
type Shared = (Array<f64>, Array<f64>, Barrier);

fn spread(((mut now, mut next, barrier), rows): (Shared, Range<usize>)) {
    for _ in 0..STEPS {
        let around = (rows.start - 1) * SIDE..(rows.end + 1) * SIDE;
        let old = now.read(around).unwrap();
        let mut new = next.write(rows.start * SIDE..rows.end * SIDE).unwrap();
        for (i, heat) in new.iter_mut().enumerate() {
            let at = i + SIDE;
            if !matches!(i % SIDE, 0 | LAST) {
                *heat = (old[at - 1] + old[at + 1] + old[at - SIDE] + old[at + SIDE]) / 4.0;
            }
        }
        drop((old, new));
        barrier.wait().unwrap();
        mem::swap(&mut now, &mut next);
    }
}

fn main() -> Result<(), multiproc::Error> {
    multiproc::init();
    let mut plate = vec![0.0; SIDE * SIDE];
    plate[..SIDE].fill(1.0); // hot above, warm to the left, cold below and to the right
    (1..SIDE).for_each(|row| plate[row * SIDE] = 0.6);
    let (now, next) = (Array::from_slice(&plate)?, Array::from_slice(&plate)?);
    let barrier = Barrier::new(WORKERS)?;

    let crew = now.split(WORKERS).map(|numbers| {
        let rows = (numbers.start / SIDE).max(1)..(numbers.end / SIDE).min(LAST);
        let shared = (now.clone(), next.clone(), barrier.clone());
        Process::spawn(spread, (shared, rows))
    });
    for worker in crew.collect::<Result<Vec<_>, _>>()? {
        worker.join()?;
    }
    println!("{WORKERS} processes, {STEPS} steps:");
    for row in now.to_vec()?.chunks(SIDE).step_by(2) {
        let shade = |heat: &f64| char::from(b" .:-=+*#%@"[(heat * 9.99) as usize]);
        println!("{}", row.iter().map(shade).collect::<String>());
    }
    Ok(())
}
