//! The same work under each start method, and how long a start takes; what was preloaded is found by children of the fork
//! server.
//!
//! ```text
//! cargo run --release --example start_methods
//! ```

use std::{sync::OnceLock, time::Instant};

use multiproc::{Counter, ForkServer, Process, StartMethod};

/// What takes long to make: loaded once by the fork server, and by other children for themselves.
static PRIMES: OnceLock<Vec<u32>> = OnceLock::new();

fn load() {
    PRIMES.get_or_init(|| {
        let is_prime = |n: &u32| {
            (2..*n)
                .take_while(|d| d * d <= *n)
                .all(|d| !n.is_multiple_of(d))
        };
        (2..200_000).filter(is_prime).collect()
    });
}

fn nth_prime((n, asked): (usize, Counter)) -> Option<u32> {
    let ready = PRIMES.get().is_some();
    load();
    asked.add(u64::from(ready));
    PRIMES.get()?.get(n).copied()
}

fn main() -> Result<(), multiproc::Error> {
    multiproc::init();
    ForkServer::preload(load)?;
    ForkServer::start()?; // or with the first child
    const CHILDREN: usize = 8;
    for method in StartMethod::ALL {
        let builder = Process::builder().method(method);
        let found_ready = Counter::new(0)?; // shared objects work under every method
        let begun = Instant::now();
        let mut starting = begun.elapsed();
        let mut primes = Vec::new();
        for n in 0..CHILDREN {
            let start = Instant::now();
            let child = builder.start(nth_prime, (n * 1000, found_ready.clone()))?;
            starting += start.elapsed();
            primes.push(child.join()?);
        }
        println!(
            "{method:>10}: a start took {:?}, start, work and join {:?}; ready in {} of {CHILDREN}",
            starting / CHILDREN as u32,
            begun.elapsed() / CHILDREN as u32,
            found_ready.get(),
        );
        assert_eq!(primes[1], Some(7927));
    }
    Ok(())
}
