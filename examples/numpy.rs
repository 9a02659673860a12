//! A table of prices, and of trades that are structs, which stay when this program has ended: for NumPy to look at.
//!
//! ```text
//! cargo run --release --example numpy
//! $(scripts/python) examples/numpy_reader.py numpy-prices
//! cargo run --release --example numpy -- --remove
//! ```

use std::{env, error::Error};

use multiproc::{Array, Create, Segment};

multiproc::record! {
    struct Trade {
        at: f64,
        price: f64,
        size: u32,
        is_buy: u32,
    }
}

const NAMES: [&str; 2] = ["numpy-prices", "numpy-trades"];

fn main() -> Result<(), Box<dyn Error>> {
    multiproc::init();
    if env::args().any(|argument| argument == "--remove") {
        for name in NAMES {
            Segment::remove(name)?;
            println!("{name} is removed");
        }
        return Ok(());
    }
    let [prices, trades] = NAMES.map(|name| Create::named(name).persist(true));
    let prices = Array::<f64>::create(prices, [250, 4])?;
    let mut rows = prices.write(..).map_err(multiproc::Error::from)?;
    for (day, row) in rows.chunks_mut(4).enumerate() {
        let open = 100.0 + (day as f64 / 20.0).sin();
        row.copy_from_slice(&[open, open + 0.5, open - 0.5, open + 0.1]);
    }
    let trades = Array::<Trade>::create(trades, 3)?;
    let mut trades = trades.write(..).map_err(multiproc::Error::from)?;
    for (number, trade) in (1..).zip(trades.iter_mut()) {
        *trade = Trade {
            at: f64::from(number) * 0.25,
            price: 100.5,
            size: number * 100,
            is_buy: number % 2,
        };
    }
    println!("They are there. Look at them, and take them away:");
    for name in NAMES {
        println!("    $(scripts/python) examples/numpy_reader.py {name}");
    }
    println!("    cargo run --release --example numpy -- --remove");
    Ok(())
}
