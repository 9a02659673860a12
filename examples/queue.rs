//! Two processes put orders into a queue, three others work them off. One of these is killed in the middle of an order:
//! the others go on, and whoever joins the queue is told of what was lost.
//!
//! ```text
//! cargo run --release --example queue
//! ```

use std::time::Instant;

use multiproc::{JoinableQueue, Process};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Order {
    customer: String,
    amount: u32,
}

const EACH: u32 = 50_000;

fn order((shop, queue): (u32, JoinableQueue<Order>)) {
    let order = |i| Order {
        customer: format!("customer {} of shop {shop}", i % 100),
        amount: i % 7,
    };
    // Many at once: one lock for each sixty-four. It waits where the queue is full.
    queue.put_many((0..EACH).map(order)).unwrap();
}

/// Works off orders until the queue is closed, and returns how many, and what they were worth.
fn work((queue, dies_after): (JoinableQueue<Order>, Option<u64>)) -> (u64, u64) {
    let (mut count, mut worth) = (0, 0);
    for order in &queue {
        if dies_after == Some(count) {
            std::process::abort(); // with this order in hand
        }
        worth += u64::from(order.amount);
        count += 1;
        // An order that is dropped is done.
    }
    (count, worth)
}

fn main() -> Result<(), multiproc::Error> {
    multiproc::init();
    let begun = Instant::now();
    let queue = JoinableQueue::new(1 << 16)?;
    let workers = [None, None, Some(1000)]
        .map(|dies_after| Process::spawn(work, (queue.clone(), dies_after)));
    let shops = [1, 2].map(|shop| Process::spawn(order, (shop, queue.clone())));
    for shop in shops {
        shop?.join()?;
    }
    match queue.join() {
        Ok(()) => println!("all orders are done"),
        Err(lost) => println!("{lost}"),
    }
    println!("{} orders in {:.0?}", 2 * EACH, begun.elapsed());
    queue.close()?;
    for worker in workers {
        match worker?.join() {
            Ok((count, worth)) => println!("a worker did {count} orders, worth {worth}"),
            Err(error) => println!("{error}"),
        }
    }
    Ok(())
}
