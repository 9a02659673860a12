//! Workers that do as they should, or write whatever they like into the memory that they share with their pool, tell it
//! anything, and die.
//!
//! The pool does not panic, and each item ends exactly once, whatever it is told; when it ends at the latest.

use std::cell::RefCell;

use multiproc::__fuzz::Desk;

use super::hostile::World;

const WORKERS: usize = 3;

/// What a worker has in hand, as one that does as it should knows it.
#[derive(Default)]
struct Worker {
    task: u64,
    /// How many items it has ended, and how many of these it has told of.
    done: u32,
    told: u32,
    /// What it has to tell.
    outbox: Vec<u8>,
}

/// Runs one input.
///
/// # Panics
///
/// When a promise is broken.
pub fn body(input: &[u8]) {
    thread_local!(static DESK: RefCell<Desk> = RefCell::new(
        Desk::new(WORKERS).expect("memory for a small pool"),
    ));
    DESK.with_borrow_mut(|desk| play(desk, input));
}

fn play(desk: &mut Desk, input: &[u8]) {
    let world = World::new(input, &[]);
    desk.renew(u32::from(world.byte() % 3));
    let mut workers: [Worker; WORKERS] = Default::default();
    while let Some(action) = world.next() {
        // Sometimes a row that there is not.
        let row = usize::from(action / 16) % (WORKERS + 1);
        let worker = workers.get_mut(row);
        match action % 16 {
            0 => desk.submit(u32::from(world.byte() % 8)),
            1 => desk.submit_single(),
            2 => {
                if let (Some(task), Some(worker)) = (desk.take(row), worker) {
                    *worker = Worker {
                        task,
                        ..Worker::default()
                    };
                }
            }
            3..6 => {
                if let Some(worker) = worker {
                    worker.outbox.extend(outcome(&world, 1));
                    worker.done += 1;
                    desk.write(row, &worker.outbox);
                    desk.note(row, worker.done, worker.outbox.len() as u32);
                }
            }
            6 | 7 => {
                if let Some(worker) = worker {
                    let items = worker.done - worker.told;
                    desk.tell(&told(worker.task, worker.told, items, 0, 0, &worker.outbox));
                    worker.told = worker.done;
                    worker.outbox.clear();
                    desk.note(row, worker.done, 0);
                }
            }
            8 => desk.done(row),
            9 => desk.note(row, world.number() as u32, world.number() as u32),
            10 => {
                let outcomes: Vec<u8> = outcomes(&world);
                desk.write(row, &outcomes);
            }
            11 => {
                let number = || world.number() as u32;
                let (task, first, items) = (world.number(), number(), number());
                let flags = u32::from(world.byte() % 4) | u32::from(world.byte() % 6) << 8;
                desk.tell(&told(
                    task,
                    first,
                    items,
                    number(),
                    flags,
                    &outcomes(&world),
                ));
            }
            12 => {
                let bytes: Vec<u8> = (0..world.byte() % 64).map(|_| world.byte()).collect();
                if world.byte().is_multiple_of(2) {
                    desk.tell(&bytes);
                } else {
                    desk.send([world.number(), world.number()], &bytes, Vec::new());
                }
            }
            13 => drop(desk.cancel(world.number())),
            14 => desk.die(row, world.byte().is_multiple_of(2)),
            _ => desk.drain(),
        }
    }
    let (submitted, ended, open) = desk.end();
    assert!(ended.into_iter().eq(0..submitted), "not each once");
    assert_eq!(open, 0, "tasks that never end");
    assert_eq!(desk.outcomes(), submitted, "not an outcome for each");
}

/// What is told of a task.
fn told(task: u64, first: u32, items: u32, failed: u32, flags: u32, outcomes: &[u8]) -> Vec<u8> {
    let numbers = [first, items, failed, flags].map(u32::to_le_bytes);
    [&task.to_le_bytes(), numbers.as_flattened(), outcomes].concat()
}

/// An outcome of a kind; one that returned is a number, or not.
fn outcome(world: &World<'_>, kind: u32) -> Vec<u8> {
    let len = world.byte() % 4;
    let head = u32::from(len) | kind << 28;
    let mut bytes = head.to_le_bytes().to_vec();
    bytes.extend((0..len).map(|_| world.byte()));
    bytes
}

/// A few outcomes of any kind, of which the last may be cut off.
fn outcomes(world: &World<'_>) -> Vec<u8> {
    let count = world.byte();
    let mut bytes: Vec<u8> = (0..count % 8)
        .flat_map(|_| outcome(world, u32::from(world.byte() % 6)))
        .collect();
    bytes.truncate(bytes.len().saturating_sub(usize::from(count / 64)));
    bytes
}
