//! A program that has its shared memory from `shared_memory` and a lock in it from `raw_sync` puts an array, a value and a
//! counter of this library beside that lock. Its other processes, which it starts by its own means, open all by one id.
//! One of them crashes.
//!
//! ```text
//! cargo run --release --features shared_memory --example embed
//! ```

use std::process::{self, Command};
use std::{env, error::Error};

use multiproc::{AdoptedShmem, Array, ClaimError, Counter, Value};
use raw_sync::locks::{LockImpl, LockInit, Mutex};
use shared_memory::{Shmem, ShmemConf};

/// What the program had there all along: a lock, and how many rows its workers have begun.
const LOCK_AT: usize = 0;
const BEGUN_AT: usize = 128;
/// What comes to it, each at a multiple of 128 and behind the bytes of the one before.
const DONE_AT: usize = 1024;
const BEST_AT: usize = 2048;
const TABLE_AT: usize = 4096;

const ROWS: usize = 8;
const COLUMNS: usize = 100_000;
const SIZE: usize = TABLE_AT + 4096 + ROWS * COLUMNS * size_of::<f64>();
/// Whoever computes this row crashes in the middle of it.
const UNLUCKY: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    match env::args().nth(1) {
        None => coordinate(),
        Some(os_id) => work(&os_id),
    }
}

fn coordinate() -> Result<(), Box<dyn Error>> {
    let shmem = ShmemConf::new().size(SIZE).create()?;
    let (lock, begun) = places(&shmem);
    // SAFETY: both lie in the mapping, of which nobody else knows yet.
    unsafe { Mutex::new(lock, begun) }?;

    let shmem = AdoptedShmem::new(shmem)?; // mapped until the last object in it is dropped
    // SAFETY: the mapping is new; nothing else lies there, nor at the places below.
    let done = Counter::create(unsafe { shmem.place_at(DONE_AT) }, 0)?;
    // SAFETY: as above.
    let best = Value::create(unsafe { shmem.place_at(BEST_AT) }, [0.0; 2])?;
    // SAFETY: as above.
    let table = Array::create(unsafe { shmem.place_at(TABLE_AT) }, [ROWS, COLUMNS])?;

    let worker = || {
        Command::new(env::current_exe()?)
            .arg(shmem.get_os_id())
            .spawn()
    };
    for mut worker in [worker()?, worker()?] {
        let (id, status) = (worker.id(), worker.wait()?);
        println!("worker {id} ended: {status}");
    }
    for row in 0..ROWS {
        let cells = table.read(table.rows(row..row + 1));
        if let Some(why) = cells.err().map(|error| error.to_string()) {
            println!("row {row}: {why}; I compute it anew");
            compute(row, &table, &best)?;
            done.add(1);
        }
    }
    let [row, sum] = best.get();
    println!(
        "{} rows are done, the best is row {row}: {sum:.3}",
        done.get()
    );
    Ok(())
}

fn work(os_id: &str) -> Result<(), Box<dyn Error>> {
    let shmem = ShmemConf::new().os_id(os_id).open()?;
    let (lock, begun) = places(&shmem);
    // SAFETY: both lie in the mapping, where whoever made it has made them.
    let (lock, _) = unsafe { Mutex::from_existing(lock, begun) }?;

    let shmem = AdoptedShmem::new(shmem)?;
    // SAFETY: the coordinator places an object at each of these offsets.
    let [done, best, table] = unsafe { [DONE_AT, BEST_AT, TABLE_AT].map(|at| shmem.at(at)) };
    let done = Counter::open(done)?;
    let best = Value::open(best)?;
    let table = Array::open(table)?;
    loop {
        let row = next(&*lock)?;
        if row >= ROWS {
            return Ok(());
        }
        compute(row, &table, &best)?;
        done.add(1);
    }
}

/// Where the lock of the program lies, and what it guards.
fn places(shmem: &Shmem) -> (*mut u8, *mut u8) {
    let base = shmem.as_ptr();
    (base.wrapping_add(LOCK_AT), base.wrapping_add(BEGUN_AT))
}

/// The next row, taken under the lock of the program.
fn next(lock: &dyn LockImpl) -> Result<usize, Box<dyn Error>> {
    let guard = lock.lock()?;
    let begun = guard.cast::<usize>();
    // SAFETY: in the mapping, aligned, and nobody else's while the lock is held.
    let row = unsafe { begun.read() };
    // SAFETY: as above.
    unsafe { begun.write(row + 1) };
    Ok(row)
}

fn compute(row: usize, table: &Array<f64>, best: &Value<[f64; 2]>) -> Result<(), multiproc::Error> {
    let cells = table.write(table.rows(row..row + 1));
    let (mut cells, is_again) = match cells {
        Err(error @ ClaimError::Poisoned(_)) => (error.into_guard()?, true),
        cells => (cells?, false),
    };
    for (column, cell) in cells.iter_mut().enumerate() {
        if row == UNLUCKY && column == COLUMNS / 2 && !is_again {
            process::abort();
        }
        *cell = ((row * COLUMNS + column) as f64).sin();
    }
    cells.clear_poison();
    let sum = cells.iter().sum();
    best.update(|[best, greatest]| {
        if sum > *greatest {
            (*best, *greatest) = (row as f64, sum);
        }
    })?;
    Ok(())
}
