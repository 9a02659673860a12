//! Workers that do as they should, or write whatever they like into the memory that they share with their pool, tell it
//! anything, and die.
//!
//! The pool does not panic, and each item ends exactly once, whatever it is told; when it ends at the latest. Of a task with
//! which only workers have to do that do as they should, each item ends as its worker has told, or has left in its outbox, and
//! one that dies costs one item at most.

mod book;
mod worker;

use std::cell::RefCell;

use multiproc::__fuzz::{Desk, Values};

use self::{
    book::Book,
    worker::{How, Worker},
};
use super::hostile::World;

const WORKERS: usize = 3;

/// Kinds of outcomes.
const RETURNED: u32 = 1;
const NOT_BEGUN: u32 = 3;

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
    let kind = world.byte();
    let values = match kind / 3 % 2 {
        0 => Values::Numbers,
        _ => Values::Tuples,
    };
    desk.renew(u32::from(kind % 3), values);
    let mut book = Book::default();
    let mut workers: [Worker; WORKERS] = std::array::from_fn(|row| Worker::new(row, desk));
    while let Some(action) = world.next() {
        // Sometimes a row that there is not.
        let row = usize::from(action / 16) % (WORKERS + 1);
        let worker = workers.get_mut(row);
        match action % 16 {
            0 => desk.submit(u32::from(world.byte() % 8)),
            1 => desk.submit_single(),
            13 => drop(desk.cancel(world.number())),
            15 => desk.drain(),
            action @ 8..13 => {
                let task = worker.and_then(|worker| worker.task());
                meddle(&world, desk, &mut book, action, (row, task));
            }
            action => {
                if let Some(worker) = worker {
                    work(&world, desk, &mut book, action, worker);
                }
            }
        }
    }
    let (submitted, ended) = desk.end();
    assert!(ended.into_iter().eq(0..submitted), "not each once");
    let outcomes = desk.outcomes();
    assert_eq!(outcomes.len() as u64, submitted, "not an outcome for each");
    let singles = desk.singles().into_iter();
    let singles = singles.map(|outcome| outcome.expect("it never ends"));
    let all = (0..).zip(outcomes).chain((Desk::SINGLE..).zip(singles));
    book.check(&all.collect::<Vec<_>>());
}

/// What a worker does that does as it should. One that was killed does nothing.
fn work(world: &World<'_>, desk: &mut Desk, book: &mut Book, action: u8, worker: &mut Worker) {
    let _ = match action {
        2 => worker.take(desk),
        3 => worker.end(desk, book, How::Word),
        4 => worker.end(desk, book, How::Framed),
        5 => {
            let how = [How::Failed, How::Alone][usize::from(world.byte() % 2)];
            worker.end(desk, book, how)
        }
        6 => worker.tell(desk, book),
        7 => worker.finish(desk, book),
        _ => {
            let how = world.byte();
            match how % 4 {
                0 => worker.bury(desk, book, true),
                1 => worker.bury(desk, book, false),
                _ => worker.light(how / 4 % 16),
            }
            Ok(())
        }
    };
}

/// What the worker of a row does, with this task in hand, that does what it likes.
fn meddle(
    world: &World<'_>,
    desk: &Desk,
    book: &mut Book,
    action: u8,
    (row, task): (usize, Option<u64>),
) {
    let number = || world.number() as u32;
    let mut about = task.unwrap_or(0);
    match action {
        8 => desk.done(row),
        9 => desk.note(row, number(), number()),
        10 => {
            let flags = u32::from(world.byte() % 8);
            desk.write(row, flags, &outcomes(world, flags));
        }
        11 => {
            about = world.number();
            let (first, items, failed) = (number(), number(), number());
            let flags = u32::from(world.byte() % 8) | u32::from(world.byte() % 6) << 8;
            let record = told(about, first, items, failed, flags, &outcomes(world, flags));
            desk.tell(&record);
        }
        _ => {
            let bytes: Vec<u8> = (0..world.byte() % 64).map(|_| world.byte()).collect();
            if world.byte().is_multiple_of(2) {
                let task = bytes.first_chunk();
                about = task.map_or(0, |task| u64::from_le_bytes(*task));
                desk.tell(&bytes);
            } else {
                about = world.number();
                desk.send([about, world.number()], &bytes, Vec::new());
            }
        }
    }
    book.meddle(about);
}

/// What is told of a task.
fn told(task: u64, first: u32, items: u32, failed: u32, flags: u32, outcomes: &[u8]) -> Vec<u8> {
    let numbers = [first, items, failed, flags].map(u32::to_le_bytes);
    [&task.to_le_bytes(), numbers.as_flattened(), outcomes].concat()
}

/// An outcome of a kind.
fn outcome(kind: u32, told: &[u8]) -> Vec<u8> {
    let head = told.len() as u32 | kind << 28;
    [&head.to_le_bytes(), told].concat()
}

/// A few words, or outcomes of any kind, of which the last may be cut off.
fn outcomes(world: &World<'_>, flags: u32) -> Vec<u8> {
    let count = world.byte();
    let one = |_| {
        if flags & Desk::WORDS != 0 {
            return world.number().to_le_bytes().to_vec();
        }
        let kind = u32::from(world.byte() % 6);
        let told: Vec<u8> = (0..world.byte() % 4).map(|_| world.byte()).collect();
        outcome(kind, &told)
    };
    let mut bytes: Vec<u8> = (0..count % 8).flat_map(one).collect();
    bytes.truncate(bytes.len().saturating_sub(usize::from(count / 64)));
    bytes
}
